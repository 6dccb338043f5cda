/* The count of operations against the kernels themselves: a table that calls the cpu kernels and
 * adds up what each call multiplies, for every set of modules that trains. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/assertion.h"
#include "device/stream.h"
#include "kernels.h"
#include "model/model_flops.h"
#include "support/tiny_robin.h"

static double counted;

static void count(int64_t n, int64_t o, int64_t i)
{
    counted += 2 * (double)n * (double)o * (double)i;
}

static enum status count_linear_forward(void *out, const void *x, const void *w, const void *bias,
                                        int64_t n, int64_t o, int64_t i, struct stream *stream)
{
    count(n, o, i);
    return kernels_cpu.linear_forward(out, x, w, bias, n, o, i, stream);
}

static enum status count_linear_backward_input(void *dx, const void *dy, const void *w, int64_t n,
                                               int64_t o, int64_t i, int accumulate,
                                               struct stream *stream)
{
    count(n, o, i);
    return kernels_cpu.linear_backward_input(dx, dy, w, n, o, i, accumulate, stream);
}

static enum status count_linear_backward_weight(float *dw, float *dbias, const void *dy,
                                                const void *x, int64_t n, int64_t o, int64_t i,
                                                struct stream *stream)
{
    count(n, o, i);
    return kernels_cpu.linear_backward_weight(dw, dbias, dy, x, n, o, i, stream);
}

/* Scores and sums over every pair of query and earlier key: 2 products of h d each. */
static void count_attention(const int32_t *seq_start, int64_t s, int64_t h, int64_t d, double times)
{
    for (int64_t i = 0; i < s; i++) {
        const double t = seq_start[i + 1] - seq_start[i];
        counted += times * 2 * 2 * (double)(h * d) * t * (t + 1) / 2;
    }
}

static enum status count_attention_forward(void *out, float *lse, const void *qkv,
                                           const int32_t *seq_start, int64_t s, int64_t t,
                                           int64_t h, int64_t kv, int64_t d, double scale,
                                           void *workspace, struct stream *stream)
{
    count_attention(seq_start, s, h, d, 1);
    return kernels_cpu.attention_forward(out, lse, qkv, seq_start, s, t, h, kv, d, scale, workspace,
                                         stream);
}

static enum status count_attention_backward(void *dqkv, const void *dout, const void *out,
                                            const float *lse, const void *qkv,
                                            const int32_t *seq_start, int64_t s, int64_t t,
                                            int64_t h, int64_t kv, int64_t d, double scale,
                                            void *workspace, struct stream *stream)
{
    count_attention(seq_start, s, h, d, 2);
    return kernels_cpu.attention_backward(dqkv, dout, out, lse, qkv, seq_start, s, t, h, kv, d,
                                          scale, workspace, stream);
}

static enum status count_depthwise7_forward(void *out, const void *in, const void *w,
                                            const void *bias, int64_t b, int64_t y, int64_t x,
                                            int64_t c, void *workspace, struct stream *stream)
{
    count(b * y * x, c, 49);
    return kernels_cpu.depthwise7_forward(out, in, w, bias, b, y, x, c, workspace, stream);
}

static enum status count_depthwise7_backward_input(void *din, const void *dout, const void *w,
                                                   int64_t b, int64_t y, int64_t x, int64_t c,
                                                   int accumulate, void *workspace,
                                                   struct stream *stream)
{
    count(b * y * x, c, 49);
    return kernels_cpu.depthwise7_backward_input(din, dout, w, b, y, x, c, accumulate, workspace,
                                                 stream);
}

static enum status count_depthwise7_backward_weight(float *dw, float *dbias, const void *dout,
                                                    const void *in, int64_t b, int64_t y, int64_t x,
                                                    int64_t c, void *workspace,
                                                    struct stream *stream)
{
    count(b * y * x, c, 49);
    return kernels_cpu.depthwise7_backward_weight(dw, dbias, dout, in, b, y, x, c, workspace,
                                                  stream);
}

