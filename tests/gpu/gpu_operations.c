/* How fast the GPU backend's operations are, each alone, at the sizes of a training step of the 3B
 * language model: the measured column of kernels/cuda/README.md.
 *
 * usage: gpu_operations [--table cuda-bf16|cuda] [--tokens T] [--small]
 *
 * Each operation runs for about a third of a second, so that the card is at its power limit, as in
 * training. --small: sizes for an emulated GPU, whose times mean nothing. */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/text_buffer.h"
#include "device/device.h"
#include "device/stream.h"
#include "kernels.h"

struct sizes {
    int64_t t, s, hidden, ffn, h, kv, d, vocab, targets;
};

static const struct sizes sizes_3b = {16384, 8, 2048, 11008, 16, 2, 128, 151936, 1024};
static const struct sizes sizes_small = {64, 2, 256, 96, 4, 2, 64, 128, 16};

struct bench {
    const struct kernels *k;
    struct stream *stream;
    struct sizes z;
    double seconds; /* to measure for */
    int64_t o, i;   /* of the linear layer in work */
    void *a, *b, *c;
    float *f32, *rows, *tables;
    int32_t *ids, *seq_start, *position;
    void *workspace;
    struct adamw_step step;
    struct adamw_part *parts; /* of the optimizer, as optimizer.c cuts them */
    int64_t n_parts;
};

typedef enum status (*operation)(struct bench *b);

static enum status product(struct bench *b)
{
    return b->k->linear_forward(b->c, b->a, b->b, NULL, b->z.t, b->o, b->i, b->stream);
}

static enum status product_input(struct bench *b)
{
    return b->k->linear_backward_input(b->c, b->a, b->b, b->z.t, b->o, b->i, 0, b->stream);
}

static enum status product_weight(struct bench *b)
{
    return b->k->linear_backward_weight(b->f32, NULL, b->a, b->b, b->z.t, b->o, b->i, b->stream);
}

static enum status attention(struct bench *b)
{
    return b->k->attention_forward(b->c, b->rows, b->a, b->seq_start, b->z.s, b->z.t, b->z.h,
                                   b->z.kv, b->z.d, 1 / sqrt((double)b->z.d), b->workspace,
                                   b->stream);
}

static enum status attention_gradient(struct bench *b)
{
    return b->k->attention_backward(b->b, b->c, b->c, b->rows, b->a, b->seq_start, b->z.s, b->z.t,
                                    b->z.h, b->z.kv, b->z.d, 1 / sqrt((double)b->z.d), b->workspace,
                                    b->stream);
}

static enum status norm(struct bench *b)
{
    return b->k->rmsnorm_forward(b->c, b->rows, b->a, b->b, b->z.t, b->z.hidden, 1e-6, b->stream);
}

static enum status norm_gradient(struct bench *b)
{
    return b->k->rmsnorm_backward(b->c, b->f32, b->b, b->a, b->b, b->rows, b->z.t, b->z.hidden, 1,
                                  b->workspace, b->stream);
}

static enum status residual_norm(struct bench *b)
{
    return b->k->add_rmsnorm_forward(b->c, b->b, b->rows, b->a, b->f32, b->z.t, b->z.hidden, 1e-6,
                                     b->stream);
}

static enum status residual(struct bench *b)
{
    return b->k->add(b->c, b->a, b->z.t * b->z.hidden, b->stream);
}

static enum status rotate(struct bench *b)
{
    return b->k->rope(b->c, b->tables, b->tables, b->position, b->z.t, b->z.h, b->z.kv, b->z.d, 1,
                      b->stream);
}

static enum status rotate_gradient(struct bench *b)
{
    return b->k->rope_backward(b->c, b->f32, b->tables, b->tables, b->position, b->z.t, b->z.h,
                               b->z.kv, b->z.d, b->workspace, b->stream);
}

static enum status swiglu(struct bench *b)
{
    return b->k->swiglu_forward(b->c, b->a, b->z.t, b->z.ffn, b->stream);
}

static enum status swiglu_gradient(struct bench *b)
{
    return b->k->swiglu_backward(b->c, b->b, b->a, b->z.t, b->z.ffn, b->stream);
}

