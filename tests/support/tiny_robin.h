/* A ROBIN of a few thousand parameters with weights by the fill, and samples for it: for tests of
 * what must hold whatever the sizes. */
#ifndef ROBIN_TESTS_TINY_ROBIN_H
#define ROBIN_TESTS_TINY_ROBIN_H

#include "model/robin_model.h"
#include "support/batch_maker.h"

#define TINY_MASK_ID 61

/* 64 x 48 pixels, three layers, two of four heads share keys, vocabulary 64. */
struct model_config tiny_config(void);

/* Three samples: an image with two regions, words alone, an image with three regions. */
#define TINY_SAMPLES 3
struct tiny_samples {
    struct made_sample samples[TINY_SAMPLES];
    struct model_config config;
};
void tiny_samples_init(struct tiny_samples *samples, const struct model_config *config);
void tiny_samples_release(struct tiny_samples *samples);

/* The batch of samples first .. first + n - 1, run by the reference kernels. */
void tiny_batch(struct made_batch *made, const struct tiny_samples *samples, int64_t first,
                int64_t n);

/* Options that hold all three samples and train everything. */
struct model_options tiny_options(void);

/* A filled model on the cpu kernels and one thread; asserts that it could be made. */
struct model *tiny_model(const struct model_options *options);

/* ||x - reference|| / ||reference||; ||x|| if the reference is zero. */
double tiny_difference(const float *x, const float *reference, int64_t n);

#endif
