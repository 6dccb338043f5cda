/* Laying out a micro-batch. */
#include "train/micro_batch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/allocator.h"
#include "base/arena.h"
#include "base/assertion.h"
#include "base/random.h"
#include "base/text_buffer.h"
#include "text/chat.h"

static int64_t block_count(const struct model_config *config)
{
    int64_t n = 0;
    for (int level = 0; level < N_LEVELS; level++) n += config->vision.depths[level];
    return n;
}

static void count(struct model_batch *batch, const struct sample_rows *sequences, int64_t n)
{
    batch->n_sequences = n;
    for (int64_t s = 0; s < n; s++) {
        const bool has_image = sequences[s].image_row >= 0;
        batch->n_images += has_image;
        batch->n_regions += has_image ? sequences[s].n_regions : 0;
        batch->n_tokens += sequences[s].n_rows;
        batch->n_targets += sequences[s].n_targets;
    }
}

int64_t micro_batch_bytes(const struct model_config *config, const struct sample_size *sum)
{
    const int64_t side = config->extractor.mask_side;
    const int64_t image_bytes =
        config->image_height * config->image_width * 3 * (int64_t)sizeof(float);
    int64_t region_bytes = side * side * (int64_t)sizeof(float);
    for (int level = 0; level < N_LEVELS; level++)
        region_bytes +=
            level_side(config->image_height, level) * level_side(config->image_width, level);
    /* a row has a position, a token and perhaps a target: row, id, weight */
    return sum->images * image_bytes + sum->regions * region_bytes +
           sum->tokens * 5 * (int64_t)sizeof(int32_t);
}

/* Large memory, sized by data: refused with a sentence where there is none. */
static enum status take(void *memory_out, int64_t n, size_t size, const char *what)
{
    enum status status = OK;
    const size_t bytes = size_multiply((size_t)(n > 0 ? n : 1), size);
    void *memory = block_take(bytes);
    if (memory == NULL)
        FAIL(ERR_MEMORY, "no memory for the %s of a micro-batch: %zu bytes", what, bytes);
    memcpy(memory_out, &memory, sizeof memory);
out:
    return status;
}

static enum status take_memory(struct micro_batch *micro, const struct model_config *config)
{
    enum status status = OK;
    const struct model_batch *batch = &micro->batch;
    const int64_t side = config->extractor.mask_side;
    micro->pixels_per_image = config->image_height * config->image_width * 3;
    TRY(take(&micro->pixels, batch->n_images * micro->pixels_per_image, sizeof(float), "pixels"));
    TRY(take(&micro->position_grid, batch->n_regions * side * side, sizeof(float),
             "position grids"));
    TRY(take(&micro->target_weight, batch->n_targets, sizeof(float), "target weights"));
    for (int level = 0; level < N_LEVELS; level++) {
        micro->level_rows[level] = level_side(config->image_height, level);
        micro->level_columns[level] = level_side(config->image_width, level);
        const int64_t cells = micro->level_rows[level] * micro->level_columns[level];
        TRY(take(&micro->footprint[level], batch->n_regions * cells, 1, "footprints"));
    }
    micro->grid_side = side;
    micro->image_of = memory_new((size_t)batch->n_sequences + 1, sizeof *micro->image_of);
    micro->first_region = memory_new((size_t)batch->n_sequences + 1, sizeof *micro->first_region);
    micro->sample_id = memory_new((size_t)batch->n_sequences + 1, sizeof *micro->sample_id);
out:
    return status;
}

/* The writable faces of the batch's index arrays, one behind the other in one piece of memory. */
struct index_arrays {
    int32_t *seq_start, *position, *token_id, *image_row, *mask_row, *pos_row, *region_image;
    int32_t *target_row, *target;
};

static enum status take_indices(struct micro_batch *micro, struct index_arrays *to,
                                int64_t image_rows)
{
    enum status status = OK;
    const struct model_batch *batch = &micro->batch;
    const int64_t sizes[] = {
        batch->n_sequences + 1, batch->n_tokens,  batch->n_tokens,  batch->n_images * image_rows,
        batch->n_regions,       batch->n_regions, batch->n_regions, batch->n_targets,
        batch->n_targets};
    int32_t **arrays[] = {&to->seq_start,    &to->position,   &to->token_id,
                          &to->image_row,    &to->mask_row,   &to->pos_row,
                          &to->region_image, &to->target_row, &to->target};
    int64_t total = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) total += sizes[i];
    ASSERT(total < INT32_MAX, "a micro-batch of %" PRId64 " indices", total);
    TRY(take(&micro->indices, total, sizeof(int32_t), "indices"));
    total = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        *arrays[i] = micro->indices + total;
        total += sizes[i];
    }
