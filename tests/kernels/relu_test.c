/* relu: forward, and the backward from the forward's output. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/kernel_test.h"

static const int64_t sizes[][1] = {{1}, {0}, {7}, {31}, {65536}, {150001}};

static void call_forward(struct kernel_run *run)
{
    int64_t n = run->dims[0];
    const void *x = kernel_input(run, "x", n, -1, 1);
    void *out = kernel_output(run, "out", n, TOLERANCE_EXACT);
    kernel_ok(run->kernels->relu_forward(out, x, n, run->stream));
}

static void call_backward(struct kernel_run *run)
{
    int64_t n = run->dims[0];
    const void *dout = kernel_input(run, "dout", n, -1, 1);
    const void *out = kernel_input(run, "out", n, -1, 1);
    void *dx = kernel_output(run, "dx", n, TOLERANCE_EXACT);
    kernel_ok(run->kernels->relu_backward(dx, dout, out, n, run->stream));
}

static void call_backward_in_place(struct kernel_run *run)
{
    int64_t n = run->dims[0];
    const void *out = kernel_input(run, "out", n, -1, 1);
    void *dx = kernel_inout(run, "dx", n, -1, 1, TOLERANCE_EXACT);
    kernel_ok(run->kernels->relu_backward(dx, dx, out, n, run->stream));
}

static void forward_equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(relu_forward, call_forward), sizes);
}

static void backward_equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(relu_backward, call_backward), sizes);
    KERNEL_TEST_SIZES(KERNEL_TEST(relu_backward, call_backward_in_place), sizes);
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
    kernel_ok(kernels_ref.relu_forward(out, p->x, N, NULL));
    return kernel_dot(out, p->cotangent, N);
}

static void ref_gradient_is_the_derivative(void **state)
{
    (void)state;
    struct problem p = {kernel_random("relu.x", N, -1, 1),
                        kernel_random("relu.cotangent", N, -1, 1)};
    /* Away from the kink, where there is no derivative. */
    for (int i = 0; i < N; i++) p.x[i] += p.x[i] < 0 ? -1.0F : 1.0F;
    float out[N], dx[N];
    kernel_ok(kernels_ref.relu_forward(out, p.x, N, NULL));
    kernel_ok(kernels_ref.relu_backward(dx, p.cotangent, out, N, NULL));
    kernel_gradient_check(&(struct gradient_check){"relu dx", p.x, dx, N, loss, &p, 0x1p-3, 1e-5});
    free(p.x);
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
