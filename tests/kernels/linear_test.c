/* linear: y = x W^T + b, and both adjoints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/kernel_test.h"

/* n, o, i, with bias or accumulate */
static const int64_t sizes[][4] = {
    {1, 1, 1, 1},      {0, 7, 5, 1},     {7, 13, 31, 0},     {7, 13, 31, 1},     {1, 64, 64, 0},
    {1, 1031, 129, 1}, {67, 65, 129, 1}, {300, 128, 128, 0}, {300, 352, 128, 1}, {129, 1031, 64, 1},
};

static void call_forward(struct kernel_run *run)
{
    int64_t n = run->dims[0], o = run->dims[1], i = run->dims[2];
    const void *x = kernel_input(run, "x", n * i, -1, 1);
    const void *w = kernel_input(run, "w", o * i, -1, 1);
    const void *bias = run->dims[3] ? kernel_input(run, "bias", o, -1, 1) : NULL;
    void *out = kernel_output(run, "out", n * o, i);
    kernel_ok(run->kernels->linear_forward(out, x, w, bias, n, o, i, run->stream));
}

static void call_backward_input(struct kernel_run *run)
{
    int64_t n = run->dims[0], o = run->dims[1], i = run->dims[2];
    int accumulate = run->dims[3] != 0;
    const void *dy = kernel_input(run, "dy", n * o, -1, 1);
    const void *w = kernel_input(run, "w", o * i, -1, 1);
    void *dx =
        accumulate ? kernel_inout(run, "dx", n * i, -1, 1, o) : kernel_output(run, "dx", n * i, o);
    kernel_ok(run->kernels->linear_backward_input(dx, dy, w, n, o, i, accumulate, run->stream));
}

static void call_backward_weight(struct kernel_run *run)
{
    int64_t n = run->dims[0], o = run->dims[1], i = run->dims[2];
    const void *dy = kernel_input(run, "dy", n * o, -1, 1);
    const void *x = kernel_input(run, "x", n * i, -1, 1);
    float *dw = kernel_inout_f32(run, "dw", o * i, -1, 1, n + 1);
    float *dbias = run->dims[3] ? kernel_inout_f32(run, "dbias", o, -1, 1, n + 1) : NULL;
    kernel_ok(run->kernels->linear_backward_weight(dw, dbias, dy, x, n, o, i, run->stream));
}

static void forward_equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(linear_forward, call_forward), sizes);
}

static void backward_input_equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(linear_backward_input, call_backward_input), sizes);
}

static void backward_weight_equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(linear_backward_weight, call_backward_weight), sizes);
}

/* ---- ref by finite differences ---- */

enum { N = 3, O = 5, I = 4 };

struct problem {
    float *x, *w, *bias, *cotangent;
};

static double loss(void *context)
{
    const struct problem *p = context;
    float out[N * O];
    kernel_ok(kernels_ref.linear_forward(out, p->x, p->w, p->bias, N, O, I, NULL));
    return kernel_dot(out, p->cotangent, N * O);
}

static void ref_gradients_are_the_derivative(void **state)
{
    (void)state;
    struct problem p = {
        kernel_random("linear.x", N * I, -1, 1), kernel_random("linear.w", O * I, -1, 1),
        kernel_random("linear.bias", O, -1, 1), kernel_random("linear.cotangent", N * O, -1, 1)};
    float dx[N * I], dw[O * I] = {0}, dbias[O] = {0};
    kernel_ok(kernels_ref.linear_backward_input(dx, p.cotangent, p.w, N, O, I, 0, NULL));
    kernel_ok(kernels_ref.linear_backward_weight(dw, dbias, p.cotangent, p.x, N, O, I, NULL));
    const struct gradient_check checks[] = {
        {"linear dx", p.x, dx, N * I, loss, &p, 0x1p-3, 1e-5},
        {"linear dw", p.w, dw, O * I, loss, &p, 0x1p-3, 1e-5},
        {"linear dbias", p.bias, dbias, O, loss, &p, 0x1p-3, 1e-5},
    };
    for (size_t k = 0; k < sizeof checks / sizeof checks[0]; k++) kernel_gradient_check(&checks[k]);
    free(p.x);
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
