/* gelu: forward and backward, and how accurate the CPU's Phi is over the whole range of fp32. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "device/stream.h"
#include "support/kernel_test.h"

static const int64_t sizes[][1] = {{1}, {0}, {7}, {31}, {16384}, {40001}};

static void call_forward(struct kernel_run *run)
{
    int64_t n = run->dims[0];
    const void *x = kernel_input(run, "x", n, -6, 6);
    void *out = kernel_output(run, "out", n, 1);
    kernel_ok(run->kernels->gelu_forward(out, x, n, run->stream));
}

static void call_forward_in_place(struct kernel_run *run)
{
    int64_t n = run->dims[0];
    void *x = kernel_inout(run, "x", n, -6, 6, 1);
    kernel_ok(run->kernels->gelu_forward(x, x, n, run->stream));
}

static void call_backward(struct kernel_run *run)
{
    int64_t n = run->dims[0];
    const void *dout = kernel_input(run, "dout", n, -1, 1);
    const void *x = kernel_input(run, "x", n, -6, 6);
    void *dx = kernel_output(run, "dx", n, 1);
    kernel_ok(run->kernels->gelu_backward(dx, dout, x, n, run->stream));
}

static void call_backward_in_place(struct kernel_run *run)
{
    int64_t n = run->dims[0];
    const void *x = kernel_input(run, "x", n, -6, 6);
    void *dx = kernel_inout(run, "dx", n, -1, 1, 1);
    kernel_ok(run->kernels->gelu_backward(dx, dx, x, n, run->stream));
}

/* n, c, with dbias */
static const int64_t rows[][3] = {{1, 1, 1}, {0, 4, 1}, {33, 31, 1}, {130, 264, 1}, {7, 2056, 0}};

static void call_bias_backward(struct kernel_run *run)
{
    const int64_t n = run->dims[0], c = run->dims[1];
    const void *x = kernel_input(run, "x", n * c, -6, 6);
    void *dx = kernel_inout(run, "dx", n * c, -1, 1, 1); /* dout before */
    float *dbias = run->dims[2] ? kernel_inout_f32(run, "dbias", c, -1, 1, n + 1) : NULL;
    void *workspace = kernel_workspace(run, run->kernels->column_workspace(n, c));
    kernel_ok(run->kernels->gelu_bias_backward(dx, dbias, dx, x, n, c, workspace, run->stream));
}

static void forward_equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(gelu_forward, call_forward), sizes);
    KERNEL_TEST_SIZES(KERNEL_TEST(gelu_forward, call_forward_in_place), sizes);
}

static void backward_equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(gelu_backward, call_backward), sizes);
    KERNEL_TEST_SIZES(KERNEL_TEST(gelu_backward, call_backward_in_place), sizes);
    KERNEL_TEST_SIZES(KERNEL_TEST(gelu_bias_backward, call_bias_backward), rows);
}

/* ---- ref by finite differences ---- */

enum { N = 24 };

struct problem {
    float *x, *cotangent;
};

static double loss(void *context)
{
    const struct problem *p = context;
    float out[N];
    kernel_ok(kernels_ref.gelu_forward(out, p->x, N, NULL));
    return kernel_dot(out, p->cotangent, N);
}

static void ref_gradient_is_the_derivative(void **state)
{
    (void)state;
    struct problem p = {kernel_random("gelu.x", N, -3, 3),
                        kernel_random("gelu.cotangent", N, -1, 1)};
    float dx[N];
    kernel_ok(kernels_ref.gelu_backward(dx, p.cotangent, p.x, N, NULL));
    kernel_gradient_check(&(struct gradient_check){"gelu dx", p.x, dx, N, loss, &p, 0x1p-5, 2e-5});
    free(p.x);
    free(p.cotangent);
}

/* ---- accuracy, element by element ---- */

enum { BATCH = 4096, STRIDE = 997 };

