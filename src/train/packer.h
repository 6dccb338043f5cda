/* How the samples of a global batch become micro-batches, and which rank computes which. A pure
 * function of the samples' sizes, so every rank makes the same plan. */
#ifndef ROBIN_TRAIN_PACKER_H
#define ROBIN_TRAIN_PACKER_H

#include <stdint.h>

#include "base/status.h"
#include "model/robin_model.h"

struct sample_size {
    int64_t tokens; /* rows, image rows included; 0: the sample was skipped */
    int64_t images;
    int64_t regions;
    int64_t targets;
    int64_t cut; /* rows lost at the maximum length */
};

enum pack_mode {
    /* Balanced bins, a multiple of the number of ranks: for a loss that is a sum over all targets,
     * where the grouping changes nothing but rounding. */
    PACK_BALANCED,
    /* Consecutive samples, next-fit: the same groups for any number of ranks, for a loss that is
     * a mean of the groups' means. */
    PACK_SEQUENTIAL
};

struct pack_options {
    enum pack_mode mode;
    int n_ranks;
    struct model_limits limits; /* of one micro-batch */
    double image_cost;          /* work of a picture's tower, in tokens of the language model */
};

struct pack_plan { /* zeroed is releasable */
    int64_t n_micro;
    int64_t
        *first;    /* [n_micro + 1]: micro-batch m holds slot[first[m]] .. slot[first[m + 1] - 1] */
    int64_t *slot; /* places in the global batch, increasing within a micro-batch */
    int *rank;     /* [n_micro]: who computes it */
    int64_t *targets; /* [n_micro] */
    int64_t n_targets, n_tokens, n_images;
};

/* `sizes` [n]. ERR_LIMIT if a sample alone is beyond the limits: *offender_out is its place. */
enum status pack_plan_make(struct pack_plan *plan_out, int64_t *offender_out,
                           const struct sample_size *sizes, int64_t n,
                           const struct pack_options *options);
void pack_plan_release(struct pack_plan *plan);

/* Work of a tower over one picture, in tokens of the language model: counts multiplications. */
double pack_image_cost(const struct model_config *config);

#endif
