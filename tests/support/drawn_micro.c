/* See drawn_micro.h. */
#include "support/drawn_micro.h"

#include <stdlib.h>

#include "base/random.h"
#include "base/text_buffer.h"

enum { MASK_SIDE = 16, N_WORDS = 60, IMAGE_ROWS = 12 };
enum {
    USE_WORDS = 16,
    USE_KIND,
    USE_IMAGE,
    USE_REGIONS,
    USE_LEARNS,
    USE_WORD = 100,
    USE_ROW = 1000
};

int64_t drawn_number(uint64_t key, int use, int64_t below)
{
    return (int64_t)random_below(random_stream(key, "drawn"), (uint64_t)use, (uint64_t)below);
}

/* None, few, many or 99. */
static int64_t draw_regions(uint64_t key, int64_t few)
{
    const int64_t most[] = {1, 4, 60, 1}, kind = drawn_number(key, USE_KIND, 4);
    if (few > 0) return drawn_number(key, USE_REGIONS, few);
    return kind == 3 ? DRAWN_MAX_REGIONS : drawn_number(key, USE_REGIONS, most[kind]);
}

/* Words, one picture or none, regions behind it. */
static void draw_sample(struct sample *sample, uint64_t key, bool learns,
                        const struct drawn_options *options)
{
    const int64_t n_words = 1 + drawn_number(key, USE_WORDS, N_WORDS);
    sample->has_image = drawn_number(key, USE_IMAGE, 3) > 0;
    sample->n_regions = sample->has_image ? draw_regions(key, options->few_regions) : 0;
    if (sample->has_image) {
        token_list_append(&sample->ids, IMAGE_TOKEN_ID);
        token_list_append(&sample->labels, IGNORE_LABEL);
    }
    for (int64_t r = 0; r < 2 * sample->n_regions; r++) {
        token_list_append(&sample->ids, TINY_MASK_ID + (int32_t)(r % 2));
        token_list_append(&sample->labels, IGNORE_LABEL);
    }
    for (int64_t w = 0; w <= n_words; w++) {
        const int32_t word = (int32_t)drawn_number(key, (int)(USE_WORD + w), N_WORDS);
        token_list_append(&sample->ids, word);
        token_list_append(&sample->labels, learns && w > 0 ? word : IGNORE_LABEL);
    }
}

/* Some are empty on coarse grids. */
static enum status fill_regions(struct micro_batch *micro, int64_t sequence, uint64_t key,
                                int64_t n_regions)
{
    enum status status = OK;
    struct rle rle = {0};
    uint8_t mask[MASK_SIDE * MASK_SIDE];
    for (int64_t q = 0; q < n_regions; q++) {
        const int64_t row = drawn_number(key, (int)(USE_ROW + q), MASK_SIDE);
        for (int64_t i = 0; i < MASK_SIDE * MASK_SIDE; i++)
            mask[i] = i / MASK_SIDE >= row && i % 3 != q % 3;
        TRY(rle_from_mask(&rle, mask, MASK_SIDE, MASK_SIDE));
        TRY(micro_batch_set_region(micro, sequence, q, &rle));
        rle_release(&rle);
    }
out:
    rle_release(&rle);
    return status;
}

static enum status fill_picture(struct micro_batch *micro, int64_t sequence, uint64_t key,
                                int64_t n_regions)
{
    random_fill(micro_batch_pixels(micro, sequence), (uint64_t)micro->pixels_per_image, 0,
                random_stream(key, "pixels"), 0, 2);
    return fill_regions(micro, sequence, key, n_regions);
}

enum status drawn_micro(struct micro_batch **micro_out, const struct model_config *config,
                        const uint64_t *keys, int64_t n, bool learns,
                        const struct drawn_options *options)
{
    enum status status = OK;
    const struct sample_rows_options rows_options = {
        .mask_id = TINY_MASK_ID, .vocab = config->lm.vocab, .image_rows = IMAGE_ROWS};
    const struct micro_batch_options micro_options = {.config = config,
                                                      .target_weight = options->target_weight};
    struct sample *samples = memory_new((size_t)n, sizeof *samples);
    struct sample_rows *rows = memory_new((size_t)n, sizeof *rows);
    for (int64_t i = 0; i < n; i++) {
        const bool own = learns || drawn_number(keys[i], USE_LEARNS, 4) > 0;
        draw_sample(&samples[i], keys[i], own, options);
        TRY(sample_rows_create(&rows[i], &samples[i], &rows_options));
    }
    TRY(micro_batch_create(micro_out, rows, keys, n, &micro_options));
    for (int64_t i = 0; i < n; i++)
        if (samples[i].has_image) TRY(fill_picture(*micro_out, i, keys[i], samples[i].n_regions));
out:
    for (int64_t i = 0; i < n; i++) {
        sample_rows_release(&rows[i]);
        token_list_release(&samples[i].ids);
        token_list_release(&samples[i].labels);
    }
    free(rows);
    free(samples);
    return status;
}
