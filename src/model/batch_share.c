#include "model/batch_share.h"

#include <inttypes.h>

#include "base/assertion.h"
#include "model/model_run.h"

static int64_t first_region_of(const struct model_batch *batch, int64_t image)
{
    int64_t region = 0;
    while (region < batch->n_regions && batch->region_image[region] < image) region++;
    return region;
}

void batch_share_choose(struct batch_share *share, const struct model_batch *batch,
                        const struct lm_slice *slice)
{
    const int64_t n = batch->n_images;
    share->first_image = share_start(n, slice->index, slice->size);
    share->n_images = share_start(n, slice->index + 1, slice->size) - share->first_image;
    share->first_region = 0;
    share->n_regions = batch->n_regions;
    if (slice->size == 1) return;
    for (int64_t q = 1; q < batch->n_regions; q++)
        ASSERT(batch->region_image[q - 1] <= batch->region_image[q],
               "regions of a shared model's batch are not in the order of their images");
    share->first_region = first_region_of(batch, share->first_image);
    share->n_regions =
        first_region_of(batch, share->first_image + share->n_images) - share->first_region;
}

void batch_share_most(struct batch_share *share, const struct model_limits *limits,
                      const struct lm_slice *slice)
{
    share->n_images = (limits->max_images + slice->size - 1) / slice->size;
    share->n_regions = limits->max_regions;
}

void batch_share_layout(struct batch_share *share, struct arena *arena,
                        const struct model_limits *sizes, const struct lm_slice *slice,
                        int64_t n_blocks)
{
    if (slice->size == 1) return;
    share->token_id = arena_take(arena, size_multiply((size_t)sizes->max_tokens, sizeof(int32_t)));
    share->target = arena_take(arena, size_multiply((size_t)sizes->max_targets, sizeof(int32_t)));
    share->region_image =
        arena_take(arena, size_multiply((size_t)share->n_regions, sizeof(int32_t)));
    share->keep = take_floats(arena, n_blocks, share->n_images);
}

static int64_t image_rows(const struct model_config *config)
{
    return level_side(config->image_height, IMAGE_LEVEL) *
           level_side(config->image_width, IMAGE_LEVEL);
}

static int64_t count_blocks(const struct model_config *config)
{
    int64_t blocks = 0;
    for (int level = 0; level < N_LEVELS; level++) blocks += config->vision.depths[level];
    return blocks;
}

/* The vision side: pointers move to the first image and region; DropPath's columns are copied. */
static void narrow_images(struct model_batch *view, const struct batch_share *share,
                          const struct model_batch *batch, const struct model_config *config)
{
    const int64_t image = share->first_image, region = share->first_region;
    const int64_t side = config->extractor.mask_side;
    view->n_images = share->n_images;
    view->n_regions = share->n_regions;
    if (batch->n_images > 0) {
        view->pixels += image * config->image_height * config->image_width * 3;
        view->image_row += image * image_rows(config);
    }
    for (int64_t block = 0; batch->keep != NULL && block < count_blocks(config); block++)
        for (int64_t i = 0; i < share->n_images; i++)
            share->keep[block * share->n_images + i] =
                batch->keep[block * batch->n_images + image + i];
    if (batch->keep != NULL) view->keep = share->keep;
    if (batch->n_regions == 0) return;
    for (int level = 0; level < N_LEVELS; level++)
        view->footprint[level] += region * level_side(config->image_height, level) *
                                  level_side(config->image_width, level);
    view->position_grid += region * side * side;
    view->mask_row += region;
    view->pos_row += region;
    view->region_image = share->region_image;
    for (int64_t q = 0; q < share->n_regions; q++)
        share->region_image[q] = (int32_t)(batch->region_image[region + q] - image);
}

struct model_batch batch_share_view(const struct batch_share *share,
                                    const struct model_batch *batch, const struct lm_slice *slice,
                                    const struct model_config *config)
{
    struct model_batch view = *batch;
    const int64_t first = slice->first_word;
    if (slice->size == 1) return view;
    narrow_images(&view, share, batch, config);
    for (int64_t t = 0; t < batch->n_tokens; t++) {
        const int64_t id = batch->token_id[t] - first;
        share->token_id[t] = id >= 0 && id < slice->vocab ? (int32_t)id : -1;
    }
    for (int64_t i = 0; i < batch->n_targets; i++)
        share->target[i] = (int32_t)(batch->target[i] - first);
    view.token_id = share->token_id;
    view.target = share->target;
    return view;
}
