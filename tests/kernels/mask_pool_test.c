/* mask_pool: the mean of the features in a region, and its adjoint. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/kernel_test.h"

/* q, b, p, c, cells per thousand in a footprint */
static const int64_t sizes[][5] = {
    {1, 1, 1, 1, 1000}, {0, 2, 9, 8, 500},   {3, 2, 16, 7, 300},    {5, 2, 64, 33, 100},
    {2, 1, 9, 3, 0},    {7, 3, 65, 96, 500}, {4, 1, 1024, 192, 50}, {2, 1, 16384, 16, 900},
};

static void call_forward(struct kernel_run *run)
{
    int64_t q = run->dims[0], b = run->dims[1], p = run->dims[2], c = run->dims[3];
    const void *feature = kernel_input(run, "feature", b * p * c, -1, 1);
    const uint8_t *footprint = kernel_input_u8(run, "footprint", q * p, (double)run->dims[4] / 1e3);
    const int32_t *image_of = kernel_input_i32(run, "image_of", q, 0, (int32_t)b - 1);
    /* An empty footprint must give exact zeros. */
    float *out = kernel_output_f32(run, "out", q * c, run->dims[4] == 0 ? TOLERANCE_EXACT : p);
    kernel_ok(run->kernels->mask_pool_forward(out, feature, footprint, image_of, q, b, p, c,
                                              run->stream));
    const bool empty = run->dims[4] == 0 && run->kernels == &kernels_ref; /* others equal ref */
    for (int64_t i = 0; empty && i < q * c; i++) assert_true(out[i] == 0);
}

static void call_backward(struct kernel_run *run)
{
    int64_t q = run->dims[0], b = run->dims[1], p = run->dims[2], c = run->dims[3];
    const float *dout = kernel_input_f32(run, "dout", q * c, -1, 1);
    const uint8_t *footprint = kernel_input_u8(run, "footprint", q * p, (double)run->dims[4] / 1e3);
    const int32_t *image_of = kernel_input_i32(run, "image_of", q, 0, (int32_t)b - 1);
    void *dfeature = kernel_inout(run, "dfeature", b * p * c, -1, 1,
                                  run->dims[4] == 0 ? TOLERANCE_EXACT : q + 1);
    kernel_ok(run->kernels->mask_pool_backward(dfeature, dout, footprint, image_of, q, b, p, c,
                                               run->stream));
}

static void forward_equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(mask_pool_forward, call_forward), sizes);
}

static void backward_equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(mask_pool_backward, call_backward), sizes);
}

/* ---- ref by finite differences ---- */

enum { Q = 3, B = 2, P = 4, C = 5, N = B * P * C };

static const uint8_t cells[Q * P] = {1, 0, 1, 1, 0, 0, 0, 0, 0, 1, 1, 0};
static const int32_t images[Q] = {1, 0, 1};

struct problem {
    float *feature, *cotangent;
};

static double loss(void *context)
{
    const struct problem *p = context;
    float out[Q * C];
    kernel_ok(kernels_ref.mask_pool_forward(out, p->feature, cells, images, Q, B, P, C, NULL));
    return kernel_dot(out, p->cotangent, Q * C);
}

static void ref_gradient_is_the_derivative(void **state)
{
    (void)state;
    struct problem p = {kernel_random("mask_pool.feature", N, -1, 1),
                        kernel_random("mask_pool.cotangent", Q * C, -1, 1)};
    float dfeature[N] = {0};
    kernel_ok(
        kernels_ref.mask_pool_backward(dfeature, p.cotangent, cells, images, Q, B, P, C, NULL));
    kernel_gradient_check(&(struct gradient_check){"mask_pool dfeature", p.feature, dfeature, N,
                                                   loss, &p, 0x1p-3, 1e-5});
    free(p.feature);
    free(p.cotangent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_equals_ref),
        cmocka_unit_test(backward_equals_ref),
        cmocka_unit_test(ref_gradient_is_the_derivative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
