/* From a sample's ids to rows: where things stand, what is learnt, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "text/chat.h"
#include "train/sample_rows.h"

enum { TURN = 90, LINE = 91, MASK = 92, POS = 93, END = 94, IMAGE_ROWS = 4 };

/* <turn> user \n image, <mask><pos> <end> <turn> assistant \n red circle <end>, and once more. */
static int32_t ids[] = {TURN, 1,    LINE, IMAGE_TOKEN_ID, MASK, POS, END, TURN, 2, LINE, 30, 31,
                        END,  TURN, 1,    LINE,           MASK, POS, END, TURN, 2, LINE, 40, END};
enum { N = sizeof ids / sizeof ids[0] };
static int64_t regions[2] = {0, 1};

static struct sample sample_of(int32_t *labels)
{
    for (int i = 0; i < N; i++)
        labels[i] = ids[i] == 30 || ids[i] == 31 || ids[i] == 40 ? ids[i] : IGNORE_LABEL;
    return (struct sample){.id = 7,
                           .has_image = true,
                           .ids = {.ids = ids, .n = N},
                           .labels = {.ids = labels, .n = N},
                           .regions = regions,
                           .n_regions = 2};
}

static const struct sample_rows_options plain = {
    .mask_id = MASK, .vocab = 100, .image_rows = IMAGE_ROWS, .turn_id = TURN, .newline_id = LINE};

static void image_opens_and_regions_bind(void **state)
{
    (void)state;
    int32_t labels[N];
    struct sample sample = sample_of(labels);
    struct sample_rows rows = {0};
    assert_int_equal(sample_rows_create(&rows, &sample, &plain), OK);
    assert_int_equal(rows.n_rows, N + IMAGE_ROWS - 1);
    assert_int_equal(rows.image_row, 3);
    assert_int_equal(rows.region_row[0], 7);
    assert_int_equal(rows.region_row[1], 19);
    for (int r = 3; r < 9; r++) assert_int_equal(rows.token_id[r], -1);
    assert_int_equal(rows.n_targets, 3);
    assert_int_equal(rows.label[13], 30);
    sample_rows_release(&rows);
}

static void cut_counts_rows(void **state)
{
    (void)state;
    int32_t labels[N];
    struct sample sample = sample_of(labels);
    struct sample_rows_options options = plain;
    options.max_length = 14;
    struct sample_rows rows = {0};
    assert_int_equal(sample_rows_create(&rows, &sample, &options), OK);
    assert_int_equal(rows.n_rows, 14);
    assert_int_equal(rows.n_cut, N + IMAGE_ROWS - 1 - 14);
    assert_int_equal(rows.n_targets, 1);
    assert_true(rows.region_row[1] >= rows.n_rows);
    sample_rows_release(&rows);
}

static void regions_predict_their_answers(void **state)
{
    (void)state;
    int32_t labels[N];
    struct sample sample = sample_of(labels);
    struct sample_rows_options options = plain;
    options.region_objective = true;
    struct sample_rows rows = {0};
    assert_int_equal(sample_rows_create(&rows, &sample, &options), OK);
    assert_int_equal(rows.n_targets, 2);
    for (int64_t r = 0; r < rows.n_rows; r++) {
        const int32_t expected = r == 8 ? 30 : r == 20 ? 40 : IGNORE_LABEL;
        assert_int_equal(rows.label[r], expected);
    }
    sample_rows_release(&rows);

    options.max_length = 12; /* the first answer is cut off, and so is all of the second turn */
    assert_int_equal(sample_rows_create(&rows, &sample, &options), OK);
    assert_int_equal(rows.n_targets, 0);
    sample_rows_release(&rows);
}

static void misfits_are_refused(void **state)
{
    (void)state;
    int32_t labels[N];
    struct sample_rows rows = {0};
    struct sample sample = sample_of(labels);
    sample.n_regions = 1;
    assert_int_equal(sample_rows_create(&rows, &sample, &plain), ERR_SHAPE);
    assert_non_null(strstr(status_message(), "more <mask> tokens"));
    sample = sample_of(labels);
    sample.has_image = false;
    assert_int_equal(sample_rows_create(&rows, &sample, &plain), ERR_SHAPE);
    struct sample_rows_options small = plain;
    small.vocab = 91;
    sample = sample_of(labels);
    assert_int_equal(sample_rows_create(&rows, &sample, &small), ERR_SHAPE);
    assert_non_null(strstr(status_message(), "holds id 91"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(image_opens_and_regions_bind),
        cmocka_unit_test(cut_counts_rows),
        cmocka_unit_test(regions_predict_their_answers),
        cmocka_unit_test(misfits_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
