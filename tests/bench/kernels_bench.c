/* How fast the CPU backend's operations are at the sizes of the model: memory moved per second
 * (each tensor once) and, where arithmetic counts, floating point operations per second. */
#include <stdio.h>
#include <stdlib.h>

#include "base/text_buffer.h"
#include "device/stream.h"
#include "kernels.h"
#include "support/bench.h"

/* A batch of feature maps, as in the four stages of ConvNeXt-L on two 256 x 256 images. */
struct maps {
    int64_t b, y, x, c;
};

struct bench {
    const struct kernels *k;
    struct stream *stream;
    struct maps m;
    int64_t n;                    /* elements of a map */
    float *a, *b, *out, *weights; /* a, b, out: [n]; weights: 64 C, zero gradients in its end */
    float *rows;                  /* 2 statistics per row */
    void *workspace;
};

static void layernorm_forward(void *context)
{
    struct bench *t = context;
    int64_t rows = t->n / t->m.c, c = t->m.c;
    t->k->layernorm_forward(t->out, t->rows, t->rows + rows, t->a, t->weights, t->weights + c, rows,
                            c, 1e-6, t->stream);
}

static void layernorm_backward(void *context)
{
    struct bench *t = context;
    int64_t rows = t->n / t->m.c, c = t->m.c;
    t->k->layernorm_backward(t->out, t->weights + c, t->weights + 2 * c, t->a, t->b, t->weights,
                             t->rows, t->rows + rows, rows, c, 0, t->workspace, t->stream);
}

static void gelu_forward(void *context)
{
    struct bench *t = context;
    t->k->gelu_forward(t->out, t->a, t->n, t->stream);
}

static void gelu_backward(void *context)
{
    struct bench *t = context;
    t->k->gelu_backward(t->out, t->a, t->b, t->n, t->stream);
}

static void depthwise7_forward(void *context)
{
    struct bench *t = context;
    struct maps m = t->m;
    t->k->depthwise7_forward(t->out, t->a, t->weights, t->b, m.b, m.y, m.x, m.c, t->workspace,
                             t->stream);
}

static void depthwise7_backward_input(void *context)
{
    struct bench *t = context;
    struct maps m = t->m;
    t->k->depthwise7_backward_input(t->out, t->a, t->weights, m.b, m.y, m.x, m.c, 0, t->workspace,
                                    t->stream);
}

static void depthwise7_backward_weight(void *context)
{
    struct bench *t = context;
    struct maps m = t->m;
    t->k->depthwise7_backward_weight(t->weights, t->weights + 49 * m.c, t->a, t->b, m.b, m.y, m.x,
                                     m.c, t->workspace, t->stream);
}

static void layer_scale_forward(void *context)
{
    struct bench *t = context;
    struct maps m = t->m;
    t->k->layer_scale_forward(t->out, t->a, t->b, t->weights, NULL, m.b, m.y * m.x, m.c, t->stream);
}

static void layer_scale_backward(void *context)
{
    struct bench *t = context;
    struct maps m = t->m;
    t->k->layer_scale_backward(t->out, t->weights + m.c, t->a, t->b, t->weights, NULL, m.b,
                               m.y * m.x, m.c, t->workspace, t->stream);
}

static void patch_unfold(void *context)
{
    struct bench *t = context;
    struct maps m = t->m;
    t->k->patch_unfold(t->out, t->a, m.b, m.y, m.x, m.c, 2, t->stream);
}

static void patch_fold(void *context)
{
    struct bench *t = context;
    struct maps m = t->m;
    t->k->patch_fold(t->out, t->a, m.b, m.y, m.x, m.c, 2, t->stream);
}

static const struct {
    const char *name;
    void (*body)(void *context);
    double tensors; /* of size [n], read or written */
    double flops;   /* per element; 0: not what bounds it */
} operations[] = {
    {"layernorm forward", layernorm_forward, 2, 0},
    {"layernorm backward", layernorm_backward, 3, 0},
    {"gelu forward", gelu_forward, 2, 0},
    {"gelu backward", gelu_backward, 3, 0},
    {"layer_scale forward", layer_scale_forward, 3, 0},
    {"layer_scale backward", layer_scale_backward, 3, 0},
    {"patch_unfold", patch_unfold, 2, 0},
    {"patch_fold", patch_fold, 2, 0},
    {"depthwise7 forward", depthwise7_forward, 2, 98},
    {"depthwise7 backward input", depthwise7_backward_input, 2, 98},
    {"depthwise7 backward weight", depthwise7_backward_weight, 2, 98},
};

static void measure(struct bench *t)
{
    struct maps m = t->m;
    t->n = m.b * m.y * m.x * m.c;
    t->a = bench_floats(t->n);
    t->b = bench_floats(t->n);
    t->out = bench_floats(t->n);
    t->weights = bench_floats(64 * m.c);
    t->rows = bench_floats(2 * t->n / m.c);
    size_t norm = t->k->norm_workspace(t->n / m.c, m.c);
    size_t depthwise = t->k->depthwise7_workspace(m.b, m.y, m.x, m.c);
    t->workspace = bench_floats((int64_t)((norm > depthwise ? norm : depthwise) / sizeof(float)));
    char *size = text_format("%lldx%lldx%lldx%lld", (long long)m.b, (long long)m.y, (long long)m.x,
                             (long long)m.c);
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        double seconds = bench_seconds(operations[i].body, t);
        double gigabytes = operations[i].tensors * 4e-9 * (double)t->n;
        double gigaflops = operations[i].flops * 1e-9 * (double)t->n;
        if (gigaflops > 0)
            bench_row(operations[i].name, size, "%7.1f GB/s %7.1f GFLOP/s", gigabytes / seconds,
                      gigaflops / seconds);
        else
            bench_row(operations[i].name, size, "%7.1f GB/s", gigabytes / seconds);
    }
    free(size);
    free(t->a);
    free(t->b);
    free(t->out);
    free(t->weights);
    free(t->rows);
    free(t->workspace);
}

int main(void)
{
    static const struct maps maps[] = {
        {2, 64, 64, 192}, {2, 32, 32, 384}, {2, 16, 16, 768}, {2, 8, 8, 1536}};
    struct bench t = {.k = &kernels_cpu};
    if (stream_create(&t.stream, bench_threads()) != OK) {
        fprintf(stderr, "error: %s\n", status_message());
        return 1;
    }
    char *threads = text_format("%d threads", bench_threads());
    bench_row("sgemm", threads, "%7.1f GFLOP/s", bench_sgemm_gflops(t.stream));
    free(threads);
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++) {
        t.m = maps[i];
        measure(&t);
    }
    stream_destroy(t.stream);
    return 0;
}
