/* Helpers of the golden families that see images. */
#ifndef ROBIN_TESTS_GOLDEN_VISION_H
#define ROBIN_TESTS_GOLDEN_VISION_H

#include <stdint.h>

#include "golden_reference.h"
#include "model/parameters.h"

/* out [B, C, P] from in [B, P, C], and back. */
void golden_channels_first(float *out, const float *in, int64_t b, int64_t p, int64_t c);
void golden_channels_last(float *out, const float *in, int64_t b, int64_t p, int64_t c);

/* The fill of NAME, n elements from centre 0. */
void golden_fill(float *out, int64_t n, uint64_t seed, const char *name, double amplitude);

/* Like golden_compare for a map [B, P, C] of ours: the reference has channels first. */
enum status golden_compare_map(struct golden_reference *reference, const char *name, const float *x,
                               const int64_t sizes[3], enum golden_kind kind);

/* Flat weights by the fill and flat gradients of zero, for families that use one module alone. */
struct golden_weights {
    struct parameter_table *table;
    float *values, *gradients;
};
enum status golden_weights_create(struct golden_weights *weights, const struct model_config *config,
                                  enum module module, uint64_t seed);
void golden_weights_release(struct golden_weights *weights);

#endif
