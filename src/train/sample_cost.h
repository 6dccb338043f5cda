/* How large a sample is, and how much work: what packing weighs. */
#ifndef ROBIN_TRAIN_SAMPLE_COST_H
#define ROBIN_TRAIN_SAMPLE_COST_H

#include <stdbool.h>
#include <stdint.h>

#include "model/model_config.h"
#include "model/parameters.h"

struct sample_size {
    int64_t tokens; /* rows, image rows included; 0: the sample was skipped */
    int64_t images;
    int64_t regions;
    int64_t targets;
    int64_t cut; /* rows lost at the maximum length */
};

/* Multiplications of one sample through forward and backward, in any unit: the sum of `token` for
 * each row, `pair` for each row and each row before it (causal attention), `image` for each picture
 * (tower and projector), `region` for each region (mask extractor), `target` for each row whose
 * next token is learnt (the vocabulary's logits). */
struct sample_cost {
    double token, pair, image, region, target;
};

double sample_cost(const struct sample_cost *cost, const struct sample_size *size);

/* Counts the multiplications of a model, one row of the language model being 1. A module that is
 * frozen costs its forward alone, if nothing before it trains; the pass of gradients through it
 * otherwise. */
struct sample_cost sample_cost_of(const struct model_config *config,
                                  const bool trainable[N_MODULES]);

#endif