/* The distance of got to want in units of want's last place as an fp32. */
static double ulps(float got, double want)
{
    int exponent;
    frexp(want, &exponent);
    if (exponent < -125) exponent = -125; /* below, fp32 has fixed steps */
    return fabs(got - want) / ldexp(1, exponent - 24);
}

struct worst {
    double ulps;
    float x;
};

static void note(struct worst *worst, float x, float got, double want)
{
    double error = ulps(got, want);
    if (error > worst->ulps) *worst = (struct worst){error, x};
}

/* Every STRIDE-th fp32 from 2^-30 to 16, of both signs: negative x, where 1 + erf cancels, above -4
 * and below, and positive x. Prints the worst found. */
static void cpu_is_accurate_over_the_range(void **state)
{
    (void)state;
    struct stream *stream;
    kernel_ok(stream_create(&stream, 1));
    struct worst forward[3] = {{0}}, backward = {0};
    float x[BATCH], out[BATCH], ones[BATCH], slope[BATCH];
    for (int i = 0; i < BATCH; i++) ones[i] = 1;
    uint32_t bits = 0x30800000U, end = 0x41800000U;
    while (bits < end) {
        for (int i = 0; i < BATCH; i++, bits += i % 2 ? 0 : STRIDE) {
            uint32_t word = bits | (i % 2 ? 0x80000000U : 0);
            memcpy(&x[i], &word, sizeof word);
        }
        kernel_ok(kernels_cpu.gelu_forward(out, x, BATCH, stream));
        kernel_ok(kernels_cpu.gelu_backward(slope, ones, x, BATCH, stream));
        for (int i = 0; i < BATCH; i++) {
            double v = x[i], cdf = 0.5 * erfc(-v * M_SQRT1_2);
            double pdf = exp(-0.5 * v * v) * (0.5 * M_SQRT1_2 * M_2_SQRTPI);
            note(&forward[v > 0 ? 0 : v > -4 ? 1 : 2], x[i], out[i], v * cdf);
            /* The derivative has a zero near -0.75: its error is counted in ulps of 1. */
            double error = fabs(slope[i] - (cdf + v * pdf)) / 0x1p-23;
            if (error > backward.ulps) backward = (struct worst){error, x[i]};
        }
    }
    print_message("gelu: worst error %.2f ulp at %g, %.2f at %g, %.2f at %g; derivative %.2f ulp "
                  "of 1 at %g\n",
                  forward[0].ulps, (double)forward[0].x, forward[1].ulps, (double)forward[1].x,
                  forward[2].ulps, (double)forward[2].x, backward.ulps, (double)backward.x);
    assert_true(forward[0].ulps < 2);
    assert_true(forward[1].ulps < 4);
    assert_true(forward[2].ulps < 10); /* Phi is below 4e-5 there */
    assert_true(backward.ulps < 2);
    stream_destroy(stream);
}

/* Infinities and NaN as in the equation (-inf times 0 is NaN), and zeros keep their sign. */
static void special_values(void **state)
{
    (void)state;
    struct stream *stream;
    kernel_ok(stream_create(&stream, 1));
    const float x[] = {INFINITY, -INFINITY, NAN, 0.0F, -0.0F, -20, 20};
    float out[7];
    kernel_ok(kernels_cpu.gelu_forward(out, x, 7, stream));
    assert_true(isinf(out[0]) && out[0] > 0);
    assert_true(isnan(out[1]));
    assert_true(isnan(out[2]));
    assert_true(out[3] == 0 && !signbit(out[3]));
    assert_true(out[4] == 0 && signbit(out[4]));
    assert_true(out[5] <= 0 && out[5] > -1e-37F);
    assert_true(out[6] == 20);
    stream_destroy(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_equals_ref),
        cmocka_unit_test(backward_equals_ref),
        cmocka_unit_test(ref_gradient_is_the_derivative),
        cmocka_unit_test(cpu_is_accurate_over_the_range),
        cmocka_unit_test(special_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
