/* A whole training step of a mid-size and of a tiny ROBIN on the CPU: tokens per second, the share
 * of the machine's sgemm speed that its necessary arithmetic reaches, and where the time goes.
 * Counted are the operations of matrix products, attention and 7x7 convolutions, once in the
 * forward and once in the backward; anything computed again, or element by element, counts as
 * nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text_buffer.h"
#include "device/stream.h"
#include "model/robin_model.h"
#include "parallel/optimizer.h"
#include "support/batch_maker.h"
#include "support/bench.h"

enum { SAMPLES = 4, PROMPT = 16, MAX_REGIONS = 6, MAX_IDS = 256 };

/* A model, and samples alike for it. */
struct setup {
    const char *name;
    struct model_config config;
    int64_t regions, answer; /* of a sample; answer: tokens to learn */
    int runs;                /* steps timed, of which the fastest counts */
};

static const struct setup setups[] = {
    {.name = "mid-size, 256 x 256",
     .config = {.image_height = 256,
                .image_width = 256,
                .vision = {.depths = {3, 3, 9, 3},
                           .dims = {96, 192, 384, 768},
                           .norm_eps = 1e-6,
                           .layer_scale_init = 1e-6},
                .extractor = {.embed = 512, .mask_side = 112},
                .lm = {.vocab = 16384,
                       .hidden = 512,
                       .ffn = 1408,
                       .layers = 8,
                       .heads = 8,
                       .kv_heads = 2,
                       .max_positions = 2048,
                       .rms_eps = 1e-6,
                       .rope_theta = 1e6,
                       .tied = true}},
     .regions = 6,
     .answer = 96,
     .runs = 3},
    {.name = "robin-tiny, 128 x 128",
     .config = {.image_height = 128,
                .image_width = 128,
                .vision = {.depths = {1, 1, 2, 1},
                           .dims = {24, 48, 96, 192},
                           .norm_eps = 1e-6,
                           .layer_scale_init = 1},
                .extractor = {.embed = 128, .mask_side = 28},
                .lm = {.vocab = 512,
                       .hidden = 128,
                       .ffn = 352,
                       .layers = 4,
                       .heads = 8,
                       .kv_heads = 4,
                       .max_positions = 2048,
                       .rms_eps = 1e-6,
                       .rope_theta = 1e4,
                       .tied = true}},
     .regions = 5,
     .answer = 64,
     .runs = 50},
};

/* ---- a table of kernels that counts ---- */

enum part { PART_LINEAR, PART_ATTENTION, PART_DEPTHWISE, N_PARTS };

static const char *const part_names[N_PARTS] = {"matrix products", "attention", "7x7 convolutions"};

/* One benchmark runs at a time, and a kernel's signature has no room for a context. */
static struct share {
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
    const struct setup *setup;
    struct stream *stream;
    struct kernels kernels;
    struct made_batch made;
    struct model *model;
    struct optimizer *optimizer;
};

