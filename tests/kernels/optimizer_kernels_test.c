/* AdamW, the sum of squares, scaling. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/kernel_test.h"

/* n */
static const int64_t sizes[][1] = {{1}, {0}, {13}, {67}, {4099}, {100003}};

/* Of n elements every part has its own place in each buffer, some of them unaligned; elements
 * between the parts are left alone. */
static void call_parts(struct kernel_run *run, uint16_t *rounded)
{
    const int64_t n = run->dims[0], third = n / 3;
    const struct adamw_step steps[] = {{0.05, 0.9, 0.999, 1e-8, 0.1, 3, 0.37},
                                       {0.01, 0.9, 0.999, 1e-8, 0, 3, 0.37}};
    const struct adamw_part parts[] = {
        {.weight = 0, .state = n - third, .gradient = third, .n = third, .step = 1},
        {.weight = third + (third > 0), .state = 0, .gradient = 0, .n = third, .step = 0},
        {.weight = n - 1, .state = third, .gradient = n - 1, .n = n > 0 && third > 1, .step = 1}};
    const float *grad = kernel_input_f32(run, "grad", n, -1, 1);
    float *p = kernel_inout_f32(run, "p", n, -1, 1, TOLERANCE_EXACT);
    float *m = kernel_inout_f32(run, "m", n, -1, 1, TOLERANCE_EXACT);
    float *v = kernel_inout_f32(run, "v", n, 0, 1, TOLERANCE_EXACT);
    kernel_ok(run->kernels->adamw_parts(p, rounded, m, v, grad,
                                        kernel_input_records(run, "parts", sizeof parts, parts), 3,
                                        steps, 2, run->stream));
}

static void call_adamw_parts(struct kernel_run *run)
{
    call_parts(run, NULL);
}

/* Their bits, two as one float's: of weights in -1 .. 1 it is a number. */
static void call_adamw_rounding(struct kernel_run *run)
{
    const int64_t words = (run->dims[0] + 1) / 2;
    void *rounded = kernel_inout_f32(run, "rounded", words, -1, 1, TOLERANCE_EXACT);
    call_parts(run, rounded);
}

static void call_sum_squares(struct kernel_run *run)
{
    int64_t n = run->dims[0];
    const float *x = kernel_input_f32(run, "x", n, -1, 1);
    double *out = kernel_output_f64(run, "out", 1, n > 0 ? n : 1);
    kernel_ok(run->kernels->sum_squares(out, x, n, run->stream));
}

static void call_sum_squares_blocks(struct kernel_run *run)
{
    const int64_t n = run->dims[0], block = 7;
    const float *x = kernel_input_f32(run, "x", n, -1, 1);
    double *out = kernel_output_f64(run, "out", (n + block - 1) / block, block);
    kernel_ok(run->kernels->sum_squares_blocks(out, x, n, block, run->stream));
}

static void call_scale(struct kernel_run *run)
{
    float *x = kernel_inout_f32(run, "x", run->dims[0], -1, 1, TOLERANCE_EXACT);
    kernel_ok(run->kernels->scale(x, run->dims[0], 0.3, run->stream));
}

static void call_running_mean(struct kernel_run *run)
{
    const float *x = kernel_input_f32(run, "x", run->dims[0], -1, 1);
    float *mean = kernel_inout_f32(run, "mean", run->dims[0], -1, 1, TOLERANCE_EXACT);
    kernel_ok(run->kernels->running_mean(mean, x, run->dims[0], 0.999, run->stream));
}

static void every_table_equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(adamw_parts, call_adamw_parts), sizes);
    KERNEL_TEST_SIZES(KERNEL_TEST(adamw_parts, call_adamw_rounding), sizes);
    KERNEL_TEST_SIZES(KERNEL_TEST(sum_squares, call_sum_squares), sizes);
    KERNEL_TEST_SIZES(KERNEL_TEST(sum_squares_blocks, call_sum_squares_blocks), sizes);
    KERNEL_TEST_SIZES(KERNEL_TEST(running_mean, call_running_mean), sizes);
    KERNEL_TEST_SIZES(KERNEL_TEST(scale, call_scale), sizes);
}

/* Three steps against the same formula in double, from scratch. */
static void ref_adamw_follows_its_formula(void **state)
{
    (void)state;
    const double grads[3] = {0.5, -0.25, 2};
    const struct adamw_part all = {.n = 1};
    float p = 1, m = 0, v = 0;
    double want_p = 1, want_m = 0, want_v = 0;
    for (int64_t k = 1; k <= 3; k++) {
        struct adamw_step step = {0.01, 0.9, 0.999, 1e-8, 0.1, k, 0.5};
        float grad = (float)grads[k - 1];
        kernel_ok(kernels_ref.adamw_parts(&p, NULL, &m, &v, &grad, &all, 1, &step, 1, NULL));
        double g = 0.5 * grads[k - 1];
        want_m = 0.9 * want_m + 0.1 * g;
        want_v = 0.999 * want_v + 0.001 * g * g;
        want_p *= 1 - 0.01 * 0.1;
        want_p -= 0.01 / (1 - pow(0.9, (double)k)) * want_m /
                  (sqrt(want_v) / sqrt(1 - pow(0.999, (double)k)) + 1e-8);
    }
    assert_true(fabs((double)p - want_p) < 1e-6);
    assert_true(fabs((double)m - want_m) < 1e-7);
    assert_true(fabs((double)v - want_v) < 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_equals_ref),
        cmocka_unit_test(ref_adamw_follows_its_formula),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
