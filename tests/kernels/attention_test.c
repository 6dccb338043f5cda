/* Attention over packed sequences, forward and backward. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text_buffer.h"
#include "device/device.h"
#include "device/stream.h"
#include "emulation/emulation.h"
#include "support/kernel_test.h"

/* t, longest sequence, h, kv, d: sequences of 1, 2, 4 ... tokens up to the longest, over and over;
 * and who computes, where that can be chosen: the table's own kernels, cuDNN, or cuDNN with sums of
 * any order. The cpu table works in tiles of 64; the GPU's, for d of 64 and 128 on tensor cores, in
 * 64 and 32. */
enum way { OWN, CUDNN, CUDNN_ANY_ORDER };
static const int64_t sizes[][6] = {
    {1, 1, 1, 1, 1, OWN},        {0, 1, 2, 1, 8, OWN},
    {7, 7, 2, 2, 3, OWN},        {64, 64, 1, 1, 16, OWN},
    {65, 65, 2, 1, 16, OWN},     {61, 5, 3, 3, 10, OWN},
    {300, 64, 8, 4, 16, OWN},    {301, 301, 4, 2, 64, OWN},
    {131, 97, 6, 2, 128, OWN},   {1, 1, 2, 1, 64, OWN},
    {64, 64, 2, 2, 128, OWN},    {193, 30, 4, 1, 64, OWN},
    {131, 97, 6, 2, 128, CUDNN}, {193, 30, 4, 1, 64, CUDNN},
    {90, 1, 2, 2, 64, CUDNN},    {90, 33, 2, 1, 64, CUDNN_ANY_ORDER}};

static int32_t *sequences(int64_t t, int64_t longest, int64_t *s_out)
{
    int32_t *starts = memory_new((size_t)t + 1, sizeof *starts);
    int64_t s = 0, length = longest < 64 ? 1 : longest;
    while (starts[s] < t) {
        int64_t end = starts[s] + length;
        starts[++s] = (int32_t)(end < t ? end : t);
        length = length * 2 > longest ? 1 : length * 2;
    }
    *s_out = s;
    return starts;
}

static double scale_of(int64_t d)
{
    return 1 / sqrt((double)d);
}

/* The way of the row of sizes, where this table has it. */
static void choose_way(struct kernel_run *run)
{
    const enum way way = (enum way)run->dims[5];
    const bool emulated = emulation_set_order != NULL;
    struct attention_ways ways = {ATTENTION_CUDNN, ATTENTION_CUDNN, way == CUDNN_ANY_ORDER};
    if (run->kernels->attention_prepare == NULL || run->kernels->dtype != DTYPE_BF16) return;
    if (way == OWN) ways.forward = ways.backward = ATTENTION_OWN;
    if (!emulated) ways.any_order = false; /* two runs would differ */
    const enum status status = run->kernels->attention_prepare(
        &ways, run->dims[0], run->dims[1], run->dims[2], run->dims[3], run->dims[4], run->stream);
    if (status != OK && !emulated)
        print_message("skipped: %s\n", status_message());
    else
        kernel_ok(status);
}

static void call_forward(struct kernel_run *run)
{
    int64_t t = run->dims[0], h = run->dims[2], kv = run->dims[3], d = run->dims[4], s = 0;
    int32_t *starts = sequences(t, run->dims[1], &s);
    const int32_t *seq_start = kernel_input_i32_values(run, "seq_start", s + 1, starts);
    const void *qkv = kernel_input(run, "qkv", t * (h + 2 * kv) * d, -2, 2);
    void *out = kernel_output(run, "out", t * h * d, d);
    float *lse = kernel_output_f32(run, "lse", h * t, d);
    kernel_magnitude(run, "lse", 4 * scale_of(d) * (double)d); /* of a score */
    void *workspace = kernel_workspace(run, run->kernels->attention_workspace(t, h, kv, d));
    choose_way(run);
    kernel_ok(run->kernels->attention_forward(out, lse, qkv, seq_start, s, t, h, kv, d, scale_of(d),
                                              workspace, run->stream));
    free(starts);
}