static enum status count_mask_pool_forward(float *out, const void *feature,
                                           const uint8_t *footprint, const int32_t *image_of,
                                           int64_t q, int64_t b, int64_t p, int64_t c,
                                           struct stream *stream)
{
    count(q, p, c);
    return kernels_cpu.mask_pool_forward(out, feature, footprint, image_of, q, b, p, c, stream);
}

static enum status count_mask_pool_backward(void *dfeature, const float *dout,
                                            const uint8_t *footprint, const int32_t *image_of,
                                            int64_t q, int64_t b, int64_t p, int64_t c,
                                            struct stream *stream)
{
    count(q, p, c);
    return kernels_cpu.mask_pool_backward(dfeature, dout, footprint, image_of, q, b, p, c, stream);
}

static struct kernels counting_kernels(void)
{
    struct kernels kernels = kernels_cpu;
    kernels.linear_forward = count_linear_forward;
    kernels.linear_backward_input = count_linear_backward_input;
    kernels.linear_backward_weight = count_linear_backward_weight;
    kernels.attention_forward = count_attention_forward;
    kernels.attention_backward = count_attention_backward;
    kernels.depthwise7_forward = count_depthwise7_forward;
    kernels.depthwise7_backward_input = count_depthwise7_backward_input;
    kernels.depthwise7_backward_weight = count_depthwise7_backward_weight;
    kernels.mask_pool_forward = count_mask_pool_forward;
    kernels.mask_pool_backward = count_mask_pool_backward;
    return kernels;
}

static double count_step(const struct model_options *options, const struct made_batch *made)
{
    const struct model_config config = tiny_config();
    const struct kernels kernels = counting_kernels();
    struct stream *stream = NULL;
    struct model *model = NULL;
    struct model_result result;
    assert_int_equal(stream_create(&stream, 1), OK);
    assert_int_equal(model_create(&model, &config, options, &kernels, stream), OK);
    parameters_fill(model_weights(model), model_parameters(model), 1);
    counted = 0;
    assert_int_equal(model_step(model, &made->batch, options->backward, NULL, &result), OK);
    model_destroy(model);
    stream_destroy(stream);
    return counted;
}

static struct model_load load_of(const struct model_batch *batch)
{
    struct model_load load = {.images = (double)batch->n_images,
                              .regions = (double)batch->n_regions,
                              .targets = (double)batch->n_targets};
    for (int64_t s = 0; s < batch->n_sequences; s++)
        model_load_add(&load, batch->seq_start[s + 1] - batch->seq_start[s], 0, 0, 0);
    return load;
}

static void test_counts_are_those_of_the_kernels(void **state)
{
    (void)state;
    const struct model_config config = tiny_config();
    struct tiny_samples samples;
    struct made_batch made;
    tiny_samples_init(&samples, &config);
    tiny_batch(&made, &samples, 0, TINY_SAMPLES);
    const struct model_load load = load_of(&made.batch);
    for (int set = 0; set < 64; set++) { /* modules, recompute, backward at all */
        struct model_options options = tiny_options();
        for (int m = 0; m < N_MODULES; m++) options.trainable[m] = set >> m & 1;
        options.recompute = set >> 4 & 1;
        options.backward = set >> 5 & 1;
        const struct model_flops flops = model_flops(&config, &options, &load);
        double expected = model_flops_sum(&flops);
        for (int m = 0; m < N_MODULES; m++) expected += flops.again[m];
        const double found = count_step(&options, &made);
        if (fabs(expected - found) > 1e-9 * found)
            fail_msg("modules %d, recompute %d, backward %d: %.0f counted, %.0f planned", set & 15,
                     options.recompute, options.backward, found, expected);
    }
    batch_release(&made);
    tiny_samples_release(&samples);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_counts_are_those_of_the_kernels)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
