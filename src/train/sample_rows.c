/* From a sample's ids to rows. */
#include "train/sample_rows.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "text/chat.h"

/* The sample's name in sentences: its record, or its id where it has none. */
#define SAMPLE_FORMAT       "sample %016" PRIx64 " (record %s)"
#define SAMPLE_ARGS(sample) (sample)->id, (sample)->record.id != NULL ? (sample)->record.id : "none"

static void add_row(struct sample_rows *rows, int32_t id, int32_t label)
{
    rows->token_id[rows->n_rows] = id;
    rows->label[rows->n_rows++] = label;
}

static enum status add_image(struct sample_rows *rows, const struct sample *sample,
                             int64_t image_rows)
{
    enum status status = OK;
    if (!sample->has_image || rows->image_row >= 0)
        FAIL(ERR_SHAPE, SAMPLE_FORMAT " has more image tokens than pictures", SAMPLE_ARGS(sample));
    rows->image_row = rows->n_rows;
    for (int64_t r = 0; r < image_rows; r++) add_row(rows, -1, IGNORE_LABEL);
out:
    return status;
}

static enum status add_region(struct sample_rows *rows, const struct sample *sample)
{
    enum status status = OK;
    if (rows->n_regions == sample->n_regions)
        FAIL(ERR_SHAPE, SAMPLE_FORMAT " has more <mask> tokens than its %" PRId64 " regions",
             SAMPLE_ARGS(sample), sample->n_regions);
    rows->region_row[rows->n_regions++] = (int32_t)rows->n_rows;
    add_row(rows, -1, IGNORE_LABEL);
    add_row(rows, -1, IGNORE_LABEL);
out:
    return status;
}

/* Tokens before the picture, and all of a sample without one, are embedded as they are. */
static enum status add_token(struct sample_rows *rows, const struct sample *sample, int64_t *at,
                             const struct sample_rows_options *options)
{
    enum status status = OK;
    const int32_t id = sample->ids.ids[*at];
    if (id == IMAGE_TOKEN_ID) {
        TRY(add_image(rows, sample, options->image_rows));
    } else if (id == options->mask_id && rows->image_row >= 0) {
        if (*at + 1 == sample->ids.n)
            FAIL(ERR_SHAPE, SAMPLE_FORMAT " ends behind a <mask> without its <pos>",
                 SAMPLE_ARGS(sample));
        TRY(add_region(rows, sample));
        ++*at;
    } else if (id < 0 || id >= options->vocab) {
        FAIL(ERR_SHAPE, SAMPLE_FORMAT " holds id %d but the model's vocabulary ends at %" PRId64,
             SAMPLE_ARGS(sample), id, options->vocab - 1);
    } else {
        add_row(rows, id, sample->labels.ids[*at]);
    }
out:
    return status;
}

static enum status check_complete(const struct sample_rows *rows, const struct sample *sample)
{
    enum status status = OK;
    if (sample->has_image && rows->image_row < 0)
        FAIL(ERR_SHAPE, SAMPLE_FORMAT " has a picture but no image token", SAMPLE_ARGS(sample));
    if (sample->has_image && rows->n_regions != sample->n_regions)
        FAIL(ERR_SHAPE, SAMPLE_FORMAT " has %" PRId64 " regions but %" PRId64 " <mask> tokens",
             SAMPLE_ARGS(sample), sample->n_regions, rows->n_regions);
out:
    return status;
}

/* The first row of the answer to the question that row `row` stands in; n_rows: there is none. */
static int64_t answer_row(const struct sample_rows *rows, int64_t row,
                          const struct sample_rows_options *options)
{
    while (row < rows->n_rows && rows->token_id[row] != options->turn_id) row++;
    while (row < rows->n_rows && rows->token_id[row] != options->newline_id) row++;
    return row < rows->n_rows ? row + 1 : row;
}

/* What a row predicts is the label of the next: a <mask> row's is held by its <pos> row. */
static void set_region_targets(struct sample_rows *rows, const struct sample_rows_options *options)
{
    for (int64_t r = 0; r < rows->n_rows; r++) rows->label[r] = IGNORE_LABEL;
    for (int64_t q = 0; q < rows->n_regions; q++) {
        const int64_t answer = answer_row(rows, rows->region_row[q], options);
        if (answer < rows->n_rows && rows->token_id[answer] >= 0)
            rows->label[rows->region_row[q] + 1] = rows->token_id[answer];
    }
}

enum status sample_rows_create(struct sample_rows *rows_out, const struct sample *sample,
                               const struct sample_rows_options *options)
{
    enum status status = OK;
    struct sample_rows rows = {.image_row = -1};
    const size_t most =
        (size_t)sample->ids.n + (sample->has_image ? (size_t)options->image_rows : 0) + 1;
    rows.token_id = memory_new(most, sizeof *rows.token_id);
    rows.label = memory_new(most, sizeof *rows.label);
    rows.region_row = memory_new((size_t)sample->n_regions + 1, sizeof *rows.region_row);
    if (sample->labels.n != sample->ids.n)
        FAIL(ERR_SHAPE, SAMPLE_FORMAT " has %" PRId64 " ids but %" PRId64 " labels",
             SAMPLE_ARGS(sample), sample->ids.n, sample->labels.n);
    for (int64_t at = 0; at < sample->ids.n; at++) TRY(add_token(&rows, sample, &at, options));
    TRY(check_complete(&rows, sample));
    if (options->max_length > 0 && rows.n_rows > options->max_length) {
        rows.n_cut = rows.n_rows - options->max_length;
        rows.n_rows = options->max_length;
    }
    if (options->region_objective) set_region_targets(&rows, options);
    for (int64_t r = 1; r < rows.n_rows; r++) rows.n_targets += rows.label[r] != IGNORE_LABEL;
    *rows_out = rows;
    rows = (struct sample_rows){0};
out:
    sample_rows_release(&rows);
    return status;
}

void sample_rows_release(struct sample_rows *rows)
{
    free(rows->token_id);
    free(rows->label);
    free(rows->region_row);
    *rows = (struct sample_rows){0};
}