/* The backward gets ref's own outputs, so that only the backward differs. */
static void call_backward(struct kernel_run *run)
{
    int64_t t = run->dims[0], h = run->dims[2], kv = run->dims[3], d = run->dims[4], s = 0;
    int32_t *starts = sequences(t, run->dims[1], &s);
    const int32_t *seq_start = kernel_input_i32_values(run, "seq_start", s + 1, starts);
    const void *qkv = kernel_input(run, "qkv", t * (h + 2 * kv) * d, -2, 2);
    const void *dout = kernel_input(run, "dout", t * h * d, -1, 1);
    float *out = memory_new((size_t)(t * h * d) + 1, sizeof *out);
    float *lse = memory_new((size_t)(h * t) + 1, sizeof *lse);
    void *scratch = memory_new(kernels_ref.attention_workspace(t, h, kv, d), 1);
    kernel_ok(kernels_ref.attention_forward(out, lse, kernel_values(run, "qkv"), starts, s, t, h,
                                            kv, d, scale_of(d), scratch, NULL));
    const void *out_given = kernel_input_values(run, "out", t * h * d, out);
    const float *lse_given = kernel_input_values_f32(run, "lse", h * t, lse);
    void *dqkv = kernel_output(run, "dqkv", t * (h + 2 * kv) * d, d * 4);
    /* dout . v and delta cancel where one key is seen; cuDNN rounds dk and dv of every query head
     * before it adds those of a group. */
    kernel_magnitude(run, "dqkv", run->dims[5] == OWN ? 1 : 4);
    void *workspace = kernel_workspace(run, run->kernels->attention_workspace(t, h, kv, d));
    choose_way(run);
    kernel_ok(run->kernels->attention_backward(dqkv, dout, out_given, lse_given, qkv, seq_start, s,
                                               t, h, kv, d, scale_of(d), workspace, run->stream));
    free(scratch);
    free(lse);
    free(out);
    free(starts);
}

static void every_table_equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(attention_forward, call_forward), sizes);
    KERNEL_TEST_SIZES(KERNEL_TEST(attention_backward, call_backward), sizes);
}

/* Scores of several hundred overflow exp unless the running maximum is subtracted, whether the
 * largest key comes first or last. */
static void large_scores_stay_finite(void **state)
{
    (void)state;
    enum { T = 150, D = 4 };
    const int32_t seq_start[2] = {0, T};
    static const char *const tables[] = {"ref", "cpu"};
    for (int table = 0; table < 2; table++)
        for (int rising = 0; rising < 2; rising++) {
            const struct kernels *kernels = kernels_find(tables[table]);
            float qkv[T * 3 * D] = {0}, out[T * D], lse[T];
            for (int i = 0; i < T; i++) {
                qkv[i * 3 * D] = 10;
                qkv[(i * 3 + 1) * D] = (float)(rising ? i : T - i);
                qkv[(i * 3 + 2) * D] = (float)i;
            }
            void *workspace = memory_new(kernels->attention_workspace(T, 1, 1, D), 1);
            struct stream *stream = NULL;
            kernel_ok(stream_create(&stream, 1));
            kernel_ok(kernels->attention_forward(out, lse, qkv, seq_start, 1, T, 1, 1, D, 1.0,
                                                 workspace, stream));
            stream_destroy(stream);
            free(workspace);
            for (int i = 0; i < T; i++) { /* one key outweighs the others by e^10 */
                int winner = rising ? i : 0;
                assert_true(fabsf(out[i * D] - (float)winner) < 1e-4f);
                assert_true(fabsf(lse[i] - 10.0f * (float)(rising ? i : T)) < 1e-3f);
            }
        }
}

static void heads_that_form_no_groups_are_refused(void **state)
{
    (void)state;
    static const char *const tables[] = {"ref", "cpu"};
    const int32_t seq_start[2] = {0, 1};
    float buffer[64] = {0};
    struct stream *stream = NULL;
    kernel_ok(stream_create(&stream, 1));
    for (int table = 0; table < 2; table++) {
        const struct kernels *kernels = kernels_find(tables[table]);
        assert_int_equal(kernels->attention_forward(buffer, buffer, buffer, seq_start, 1, 1, 3, 2,
                                                    4, 1.0, buffer, stream),
                         ERR_SHAPE);
        assert_int_equal(kernels->attention_backward(buffer, buffer, buffer, buffer, buffer,
                                                     seq_start, 1, 1, 3, 2, 4, 1.0, buffer, stream),
                         ERR_SHAPE);
    }
    stream_destroy(stream);
}

