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

/* Collective. The entropy in nats per target of the counts of all ranks, which become those of
 * everyone; 0 without targets. */
enum status unigram_entropy(struct unigram *unigram, struct comm *comm, double *entropy_out);

#endif
