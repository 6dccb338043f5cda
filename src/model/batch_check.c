/* See batch_check.h. */
#include "model/batch_check.h"

#include "base/assertion.h"

struct model_limits batch_sizes(const struct model_batch *batch)
{
    return (struct model_limits){.max_images = batch->n_images,
                                 .max_regions = batch->n_regions,
                                 .max_sequences = batch->n_sequences,
                                 .max_tokens = batch->n_tokens,
                                 .max_targets = batch->n_targets};
}

static enum status check_limit(const char *what, int64_t found, int64_t limit)
{
    enum status status = OK;
    ASSERT(found >= 0, "a batch with %lld %s", (long long)found, what);
    if (found > limit)
        FAIL(ERR_LIMIT, "the batch has %lld %s, and memory was planned for %lld; raise that limit",
             (long long)found, what, (long long)limit);
out:
    return status;
}

/* Each index in low .. n-1. */
static void check_indices(const char *what, const int32_t *index, int64_t count, int64_t low,
                          int64_t n)
{
    for (int64_t i = 0; i < count; i++)
        ASSERT(index[i] >= low && index[i] < n, "%s[%lld] is %d of %lld", what, (long long)i,
               (int)index[i], (long long)n);
}

static enum status check_sequences(const struct model_batch *batch, int64_t n_positions)
{
    enum status status = OK;
    ASSERT(batch->n_sequences > 0 || batch->n_tokens == 0, "tokens without a sequence");
    if (batch->n_sequences == 0) goto out;
    ASSERT(batch->seq_start[0] == 0 && batch->seq_start[batch->n_sequences] == batch->n_tokens,
           "sequences cover rows %d .. %d of %lld", (int)batch->seq_start[0],
           (int)batch->seq_start[batch->n_sequences], (long long)batch->n_tokens);
    for (int64_t s = 0; s < batch->n_sequences; s++)
        ASSERT(batch->seq_start[s] <= batch->seq_start[s + 1],
               "sequence %lld ends before it begins", (long long)s);
    for (int64_t t = 0; t < batch->n_tokens; t++) {
        ASSERT(batch->position[t] >= 0, "row %lld has position %d", (long long)t,
               (int)batch->position[t]);
        if (batch->position[t] >= n_positions)
            FAIL(
                ERR_LIMIT,
                "row %lld of the batch has position %d, and the model has positions 0 to %lld; cut "
                "the sample",
                (long long)t, (int)batch->position[t], (long long)n_positions - 1);
    }
out:
    return status;
}

enum status batch_check(const struct model_batch *batch, const struct model_config *config,
                        const struct model_limits *limits, int64_t n_positions)
{
    enum status status = OK;
    int64_t t = batch->n_tokens;
    int64_t points = level_side(config->image_height, IMAGE_LEVEL) *
                     level_side(config->image_width, IMAGE_LEVEL);
    TRY(check_limit("images", batch->n_images, limits->max_images));
    TRY(check_limit("regions", batch->n_regions, limits->max_regions));
    TRY(check_limit("sequences", batch->n_sequences, limits->max_sequences));
    TRY(check_limit("tokens", batch->n_tokens, limits->max_tokens));
    TRY(check_limit("targets", batch->n_targets, limits->max_targets));
    TRY(check_sequences(batch, n_positions));
    check_indices("token_id", batch->token_id, t, -1, config->lm.vocab);
    check_indices("image_row", batch->image_row, batch->n_images * points, -1, t);
    check_indices("mask_row", batch->mask_row, batch->n_regions, -1, t);
    check_indices("pos_row", batch->pos_row, batch->n_regions, -1, t);
    check_indices("region_image", batch->region_image, batch->n_regions, 0, batch->n_images);
    check_indices("target_row", batch->target_row, batch->n_targets, 0, t);
    for (int64_t i = 1; i < batch->n_targets; i++)
        ASSERT(batch->target_row[i] > batch->target_row[i - 1],
               "target_row[%lld] does not increase", (long long)i);
out:
    return status;
}
