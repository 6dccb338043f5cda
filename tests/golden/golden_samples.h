/* The samples of golden folders of the whole model, and the batch they make. */
#ifndef ROBIN_TESTS_GOLDEN_SAMPLES_H
#define ROBIN_TESTS_GOLDEN_SAMPLES_H

#include "golden_config.h"
#include "golden_reference.h"
#include "support/batch_maker.h"

struct golden_samples { /* zeroed is releasable */
    int64_t n;
    char **names; /* keys of config.json's "samples" */
    struct made_sample *samples;
};

/* Ids, labels (if stored) and masks of PREFIX + name, pixels by the fill of PIXEL_PREFIX + name. */
enum status golden_samples_load(struct golden_samples *samples, struct golden_reference *reference,
                                const struct golden_config *config, const char *prefix,
                                const char *pixel_prefix);
void golden_samples_release(struct golden_samples *samples);

/* One batch of samples first .. first + n - 1. */
enum status golden_samples_batch(struct made_batch *made, const struct golden_samples *samples,
                                 int64_t first, int64_t n, const struct golden_config *config,
                                 const struct golden_options *options, int64_t max_length);

/* Limits that just hold the batch, with every row a target. */
struct model_limits golden_limits(const struct model_batch *batch);

#endif
