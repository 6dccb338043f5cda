/* Rotary position embedding: the rotation, its inverse, and the channels it must leave alone. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "base/text_buffer.h"
#include "support/kernel_test.h"

/* t, h, kv, d, direction */
static const int64_t sizes[][5] = {{1, 1, 1, 2, 1},    {0, 2, 1, 8, 1},     {7, 4, 2, 8, -1},
                                   {61, 3, 1, 10, 1},  {300, 8, 4, 16, -1}, {257, 8, 2, 64, 1},
                                   {67, 2, 2, 128, -1}};

enum { POSITIONS = 500 };

static float *angles(int64_t d, double (*function)(double))
{
    float *values = memory_new((size_t)(POSITIONS * d / 2), sizeof *values);
    for (int64_t k = 0; k < POSITIONS * d / 2; k++) {
        double frequency = pow(1e6, -2.0 * (double)(k % (d / 2)) / (double)d);
        values[k] = (float)function((double)(k / (d / 2)) * frequency);
    }
    return values;
}

static void call_rope(struct kernel_run *run)
{
    int64_t t = run->dims[0], h = run->dims[1], kv = run->dims[2], d = run->dims[3];
    float *cosines = angles(d, cos), *sines = angles(d, sin);
    const float *cos_table = kernel_input_values_f32(run, "cos", POSITIONS * d / 2, cosines);
    const float *sin_table = kernel_input_values_f32(run, "sin", POSITIONS * d / 2, sines);
    const int32_t *position = kernel_input_i32(run, "position", t, 0, POSITIONS - 1);
    void *qkv = kernel_inout(run, "qkv", t * (h + 2 * kv) * d, -1, 1, 1);
    kernel_ok(run->kernels->rope(qkv, cos_table, sin_table, position, t, h, kv, d,
                                 (int)run->dims[4], run->stream));
    free(cosines);
    free(sines);
}

static void call_backward(struct kernel_run *run)
{
    int64_t t = run->dims[0], h = run->dims[1], kv = run->dims[2], d = run->dims[3];
    const int64_t row = (h + 2 * kv) * d;
    float *cosines = angles(d, cos), *sines = angles(d, sin);
    const float *cos_table = kernel_input_values_f32(run, "cos", POSITIONS * d / 2, cosines);
    const float *sin_table = kernel_input_values_f32(run, "sin", POSITIONS * d / 2, sines);
    const int32_t *position = kernel_input_i32(run, "position", t, 0, POSITIONS - 1);
    void *dqkv = kernel_inout(run, "dqkv", t * row, -1, 1, 1);
    float *dbias = run->dims[4] > 0 ? kernel_inout_f32(run, "dbias", row, -1, 1, t + 1) : NULL;
    void *workspace = kernel_workspace(run, run->kernels->column_workspace(t, row));
    kernel_ok(run->kernels->rope_backward(dqkv, dbias, cos_table, sin_table, position, t, h, kv, d,
                                          workspace, run->stream));
    free(cosines);
    free(sines);
}

static void every_table_equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(rope, call_rope), sizes);
    KERNEL_TEST_SIZES(KERNEL_TEST(rope_backward, call_backward), sizes);
}

/* The backward direction is the transpose, which for a rotation is the inverse. */
static void ref_turns_back_and_leaves_values_alone(void **state)
{
    (void)state;
    enum { T = 5, H = 2, KV = 1, D = 6, ROW = (H + 2 * KV) * D };
    const int32_t position[T] = {0, 1, 499, 37, 37};
    float *cosines = angles(D, cos), *sines = angles(D, sin);
    float *before = kernel_random("rope.qkv", T * ROW, -1, 1), qkv[T * ROW];
    memcpy(qkv, before, sizeof qkv);
    kernel_ok(kernels_ref.rope(qkv, cosines, sines, position, T, H, KV, D, 1, NULL));
    assert_memory_equal(qkv, before, ROW * sizeof(float)); /* position 0 turns nothing */
    for (int row = 1; row < T; row++) {
        assert_memory_not_equal(qkv + row * ROW, before + row * ROW, D * sizeof(float));
        assert_memory_equal(qkv + row * ROW + (H + KV) * D, before + row * ROW + (H + KV) * D,
                            KV * D * sizeof(float));
    }
    kernel_ok(kernels_ref.rope(qkv, cosines, sines, position, T, H, KV, D, -1, NULL));
    for (int k = 0; k < T * ROW; k++) assert_true(fabsf(qkv[k] - before[k]) < 1e-6f);
    free(cosines);
    free(sines);
    free(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_equals_ref),
        cmocka_unit_test(ref_turns_back_and_leaves_values_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
