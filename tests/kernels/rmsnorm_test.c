/* RMSNorm, forward and backward. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/kernel_test.h"

#define EPS 1e-6

/* n, c, accumulate, with dw */
static const int64_t sizes[][4] = {{1, 1, 0, 1},     {0, 8, 0, 1},     {7, 13, 1, 1},
                                   {65, 67, 0, 0},   {300, 128, 1, 1}, {1009, 512, 0, 1},
                                   {37, 2048, 1, 1}, {33, 1032, 0, 1}, {3, 4104, 1, 1},
                                   {2, 8200, 0, 1},  {2, 1031, 1, 1}};

static void call_forward(struct kernel_run *run)
{
    int64_t n = run->dims[0], c = run->dims[1];
    const void *x = kernel_input(run, "x", n * c, -1, 1);
    const void *w = kernel_input(run, "w", c, 0.5, 1.5);
    void *out = kernel_output(run, "out", n * c, c);
    float *rstd = kernel_output_f32(run, "rstd", n, c);
    kernel_ok(run->kernels->rmsnorm_forward(out, rstd, x, w, n, c, EPS, run->stream));
}

/* Sums that are exact in every type: ref does not round them. */
static void call_add_forward(struct kernel_run *run)
{
    int64_t n = run->dims[0], c = run->dims[1];
    float *sixty_fourths = kernel_random("add_rmsnorm.x", n * c + 1, -64, 64);
    for (int64_t i = 0; i < n * c; i++) sixty_fourths[i] = floorf(sixty_fourths[i]) / 64;
    const void *x = kernel_input_values(run, "x", n * c, sixty_fourths);
    const void *w = kernel_input(run, "w", c, 0.5, 1.5);
    void *sum = kernel_inout(run, "sum", n * c, 0.515625, 0.515625, TOLERANCE_EXACT);
    void *out = kernel_output(run, "out", n * c, c);
    float *rstd = kernel_output_f32(run, "rstd", n, c);
    kernel_ok(run->kernels->add_rmsnorm_forward(sum, out, rstd, x, w, n, c, EPS, run->stream));
    free(sixty_fourths);
}

static void call_backward(struct kernel_run *run)
{
    int64_t n = run->dims[0], c = run->dims[1];
    int accumulate = run->dims[2] != 0;
    const void *dout = kernel_input(run, "dout", n * c, -1, 1);
    const void *x = kernel_input(run, "x", n * c, -1, 1);
    const void *w = kernel_input(run, "w", c, 0.5, 1.5);
    const float *rstd = kernel_input_f32(run, "rstd", n, 1.5, 2);
    void *dx =
        accumulate ? kernel_inout(run, "dx", n * c, -1, 1, c) : kernel_output(run, "dx", n * c, c);
    kernel_magnitude(run, "dx", 1); /* both terms are of that size and may cancel */
    float *dw = run->dims[3] ? kernel_inout_f32(run, "dw", c, -1, 1, n + 1) : NULL;
    void *workspace = kernel_workspace(run, run->kernels->norm_workspace(n, c));
    kernel_ok(run->kernels->rmsnorm_backward(dx, dw, dout, x, w, rstd, n, c, accumulate, workspace,
                                             run->stream));
}

static void every_table_equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(rmsnorm_forward, call_forward), sizes);
    KERNEL_TEST_SIZES(KERNEL_TEST(add_rmsnorm_forward, call_add_forward), sizes);
    KERNEL_TEST_SIZES(KERNEL_TEST(rmsnorm_backward, call_backward), sizes);
}

enum { N = 3, C = 7 };

struct problem {
    float *x, *w, *cotangent;
};

static double loss(void *context)
{
    const struct problem *p = context;
    float out[N * C], rstd[N];
    kernel_ok(kernels_ref.rmsnorm_forward(out, rstd, p->x, p->w, N, C, EPS, NULL));
    return kernel_dot(out, p->cotangent, N * C);
}

static void ref_gradients_are_the_derivative(void **state)
{
    (void)state;
    struct problem p = {kernel_random("rmsnorm.x", N * C, -1, 1),
                        kernel_random("rmsnorm.w", C, 0.5, 1.5),
                        kernel_random("rmsnorm.cotangent", N * C, -1, 1)};
    float out[N * C], rstd[N], dx[N * C], dw[C] = {0};
    kernel_ok(kernels_ref.rmsnorm_forward(out, rstd, p.x, p.w, N, C, EPS, NULL));
    kernel_ok(
        kernels_ref.rmsnorm_backward(dx, dw, p.cotangent, p.x, p.w, rstd, N, C, 0, NULL, NULL));
    kernel_gradient_check(
        &(struct gradient_check){"rmsnorm dx", p.x, dx, N * C, loss, &p, 0x1p-6, 1e-4});
    kernel_gradient_check(
        &(struct gradient_check){"rmsnorm dw", p.w, dw, C, loss, &p, 0x1p-4, 1e-5});
    free(p.x);
    free(p.w);
    free(p.cotangent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_equals_ref),
        cmocka_unit_test(ref_gradients_are_the_derivative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
