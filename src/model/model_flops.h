/* Floating point operations of the model: two for each multiplication and addition of its matrices,
 * convolutions and attention, and nothing for what stands between them. What has to be computed by
 * the mathematics: activations computed a second time (train.recompute) are told apart. */
#ifndef ROBIN_MODEL_MODEL_FLOPS_H
#define ROBIN_MODEL_MODEL_FLOPS_H

#include "model/robin_model.h"

struct model_load { /* of any number of micro-batches */
    double images, regions, tokens, targets;
    double pairs; /* query-key pairs under the causal mask: sum over sequences of T (T + 1) / 2 */
};

/* Adds one sequence of so many rows. */
void model_load_add(struct model_load *load, int64_t tokens, int64_t images, int64_t regions,
                    int64_t targets);

struct model_flops {
    double forward[N_MODULES], backward[N_MODULES];
    double again[N_MODULES]; /* forward computed again in the backward pass, if so chosen */
    double head;             /* forward of the output layer, part of the lm's */
    double attention;        /* forward of softmax(q k) v, part of the lm's */
};

/* Of the options, what trains and whether activations are computed again is read. */
struct model_flops model_flops(const struct model_config *config,
                               const struct model_options *options, const struct model_load *load);

/* All of forward and backward. */
double model_flops_sum(const struct model_flops *flops);

#endif
