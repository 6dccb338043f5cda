/* Linear layers for decoding: against ref, and the same bits for a row alone and among others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "device/stream.h"
#include "support/kernel_test.h"
#include "support/table_run.h"

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

/* The rows of `out` [N, O] in calls of `count` rows each. */
static void in_portions(struct table_run *run, void *out, const char *x, const void *w,
                        const void *bias, const int64_t sizes_all[3], int64_t count)
{
    const int64_t n = sizes_all[0], o = sizes_all[1], i = sizes_all[2];
    const int64_t element = (int64_t)dtype_size(run->kernels->dtype);
    for (int64_t first = 0; first < n; first += count) {
        const int64_t rows = n - first < count ? n - first : count;
        kernel_ok(run->kernels->linear_rows((char *)out + first * o * element,
                                            x + first * i * element, w, bias, rows, o, i,
                                            run->stream));
    }
}

static void company_of(const char *table, const int64_t dims[3])
{
    const int64_t n = dims[0], o = dims[1], i = dims[2];
    static const int64_t counts[] = {1, 2, 3, 5, 6, 7, 12, 13, 20, 48, 49, 100};
    struct table_run run;
    if (!table_run_init(&run, table, 1)) return;
    float *x = kernel_random("rows.x", n * i, -1, 1), *w = kernel_random("rows.w", o * i, -1, 1);
    float *bias = kernel_random("rows.bias", o, -1, 1);
    const size_t bytes = (size_t)(n * o) * dtype_size(run.kernels->dtype);
    char *all = calloc(bytes, 1), *some = calloc(bytes, 1);
    const void *on_x = table_send_tensor(&run, x, n * i), *on_w = table_send_tensor(&run, w, o * i);
    const void *on_bias = table_send_tensor(&run, bias, o);
    void *out = table_take(&run, bytes);
    in_portions(&run, out, on_x, on_w, on_bias, dims, n);
    table_read(&run, all, out, bytes);
    for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++) {
        in_portions(&run, out, on_x, on_w, on_bias, dims, counts[k]);
        table_read(&run, some, out, bytes);
        assert_memory_equal(some, all, bytes);
    }
    print_message("%s: %d rows alone and in company: the same bits\n", table, (int)n);
    free(x);
    free(w);
    free(bias);
    free(all);
    free(some);
    table_run_release(&run);
}

static void a_row_is_the_same_in_any_company(void **state)
{
    (void)state;
    static const int64_t odd[3] = {101, 77, 5003}, even[3] = {120, 72, 512};
    company_of("cpu", odd);
    company_of("cuda", even);
    company_of("cuda-bf16", even);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_ref),
        cmocka_unit_test(a_row_is_the_same_in_any_company),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
