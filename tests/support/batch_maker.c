/* See batch_maker.h. */
#include "batch_maker.h"

#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"

/* Where the next row, image and region go. */
struct maker {
    const struct maker_options *options;
    struct made_batch *made;
    int64_t points;   /* image tokens of one image */
    int64_t row;      /* of the batch */
    int64_t position; /* in the sample */
    int64_t image, region;
};

static int64_t points_of(const struct model_config *config, int level)
{
    return level_side(config->image_height, level) * level_side(config->image_width, level);
}

static void take_memory(struct maker *maker, const struct made_sample *samples, int64_t n_samples)
{
    struct made_batch *made = maker->made;
    const struct model_config *config = maker->options->config;
    int64_t tokens = 0, images = 0, regions = 0;
    for (int64_t i = 0; i < n_samples; i++) {
        tokens += samples[i].n_ids + maker->points;
        images += samples[i].pixels != NULL;
        regions += samples[i].n_regions;
    }
    size_t t = (size_t)tokens + 1;
    size_t q = (size_t)regions + 1;
    size_t side = (size_t)config->extractor.mask_side;
    size_t pixels = (size_t)(config->image_height * config->image_width * 3);
    made->pixels = memory_new((size_t)images * pixels + 1, sizeof(float));
    made->image_row = memory_new((size_t)(images * maker->points) + 1, sizeof(int32_t));
    made->position_grid = memory_new(q * side * side, sizeof(float));
    for (int level = 0; level < N_LEVELS; level++)
        made->footprint[level] = memory_new(q * (size_t)points_of(config, level), 1);
    made->region_image = memory_new(q, sizeof(int32_t));
    made->mask_row = memory_new(q, sizeof(int32_t));
    made->pos_row = memory_new(q, sizeof(int32_t));
    made->seq_start = memory_new((size_t)n_samples + 1, sizeof(int32_t));
    made->position = memory_new(t, sizeof(int32_t));
    made->token_id = memory_new(t, sizeof(int32_t));
    made->labels = memory_new(t, sizeof(int64_t));
    made->target_row = memory_new(t, sizeof(int32_t));
    made->target = memory_new(t, sizeof(int32_t));
    made->target_weight = memory_new(t, sizeof(float));
}

/* A row at the end of the sample, or -1 if the sample is full. */
static int32_t add_row(struct maker *maker, int32_t token_id, int64_t label)
{
    struct made_batch *made = maker->made;
    int64_t limit = maker->options->max_length;
    if (limit > 0 && maker->position >= limit) return -1;
    int64_t row = maker->row++;
    made->token_id[row] = token_id;
    made->labels[row] = label;
    made->position[row] = (int32_t)maker->position++;
    return (int32_t)row;
}

static enum status add_rows(struct maker *maker, const struct made_sample *sample, int64_t number)
{
    enum status status = OK;
    struct made_batch *made = maker->made;
    bool behind_image = false;
    int64_t region = 0;
    int64_t first_token = maker->image * maker->points;
    for (int64_t i = 0; sample->pixels != NULL && i < maker->points; i++)
        made->image_row[first_token + i] = -1;
    for (int64_t q = 0; q < sample->n_regions; q++)
        made->mask_row[maker->region + q] = made->pos_row[maker->region + q] = -1;
    for (int64_t i = 0; i < sample->n_ids; i++) {
        int64_t id = sample->ids[i];
        if (id == MAKER_IMAGE_ID) {
            for (int64_t p = 0; p < maker->points; p++)
                made->image_row[first_token + p] = add_row(maker, -1, MAKER_IGNORE);
            behind_image = true;
        } else if (behind_image && id == maker->options->mask_id && sample->n_regions > 0) {
            if (region == sample->n_regions || i + 1 == sample->n_ids)
                FAIL(ERR_FORMAT, "sample %lld has more <mask> ids than its %lld regions",
                     (long long)number, (long long)sample->n_regions);
            made->mask_row[maker->region + region] = add_row(maker, -1, MAKER_IGNORE);
            made->pos_row[maker->region + region] = add_row(maker, -1, MAKER_IGNORE);
            region++;
            i++; /* the id behind <mask> is consumed unread */
        } else {
            add_row(maker, (int32_t)id, sample->labels == NULL ? MAKER_IGNORE : sample->labels[i]);
        }
    }
    if (behind_image && region != sample->n_regions)
        FAIL(ERR_FORMAT, "sample %lld has %lld <mask> ids and %lld regions", (long long)number,
             (long long)region, (long long)sample->n_regions);
out:
    return status;
}

