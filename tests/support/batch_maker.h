/* Makes model batches from samples as the reference collates them: ids with -200 for the image and
 * <mask><pos> pairs, labels with -100. Packed one behind the other, each cut at a maximum
 * length. */
#ifndef ROBIN_TESTS_BATCH_MAKER_H
#define ROBIN_TESTS_BATCH_MAKER_H

#include <stdint.h>

#include "kernels.h"
#include "model/batch.h"

#define MAKER_IMAGE_ID (-200)
#define MAKER_IGNORE   (-100)

struct made_sample {
    const int64_t *ids;
    const int64_t *labels; /* NULL: no targets */
    int64_t n_ids;
    const float
        *pixels; /* channels first [3, height, width]; NULL: the sample has no image at all */
    const uint8_t *masks; /* [n_regions, mask_height, mask_width] */
    int64_t n_regions, mask_height, mask_width;
};

struct made_batch {
    struct model_batch batch; /* target_weight is 1 / n_targets everywhere */
    float *pixels, *keep, *position_grid, *target_weight;
    uint8_t *footprint[N_LEVELS];
    int32_t *region_image, *seq_start, *position, *token_id, *image_row, *mask_row, *pos_row;
    int32_t *target_row, *target;
    int64_t *labels; /* [T]: after the splice, MAKER_IGNORE at image and region tokens */
};

struct maker_options {
    const struct model_config *config;
    int64_t mask_id;    /* -1: none */
    int64_t max_length; /* rows of a sample; 0: no limit */
    const struct kernels *kernels;
    struct stream *stream;
};

/* ERR_FORMAT if a sample has another number of <mask> ids behind its image than regions. */
enum status batch_make(struct made_batch *made_out, const struct made_sample *samples,
                       int64_t n_samples, const struct maker_options *options);
void batch_release(struct made_batch *made);

/* Every row becomes a target (of word 0, weight 0): to see logits and final norm everywhere. */
void batch_target_all_rows(struct made_batch *made);

#endif
