/* A whole training step of a mid-size ROBIN on the CPU: tokens per second, the share of the
 * machine's sgemm speed that its necessary arithmetic reaches, and where the time goes. Counted are
 * the operations of matrix products, attention and 7x7 convolutions, once in the forward and once
 * in the backward; anything computed again, or element by element, counts as nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/text_buffer.h"
#include "device/stream.h"
#include "model/robin_model.h"
#include "support/batch_maker.h"
#include "support/bench.h"
#include "train/optimizer.h"

enum { SAMPLES = 4, REGIONS = 6, PROMPT = 16, ANSWER = 96, VOCAB = 16384, MASK_ID = VOCAB - 2 };
enum { MASK_SIDE = 240, SIDE = 256, RUNS = 3 };
enum { IDS = PROMPT + 1 + 2 * REGIONS + ANSWER };

static const struct model_config config = {
    .image_height = SIDE,
    .image_width = SIDE,
    .vision = {.depths = {3, 3, 9, 3},
               .dims = {96, 192, 384, 768},
               .norm_eps = 1e-6,
               .layer_scale_init = 1e-6},
    .extractor = {.embed = 512, .mask_side = 112},
    .lm = {.vocab = VOCAB,
           .hidden = 512,
           .ffn = 1408,
           .layers = 8,
           .heads = 8,
           .kv_heads = 2,
           .max_positions = 2048,
           .rms_eps = 1e-6,
           .rope_theta = 1e6,
           .tied = true},
};

/* ---- a table of kernels that counts ---- */

enum part { PART_LINEAR, PART_ATTENTION, PART_DEPTHWISE, N_PARTS };

static const char *const part_names[N_PARTS] = {"matrix products", "attention", "7x7 convolutions"};

/* One benchmark runs at a time, and a kernel's signature has no room for a context. */
static struct {
    double flops, seconds;
} parts[N_PARTS];

static double now_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Makes the call, and books its time and its operations. */
#define COUNTED(part, operations, call)                                                            \
    double start = now_seconds();                                                                  \
    enum status status = (call);                                                                   \
    parts[part].seconds += now_seconds() - start;                                                  \
    parts[part].flops += (operations);                                                             \
    return status

static enum status linear_forward(void *out, const void *x, const void *w, const void *bias,
                                  int64_t n, int64_t o, int64_t i, struct stream *stream)
{
    COUNTED(PART_LINEAR, 2.0 * (double)(n * o * i),
            kernels_cpu.linear_forward(out, x, w, bias, n, o, i, stream));
}

static enum status linear_backward_input(void *dx, const void *dy, const void *w, int64_t n,
                                         int64_t o, int64_t i, int accumulate,
                                         struct stream *stream)
{
    COUNTED(PART_LINEAR, 2.0 * (double)(n * o * i),
            kernels_cpu.linear_backward_input(dx, dy, w, n, o, i, accumulate, stream));
}

static enum status linear_backward_weight(float *dw, float *dbias, const void *dy, const void *x,
                                          int64_t n, int64_t o, int64_t i, struct stream *stream)
{
    COUNTED(PART_LINEAR, 2.0 * (double)(n * o * i),
            kernels_cpu.linear_backward_weight(dw, dbias, dy, x, n, o, i, stream));
}

/* Query and key pairs of causal attention over the packed sequences. */
static double pairs(const int32_t *seq_start, int64_t s)
{
    double sum = 0;
    for (int64_t i = 0; i < s; i++) {
        double length = seq_start[i + 1] - seq_start[i];
        sum += length * (length + 1) / 2;
    }
    return sum;
}

static enum status attention_forward(void *out, float *lse, const void *qkv,
                                     const int32_t *seq_start, int64_t s, int64_t t, int64_t h,
                                     int64_t kv, int64_t d, double scale, void *workspace,
                                     struct stream *stream)
{
    COUNTED(PART_ATTENTION, 4.0 * pairs(seq_start, s) * (double)(h * d),
            kernels_cpu.attention_forward(out, lse, qkv, seq_start, s, t, h, kv, d, scale,
                                          workspace, stream));
}

