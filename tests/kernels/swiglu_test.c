/* SwiGLU forward and backward, and the residual addition. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "device/stream.h"
#include "support/kernel_test.h"

/* n, f */
static const int64_t sizes[][2] = {{1, 1}, {0, 9}, {7, 13}, {61, 67}, {300, 352}, {129, 1408}};

static void call_forward(struct kernel_run *run)
{
    int64_t n = run->dims[0], f = run->dims[1];
    const void *gate_up = kernel_input(run, "gate_up", n * 2 * f, -9, 9);
    void *out = kernel_output(run, "out", n * f, 1);
    kernel_ok(run->kernels->swiglu_forward(out, gate_up, n, f, run->stream));
}

static void call_backward(struct kernel_run *run)
{
    int64_t n = run->dims[0], f = run->dims[1];
    const void *gate_up = kernel_input(run, "gate_up", n * 2 * f, -9, 9);
    const void *dout = kernel_input(run, "dout", n * f, -1, 1);
    void *dgate_up = kernel_output(run, "dgate_up", n * 2 * f, 1);
    kernel_ok(run->kernels->swiglu_backward(dgate_up, dout, gate_up, n, f, run->stream));
}

static void call_backward_in_place(struct kernel_run *run)
{
    int64_t n = run->dims[0], f = run->dims[1];
    const void *dout = kernel_input(run, "dout", n * f, -1, 1);
    void *gate_up = kernel_inout(run, "gate_up", n * 2 * f, -9, 9, 1);
    kernel_ok(run->kernels->swiglu_backward(gate_up, dout, gate_up, n, f, run->stream));
}

static void call_add(struct kernel_run *run)
{
    int64_t n = run->dims[0] * run->dims[1];
    const void *x = kernel_input(run, "x", n, -1, 1);
    void *y = kernel_inout(run, "y", n, -1, 1, TOLERANCE_EXACT);
    kernel_ok(run->kernels->add(y, x, n, run->stream));
}

static void every_table_equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(swiglu_forward, call_forward), sizes);
    KERNEL_TEST_SIZES(KERNEL_TEST(swiglu_backward, call_backward), sizes);
    KERNEL_TEST_SIZES(KERNEL_TEST(swiglu_backward, call_backward_in_place), sizes);
    KERNEL_TEST_SIZES(KERNEL_TEST(add, call_add), sizes);
}

/* Gates where e^-g overflows or vanishes: nothing may become NaN. */
static void large_gates_stay_finite(void **state)
{
    (void)state;
    static const float gates[] = {-1000, -104, -89, 89, 104, 1000};
    static const char *const tables[] = {"ref", "cpu"};
    enum { F = sizeof gates / sizeof gates[0] };
    float gate_up[2 * F], dout[F], out[F], dgate_up[2 * F];
    struct stream *stream = NULL;
    kernel_ok(stream_create(&stream, 1));
    memcpy(gate_up, gates, sizeof gates);
    for (int k = 0; k < F; k++) {
        gate_up[F + k] = 2;
        dout[k] = 1;
    }
    for (int table = 0; table < 2; table++) {
        const struct kernels *kernels = kernels_find(tables[table]);
        kernel_ok(kernels->swiglu_forward(out, gate_up, 1, F, stream));
        kernel_ok(kernels->swiglu_backward(dgate_up, dout, gate_up, 1, F, stream));
        for (int k = 0; k < F; k++) {
            float want = gates[k] > 0 ? 2 * gates[k] : 0.0f;
            assert_true(fabsf(out[k] - want) < 1e-6f);
            assert_true(fabsf(dgate_up[k] - (gates[k] > 0 ? 2.0f : 0.0f)) < 1e-6f);
            assert_true(fabsf(dgate_up[F + k] - want / 2) < 1e-6f);
        }
    }
    stream_destroy(stream);
}

enum { N = 2, F = 5 };

struct problem {
    float *gate_up, *cotangent;
};

static double loss(void *context)
{
    const struct problem *p = context;
    float out[N * F];
    kernel_ok(kernels_ref.swiglu_forward(out, p->gate_up, N, F, NULL));
    return kernel_dot(out, p->cotangent, N * F);
}

static void ref_gradient_is_the_derivative(void **state)
{
    (void)state;
    struct problem p = {kernel_random("swiglu.gate_up", N * 2 * F, -3, 3),
                        kernel_random("swiglu.cotangent", N * F, -1, 1)};
    float dgate_up[N * 2 * F];
    kernel_ok(kernels_ref.swiglu_backward(dgate_up, p.cotangent, p.gate_up, N, F, NULL));
    kernel_gradient_check(&(struct gradient_check){"swiglu dgate_up", p.gate_up, dgate_up,
                                                   N * 2 * F, loss, &p, 0x1p-4, 2e-5});
    free(p.gate_up);
    free(p.cotangent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_equals_ref),
        cmocka_unit_test(large_gates_stay_finite),
        cmocka_unit_test(ref_gradient_is_the_derivative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