static enum status loss(struct bench *b)
{
    return b->k->cross_entropy_stats(b->rows, b->rows, b->rows, b->a, b->ids, b->z.targets,
                                     b->z.vocab, 0, b->stream);
}

static enum status loss_gradient(struct bench *b)
{
    return b->k->cross_entropy_gradient(b->c, b->rows, b->rows, b->ids, b->rows, b->z.targets,
                                        b->z.vocab, 0, b->stream);
}

static int64_t weights_of(const struct sizes *z)
{
    return z->t * z->ffn / 2;
}

static enum status optimizer(struct bench *b)
{
    uint16_t *rounded = (uint16_t *)b->a + 2 * weights_of(&b->z); /* behind the fp32 ones */
    return b->k->adamw_parts(b->a, rounded, b->b, b->c, b->f32, b->parts, b->n_parts, &b->step, 1,
                             b->stream);
}

static enum status copy(struct bench *b)
{
    return stream_copy(b->stream, b->c, b->a, (size_t)(b->z.t * b->z.ffn) * 2);
}

/* Milliseconds of one call, called on and on. */
static enum status measure(struct bench *b, operation run, double *ms_out)
{
    enum status status = OK;
    int64_t n = 1;
    double spent = 0;
    TRY(run(b)); /* chooses algorithms */
    TRY(stream_wait(b->stream));
    while (spent < b->seconds) {
        const double start = monotonic_seconds();
        for (int64_t i = 0; i < n; i++) TRY(run(b));
        TRY(stream_wait(b->stream));
        spent = monotonic_seconds() - start;
        *ms_out = spent * 1e3 / (double)n;
        n *= 2;
    }
out:
    return status;
}

/* `flops` or `bytes` of one call is 0. */
static enum status row(struct bench *b, const char *name, operation run, double flops, double bytes)
{
    enum status status = OK;
    double ms = 0;
    TRY_WHERE(measure(b, run, &ms), "%s", name);
    if (flops > 0) printf("%-34s %9.3f ms %8.1f TFLOP/s\n", name, ms, flops / ms * 1e-9);
    if (bytes > 0) printf("%-34s %9.3f ms %8.2f TB/s\n", name, ms, bytes / ms * 1e-9);
    fflush(stdout);
out:
    return status;
}

static enum status products(struct bench *b, const char *name, int64_t o, int64_t i)
{
    enum status status = OK;
    static const operation runs[] = {product, product_input, product_weight};
    static const char *const what[] = {"", ", input gradient", ", weight gradient"};
    b->o = o;
    b->i = i;
    for (int k = 0; k < 3 && status == OK; k++) {
        char *title = text_format("%s%s", name, what[k]);
        status = row(b, title, runs[k], 2.0 * (double)(b->z.t * o * i), 0);
        free(title);
    }
    return status;
}

/* Forward and backward by the table's own kernels, by cuDNN in a fixed order, and its backward in
 * any order: what the same bits in every run cost. */
static enum status attentions(struct bench *b, double scores)
{
    static const struct {
        const char *forward, *backward;
        struct attention_ways ways;
    } all[] = {{"attention", "attention gradient", {ATTENTION_OWN, ATTENTION_OWN, false}},
               {"attention, cuDNN",
                "attention gradient, cuDNN",
                {ATTENTION_CUDNN, ATTENTION_CUDNN, false}},
               {NULL, "attention gradient, any order", {ATTENTION_CUDNN, ATTENTION_CUDNN, true}}};
    enum status status = OK;
    const struct sizes *z = &b->z;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct attention_ways ways = all[i].ways;
        if (b->k->dtype != DTYPE_BF16 && i > 0) break;
        status = b->k->attention_prepare(&ways, z->t, (z->t + z->s - 1) / z->s, z->h, z->kv, z->d,
                                         b->stream);
        if (status == ERR_UNSUPPORTED && i > 0) {
            printf("%-34s skipped: %s\n", all[i].backward, status_message());
            status = OK;
            continue;
        }
        TRY(status);
        if (all[i].forward != NULL) TRY(row(b, all[i].forward, attention, 4 * scores, 0));
        TRY(row(b, all[i].backward, attention_gradient, 10 * scores, 0));
    }
