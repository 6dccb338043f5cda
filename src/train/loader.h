/* Brings global batches, ahead of their use and in bounded memory.
 *
 * The lengths that the packing needs are known only once a sample is built (its conversation drawn
 * and tokenised). So the ranks share that work: rank r builds places r, r + R, ... of the global
 * batch, one small sum makes all sizes known to all, every rank makes the same plan, and decodes
 * only the pictures of its own micro-batches (building again the few samples that another rank
 * measured). The alternative, every rank tokenising everything, costs R times the reading.
 *
 * Sizes are exchanged one batch ahead by the caller's thread, in loader_next_batch; loader threads
 * build and decode up to `prefetch` micro-batches ahead and never talk to other ranks. */
#ifndef ROBIN_TRAIN_LOADER_H
#define ROBIN_TRAIN_LOADER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "comm/comm.h"
#include "corpus/region_mask.h"
#include "corpus/sample.h"
#include "image/image.h"
#include "train/micro_batch.h"
#include "train/order.h"
#include "train/packer.h"
#include "train/sample_rows.h"

/* Where samples come from. Called from several threads. *skipped_out: NULL, or why this item gives
 * no sample (static text). */
struct sample_source {
    enum status (*build)(void *context, const struct order_item *item, struct sample *sample_out,
                         const char **skipped_out);
    void *context;
};

/* What happens to a sample beyond the maximum length. */
enum too_long { TOO_LONG_CUT, TOO_LONG_SKIP, TOO_LONG_REFUSE };

struct loader_options {
    struct comm *comm; /* all ranks, which share the measuring; borrowed, like everything here */
    int dp_rank;       /* whose micro-batches this rank prepares */
    /* One of so many sharers of a model, of whom one fills in a picture and its regions: who
     * computes it. 0: nobody shares. */
    int tp_rank, tp_size;
    const struct order *order;
    struct sample_source source;
    const struct model_config *config;
    struct sample_rows_options rows;
    enum too_long too_long;
    struct pack_options pack;
    bool mean_of_means; /* the weight of a target is 1 / (micro-batches * targets of its own);
                           else 1 / targets of the global batch */
    bool drop_path;
    uint64_t seed; /* of DropPath */
    enum image_mode image_mode;
    enum region_mode region_mode;
    int n_threads;
    int64_t prefetch;             /* micro-batches prepared ahead, at least 1 */
    int64_t prefetch_bytes;       /* of what is held ahead: half for pictures of measured samples
                                     (those beyond are read again), half for micro-batches (of which
                                     one is always prepared); 0: no limit */
    int64_t first_step, end_step; /* global batches first_step .. end_step - 1 */
};

struct global_batch { /* the same on every rank, but for the last three */
    int64_t step;
    int64_t n_samples;
    bool mean_of_means;        /* of the options */
    uint64_t *ids;             /* [n_samples], in order, skipped ones included */
    struct sample_size *sizes; /* [n_samples] */
    struct pack_plan plan;
    int64_t n_skipped, n_cut; /* samples; samples that lost rows at the maximum length */
    int64_t n_mine;           /* micro-batches of this rank */
    int64_t *mine;            /* [n_mine]: which of the plan's */
    double waited; /* seconds that this rank waited for samples of its own, to be given this one */
    char *skipped; /* "ID REASON\n" of the samples that this rank found wanting */
};

struct loader;

/* Starts the threads; not collective. */
enum status loader_create(struct loader **loader_out, const struct loader_options *options);
void loader_destroy(struct loader *loader);

/* Collective. The next global batch, valid until the following call. All ranks get the same status.
 * A sample that cannot be read or does not fit names itself. */
enum status loader_next_batch(struct loader *loader, const struct global_batch **batch_out);

/* This rank's next micro-batch of the current global batch, complete; to be called exactly n_mine
 * times. The caller destroys it. */
enum status loader_next_micro(struct loader *loader, struct micro_batch **micro_out);

#endif
