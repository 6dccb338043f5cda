/* Cross-entropy over vocabulary chunks: statistics, loss, gradient. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "base/text_buffer.h"
#include "device/stream.h"
#include "support/kernel_test.h"

/* n, v, vc: the vocabulary is walked in chunks of vc, the last one shorter */
static const int64_t sizes[][3] = {{1, 1, 1},      {0, 10, 4},       {7, 13, 13},     {7, 61, 9},
                                   {5, 1031, 256}, {67, 1000, 1000}, {12, 8192, 2048}};

static void fill_chunk(float *chunk, const float *logits, int64_t n, int64_t v, int64_t v0,
                       int64_t vc)
{
    for (int64_t row = 0; row < n; row++)
        memcpy(chunk + row * vc, logits + row * v + v0, (size_t)vc * sizeof(float));
}

/* Logits of a row lie in chunks, as lm_head.h makes them: one input for each. */
static const void *input_chunk(struct kernel_run *run, int64_t n, int64_t v, int64_t v0, int64_t vc)
{
    static const char *const names[] = {"logits0", "logits1", "logits2", "logits3", "logits4",
                                        "logits5", "logits6", "logits7", "logits8", "logits9"};
    const int64_t index = v0 / run->dims[2];
    assert_true(index < (int64_t)(sizeof names / sizeof names[0]));
    float *logits = kernel_random("cross_entropy.logits", n * v, -20, 20);
    float *chunk = memory_new((size_t)(n * vc) + 1, sizeof *chunk);
    fill_chunk(chunk, logits, n, v, v0, vc);
    const void *input = kernel_input_values(run, names[index], n * vc, chunk);
    free(chunk);
    free(logits);
    return input;
}

/* All chunks of the statistics and the loss. */
static void call_stats(struct kernel_run *run)
{
    int64_t n = run->dims[0], v = run->dims[1], vc = run->dims[2];
    const int32_t *target = kernel_input_i32(run, "target", n, 0, (int32_t)v - 1);
    float *row_max = kernel_output_f32(run, "row_max", n, TOLERANCE_EXACT);
    float *row_sum = kernel_output_f32(run, "row_sum", n, v);
    float *target_logit = kernel_output_f32(run, "target_logit", n, TOLERANCE_EXACT);
    float *loss = kernel_output_f32(run, "loss", n, v);
    kernel_magnitude(run, "loss", 20); /* the difference of two logits of that size */
    for (int64_t v0 = 0; v0 < v; v0 += vc) {
        int64_t width = v - v0 < vc ? v - v0 : vc;
        kernel_ok(run->kernels->cross_entropy_stats(row_max, row_sum, target_logit,
                                                    input_chunk(run, n, v, v0, width), target, n,
                                                    width, v0, run->stream));
    }
    kernel_ok(
        run->kernels->cross_entropy_loss(loss, row_max, row_sum, target_logit, n, run->stream));
}

static void call_gradient(struct kernel_run *run)
{
    int64_t n = run->dims[0], v = run->dims[1], vc = run->dims[2];
    const int32_t *target = kernel_input_i32(run, "target", n, 0, (int32_t)v - 1);
    const float *row_max = kernel_input_f32(run, "row_max", n, 20, 21);
    const float *row_sum = kernel_input_f32(run, "row_sum", n, 1, 2);
    const float *row_scale = kernel_input_f32(run, "row_scale", n, 0, 1);
    void *logits = kernel_inout(run, "logits", n * vc, -20, 20, 1);
    kernel_ok(run->kernels->cross_entropy_gradient(logits, row_max, row_sum, target, row_scale, n,
                                                   vc, v - vc, run->stream));
}

static void call_rescale(struct kernel_run *run)
{
    int64_t n = run->dims[0];
    const float *common_max = kernel_input_f32(run, "common_max", n, 20, 40);
    float *row_max = kernel_inout_f32(run, "row_max", n, 0, 20, TOLERANCE_EXACT);
    float *row_sum = kernel_inout_f32(run, "row_sum", n, 1, 2, 1);
    kernel_ok(run->kernels->cross_entropy_rescale(row_max, row_sum, common_max, n, run->stream));
}

static void every_table_equals_ref(void **state)
{
    (void)state;
    KERNEL_TEST_SIZES(KERNEL_TEST(cross_entropy_stats, call_stats), sizes);
    KERNEL_TEST_SIZES(KERNEL_TEST(cross_entropy_loss, call_stats), sizes);
    KERNEL_TEST_SIZES(KERNEL_TEST(cross_entropy_rescale, call_rescale), sizes);
    KERNEL_TEST_SIZES(KERNEL_TEST(cross_entropy_gradient, call_gradient), sizes);
}

/* The row's largest logit far above, then far below, what an earlier chunk left. */
static void chunks_of_any_order_of_size_merge(void **state)
{
    (void)state;
    static const char *const tables[] = {"ref", "cpu"};
    const float chunks[3][2] = {{-100, -101}, {90, 80}, {-300, 89}};
    const int32_t target = 5;
    for (int table = 0; table < 2; table++) {
        struct stream *stream = NULL;
        float max, sum, logit, loss;
        kernel_ok(stream_create(&stream, 1));
        const struct kernels *kernels = kernels_find(tables[table]);
        for (int64_t k = 0; k < 3; k++)
            kernel_ok(kernels->cross_entropy_stats(&max, &sum, &logit, chunks[k], &target, 1, 2,
                                                   2 * k, stream));
        kernel_ok(kernels->cross_entropy_loss(&loss, &max, &sum, &logit, 1, stream));
        stream_destroy(stream);
        assert_true(max == 90.0f && logit == 89.0f);
        assert_true(fabs((double)loss - (1 + log(1 + exp(-1) + exp(-10)))) < 1e-6);
    }
}

enum { N = 3, V = 7 };

struct problem {
    float *logits;
    const int32_t *target;
    const float *row_scale;
};

static double loss_of(void *context)
{
    const struct problem *p = context;
    float max[N], sum[N], logit[N], loss[N];
    kernel_ok(
        kernels_ref.cross_entropy_stats(max, sum, logit, p->logits, p->target, N, V, 0, NULL));
    kernel_ok(kernels_ref.cross_entropy_loss(loss, max, sum, logit, N, NULL));
    return kernel_dot(loss, p->row_scale, N);
}

static void ref_gradient_is_the_derivative(void **state)
{
    (void)state;
    const int32_t target[N] = {0, 6, 3};
    const float row_scale[N] = {1, 0.25f, 0};
    struct problem p = {kernel_random("cross_entropy.logits", N * V, -2, 2), target, row_scale};
    float max[N], sum[N], logit[N], gradient[N * V];
    kernel_ok(kernels_ref.cross_entropy_stats(max, sum, logit, p.logits, target, N, V, 0, NULL));
    memcpy(gradient, p.logits, sizeof gradient);
    kernel_ok(
        kernels_ref.cross_entropy_gradient(gradient, max, sum, target, row_scale, N, V, 0, NULL));
    kernel_gradient_check(&(struct gradient_check){"cross_entropy dlogits", p.logits, gradient,
                                                   N * V, loss_of, &p, 0x1p-4, 2e-5});
    free(p.logits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_equals_ref),
        cmocka_unit_test(chunks_of_any_order_of_size_merge),
        cmocka_unit_test(ref_gradient_is_the_derivative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
