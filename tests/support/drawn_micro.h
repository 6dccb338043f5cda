/* Micro-batches of samples drawn at random for tiny_robin, a pure function of their keys: with and
 * without a picture, 0 to 99 regions, 2 to 61 words. For tests of what must hold for any batch. */
#ifndef ROBIN_TESTS_DRAWN_MICRO_H
#define ROBIN_TESTS_DRAWN_MICRO_H

#include "support/tiny_robin.h"
#include "train/micro_batch.h"

#define DRAWN_MAX_REGIONS 99
#define DRAWN_MAX_TOKENS  280 /* of one sample: words, image rows, regions */

/* Number `use` of a key's, in 0 .. below - 1; uses from 16 on are the samples' own. */
int64_t drawn_number(uint64_t key, int use, int64_t below);

struct drawn_options {
    double target_weight;
    int64_t few_regions; /* samples with regions have fewer than this; 0: up to 99 */
};

/* `learns`: the samples have targets for sure; else three of four have. Of tiny_config(). */
enum status drawn_micro(struct micro_batch **micro_out, const struct model_config *config,
                        const uint64_t *keys, int64_t n, bool learns,
                        const struct drawn_options *options);

#endif
