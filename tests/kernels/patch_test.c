/* patch_unfold and patch_fold: moves without arithmetic, each other's adjoint. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/kernel_test.h"

/* b, y, x, c, k; the last rows and columns are unused where k does not divide */
static const int64_t sizes[][5] = {
    {1, 1, 1, 1, 1}, {0, 8, 8, 3, 4},  {1, 8, 8, 3, 4},   {2, 9, 13, 3, 4},  {1, 3, 3, 5, 4},
    {2, 7, 5, 7, 2}, {1, 6, 9, 33, 3}, {1, 64, 64, 3, 4}, {2, 16, 8, 96, 2}, {2, 64, 33, 35, 2},
};

static int64_t unfolded(const int64_t *d)
{
    return d[0] * (d[1] / d[4]) * (d[2] / d[4]) * d[3] * d[4] * d[4];
}

static void call_unfold(struct kernel_run *run)
{
    const int64_t *d = run->dims;
    const void *in = kernel_input(run, "in", d[0] * d[1] * d[2] * d[3], -1, 1);
    void *out = kernel_output(run, "out", unfolded(d), TOLERANCE_EXACT);
    kernel_ok(run->kernels->patch_unfold(out, in, d[0], d[1], d[2], d[3], d[4], run->stream));
}

static void call_fold(struct kernel_run *run)
{
    const int64_t *d = run->dims;
    const void *dout = kernel_input(run, "dout", unfolded(d), -1, 1);
    void *din = kernel_output(run, "din", d[0] * d[1] * d[2] * d[3], TOLERANCE_EXACT);
    kernel_ok(run->kernels->patch_fold(din, dout, d[0], d[1], d[2], d[3], d[4], run->stream));
}

static void unfold_equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(patch_unfold, call_unfold), sizes);
}

static void fold_equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(patch_fold, call_fold), sizes);
}

/* The column order is that of the weight [O, C, K, K]: written out for one patch of 2 x 2. */
static void columns_are_channel_row_column(void **state)
{
    (void)state;
    const float in[2 * 3 * 2] = {1, 2, 3, 4, -1, -1, 5, 6, 7, 8, -1, -1}; /* [2, 3, 2] */
    const float want[8] = {1, 3, 5, 7, 2, 4, 6, 8};
    float out[8];
    kernel_ok(kernels_ref.patch_unfold(out, in, 1, 2, 3, 2, 2, NULL));
    assert_memory_equal(out, want, sizeof want);
}

/* <unfold(u), v> = <u, fold(v)> */
static void ref_fold_is_the_adjoint(void **state)
{
    (void)state;
    enum { B = 2, Y = 7, X = 9, C = 3, K = 2, IN = B * Y * X * C, OUT = B * 3 * 4 * C * K * K };
    float *u = kernel_random("patch.u", IN, -1, 1), *v = kernel_random("patch.v", OUT, -1, 1);
    float out[OUT], din[IN];
    kernel_ok(kernels_ref.patch_unfold(out, u, B, Y, X, C, K, NULL));
    kernel_ok(kernels_ref.patch_fold(din, v, B, Y, X, C, K, NULL));
    double left = kernel_dot(out, v, OUT), right = kernel_dot(u, din, IN);
    assert_true(left != 0);
    assert_true(left - right < 1e-12 && right - left < 1e-12); /* doubles in another order */
    free(u);
    free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unfold_equals_ref),
        cmocka_unit_test(fold_equals_ref),
        cmocka_unit_test(columns_are_channel_row_column),
        cmocka_unit_test(ref_fold_is_the_adjoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
