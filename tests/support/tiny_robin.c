/* See tiny_robin.h. */
#include "tiny_robin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/random.h"
#include "base/text_buffer.h"
#include "device/stream.h"

#define SEED      77
#define MAX_IDS   64
#define N_REGIONS 5
#define MASK_SIDE 20

struct model_config tiny_config(void)
{
    return (struct model_config){.image_height = 64,
                                 .image_width = 48,
                                 .vision = {.depths = {1, 2, 1, 1},
                                            .dims = {4, 6, 8, 10},
                                            .norm_eps = 1e-6,
                                            .layer_scale_init = 1e-6},
                                 .extractor = {.embed = 12, .mask_side = 7},
                                 .lm = {.vocab = 64,
                                        .hidden = 16,
                                        .ffn = 24,
                                        .layers = 3,
                                        .heads = 4,
                                        .kv_heads = 2,
                                        .max_positions = 96,
                                        .rms_eps = 1e-6,
                                        .rope_theta = 1e4,
                                        .tied = true}};
}

/* Words with an image at place 2 and a pair of region ids behind every third word after it. */
static void make_words(struct made_sample *sample, int64_t n_regions, const char *name)
{
    int64_t *ids = memory_new(MAX_IDS, sizeof *ids);
    int64_t *labels = memory_new(MAX_IDS, sizeof *labels);
    struct random_stream stream = random_stream(SEED, name);
    int64_t n = 0, region = 0;
    for (int64_t word = 0; word < 18; word++) {
        if (word == 2 && sample->pixels != NULL) ids[n++] = MAKER_IMAGE_ID;
        if (word > 2 && word % 3 == 0 && region < n_regions) {
            ids[n++] = TINY_MASK_ID;
            ids[n++] = TINY_MASK_ID + 1;
            region++;
        }
        ids[n++] = (int64_t)random_below(stream, (uint64_t)word, 60);
    }
    for (int64_t i = 0; i < n; i++) {
        bool asked = random_uniform(stream, (uint64_t)(1000 + i)) < 0.6;
        labels[i] = asked && ids[i] >= 0 && ids[i] < 60 ? ids[i] : MAKER_IGNORE;
    }
    sample->ids = ids;
    sample->labels = labels;
    sample->n_ids = n;
}

static void make_sample(struct made_sample *sample, const struct model_config *config,
                        int64_t n_regions, const char *name)
{
    size_t n_pixels = (size_t)(3 * config->image_height * config->image_width);
    struct random_stream stream = random_stream(SEED + 1, name);
    if (n_regions > 0) {
        float *pixels = memory_new(n_pixels, sizeof *pixels);
        uint8_t *masks = memory_new((size_t)(n_regions * MASK_SIDE * MASK_SIDE), 1);
        random_fill(pixels, n_pixels, 0, stream, 0, 2);
        for (int64_t i = 0; i < n_regions * MASK_SIDE * MASK_SIDE; i++) {
            int64_t region = i / (MASK_SIDE * MASK_SIDE);
            int64_t row = i / MASK_SIDE % MASK_SIDE;
            masks[i] = row >= 3 * region && row < 3 * region + 8 && i % 5 != 0;
        }
        sample->pixels = pixels;
        sample->masks = masks;
        sample->n_regions = n_regions;
        sample->mask_height = sample->mask_width = MASK_SIDE;
    }
    make_words(sample, n_regions, name);
}

void tiny_samples_init(struct tiny_samples *samples, const struct model_config *config)
{
    *samples = (struct tiny_samples){.config = *config};
    make_sample(&samples->samples[0], &samples->config, 2, "first");
    make_sample(&samples->samples[1], &samples->config, 0, "second");
    make_sample(&samples->samples[2], &samples->config, 3, "third");
}

void tiny_samples_release(struct tiny_samples *samples)
{
    for (int i = 0; i < TINY_SAMPLES; i++) {
        free((void *)(uintptr_t)samples->samples[i].ids);
        free((void *)(uintptr_t)samples->samples[i].labels);
        free((void *)(uintptr_t)samples->samples[i].pixels);
        free((void *)(uintptr_t)samples->samples[i].masks);
    }
}

void tiny_batch(struct made_batch *made, const struct tiny_samples *samples, int64_t first,
                int64_t n)
{
    const struct maker_options options = {
        .config = &samples->config, .mask_id = TINY_MASK_ID, .kernels = &kernels_ref};
    enum status status = batch_make(made, samples->samples + first, n, &options);
    ASSERT(status == OK, "%s", status_message());
}

struct model_options tiny_options(void)
{
    return (struct model_options){.limits = {.max_images = 2,
                                             .max_regions = N_REGIONS,
                                             .max_sequences = TINY_SAMPLES,
                                             .max_tokens = 128,
                                             .max_targets = 128},
                                  .trainable = {true, true, true, true},
                                  .backward = true};
}

struct model *tiny_model(const struct model_options *options)
{
    struct model *model = NULL;
    struct model_config config = tiny_config();
    static struct stream stream; /* the caller's thread alone */
    enum status status = model_create(&model, &config, options, &kernels_cpu, &stream);
    ASSERT(status == OK, "%s", status_message());
    parameters_fill(model_weights(model), model_parameters(model), SEED);
    return model;
}

double tiny_difference(const float *x, const float *reference, int64_t n)
{
    double square = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        double difference = (double)x[i] - (double)reference[i];
        square += difference * difference;
        norm += (double)reference[i] * (double)reference[i];
    }
    return norm > 0 ? sqrt(square / norm) : sqrt(square);
}
