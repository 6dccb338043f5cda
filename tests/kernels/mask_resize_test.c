/* mask_resize: against ref, and ref by hand where the rules decide. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/text_buffer.h"
#include "device/stream.h"
#include "image/rle.h"
#include "support/kernel_test.h"

/* q, y, x, oy, ox */
static const int64_t sizes[][5] = {
    {1, 1, 1, 1, 1},      {0, 4, 4, 2, 2},         {2, 1, 1, 5, 7},
    {3, 5, 3, 16, 16},    {2, 7, 7, 7, 7},         {1, 33, 500, 13, 1},
    {2, 37, 41, 130, 67}, {1, 480, 640, 128, 128}, {3, 96, 64, 24, 16},
};

static void call(struct kernel_run *run)
{
    const int64_t *d = run->dims;
    const uint8_t *mask = kernel_input_u8(run, "mask", d[0] * d[1] * d[2], 0.3);
    float *out = kernel_output_f32(run, "out", d[0] * d[3] * d[4], 1);
    kernel_ok(run->kernels->mask_resize(out, mask, d[0], d[1], d[2], d[3], d[4], run->stream));
}

static void equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(mask_resize, call), sizes);
}

/* Every table decides value > 0 for every single pixel of an image as ref does. */
static void above_zero_is_decided_alike(void **state)
{
    (void)state;
    enum { Y = 37, X = 53, OUT = 16 * 16 };
    static const int64_t grids[] = {16, 12, 11};
    uint8_t mask[Y * X] = {0};
    struct stream *stream;
    kernel_ok(stream_create(&stream, 1));
    int64_t above = 0;
    for (int64_t i = 0; i < 3 * Y * X; i++) {
        int64_t grid = grids[i % 3];
        float want[OUT], got[OUT];
        mask[i / 3] = 1;
        kernel_ok(kernels_ref.mask_resize(want, mask, 1, Y, X, grid, grid, NULL));
        kernel_ok(kernels_cpu.mask_resize(got, mask, 1, Y, X, grid, grid, stream));
        mask[i / 3] = 0;
        for (int64_t k = 0; k < grid * grid; k++) {
            assert_int_equal(got[k] > 0, want[k] > 0);
            above += want[k] > 0;
        }
    }
    assert_true(above > 0);
    stream_destroy(stream);
}

/* From 4 to 2 a cell reads the two inner pixels of its four: the outer ones vanish. */
static void ref_follows_the_rule(void **state)
{
    (void)state;
    const uint8_t mask[] = {1, 0, 0, 0};
    float out[8];
    kernel_ok(kernels_ref.mask_resize(out, mask, 1, 1, 4, 1, 2, NULL));
    assert_true(out[0] == 0.5F && out[1] == 0);
    /* src = max(0, ..): the first cells of an enlargement are the border pixel itself. */
    kernel_ok(kernels_ref.mask_resize(out, mask, 1, 1, 4, 1, 8, NULL));
    const float want[8] = {1, 0.75F, 0.25F, 0, 0, 0, 0, 0};
    assert_memory_equal(out, want, sizeof want);
}

/* ---- against torch's own results ---- */

static uint8_t *mask_of(const json_t *counts, int64_t height, int64_t width)
{
    struct rle rle = {0};
    const char *text = json_string_value(counts);
    kernel_ok(rle_from_string(&rle, text, strlen(text), height, width));
    uint8_t *mask = malloc((size_t)(height * width));
    assert_non_null(mask);
    rle_to_mask(mask, &rle);
    rle_release(&rle);
    return mask;
}

/* One grid of one mask; returns the cells compared. */
static int64_t check_grid(const json_t *grid, const uint8_t *mask, int64_t y, int64_t x)
{
    int64_t side = json_integer_value(json_object_get(grid, "size"));
    float *out = malloc((size_t)(side * side) * sizeof *out);
    assert_non_null(out);
    kernel_ok(kernels_ref.mask_resize(out, mask, 1, y, x, side, side, NULL));
    uint8_t *above = mask_of(json_object_get(grid, "above_zero_counts"), side, side);
    for (int64_t i = 0; i < side * side; i++) assert_int_equal(out[i] > 0, above[i]);
    size_t k;
    const json_t *sample;
    /* in / grid is exact for the powers of two, and so is every weight. */
    double limit = side == 112 ? 1e-6 : 0;
    json_array_foreach(json_object_get(grid, "samples"), k, sample)
    {
        int64_t row = json_integer_value(json_object_get(sample, "y"));
        int64_t column = json_integer_value(json_object_get(sample, "x"));
        double want = json_real_value(json_object_get(sample, "value"));
        assert_true(fabs(out[row * side + column] - want) <= limit);
    }
    free(above);
    free(out);
    return side * side;
}

static void ref_equals_torch(void **state)
{
    (void)state;
    const char *shared = getenv("ROBIN_SHARED");
    char *path =
        text_format("%s/golden/rle/mask_resize.json", shared != NULL ? shared : "../shared");
    json_t *cases = json_load_file(path, 0, NULL);
    free(path);
    if (cases == NULL) {
        print_message("skipped: no ../shared\n");
        skip();
    }
    int64_t cells = 0;
    size_t i, k;
    const json_t *item, *grid;
    json_array_foreach(cases, i, item)
    {
        const json_t *size = json_object_get(item, "size");
        int64_t y = json_integer_value(json_array_get(size, 0));
        int64_t x = json_integer_value(json_array_get(size, 1));
        uint8_t *mask = mask_of(json_object_get(item, "counts"), y, x);
        json_array_foreach(json_object_get(item, "grids"), k, grid) cells +=
            check_grid(grid, mask, y, x);
        free(mask);
    }
    assert_true(cells > 0);
    print_message("mask_resize on ref: %zu masks, %lld cells as torch\n", json_array_size(cases),
                  (long long)cells);
    json_decref(cases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_ref),
        cmocka_unit_test(above_zero_is_decided_alike),
        cmocka_unit_test(ref_follows_the_rule),
        cmocka_unit_test(ref_equals_torch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