out:
    return status;
}

/* How far the sequences before this one have come. */
struct progress {
    int64_t row, image, region, target;
};

static void place_image(const struct sample_rows *rows, struct progress at, int64_t image_rows,
                        const struct index_arrays *to)
{
    for (int64_t r = 0; r < image_rows; r++) {
        const int64_t row = rows->image_row + r;
        to->image_row[at.image * image_rows + r] =
            row < rows->n_rows ? (int32_t)(at.row + row) : -1;
    }
    for (int64_t q = 0; q < rows->n_regions; q++) {
        const int64_t row = rows->region_row[q];
        to->mask_row[at.region + q] = row < rows->n_rows ? (int32_t)(at.row + row) : -1;
        to->pos_row[at.region + q] = row + 1 < rows->n_rows ? (int32_t)(at.row + row + 1) : -1;
        to->region_image[at.region + q] = (int32_t)at.image;
    }
}

static void place_rows(const struct sample_rows *rows, struct progress *at,
                       const struct index_arrays *to)
{
    for (int64_t r = 0; r < rows->n_rows; r++) {
        to->position[at->row + r] = (int32_t)r;
        to->token_id[at->row + r] = rows->token_id[r];
        if (r == 0 || rows->label[r] == IGNORE_LABEL) continue;
        to->target_row[at->target] = (int32_t)(at->row + r - 1); /* row r - 1 predicts row r */
        to->target[at->target++] = rows->label[r];
    }
}

static void place(struct micro_batch *micro, const struct sample_rows *sequences, int64_t n,
                  int64_t image_rows, const struct index_arrays *to)
{
    struct progress at = {0};
    to->seq_start[0] = 0;
    for (int64_t s = 0; s < n; s++) {
        const bool has_image = sequences[s].image_row >= 0;
        micro->first_region[s] = at.region;
        micro->image_of[s] = has_image ? at.image : -1;
        if (has_image) place_image(&sequences[s], at, image_rows, to);
        place_rows(&sequences[s], &at, to);
        at.row += sequences[s].n_rows;
        at.image += has_image;
        at.region += has_image ? sequences[s].n_regions : 0;
        to->seq_start[s + 1] = (int32_t)at.row;
    }
    micro->first_region[n] = at.region;
}

static void publish(struct micro_batch *micro, const struct index_arrays *from)
{
    struct model_batch *batch = &micro->batch;
    batch->pixels = micro->pixels;
    batch->keep = micro->keep;
    batch->position_grid = micro->position_grid;
    for (int level = 0; level < N_LEVELS; level++)
        batch->footprint[level] = micro->footprint[level];
    batch->region_image = from->region_image;
    batch->seq_start = from->seq_start;
    batch->position = from->position;
    batch->token_id = from->token_id;
    batch->image_row = from->image_row;
    batch->mask_row = from->mask_row;
    batch->pos_row = from->pos_row;
    batch->target_row = from->target_row;
    batch->target = from->target;
    batch->target_weight = micro->target_weight;
}

float micro_batch_keep(uint64_t seed, int64_t step, uint64_t sample_id, int64_t block, double rate)
{
    struct random_stream stream = random_stream(seed, "drop_path");
    stream = random_substream(random_substream(stream, (uint64_t)step), sample_id);
    return random_uniform(stream, (uint64_t)block) < rate ? 0 : (float)(1 / (1 - rate));
}

/* keep [blocks, B]; rates rise linearly from 0 at the first block to the config's at the last. */
static enum status draw_keep(struct micro_batch *micro, const struct micro_batch_options *options)
{
    enum status status = OK;
    const int64_t n_blocks = block_count(options->config), n_images = micro->batch.n_images;
    TRY(take(&micro->keep, n_blocks * n_images, sizeof(float), "DropPath factors"));
    for (int64_t s = 0; s < micro->batch.n_sequences; s++) {
        const int64_t image = micro->image_of[s];
        for (int64_t block = 0; image >= 0 && block < n_blocks; block++) {
            const double rate = options->config->vision.drop_path_rate * (double)block /
                                (double)(n_blocks > 1 ? n_blocks - 1 : 1);
            micro->keep[block * n_images + image] =
                micro_batch_keep(options->seed, options->step, micro->sample_id[s], block, rate);
        }
    }
out:
    return status;
}

