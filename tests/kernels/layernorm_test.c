/* layernorm: forward and backward. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/kernel_test.h"

static const double EPS = 1e-6;

/* n, c, accumulate, frozen weights */
static const int64_t sizes[][4] = {
    {1, 1, 0, 0},   {0, 8, 0, 0},    {1, 7, 1, 0},     {5, 31, 0, 1},     {64, 16, 1, 0},
    {65, 33, 0, 0}, {131, 96, 1, 1}, {300, 192, 0, 0}, {129, 1536, 1, 0},
};

static void call_forward(struct kernel_run *run)
{
    int64_t n = run->dims[0], c = run->dims[1];
    const void *x = kernel_input(run, "x", n * c, -2, 3);
    const void *w = kernel_input(run, "w", c, 0.9, 1.1);
    const void *b = kernel_input(run, "b", c, -1, 1);
    void *out = kernel_output(run, "out", n * c, c);
    float *mean = kernel_output_f32(run, "mean", n, c);
    float *rstd = kernel_output_f32(run, "rstd", n, c);
    if (c == 1) kernel_magnitude(run, "rstd", 1 / EPS); /* the variance is 0: eps alone counts */
    kernel_magnitude(run, "out", 4);
    kernel_magnitude(run, "mean", 3);
    kernel_ok(run->kernels->layernorm_forward(out, mean, rstd, x, w, b, n, c, EPS, run->stream));
}

static void call_backward(struct kernel_run *run)
{
    int64_t n = run->dims[0], c = run->dims[1];
    int accumulate = run->dims[2] != 0, frozen = run->dims[3] != 0;
    const void *dout = kernel_input(run, "dout", n * c, -1, 1);
    const void *x = kernel_input(run, "x", n * c, -2, 2);
    const void *w = kernel_input(run, "w", c, 0.9, 1.1);
    const float *mean = kernel_input_f32(run, "mean", n, -0.1, 0.1);
    const float *rstd = kernel_input_f32(run, "rstd", n, 0.5, 1.5);
    void *dx =
        accumulate ? kernel_inout(run, "dx", n * c, -1, 1, c) : kernel_output(run, "dx", n * c, c);
    kernel_magnitude(run, "dx", 4);
    float *dw = frozen ? NULL : kernel_inout_f32(run, "dw", c, -1, 1, n + 1);
    float *db = frozen ? NULL : kernel_inout_f32(run, "db", c, -1, 1, n + 1);
    void *workspace = kernel_workspace(run, run->kernels->norm_workspace(n, c));
    kernel_ok(run->kernels->layernorm_backward(dx, dw, db, dout, x, w, mean, rstd, n, c, accumulate,
                                               workspace, run->stream));
}

static void forward_equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(layernorm_forward, call_forward), sizes);
}

static void backward_equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(layernorm_backward, call_backward), sizes);
}

/* ---- ref by finite differences ---- */

enum { N = 3, C = 7 };

struct problem {
    float *x, *w, *b, *cotangent;
};

static double loss(void *context)
{
    const struct problem *p = context;
    float out[N * C], mean[N], rstd[N];
    kernel_ok(kernels_ref.layernorm_forward(out, mean, rstd, p->x, p->w, p->b, N, C, EPS, NULL));
    return kernel_dot(out, p->cotangent, N * C);
}

static void ref_gradients_are_the_derivative(void **state)
{
    (void)state;
    struct problem p = {
        kernel_random("layernorm.x", N * C, -1, 1), kernel_random("layernorm.w", C, 0.5, 1.5),
        kernel_random("layernorm.b", C, -1, 1), kernel_random("layernorm.cotangent", N * C, -1, 1)};
    float out[N * C], mean[N], rstd[N], dx[N * C], dw[C] = {0}, db[C] = {0};
    kernel_ok(kernels_ref.layernorm_forward(out, mean, rstd, p.x, p.w, p.b, N, C, EPS, NULL));
    kernel_ok(kernels_ref.layernorm_backward(dx, dw, db, p.cotangent, p.x, p.w, mean, rstd, N, C, 0,
                                             NULL, NULL));
    const struct gradient_check checks[] = {
        {"layernorm dx", p.x, dx, N * C, loss, &p, 0x1p-6, 2e-5},
        {"layernorm dw", p.w, dw, C, loss, &p, 0x1p-3, 1e-5},
        {"layernorm db", p.b, db, C, loss, &p, 0x1p-3, 1e-5},
    };
    for (size_t k = 0; k < sizeof checks / sizeof checks[0]; k++) kernel_gradient_check(&checks[k]);
    free(p.x);
    free(p.w);
    free(p.b);
    free(p.cotangent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_equals_ref),
        cmocka_unit_test(backward_equals_ref),
        cmocka_unit_test(ref_gradients_are_the_derivative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
