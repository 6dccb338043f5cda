/* Between a table's type and fp32: exact one way, rounded to the nearest the other. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/bf16.h"
#include "support/kernel_test.h"

static const int64_t sizes[][1] = {{0}, {1}, {7}, {1021}, {65537}};

static void call_widen(struct kernel_run *run)
{
    const int64_t n = run->dims[0];
    const void *x = kernel_input(run, "x", n, -3, 3);
    float *out = kernel_output_f32(run, "out", n, TOLERANCE_EXACT);
    kernel_ok(run->kernels->widen(out, x, n, run->stream));
}

static void call_narrow(struct kernel_run *run)
{
    const int64_t n = run->dims[0];
    const float *x = kernel_input_f32(run, "x", n, -3, 3);
    void *out = kernel_output(run, "out", n, TOLERANCE_EXACT);
    kernel_ok(run->kernels->narrow(out, x, n, run->stream));
}

static void every_table_equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(widen, call_widen), sizes);
    KERNEL_TEST_SIZES(KERNEL_TEST(narrow, call_narrow), sizes);
}

static void the_host_rounds_to_nearest_even(void **state)
{
    (void)state;
    static const struct {
        float value;
        uint16_t rounded;
    } cases[] = {{1, 0x3f80},           {0x1.01p0f, 0x3f80}, {0x1.03p0f, 0x3f82},
                 {0x1.0101p0f, 0x3f81}, {-0.0f, 0x8000},     {0x1.ffp127f, 0x7f80},
                 {INFINITY, 0x7f80},    {0x1p-149f, 0x0000}, {0x1p-133f, 0x0001}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(bf16_from_float(cases[i].value), cases[i].rounded);
    assert_true(isnan(bf16_to_float(bf16_from_float(NAN))));
    for (uint32_t bits = 0; bits < 0x7f80; bits++)
        assert_int_equal(bf16_from_float(bf16_to_float((uint16_t)bits)), bits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_equals_ref),
        cmocka_unit_test(the_host_rounds_to_nearest_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