enum status micro_batch_create(struct micro_batch **micro_out, const struct sample_rows *sequences,
                               const uint64_t *sample_ids, int64_t n,
                               const struct micro_batch_options *options)
{
    enum status status = OK;
    const struct model_config *config = options->config;
    struct micro_batch *micro = memory_new(1, sizeof *micro);
    struct index_arrays indices;
    const int64_t image_rows = level_side(config->image_height, IMAGE_LEVEL) *
                               level_side(config->image_width, IMAGE_LEVEL);
    count(&micro->batch, sequences, n);
    TRY(take_memory(micro, config));
    TRY(take_indices(micro, &indices, image_rows));
    place(micro, sequences, n, image_rows, &indices);
    for (int64_t s = 0; s < n; s++) micro->sample_id[s] = sample_ids[s];
    for (int64_t t = 0; t < micro->batch.n_targets; t++)
        micro->target_weight[t] = (float)options->target_weight;
    if (options->drop_path && config->vision.drop_path_rate > 0) TRY(draw_keep(micro, options));
    publish(micro, &indices);
    *micro_out = micro;
    micro = NULL;
out:
    micro_batch_destroy(micro);
    return status;
}

void micro_batch_destroy(struct micro_batch *micro)
{
    if (micro == NULL) return;
    for (int level = 0; level < N_LEVELS; level++) block_give(micro->footprint[level]);
    block_give(micro->pixels);
    block_give(micro->keep);
    block_give(micro->position_grid);
    block_give(micro->target_weight);
    block_give(micro->indices);
    free(micro->image_of);
    free(micro->first_region);
    free(micro->sample_id);
    free(micro);
}

float *micro_batch_pixels(struct micro_batch *micro, int64_t sequence)
{
    const int64_t image = micro->image_of[sequence];
    ASSERT(image >= 0, "sequence %" PRId64 " has no picture", sequence);
    return micro->pixels + image * micro->pixels_per_image;
}

enum status micro_batch_grids_init(struct micro_batch_grids *grids_out,
                                   const struct micro_batch *micro, int64_t height, int64_t width)
{
    enum status status = OK;
    struct micro_batch_grids grids = {0};
    for (int level = 0; level < N_LEVELS; level++)
        TRY(region_grid_create(&grids.level[level], height, width, micro->level_rows[level],
                               micro->level_columns[level]));
    TRY(region_grid_create(&grids.position, height, width, micro->grid_side, micro->grid_side));
    *grids_out = grids;
    grids = (struct micro_batch_grids){0};
out:
    micro_batch_grids_release(&grids);
    return status;
}

void micro_batch_grids_release(struct micro_batch_grids *grids)
{
    for (int level = 0; level < N_LEVELS; level++) region_grid_destroy(grids->level[level]);
    region_grid_destroy(grids->position);
    *grids = (struct micro_batch_grids){0};
}

void micro_batch_fill_region(struct micro_batch *micro, int64_t sequence, int64_t region,
                             const struct micro_batch_grids *grids, const struct rle *mask)
{
    const int64_t q = micro->first_region[sequence] + region;
    ASSERT(q < micro->first_region[sequence + 1], "region %" PRId64 " of sequence %" PRId64, region,
           sequence);
    for (int level = 0; level < N_LEVELS; level++) {
        const int64_t cells = micro->level_rows[level] * micro->level_columns[level];
        region_grid_take(grids->level[level], mask);
        region_grid_footprint(micro->footprint[level] + q * cells, grids->level[level]);
    }
    const int64_t side = micro->grid_side;
    region_grid_take(grids->position, mask);
    region_grid_values(micro->position_grid + q * side * side, grids->position);
}

enum status micro_batch_set_region(struct micro_batch *micro, int64_t sequence, int64_t region,
                                   const struct rle *mask)
{
    enum status status = OK;
    struct micro_batch_grids grids = {0};
    TRY(micro_batch_grids_init(&grids, micro, mask->height, mask->width));
    micro_batch_fill_region(micro, sequence, region, &grids, mask);
out:
    micro_batch_grids_release(&grids);
    return status;
}
