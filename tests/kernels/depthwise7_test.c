/* depthwise7: 7x7 depthwise convolution and both adjoints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/kernel_test.h"

/* b, y, x, c, accumulate */
static const int64_t sizes[][5] = {
    {1, 1, 1, 1, 0},  {0, 4, 4, 8, 0},    {1, 2, 3, 5, 1},    {2, 7, 7, 7, 0},    {1, 8, 16, 16, 1},
    {1, 9, 17, 3, 0}, {2, 13, 37, 33, 1}, {1, 33, 70, 17, 0}, {2, 16, 16, 64, 0},
};

enum { TAPS = 49 };

static void call_forward(struct kernel_run *run)
{
    int64_t b = run->dims[0], y = run->dims[1], x = run->dims[2], c = run->dims[3];
    const void *in = kernel_input(run, "in", b * y * x * c, -1, 1);
    const void *w = kernel_input(run, "w", c * TAPS, -1, 1);
    const void *bias = kernel_input(run, "bias", c, -1, 1);
    void *out = kernel_output(run, "out", b * y * x * c, TAPS);
    void *workspace = kernel_workspace(run, run->kernels->depthwise7_workspace(b, y, x, c));
    kernel_ok(
        run->kernels->depthwise7_forward(out, in, w, bias, b, y, x, c, workspace, run->stream));
}

static void call_backward_input(struct kernel_run *run)
{
    int64_t b = run->dims[0], y = run->dims[1], x = run->dims[2], c = run->dims[3];
    int64_t n = b * y * x * c;
    int accumulate = run->dims[4] != 0;
    const void *dout = kernel_input(run, "dout", n, -1, 1);
    const void *w = kernel_input(run, "w", c * TAPS, -1, 1);
    void *din =
        accumulate ? kernel_inout(run, "din", n, -1, 1, TAPS) : kernel_output(run, "din", n, TAPS);
    void *workspace = kernel_workspace(run, run->kernels->depthwise7_workspace(b, y, x, c));
    kernel_ok(run->kernels->depthwise7_backward_input(din, dout, w, b, y, x, c, accumulate,
                                                      workspace, run->stream));
}

static void call_backward_weight(struct kernel_run *run)
{
    int64_t b = run->dims[0], y = run->dims[1], x = run->dims[2], c = run->dims[3];
    const void *dout = kernel_input(run, "dout", b * y * x * c, -1, 1);
    const void *in = kernel_input(run, "in", b * y * x * c, -1, 1);
    float *dw = kernel_inout_f32(run, "dw", c * TAPS, -1, 1, b * y * x + 1);
    float *dbias = kernel_inout_f32(run, "dbias", c, -1, 1, b * y * x + 1);
    void *workspace = kernel_workspace(run, run->kernels->depthwise7_workspace(b, y, x, c));
    kernel_ok(run->kernels->depthwise7_backward_weight(dw, dbias, dout, in, b, y, x, c, workspace,
                                                       run->stream));
}

static void forward_equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(depthwise7_forward, call_forward), sizes);
}

static void backward_input_equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(depthwise7_backward_input, call_backward_input), sizes);
}

static void backward_weight_equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(depthwise7_backward_weight, call_backward_weight), sizes);
}

/* ---- ref by finite differences ---- */

enum { B = 2, Y = 5, X = 9, C = 2, N = B * Y * X * C };

struct problem {
    float *in, *w, *bias, *cotangent;
};

static double loss(void *context)
{
    const struct problem *p = context;
    float out[N];
    kernel_ok(kernels_ref.depthwise7_forward(out, p->in, p->w, p->bias, B, Y, X, C, NULL, NULL));
    return kernel_dot(out, p->cotangent, N);
}

static void ref_gradients_are_the_derivative(void **state)
{
    (void)state;
    struct problem p = {kernel_random("depthwise7.in", N, -1, 1),
                        kernel_random("depthwise7.w", C * TAPS, -1, 1),
                        kernel_random("depthwise7.bias", C, -1, 1),
                        kernel_random("depthwise7.cotangent", N, -1, 1)};
    float din[N], dw[C * TAPS] = {0}, dbias[C] = {0};
    kernel_ok(
        kernels_ref.depthwise7_backward_input(din, p.cotangent, p.w, B, Y, X, C, 0, NULL, NULL));
    kernel_ok(kernels_ref.depthwise7_backward_weight(dw, dbias, p.cotangent, p.in, B, Y, X, C, NULL,
                                                     NULL));
    const struct gradient_check checks[] = {
        {"depthwise7 din", p.in, din, N, loss, &p, 0x1p-3, 1e-5},
        {"depthwise7 dw", p.w, dw, C * TAPS, loss, &p, 0x1p-3, 1e-5},
        {"depthwise7 dbias", p.bias, dbias, C, loss, &p, 0x1p-3, 1e-5},
    };
    for (size_t k = 0; k < sizeof checks / sizeof checks[0]; k++) kernel_gradient_check(&checks[k]);
    free(p.in);
    free(p.w);
    free(p.bias);
    free(p.cotangent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_equals_ref),
        cmocka_unit_test(backward_input_equals_ref),
        cmocka_unit_test(backward_weight_equals_ref),
        cmocka_unit_test(ref_gradients_are_the_derivative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
