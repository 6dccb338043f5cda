/* mask_resize: against ref, and ref by hand where the rules decide. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "device/stream.h"
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
    float *out = kernel_output(run, "out", d[0] * d[3] * d[4], 1);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_ref),
        cmocka_unit_test(above_zero_is_decided_alike),
        cmocka_unit_test(ref_follows_the_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
