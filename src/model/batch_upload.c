/* See batch_upload.h. */
#include "model/batch_upload.h"

#include "device/stream.h"

/* How many elements each array of a batch has. */
struct counts {
    int64_t pixels, keep, regions, points[N_LEVELS], grid, image_rows;
};

static struct counts count(const struct model_config *config, int64_t n_images, int64_t n_regions)
{
    const int64_t side = config->extractor.mask_side;
    int64_t blocks = 0;
    struct counts counts = {.regions = n_regions, .grid = n_regions * side * side};
    for (int level = 0; level < N_LEVELS; level++) {
        const int64_t points =
            level_side(config->image_height, level) * level_side(config->image_width, level);
        counts.points[level] = n_regions * points;
        if (level == IMAGE_LEVEL) counts.image_rows = n_images * points;
        blocks += config->vision.depths[level];
    }
    counts.pixels = n_images * config->image_height * config->image_width * 3;
    counts.keep = blocks * n_images;
    return counts;
}

static void *take(struct arena *arena, int64_t n, size_t element)
{
    return arena_take(arena, size_multiply((size_t)n, element));
}

void batch_upload_layout(struct batch_upload *u, struct arena *arena,
                         const struct model_config *config, const struct model_limits *sizes)
{
    const struct counts n = count(config, sizes->max_images, sizes->max_regions);
    u->pixels = take(arena, n.pixels, sizeof(float));
    u->keep = take(arena, n.keep, sizeof(float));
    u->position_grid = take(arena, n.grid, sizeof(float));
    u->target_weight = take(arena, sizes->max_targets, sizeof(float));
    for (int level = 0; level < N_LEVELS; level++)
        u->footprint[level] = take(arena, n.points[level], sizeof(uint8_t));
    u->region_image = take(arena, n.regions, sizeof(int32_t));
    u->mask_row = take(arena, n.regions, sizeof(int32_t));
    u->pos_row = take(arena, n.regions, sizeof(int32_t));
    u->image_row = take(arena, n.image_rows, sizeof(int32_t));
    u->seq_start = take(arena, sizes->max_sequences + 1, sizeof(int32_t));
    u->position = take(arena, sizes->max_tokens, sizeof(int32_t));
    u->token_id = take(arena, sizes->max_tokens, sizeof(int32_t));
    u->target_row = take(arena, sizes->max_targets, sizeof(int32_t));
    u->target = take(arena, sizes->max_targets, sizeof(int32_t));
}

/* *array [n] goes to `to`, which it then points to. */
#define UPLOAD(ARRAY, TO, N)                                                                       \
    do {                                                                                           \
        if ((ARRAY) == NULL || (N) == 0) break;                                                    \
        TRY(stream_copy(stream, TO, ARRAY, (size_t)(N) * sizeof *(ARRAY)));                        \
        (ARRAY) = (TO);                                                                            \
    } while (0)

enum status batch_upload(const struct batch_upload *u, struct model_batch *b,
                         const struct model_config *config, struct stream *stream)
{
    enum status status = OK;
    const struct counts n = count(config, b->n_images, b->n_regions);
    UPLOAD(b->pixels, u->pixels, n.pixels);
    UPLOAD(b->keep, u->keep, n.keep);
    UPLOAD(b->position_grid, u->position_grid, n.grid);
    UPLOAD(b->target_weight, u->target_weight, b->n_targets);
    for (int level = 0; level < N_LEVELS; level++)
        UPLOAD(b->footprint[level], u->footprint[level], n.points[level]);
    UPLOAD(b->region_image, u->region_image, n.regions);
    UPLOAD(b->mask_row, u->mask_row, n.regions);
    UPLOAD(b->pos_row, u->pos_row, n.regions);
    UPLOAD(b->image_row, u->image_row, n.image_rows);
    UPLOAD(b->seq_start, u->seq_start, b->n_sequences + 1);
    UPLOAD(b->position, u->position, b->n_tokens);
    UPLOAD(b->token_id, u->token_id, b->n_tokens);
    UPLOAD(b->target_row, u->target_row, b->n_targets);
    UPLOAD(b->target, u->target, b->n_targets);
out:
    return status;
}
