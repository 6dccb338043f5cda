/* From a sample's ids to rows. */
#include "train/splice.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "text/chat.h"

/* The sample's name in sentences: its record, or its id where it has none. */
#define SAMPLE_FORMAT       "sample %016" PRIx64 " (record %s)"
#define SAMPLE_ARGS(sample) (sample)->id, (sample)->record.id != NULL ? (sample)->record.id : "none"

static void add_row(struct splice *splice, int32_t id, int32_t label)
{
    splice->token_id[splice->n_rows] = id;
    splice->label[splice->n_rows++] = label;
}

static enum status add_image(struct splice *splice, const struct sample *sample, int64_t image_rows)
{
    enum status status = OK;
    if (!sample->has_image || splice->image_row >= 0)
        FAIL(ERR_SHAPE, SAMPLE_FORMAT " has more image tokens than pictures", SAMPLE_ARGS(sample));
    splice->image_row = splice->n_rows;
    for (int64_t r = 0; r < image_rows; r++) add_row(splice, -1, IGNORE_LABEL);
out:
    return status;
}

static enum status add_region(struct splice *splice, const struct sample *sample)
{
    enum status status = OK;
    if (splice->n_regions == sample->n_regions)
        FAIL(ERR_SHAPE, SAMPLE_FORMAT " has more <mask> tokens than its %" PRId64 " regions",
             SAMPLE_ARGS(sample), sample->n_regions);
    splice->region_row[splice->n_regions++] = (int32_t)splice->n_rows;
    add_row(splice, -1, IGNORE_LABEL);
    add_row(splice, -1, IGNORE_LABEL);
out:
    return status;
}

/* Tokens before the picture, and all of a sample without one, are embedded as they are. */
static enum status add_token(struct splice *splice, const struct sample *sample, int64_t *at,
                             const struct splice_options *options)
{
    enum status status = OK;
    const int32_t id = sample->ids.ids[*at];
    if (id == IMAGE_TOKEN_ID) {
        TRY(add_image(splice, sample, options->image_rows));
    } else if (id == options->mask_id && splice->image_row >= 0) {
        if (*at + 1 == sample->ids.n)
            FAIL(ERR_SHAPE, SAMPLE_FORMAT " ends behind a <mask> without its <pos>",
                 SAMPLE_ARGS(sample));
        TRY(add_region(splice, sample));
        ++*at;
    } else if (id < 0 || id >= options->vocab) {
        FAIL(ERR_SHAPE, SAMPLE_FORMAT " holds id %d but the model's vocabulary ends at %" PRId64,
             SAMPLE_ARGS(sample), id, options->vocab - 1);
    } else {
        add_row(splice, id, sample->labels.ids[*at]);
    }
out:
    return status;
}

static enum status check_complete(const struct splice *splice, const struct sample *sample)
{
    enum status status = OK;
    if (sample->has_image && splice->image_row < 0)
        FAIL(ERR_SHAPE, SAMPLE_FORMAT " has a picture but no image token", SAMPLE_ARGS(sample));
    if (sample->has_image && splice->n_regions != sample->n_regions)
        FAIL(ERR_SHAPE, SAMPLE_FORMAT " has %" PRId64 " regions but %" PRId64 " <mask> tokens",
             SAMPLE_ARGS(sample), sample->n_regions, splice->n_regions);
out:
    return status;
}

enum status splice_create(struct splice *splice_out, const struct sample *sample,
                          const struct splice_options *options)
{
    enum status status = OK;
    struct splice splice = {.image_row = -1};
    const size_t most =
        (size_t)sample->ids.n + (sample->has_image ? (size_t)options->image_rows : 0) + 1;
    splice.token_id = memory_new(most, sizeof *splice.token_id);
    splice.label = memory_new(most, sizeof *splice.label);
    splice.region_row = memory_new((size_t)sample->n_regions + 1, sizeof *splice.region_row);
    if (sample->labels.n != sample->ids.n)
        FAIL(ERR_SHAPE, SAMPLE_FORMAT " has %" PRId64 " ids but %" PRId64 " labels",
             SAMPLE_ARGS(sample), sample->ids.n, sample->labels.n);
    for (int64_t at = 0; at < sample->ids.n; at++) TRY(add_token(&splice, sample, &at, options));
    TRY(check_complete(&splice, sample));
    if (options->max_length > 0 && splice.n_rows > options->max_length) {
        splice.n_cut = splice.n_rows - options->max_length;
        splice.n_rows = options->max_length;
    }
    for (int64_t r = 1; r < splice.n_rows; r++) splice.n_targets += splice.label[r] != IGNORE_LABEL;
    *splice_out = splice;
    splice = (struct splice){0};
out:
    splice_release(&splice);
    return status;
}

void splice_release(struct splice *splice)
{
    free(splice->token_id);
    free(splice->label);
    free(splice->region_row);
    *splice = (struct splice){0};
}
