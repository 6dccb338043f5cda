/* layer_scale: residual sum with layer scale and DropPath, and its adjoint. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/kernel_test.h"

/* b, p, c, with keep, frozen gamma */
static const int64_t sizes[][5] = {
    {1, 1, 1, 0, 0},   {0, 4, 8, 1, 0},   {2, 0, 8, 1, 0},    {3, 5, 7, 1, 0},
    {2, 37, 31, 0, 1}, {2, 64, 16, 1, 1}, {3, 49, 192, 1, 0}, {1, 256, 768, 0, 0},
};

/* Images are dropped (0) or scaled up, as DropPath does. */
static const float *input_keep(struct kernel_run *run, int64_t b)
{
    static const float values[] = {1.25F, 0, 1.25F};
    return kernel_input_values_f32(run, "keep", b, values);
}

static void call_forward(struct kernel_run *run)
{
    int64_t b = run->dims[0], p = run->dims[1], c = run->dims[2];
    const void *shortcut = kernel_input(run, "shortcut", b * p * c, -1, 1);
    const void *branch = kernel_input(run, "branch", b * p * c, -1, 1);
    const void *gamma = kernel_input(run, "gamma", c, -1, 1);
    const float *keep = run->dims[3] ? input_keep(run, b) : NULL;
    void *out = kernel_output(run, "out", b * p * c, 1);
    kernel_ok(run->kernels->layer_scale_forward(out, shortcut, branch, gamma, keep, b, p, c,
                                                run->stream));
}

static void call_forward_in_place(struct kernel_run *run)
{
    int64_t b = run->dims[0], p = run->dims[1], c = run->dims[2];
    const void *branch = kernel_input(run, "branch", b * p * c, -1, 1);
    const void *gamma = kernel_input(run, "gamma", c, -1, 1);
    const float *keep = run->dims[3] ? input_keep(run, b) : NULL;
    void *out = kernel_inout(run, "out", b * p * c, -1, 1, 1);
    kernel_ok(
        run->kernels->layer_scale_forward(out, out, branch, gamma, keep, b, p, c, run->stream));
}

static void call_backward(struct kernel_run *run)
{
    int64_t b = run->dims[0], p = run->dims[1], c = run->dims[2];
    const void *dout = kernel_input(run, "dout", b * p * c, -1, 1);
    const void *branch = kernel_input(run, "branch", b * p * c, -1, 1);
    const void *gamma = kernel_input(run, "gamma", c, -1, 1);
    const float *keep = run->dims[3] ? input_keep(run, b) : NULL;
    void *dbranch = kernel_output(run, "dbranch", b * p * c, 1);
    float *dgamma = run->dims[4] ? NULL : kernel_inout_f32(run, "dgamma", c, -1, 1, b * p + 1);
    void *workspace = kernel_workspace(run, run->kernels->norm_workspace(b * p, c));
    kernel_ok(run->kernels->layer_scale_backward(dbranch, dgamma, dout, branch, gamma, keep, b, p,
                                                 c, workspace, run->stream));
}

static void forward_equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(layer_scale_forward, call_forward), sizes);
    KERNEL_TEST_SIZES(KERNEL_TEST(layer_scale_forward, call_forward_in_place), sizes);
}

static void backward_equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(layer_scale_backward, call_backward), sizes);
}

/* ---- ref by finite differences ---- */

enum { B = 2, P = 3, C = 5, N = B * P * C };

struct problem {
    float *shortcut, *branch, *gamma, *cotangent;
};

static const float keep_values[B] = {0, 1.25F};

static double loss(void *context)
{
    const struct problem *p = context;
    float out[N];
    kernel_ok(kernels_ref.layer_scale_forward(out, p->shortcut, p->branch, p->gamma, keep_values, B,
                                              P, C, NULL));
    return kernel_dot(out, p->cotangent, N);
}

static void ref_gradients_are_the_derivative(void **state)
{
    (void)state;
    struct problem p = {kernel_random("layer_scale.shortcut", N, -1, 1),
                        kernel_random("layer_scale.branch", N, -1, 1),
                        kernel_random("layer_scale.gamma", C, -1, 1),
                        kernel_random("layer_scale.cotangent", N, -1, 1)};
    float dbranch[N], dgamma[C] = {0};
    kernel_ok(kernels_ref.layer_scale_backward(dbranch, dgamma, p.cotangent, p.branch, p.gamma,
                                               keep_values, B, P, C, NULL, NULL));
    const struct gradient_check checks[] = {
        {"layer_scale dbranch", p.branch, dbranch, N, loss, &p, 0x1p-3, 1e-5},
        {"layer_scale dgamma", p.gamma, dgamma, C, loss, &p, 0x1p-3, 1e-5},
        {"layer_scale dshortcut", p.shortcut, p.cotangent, N, loss, &p, 0x1p-3, 1e-5},
    };
    for (size_t k = 0; k < sizeof checks / sizeof checks[0]; k++) kernel_gradient_check(&checks[k]);
    free(p.shortcut);
    free(p.branch);
    free(p.gamma);
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