static enum status add_image(struct maker *maker, const struct made_sample *sample)
{
    enum status status = OK;
    struct made_batch *made = maker->made;
    const struct maker_options *options = maker->options;
    const struct model_config *config = options->config;
    int64_t n = config->image_height * config->image_width;
    int64_t side = config->extractor.mask_side;
    int64_t q = sample->n_regions;
    float *grid = memory_new((size_t)(q * points_of(config, 0)) + 1, sizeof *grid);
    for (int64_t p = 0; sample->pixels != NULL && p < n; p++) {
        for (int64_t c = 0; c < 3; c++)
            made->pixels[(maker->image * n + p) * 3 + c] = sample->pixels[c * n + p];
    }
    for (int64_t i = 0; i < q; i++) made->region_image[maker->region + i] = (int32_t)maker->image;
    for (int level = 0; level < N_LEVELS; level++) {
        int64_t points = points_of(config, level);
        uint8_t *footprint = made->footprint[level] + maker->region * points;
        TRY(options->kernels->mask_resize(grid, sample->masks, q, sample->mask_height,
                                          sample->mask_width,
                                          level_side(config->image_height, level),
                                          level_side(config->image_width, level), options->stream));
        for (int64_t i = 0; i < q * points; i++) footprint[i] = grid[i] > 0;
    }
    TRY(options->kernels->mask_resize(made->position_grid + maker->region * side * side,
                                      sample->masks, q, sample->mask_height, sample->mask_width,
                                      side, side, options->stream));
    maker->image += sample->pixels != NULL;
    maker->region += q;
out:
    free(grid);
    return status;
}

/* Row t predicts the label of row t + 1 of its own sample. */
static int64_t find_targets(struct made_batch *made, int64_t n_samples)
{
    int64_t n = 0;
    for (int64_t s = 0; s < n_samples; s++) {
        for (int32_t row = made->seq_start[s]; row + 1 < made->seq_start[s + 1]; row++) {
            if (made->labels[row + 1] == MAKER_IGNORE) continue;
            made->target_row[n] = row;
            made->target[n++] = (int32_t)made->labels[row + 1];
        }
    }
    for (int64_t i = 0; i < n; i++) made->target_weight[i] = (float)(1.0 / (double)n);
    return n;
}

enum status batch_make(struct made_batch *made, const struct made_sample *samples,
                       int64_t n_samples, const struct maker_options *options)
{
    enum status status = OK;
    *made = (struct made_batch){0};
    struct maker maker = {
        .options = options, .made = made, .points = points_of(options->config, IMAGE_LEVEL)};
    take_memory(&maker, samples, n_samples);
    for (int64_t s = 0; s < n_samples; s++) {
        maker.position = 0;
        TRY(add_rows(&maker, &samples[s], s));
        TRY(add_image(&maker, &samples[s]));
        made->seq_start[s + 1] = (int32_t)maker.row;
    }
    made->batch = (struct model_batch){.n_images = maker.image,
                                       .pixels = made->pixels,
                                       .n_regions = maker.region,
                                       .region_image = made->region_image,
                                       .position_grid = made->position_grid,
                                       .n_sequences = n_samples,
                                       .n_tokens = maker.row,
                                       .seq_start = made->seq_start,
                                       .position = made->position,
                                       .token_id = made->token_id,
                                       .image_row = made->image_row,
                                       .mask_row = made->mask_row,
                                       .pos_row = made->pos_row,
                                       .n_targets = find_targets(made, n_samples),
                                       .target_row = made->target_row,
                                       .target = made->target,
                                       .target_weight = made->target_weight};
    for (int level = 0; level < N_LEVELS; level++)
        made->batch.footprint[level] = made->footprint[level];
out:
    if (status != OK) batch_release(made);
    return status;
}

void batch_target_all_rows(struct made_batch *made)
{
    struct model_batch *batch = &made->batch;
    batch->n_targets = batch->n_tokens;
    for (int64_t t = 0; t < batch->n_tokens; t++) {
        made->target_row[t] = (int32_t)t;
        made->target[t] = 0;
        made->target_weight[t] = 0;
    }
}

void batch_release(struct made_batch *made)
{
    free(made->pixels);
    free(made->keep);
    free(made->position_grid);
    free(made->target_weight);
    for (int level = 0; level < N_LEVELS; level++) free(made->footprint[level]);
    free(made->region_image);
    free(made->seq_start);
    free(made->position);
    free(made->token_id);
    free(made->image_row);
    free(made->mask_row);
    free(made->pos_row);
    free(made->target_row);
    free(made->target);
    free(made->labels);
    *made = (struct made_batch){0};
}
