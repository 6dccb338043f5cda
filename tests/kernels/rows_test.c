/* Rows by index: embedding and the splice. Every result is exact: values are moved, or added in an
 * order that the specification fixes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/random.h"
#include "base/text_buffer.h"
#include "support/kernel_test.h"

/* n, v (rows of the table), c */
static const int64_t sizes[][3] = {{1, 1, 1},    {0, 5, 3},       {7, 3, 13},
                                   {31, 40, 67}, {300, 512, 128}, {1000, 17, 512}};

static void call_embedding_forward(struct kernel_run *run)
{
    int64_t n = run->dims[0], v = run->dims[1], c = run->dims[2];
    const void *table = kernel_input(run, "table", v * c, -1, 1);
    const int32_t *ids = kernel_input_i32(run, "ids", n, -1, (int32_t)v - 1);
    void *out = kernel_output(run, "out", n * c, TOLERANCE_EXACT);
    kernel_ok(run->kernels->embedding_forward(out, table, ids, n, v, c, run->stream));
}

static void call_embedding_backward(struct kernel_run *run)
{
    int64_t n = run->dims[0], v = run->dims[1], c = run->dims[2];
    const void *dout = kernel_input(run, "dout", n * c, -1, 1);
    const int32_t *ids = kernel_input_i32(run, "ids", n, -1, (int32_t)v - 1);
    float *dtable = kernel_inout_f32(run, "dtable", v * c, -1, 1, TOLERANCE_EXACT);
    kernel_ok(run->kernels->embedding_backward(dtable, dout, ids, n, v, c, run->stream));
}

/* Distinct rows of t in random order, every seventh passed over. Needs n <= t. */
static int32_t *distinct_rows(int64_t n, int64_t t)
{
    int32_t *rows = memory_new((size_t)n + 1, sizeof *rows);
    struct random_stream order = random_stream(kernel_seed(), "rows.order");
    for (int64_t k = 0; k < n; k++)
        rows[k] = k % 7 == 3 ? -1 : (int32_t)random_permute(order, (uint64_t)k, (uint64_t)t);
    return rows;
}

static void call_scatter(struct kernel_run *run)
{
    int64_t n = run->dims[0], t = n + run->dims[1], c = run->dims[2];
    int32_t *rows = distinct_rows(n, t);
    const int32_t *index = kernel_input_i32_values(run, "index", n, rows);
    const void *src = kernel_input(run, "src", n * c, -1, 1);
    void *dst = kernel_inout(run, "dst", t * c, -1, 1, TOLERANCE_EXACT);
    kernel_ok(run->kernels->rows_scatter(dst, src, index, t, n, c, run->stream));
    free(rows);
}

static void call_gather(struct kernel_run *run)
{
    int64_t n = run->dims[0], t = n + run->dims[1], c = run->dims[2];
    const int32_t *index = kernel_input_i32(run, "index", n, -1, (int32_t)t - 1);
    const void *src = kernel_input(run, "src", t * c, -1, 1);
    void *dst = kernel_output(run, "dst", n * c, TOLERANCE_EXACT);
    kernel_ok(run->kernels->rows_gather(dst, src, index, t, n, c, run->stream));
}

static void every_table_equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(embedding_forward, call_embedding_forward), sizes);
    KERNEL_TEST_SIZES(KERNEL_TEST(embedding_backward, call_embedding_backward), sizes);
    KERNEL_TEST_SIZES(KERNEL_TEST(rows_scatter, call_scatter), sizes);
    KERNEL_TEST_SIZES(KERNEL_TEST(rows_gather, call_gather), sizes);
}

/* ---- ref: each backward is the adjoint of its forward, <A x, y> = <x, A^T y> ---- */

enum { N = 9, V = 4, C = 3, T = 12 };

static void ref_embedding_gradient_is_the_derivative(void **state)
{
    (void)state;
    const int32_t ids[N] = {2, 0, -1, 2, 2, 3, 0, -1, 2};
    float *table = kernel_random("rows.table", V * C, -1, 1);
    float *cotangent = kernel_random("rows.cotangent", N * C, -1, 1);
    float out[N * C], dtable[V * C] = {0};
    kernel_ok(kernels_ref.embedding_forward(out, table, ids, N, V, C, NULL));
    kernel_ok(kernels_ref.embedding_backward(dtable, cotangent, ids, N, V, C, NULL));
    assert_true(fabs(kernel_dot(out, cotangent, N * C) - kernel_dot(table, dtable, V * C)) < 1e-5);
    for (int k = 0; k < C; k++) assert_true(dtable[C + k] == 0.0f); /* id 1 never occurs */
    free(table);
    free(cotangent);
}

static void ref_gather_is_the_adjoint_of_scatter(void **state)
{
    (void)state;
    int32_t *index = distinct_rows(N, T);
    float *src = kernel_random("rows.src", N * C, -1, 1);
    float *cotangent = kernel_random("rows.cotangent", T * C, -1, 1);
    float dst[T * C] = {0}, dsrc[N * C];
    kernel_ok(kernels_ref.rows_scatter(dst, src, index, T, N, C, NULL));
    kernel_ok(kernels_ref.rows_gather(dsrc, cotangent, index, T, N, C, NULL));
    assert_true(fabs(kernel_dot(dst, cotangent, T * C) - kernel_dot(src, dsrc, N * C)) < 1e-5);
    free(index);
    free(src);
    free(cotangent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_equals_ref),
        cmocka_unit_test(ref_embedding_gradient_is_the_derivative),
        cmocka_unit_test(ref_gather_is_the_adjoint_of_scatter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