static enum status prepare(const struct kernels *kernels, struct stream *stream,
                           struct attention_ways *ways, int64_t longest)
{
    return kernels->attention_prepare(ways, 2 * longest, longest, 4, 2, 64, stream);
}

/* Who computes is settled, or said why it cannot be so. */
static void ways_are_settled(void **state)
{
    (void)state;
    const struct kernels *bf16 = kernels_find("cuda-bf16"), *f32 = kernels_find("cuda");
    struct device *device = NULL;
    struct stream *stream = NULL;
    if (bf16 == NULL || emulation_set_order == NULL) return;
    kernel_ok(device_open(&device, "cuda", 0));
    kernel_ok(device_stream(device, &stream, 1));
    struct attention_ways ways = {ATTENTION_MEASURED, ATTENTION_MEASURED, false};
    kernel_ok(prepare(bf16, stream, &ways, 40));
    assert_true(ways.forward != ATTENTION_MEASURED && ways.backward != ATTENTION_MEASURED);
    ways = (struct attention_ways){ATTENTION_OWN, ATTENTION_CUDNN, false};
    assert_int_equal(prepare(bf16, stream, &ways, 32768), ERR_LIMIT);
    assert_non_null(strstr(status_message(), "8589934592 bytes for a sequence of 32768 tokens"));
    ways.backward = ATTENTION_MEASURED;
    kernel_ok(prepare(bf16, stream, &ways, 32768));
    assert_int_equal(ways.backward, ATTENTION_OWN);
    ways.forward = ways.backward = ATTENTION_MEASURED;
    kernel_ok(prepare(f32, stream, &ways, 40));
    assert_true(ways.forward == ATTENTION_OWN && ways.backward == ATTENTION_OWN);
    ways.forward = ATTENTION_CUDNN;
    assert_int_equal(prepare(f32, stream, &ways, 40), ERR_UNSUPPORTED);
    setenv("ROBIN_EMULATED_NO_CUDNN", "1", 1);
    assert_int_equal(prepare(bf16, stream, &ways, 40), ERR_UNSUPPORTED);
    assert_non_null(strstr(status_message(), "libcudnn.so.9"));
    ways.forward = ways.backward = ATTENTION_MEASURED;
    kernel_ok(prepare(bf16, stream, &ways, 40));
    assert_true(ways.forward == ATTENTION_OWN && ways.backward == ATTENTION_OWN);
    unsetenv("ROBIN_EMULATED_NO_CUDNN");
    stream_destroy(stream);
    device_close(device);
}

enum { T = 7, H = 4, KV = 2, D = 3, ROW = (H + 2 * KV) * D };
static const int32_t packed[3] = {0, 2, T};

struct problem {
    float *qkv, *cotangent, *out, *lse;
};

static double loss(void *context)
{
    const struct problem *p = context;
    double workspace[T > 2 * D ? T : 2 * D];
    kernel_ok(kernels_ref.attention_forward(p->out, p->lse, p->qkv, packed, 2, T, H, KV, D, 0.7,
                                            workspace, NULL));
    return kernel_dot(p->out, p->cotangent, T * H * D);
}

static void ref_gradient_is_the_derivative(void **state)
{
    (void)state;
    float out[T * H * D], lse[H * T], dqkv[T * ROW];
    double workspace[T > 2 * D ? T : 2 * D];
    struct problem p = {kernel_random("attention.qkv", T * ROW, -1, 1),
                        kernel_random("attention.cotangent", T * H * D, -1, 1), out, lse};
    (void)loss(&p);
    kernel_ok(kernels_ref.attention_backward(dqkv, p.cotangent, out, lse, p.qkv, packed, 2, T, H,
                                             KV, D, 0.7, workspace, NULL));
    kernel_gradient_check(
        &(struct gradient_check){"attention dqkv", p.qkv, dqkv, T * ROW, loss, &p, 0x1p-4, 2e-5});
    free(p.qkv);
    free(p.cotangent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_equals_ref),
        cmocka_unit_test(large_scores_stay_finite),
        cmocka_unit_test(heads_that_form_no_groups_are_refused),
        cmocka_unit_test(ways_are_settled),
        cmocka_unit_test(ref_gradient_is_the_derivative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