static enum status attention_backward(void *dqkv, const void *dout, const void *out,
                                      const float *lse, const void *qkv, const int32_t *seq_start,
                                      int64_t s, int64_t t, int64_t h, int64_t kv, int64_t d,
                                      double scale, void *workspace, struct stream *stream)
{
    COUNTED(PART_ATTENTION, 8.0 * pairs(seq_start, s) * (double)(h * d),
            kernels_cpu.attention_backward(dqkv, dout, out, lse, qkv, seq_start, s, t, h, kv, d,
                                           scale, workspace, stream));
}

static enum status depthwise7_forward(void *out, const void *in, const void *w, const void *bias,
                                      int64_t b, int64_t y, int64_t x, int64_t c, void *workspace,
                                      struct stream *stream)
{
    COUNTED(PART_DEPTHWISE, 98.0 * (double)(b * y * x * c),
            kernels_cpu.depthwise7_forward(out, in, w, bias, b, y, x, c, workspace, stream));
}

static enum status depthwise7_backward_input(void *din, const void *dout, const void *w, int64_t b,
                                             int64_t y, int64_t x, int64_t c, int accumulate,
                                             void *workspace, struct stream *stream)
{
    COUNTED(PART_DEPTHWISE, 98.0 * (double)(b * y * x * c),
            kernels_cpu.depthwise7_backward_input(din, dout, w, b, y, x, c, accumulate, workspace,
                                                  stream));
}

static enum status depthwise7_backward_weight(float *dw, float *dbias, const void *dout,
                                              const void *in, int64_t b, int64_t y, int64_t x,
                                              int64_t c, void *workspace, struct stream *stream)
{
    COUNTED(
        PART_DEPTHWISE, 98.0 * (double)(b * y * x * c),
        kernels_cpu.depthwise7_backward_weight(dw, dbias, dout, in, b, y, x, c, workspace, stream));
}

static struct kernels counting_kernels(void)
{
    struct kernels kernels = kernels_cpu;
    kernels.linear_forward = linear_forward;
    kernels.linear_backward_input = linear_backward_input;
    kernels.linear_backward_weight = linear_backward_weight;
    kernels.attention_forward = attention_forward;
    kernels.attention_backward = attention_backward;
    kernels.depthwise7_forward = depthwise7_forward;
    kernels.depthwise7_backward_input = depthwise7_backward_input;
    kernels.depthwise7_backward_weight = depthwise7_backward_weight;
    return kernels;
}

/* ---- the batch and the step ---- */

struct training {
    struct stream *stream;
    struct kernels kernels;
    struct made_batch made;
    struct model *model;
    struct optimizer *optimizer;
};

/* Samples alike: prompt, image, regions, answer; every region a box of another size. */
static enum status make_batch(struct training *t)
{
    static int64_t ids[IDS], labels[IDS];
    static uint8_t masks[REGIONS * MASK_SIDE * MASK_SIDE];
    int64_t n = 0;
    for (int i = 0; i < PROMPT; i++) ids[n++] = 100 + i;
    ids[n++] = MAKER_IMAGE_ID;
    for (int q = 0; q < REGIONS; q++) {
        ids[n++] = MASK_ID;
        ids[n++] = MASK_ID + 1;
        for (int64_t i = 0; i < MASK_SIDE * (q + 1) * 30; i++)
            masks[q * MASK_SIDE * MASK_SIDE + i] = i % MASK_SIDE > 20;
    }
    for (int i = 0; i < ANSWER; i++) ids[n++] = 1000 + 7 * i;
    for (int i = 0; i < IDS; i++) labels[i] = i >= IDS - ANSWER ? ids[i] : MAKER_IGNORE;
    float *pixels = bench_floats(3 * SIDE * SIDE);
    struct made_sample samples[SAMPLES];
    for (int i = 0; i < SAMPLES; i++)
        samples[i] = (struct made_sample){.ids = ids,
                                          .labels = labels,
                                          .n_ids = IDS,
                                          .pixels = pixels,
                                          .masks = masks,
                                          .n_regions = REGIONS,
                                          .mask_height = MASK_SIDE,
                                          .mask_width = MASK_SIDE};
    const struct maker_options options = {
        .config = &config, .mask_id = MASK_ID, .kernels = &kernels_cpu, .stream = t->stream};
    enum status status = batch_make(&t->made, samples, SAMPLES, &options);
    free(pixels);
    return status;
}

