/* Linear layers for decoding: against ref, and the same bits for a row alone and among others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "device/stream.h"
#include "support/kernel_test.h"

/* n, o, i, with bias; more rows than a block holds, inner dims beyond a part, odd ones */
static const int64_t sizes[][4] = {
    {1, 1, 1, 1},       {0, 7, 5, 1},     {7, 13, 31, 0},     {1, 64, 64, 0},    {1, 1031, 129, 1},
    {2, 9, 4099, 1},    {13, 131, 40, 0}, {67, 65, 1025, 1},  {97, 70, 128, 1},  {5, 66, 4112, 0},
    {300, 200, 128, 0}, {1, 30, 9000, 1}, {50, 131, 1281, 1}, {49, 129, 2561, 0}};

static void call(struct kernel_run *run)
{
    int64_t n = run->dims[0], o = run->dims[1], i = run->dims[2];
    const float *x = kernel_input(run, "x", n * i, -1, 1);
    const float *w = kernel_input(run, "w", o * i, -1, 1);
    const float *bias = run->dims[3] ? kernel_input(run, "bias", o, -1, 1) : NULL;
    float *out = kernel_output(run, "out", n * o, i);
    kernel_ok(run->kernels->linear_rows(out, x, w, bias, n, o, i, run->stream));
}

static void equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(linear_rows, call), sizes);
}

static void a_row_is_the_same_in_any_company(void **state)
{
    (void)state;
    enum { N = 101, O = 77, I = 5003 };
    struct stream *stream;
    kernel_ok(stream_create(&stream, 1));
    float *x = kernel_random("rows.x", N * I, -1, 1), *w = kernel_random("rows.w", O * I, -1, 1);
    float *bias = kernel_random("rows.bias", O, -1, 1);
    float *all = calloc(N * O, sizeof *all), *some = calloc(N * O, sizeof *some);
    kernel_ok(kernels_cpu.linear_rows(all, x, w, bias, N, O, I, stream));
    static const int64_t counts[] = {1, 2, 3, 5, 6, 7, 12, 13, 20, 48, 49, 100};
    for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++) {
        for (int64_t first = 0; first + counts[k] <= N; first += counts[k]) {
            kernel_ok(
                kernels_cpu.linear_rows(some, x + first * I, w, bias, counts[k], O, I, stream));
            assert_memory_equal(some, all + first * O, (size_t)(counts[k] * O) * sizeof *some);
        }
    }
    free(x);
    free(w);
    free(bias);
    free(all);
    free(some);
    stream_destroy(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_ref),
        cmocka_unit_test(a_row_is_the_same_in_any_company),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