/* Samples alike: prompt, image, regions, answer; every region a box of another size. */
static enum status make_batch(struct training *t)
{
    const struct model_config *config = &t->setup->config;
    const int64_t side = config->image_width, mask_id = config->lm.vocab - 2;
    int64_t ids[MAX_IDS], labels[MAX_IDS], n = 0;
    uint8_t *masks = memory_new((size_t)(MAX_REGIONS * side * side), 1);
    for (int i = 0; i < PROMPT; i++) ids[n++] = 100 + i;
    ids[n++] = MAKER_IMAGE_ID;
    for (int64_t q = 0; q < t->setup->regions; q++) {
        ids[n++] = mask_id;
        ids[n++] = mask_id + 1;
        for (int64_t i = 0; i < side * (q + 1) * side / 8; i++)
            masks[q * side * side + i] = i % side > 20;
    }
    for (int i = 0; i < t->setup->answer; i++) ids[n++] = 120 + 3 * i;
    for (int64_t i = 0; i < n; i++) labels[i] = i < n - t->setup->answer ? MAKER_IGNORE : ids[i];
    float *pixels = bench_floats(3 * side * side);
    struct made_sample samples[SAMPLES];
    for (int i = 0; i < SAMPLES; i++)
        samples[i] = (struct made_sample){.ids = ids,
                                          .labels = labels,
                                          .n_ids = n,
                                          .pixels = pixels,
                                          .masks = masks,
                                          .n_regions = t->setup->regions,
                                          .mask_height = side,
                                          .mask_width = side};
    const struct maker_options options = {
        .config = config, .mask_id = mask_id, .kernels = &kernels_cpu, .stream = t->stream};
    enum status status = batch_make(&t->made, samples, SAMPLES, &options);
    free(pixels);
    free(masks);
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
    TRY(model_create(&t->model, &t->setup->config, &options, &t->kernels, t->stream));
    parameters_fill(model_weights(t->model), model_parameters(t->model), 1);
    const struct optimizer_options adamw = {.lr = {1e-5, 1e-5, 1e-5, 1e-5},
                                            .beta1 = 0.9,
                                            .beta2 = 0.999,
                                            .eps = 1e-8,
                                            .weight_decay = 0.01,
                                            .clip_norm = 1};
    TRY(optimizer_create(&t->optimizer, model_parameters(t->model), NULL, &adamw, &t->kernels,
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
    TRY(optimizer_gradient_norm(t->optimizer, model_gradients(t->model), &norm, NULL));
    TRY(optimizer_step(t->optimizer, model_weights(t->model), model_gradients(t->model), norm, 1));
out:
    return status;
}

/* The fastest of several steps. */
struct fastest {
    double seconds, flops, rest;
    struct share parts[N_PARTS];
};

static enum status time_steps(struct training *t, struct fastest *fastest)
{
    enum status status = OK;
    TRY(step(t));
    for (int run = 0; run < t->setup->runs; run++) {
        memset(parts, 0, sizeof parts);
        double start = now_seconds();
        TRY(step(t));
        double seconds = now_seconds() - start;
        if (run > 0 && seconds >= fastest->seconds) continue;
        *fastest = (struct fastest){.seconds = seconds, .rest = seconds};
        memcpy(fastest->parts, parts, sizeof parts);
        for (int p = 0; p < N_PARTS; p++) {
            fastest->flops += parts[p].flops;
            fastest->rest -= parts[p].seconds;
        }
    }
out:
    return status;
}

static enum status measure(struct training *t, double peak)
{
    enum status status = OK;
    struct fastest f = {0};
    TRY(make_batch(t));
    TRY(make_model(t));
    TRY(time_steps(t, &f));
    const struct model_batch *batch = &t->made.batch;
    bench_row("training step", t->setup->name,
              "%7.0f tokens/s %6.1f images/s %5.1f GFLOP/s = %.0f %% of sgemm",
              (double)batch->n_tokens / f.seconds, (double)batch->n_images / f.seconds,
              1e-9 * f.flops / f.seconds, 1e-7 * f.flops / f.seconds / peak);
    for (int p = 0; p < N_PARTS; p++)
        bench_row("", part_names[p], "%7.1f ms %5.1f GFLOP/s", 1e3 * f.parts[p].seconds,
                  1e-9 * f.parts[p].flops / f.parts[p].seconds);
    bench_row("", "everything else", "%7.1f ms", 1e3 * f.rest);
out:
    return status;
}

int main(void)
{
    enum status status = OK;
    struct stream *stream = NULL;
    TRY(stream_create(&stream, bench_threads()));
    double peak = bench_sgemm_gflops(stream);
    for (size_t i = 0; status == OK && i < sizeof setups / sizeof setups[0]; i++) {
        struct training t = {.setup = &setups[i], .stream = stream, .kernels = counting_kernels()};
        status = measure(&t, peak);
        optimizer_destroy(t.optimizer);
        model_destroy(t.model);
        batch_release(&t.made);
    }
out:
    if (status != OK) fprintf(stderr, "error: %s\n", status_message());
    stream_destroy(stream);
    return status == OK ? 0 : 1;
}
