/* How the samples of a global batch become micro-batches, and which rank computes which: pure
 * functions of the samples' sizes, so every rank makes the same plan.
 *
 * Where the loss is a sum over all targets, grouping changes nothing but rounding: samples are
 * dealt to ranks first, by cost, and each rank cuts its share. Where groups must not know the mesh,
 * the global batch is cut first and whole micro-batches are dealt. */
#ifndef ROBIN_TRAIN_PACKER_H
#define ROBIN_TRAIN_PACKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "model/robin_model.h"
#include "train/sample_cost.h"

enum pack_mode {
    /* Samples dealt to ranks, then cut: the best balance, groups differ between meshes. */
    PACK_BALANCED,
    /* Consecutive samples, next-fit: the same groups on any mesh, for a loss that is a mean of the
     * groups' means. */
    PACK_SEQUENTIAL,
    /* Bins of equal cost, their number the smallest multiple of `multiple` that keeps the limits:
     * the same groups on any mesh, for sums in one fixed order. */
    PACK_BLIND
};

struct pack_options {
    enum pack_mode mode;
    int n_ranks;
    int64_t multiple; /* of PACK_BLIND: >= 1, a number of the configuration, not of the mesh; the
                         mesh's ranks are evenly loaded if they divide it */
    bool in_order;    /* micro-batches that are cut first go to ranks as leaves of a tree
                      (parallel/reduction_tree.h), not by cost */
    struct model_limits limits; /* of one micro-batch */
    struct sample_cost cost;
};

struct pack_plan { /* zeroed is releasable */
    int64_t n_micro;
    int64_t
        *first;    /* [n_micro + 1]: micro-batch m holds slot[first[m]] .. slot[first[m + 1] - 1] */
    int64_t *slot; /* places in the global batch, increasing within a micro-batch */
    int *rank;     /* [n_micro]: who computes it */
    int64_t *targets; /* [n_micro] */
    double *cost;     /* [n_micro]: the sum of its samples' */
    int64_t n_targets, n_tokens, n_images;
};

/* Groups and ranks. `sizes` [n]; samples of 0 tokens are in no group. ERR_LIMIT if a sample alone
 * is beyond the limits: *offender_out is its place. */
enum status pack_plan_make(struct pack_plan *plan_out, int64_t *offender_out,
                           const struct sample_size *sizes, int64_t n,
                           const struct pack_options *options);
void pack_plan_release(struct pack_plan *plan);

/* The two steps of PACK_SEQUENTIAL and PACK_BLIND. The first does not read n_ranks and leaves every
 * rank 0; micro-batches are in one order on every mesh. The second sets the ranks, dearest
 * micro-batch first to whoever has least, then exchanges; it changes nothing else. */
enum status pack_cut(struct pack_plan *plan_out, int64_t *offender_out,
                     const struct sample_size *sizes, int64_t n,
                     const struct pack_options *options);
void pack_deal(struct pack_plan *plan, int n_ranks);

/* Load of the fullest rank over the mean load of all. */
double pack_imbalance(const struct pack_plan *plan, int n_ranks);

#endif
