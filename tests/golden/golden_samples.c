/* See golden_samples.h. */
#include "golden_samples.h"

#include <stdlib.h>

#include "base/text_buffer.h"
#include "golden_vision.h"
#include "model/robin_model.h"

static enum status load_sample(struct made_sample *sample, struct golden_reference *reference,
                               const struct golden_config *config, const char *prefix,
                               const char *pixel_name)
{
    enum status status = OK;
    int64_t *ids = NULL, *labels = NULL;
    uint8_t *masks = NULL;
    int64_t n_labels = 0;
    int64_t dims[3] = {0};
    int64_t n_pixels = 3 * config->model.image_height * config->model.image_width;
    char *ids_name = text_format("%s.input_ids", prefix);
    char *labels_name = text_format("%s.labels", prefix);
    char *masks_name = text_format("%s.masks", prefix);
    TRY(golden_load_integers(reference, ids_name, &ids, &sample->n_ids));
    sample->ids = ids;
    if (golden_reference_has(reference, labels_name)) {
        TRY(golden_load_integers(reference, labels_name, &labels, &n_labels));
        sample->labels = labels;
        if (n_labels != sample->n_ids)
            FAIL(ERR_FORMAT, "%s: %lld labels for %lld ids", prefix, (long long)n_labels,
                 (long long)sample->n_ids);
    }
    if (golden_reference_has(reference, masks_name)) {
        TRY(golden_load_masks(reference, masks_name, &masks, dims));
        sample->masks = masks;
        sample->n_regions = dims[0];
        sample->mask_height = dims[1];
        sample->mask_width = dims[2];
    }
    float *pixels = memory_new((size_t)n_pixels, sizeof *pixels);
    golden_fill(pixels, n_pixels, config->seed, pixel_name, 2.0);
    sample->pixels = pixels;
out:
    free(masks_name);
    free(labels_name);
    free(ids_name);
    return status;
}

enum status golden_samples_load(struct golden_samples *samples, struct golden_reference *reference,
                                const struct golden_config *config, const char *prefix,
                                const char *pixel_prefix)
{
    enum status status = OK;
    json_t *list = NULL;
    const char *name = NULL;
    json_t *spec = NULL;
    *samples = (struct golden_samples){0};
    TRY(golden_config_value(&list, config, "samples", JSON_OBJECT));
    samples->names = memory_new(json_object_size(list) + 1, sizeof *samples->names);
    samples->samples = memory_new(json_object_size(list) + 1, sizeof *samples->samples);
    json_object_foreach(list, name, spec)
    {
        (void)spec; /* the stored tensors say the same */
        char *full = text_format("%s%s", prefix, name);
        char *pixels = text_format("%s%s", pixel_prefix, name);
        samples->names[samples->n] = text_copy(name);
        status = load_sample(&samples->samples[samples->n++], reference, config, full, pixels);
        free(pixels);
        free(full);
        TRY(status);
    }
out:
    return status;
}

void golden_samples_release(struct golden_samples *samples)
{
    for (int64_t i = 0; i < samples->n; i++) {
        free(samples->names[i]);
        free((void *)(uintptr_t)samples->samples[i].ids);
        free((void *)(uintptr_t)samples->samples[i].labels);
        free((void *)(uintptr_t)samples->samples[i].masks);
        free((void *)(uintptr_t)samples->samples[i].pixels);
    }
    free(samples->names);
    free(samples->samples);
    *samples = (struct golden_samples){0};
}

enum status golden_samples_batch(struct made_batch *made, const struct golden_samples *samples,
                                 int64_t first, int64_t n, const struct golden_config *config,
                                 const struct golden_options *options, int64_t max_length)
{
    int64_t max_positions = config->model.lm.max_positions;
    const struct maker_options maker = {
        .config = &config->model,
        .mask_id = config->mask_id,
        .max_length = max_length > 0 && max_length < max_positions ? max_length : max_positions,
        .kernels = options->host_kernels,
        .stream = options->host_stream};
    return batch_make(made, samples->samples + first, n, &maker);
}

struct model_limits golden_limits(const struct model_batch *batch)
{
    return (struct model_limits){.max_images = batch->n_images,
                                 .max_regions = batch->n_regions,
                                 .max_sequences = batch->n_sequences,
                                 .max_tokens = batch->n_tokens,
                                 .max_targets = batch->n_tokens};
}