out:
    return status;
}

static enum status measure_all(struct bench *b)
{
    enum status status = OK;
    const struct sizes *z = &b->z;
    const double e = (double)dtype_size(b->k->dtype), t = (double)z->t;
    const double u = t * (double)z->hidden * e, f = t * (double)z->ffn * e;
    const double qkv = t * (double)((z->h + 2 * z->kv) * z->d) * e;
    const double logits = (double)(z->targets * z->vocab) * e;
    /* Causal: half of each sequence's square. */
    const double scores = t * t / (double)z->s / 2 * (double)(z->h * z->d);
    TRY(row(b, "copy", copy, 0, 4 * t * (double)z->ffn));
    TRY(products(b, "qkv", (z->h + 2 * z->kv) * z->d, z->hidden));
    TRY(products(b, "attention output", z->hidden, z->h * z->d));
    TRY(products(b, "gate and up", 2 * z->ffn, z->hidden));
    TRY(products(b, "down", z->hidden, z->ffn));
    TRY(attentions(b, scores));
    TRY(row(b, "RMSNorm", norm, 0, 2 * u));
    TRY(row(b, "RMSNorm gradient", norm_gradient, 0, 6 * u));
    TRY(row(b, "residual sum", residual, 0, 3 * u));
    TRY(row(b, "residual sum and RMSNorm", residual_norm, 0, 4 * u));
    TRY(row(b, "RoPE", rotate, 0, 2 * qkv));
    TRY(row(b, "RoPE gradient and bias", rotate_gradient, 0, 2 * qkv));
    TRY(row(b, "SwiGLU", swiglu, 0, 3 * f));
    TRY(row(b, "SwiGLU gradient", swiglu_gradient, 0, 5 * f));
    TRY(row(b, "loss", loss, 0, 2 * logits));
    TRY(row(b, "loss gradient", loss_gradient, 0, 2 * logits));
    TRY(row(b, "AdamW", optimizer, 0, 30 * (double)weights_of(z)));
out:
    return status;
}

/* Numbers from -1 to 1 without a pattern: products of zeros take less power, and are faster. */
static enum status fill(struct bench *b, void *memory, size_t bytes)
{
    enum status status = OK;
    enum { BLOCK = 1 << 20 };
    const size_t element = dtype_size(b->k->dtype), block = BLOCK * element;
    const struct random_stream numbers = random_stream(1, "gpu_operations");
    unsigned char *values = memory_new(BLOCK, element);
    for (size_t i = 0; i < BLOCK; i++) {
        const float value = (float)random_uniform(numbers, i) * 2 - 1;
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        if (element == 2) bits >>= 16;
        memcpy(values + i * element, &bits, element); /* the low half on this machine */
    }
    for (size_t at = 0; at < bytes; at += block) {
        const size_t left = bytes - at;
        TRY(stream_copy(b->stream, (char *)memory + at, values, left < block ? left : block));
    }
    TRY(stream_wait(b->stream));
out:
    free(values);
    return status;
}

static enum status make_parts(struct bench *b)
{
    enum status status = OK;
    const int64_t n = weights_of(&b->z), most = 65536;
    b->n_parts = (n + most - 1) / most;
    struct adamw_part *parts = memory_new((size_t)b->n_parts, sizeof *parts);
    for (int64_t i = 0; i < b->n_parts; i++) {
        const int64_t first = i * most, left = n - first;
        parts[i] = (struct adamw_part){first, first, first, left < most ? left : most, 0};
    }
    TRY(stream_take(b->stream, (void **)&b->parts, (size_t)b->n_parts * sizeof *parts, "parts"));
    TRY(stream_read(b->stream, b->parts, parts, (size_t)b->n_parts * sizeof *parts));
out:
    free(parts);
    return status;
}

