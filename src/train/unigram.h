/* The baseline that a language model has to beat: what the loss would be if all that were known is
 * how often each token is a target. */
#ifndef ROBIN_TRAIN_UNIGRAM_H
#define ROBIN_TRAIN_UNIGRAM_H

#include <stdint.h>

#include "base/status.h"
#include "comm/comm.h"
#include "model/batch.h"

struct unigram {     /* zeroed is releasable */
    int64_t *counts; /* [vocab] targets seen by this rank */
    int64_t vocab;
};

void unigram_init(struct unigram *unigram, int64_t vocab);
void unigram_release(struct unigram *unigram);
void unigram_add(struct unigram *unigram, const struct model_batch *batch);

/* Collective. The loss over the targets of all ranks, whose counts become those of everyone. */
enum status unigram_loss_of_all(struct unigram *unigram, struct comm *comm, double *loss_out);

/* Nats per target when the counts [vocab] are all that is known: their entropy; 0 without targets.
 */
double unigram_loss(const int64_t *counts, int64_t vocab);

#endif