static enum status make_model(struct training *t)
{
    enum status status = OK;
    const struct model_batch *batch = &t->made.batch;
    const struct model_options options = {.limits = {.max_images = batch->n_images,
                                                     .max_regions = batch->n_regions,
                                                     .max_sequences = batch->n_sequences,
                                                     .max_tokens = batch->n_tokens,
                                                     .max_targets = batch->n_targets},
                                          .trainable = {true, true, true, true},
                                          .backward = true};
    TRY(model_create(&t->model, &config, &options, &t->kernels, t->stream));
    parameters_fill(model_weights(t->model), model_parameters(t->model), 1);
    const struct optimizer_options adamw = {.lr = {1e-5, 1e-5, 1e-5, 1e-5},
                                            .beta1 = 0.9,
                                            .beta2 = 0.999,
                                            .eps = 1e-8,
                                            .weight_decay = 0.01,
                                            .clip_norm = 1};
    TRY(optimizer_create(&t->optimizer, model_parameters(t->model), &adamw, &t->kernels,
                         t->stream));
out:
    return status;
}

static enum status step(struct training *t)
{
    enum status status = OK;
    struct model_result result;
    double norm;
    model_zero_gradients(t->model);
    TRY(model_step(t->model, &t->made.batch, true, NULL, &result));
    TRY(optimizer_gradient_norm(t->optimizer, model_gradients(t->model), &norm));
    TRY(optimizer_step(t->optimizer, model_weights(t->model), model_gradients(t->model), norm, 1));
out:
    return status;
}

static enum status measure(struct training *t)
{
    enum status status = OK;
    double peak = bench_sgemm_gflops(t->stream), best = 0, flops = 0, rest = 0;
    double seconds[N_PARTS] = {0};
    TRY(make_batch(t));
    TRY(make_model(t));
    TRY(step(t));
    for (int run = 0; run < RUNS; run++) {
        for (int p = 0; p < N_PARTS; p++) parts[p].flops = parts[p].seconds = 0;
        double start = now_seconds();
        TRY(step(t));
        double time = now_seconds() - start;
        if (run > 0 && time >= best) continue;
        best = rest = time;
        flops = 0;
        for (int p = 0; p < N_PARTS; p++) {
            seconds[p] = parts[p].seconds;
            flops += parts[p].flops;
            rest -= parts[p].seconds;
        }
    }
    const struct model_batch *batch = &t->made.batch;
    char *size = text_format("%lld tokens, %lld images", (long long)batch->n_tokens,
                             (long long)batch->n_images);
    bench_row("training step", size, "%7.0f tokens/s %5.1f GFLOP/s = %.0f %% of sgemm",
              (double)batch->n_tokens / best, 1e-9 * flops / best, 1e-7 * flops / best / peak);
    for (int p = 0; p < N_PARTS; p++)
        bench_row("training step", part_names[p], "%7.0f ms %5.1f GFLOP/s", 1e3 * seconds[p],
                  1e-9 * parts[p].flops / seconds[p]);
    bench_row("training step", "everything else", "%7.0f ms", 1e3 * rest);
    free(size);
out:
    return status;
}

int main(void)
{
    struct training t = {.kernels = counting_kernels()};
    enum status status = stream_create(&t.stream, bench_threads());
    if (status == OK) status = measure(&t);
    if (status != OK) fprintf(stderr, "error: %s\n", status_message());
    optimizer_destroy(t.optimizer);
    model_destroy(t.model);
    batch_release(&t.made);
    stream_destroy(t.stream);
    return status == OK ? 0 : 1;
}