/* Memory of the sizes, without zeros but for what indexes and is added to. */
static enum status set_up(struct bench *b)
{
    enum status status = OK;
    const struct sizes *z = &b->z;
    const int64_t qkv = (z->h + 2 * z->kv) * z->d, most_out = 2 * z->ffn > qkv ? 2 * z->ffn : qkv;
    const size_t wide = (size_t)(most_out * (z->t + z->hidden)) * sizeof(float);
    const size_t loss_bytes = (size_t)(z->targets * z->vocab) * sizeof(float);
    const size_t most = wide > loss_bytes ? wide : loss_bytes;
    void **const large[] = {&b->a, &b->b, &b->c, (void **)&b->f32};
    for (int i = 0; i < 4; i++) {
        TRY(stream_take(b->stream, large[i], most, "the benchmark"));
        if (i < 3)
            TRY(fill(b, *large[i], most));
        else
            TRY(stream_zero(b->stream, *large[i], most));
    }
    const size_t scratch = b->k->norm_workspace(z->t, z->hidden) +
                           b->k->column_workspace(z->t, (z->h + 2 * z->kv) * z->d) +
                           b->k->attention_workspace(z->t, z->h, z->kv, z->d);
    TRY(stream_take(b->stream, &b->workspace, scratch, "the benchmark"));
    TRY(stream_take(b->stream, (void **)&b->rows, (size_t)(z->t * z->h) * sizeof(float), "rows"));
    TRY(stream_zero(b->stream, b->rows, (size_t)(z->t * z->h) * sizeof(float)));
    TRY(stream_take(b->stream, (void **)&b->tables, (size_t)(z->t * z->d) * 4, "tables"));
    TRY(stream_zero(b->stream, b->tables, (size_t)(z->t * z->d) * 4));
    TRY(stream_take(b->stream, (void **)&b->position, (size_t)z->t * 4, "positions"));
    TRY(stream_zero(b->stream, b->position, (size_t)z->t * 4));
    b->ids = b->position;
    int32_t *starts = memory_new((size_t)z->s + 1, sizeof *starts);
    for (int64_t s = 0; s <= z->s; s++) starts[s] = (int32_t)(z->t * s / z->s);
    status = stream_take(b->stream, (void **)&b->seq_start, (size_t)(z->s + 1) * 4, "sequences");
    if (status == OK) status = stream_read(b->stream, b->seq_start, starts, (size_t)(z->s + 1) * 4);
    free(starts);
    b->step = (struct adamw_step){.lr = 1e-5,
                                  .beta1 = 0.9,
                                  .beta2 = 0.999,
                                  .eps = 1e-8,
                                  .weight_decay = 0.1,
                                  .step = 1,
                                  .grad_scale = 1};
    TRY(make_parts(b));
out:
    return status;
}

static void release(struct bench *b)
{
    void *const all[] = {b->a,    b->b,      b->c,        b->f32,       b->workspace,
                         b->rows, b->tables, b->position, b->seq_start, b->parts};
    for (size_t i = 0; b->stream != NULL && i < sizeof all / sizeof all[0]; i++)
        if (all[i] != NULL) stream_give(b->stream, all[i]);
    stream_destroy(b->stream);
}

int main(int argc, char **argv)
{
    enum status status = OK;
    struct bench b = {.z = sizes_3b, .seconds = 0.3};
    struct device *device = NULL;
    const char *table = "cuda-bf16";
    static const struct option options[] = {{"table", required_argument, NULL, 't'},
                                            {"tokens", required_argument, NULL, 'n'},
                                            {"small", no_argument, NULL, 's'},
                                            {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 't') table = optarg;
        if (c == 'n') b.z.t = strtoll(optarg, NULL, 10);
        if (c == 's') b = (struct bench){.z = sizes_small, .seconds = 1e-6};
        if (c == '?') return 2;
    }
    b.k = kernels_find(table);
    if (b.k == NULL) FAIL(ERR_UNSUPPORTED, "this build has no kernels called %s", table);
    TRY(device_open(&device, b.k->device, 0));
    TRY(device_stream(device, &b.stream, 1));
    printf("%s on %s, %lld tokens in %lld sequences\n", table, device_text(device),
           (long long)b.z.t, (long long)b.z.s);
    TRY(set_up(&b));
    TRY(measure_all(&b));
out:
    release(&b);
    device_close(device);
    if (status != OK) fprintf(stderr, "gpu_operations: %s\n", status_message());
    return status == OK ? 0 : 1;
}
