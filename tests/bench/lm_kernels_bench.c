/* How fast the CPU backend's operations of the language model are: linear layers and attention as a
 * share of this machine's sgemm, the others in memory moved per second (each tensor once). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text_buffer.h"
#include "device/stream.h"
#include "kernels.h"
#include "support/bench.h"

struct sizes {
    const char *name;
    int64_t t, s, hidden, ffn, h, kv, vocabulary;
};

struct bench {
    const struct kernels *k;
    struct stream *stream;
    struct sizes z;
    double peak;     /* GFLOP/s */
    int64_t d, o, i; /* head size; dims of the linear layer being measured */
    float *a, *b, *c, *w, *rows;
    int32_t *seq_start, *ids;
    void *workspace;
};

/* ---- linear ---- */

static void linear_forward(void *context)
{
    struct bench *b = context;
    b->k->linear_forward(b->c, b->a, b->w, NULL, b->z.t, b->o, b->i, b->stream);
}

static void linear_backward_input(void *context)
{
    struct bench *b = context;
    b->k->linear_backward_input(b->c, b->a, b->w, b->z.t, b->o, b->i, 0, b->stream);
}

static void linear_backward_weight(void *context)
{
    struct bench *b = context;
    b->k->linear_backward_weight(b->w, NULL, b->a, b->b, b->z.t, b->o, b->i, b->stream);
}

static void row_of_flops(const struct bench *b, const char *what, const char *size, double flops,
                         double seconds)
{
    double rate = flops * 1e-9 / seconds;
    bench_row(what, size, "%9.1f us %8.1f GFLOP/s %5.1f %% of sgemm", seconds * 1e6, rate,
              100 * rate / b->peak);
}

static void measure_linear(struct bench *b, int64_t o, int64_t i)
{
    static const struct {
        const char *name;
        void (*body)(void *context);
    } directions[] = {{"linear forward", linear_forward},
                      {"linear backward input", linear_backward_input},
                      {"linear backward weight", linear_backward_weight}};
    b->o = o;
    b->i = i;
    char *size = text_format("%lldx%lldx%lld", (long long)b->z.t, (long long)o, (long long)i);
    for (size_t k = 0; k < sizeof directions / sizeof directions[0]; k++)
        row_of_flops(b, directions[k].name, size, 2.0 * (double)(b->z.t * o * i),
                     bench_seconds(directions[k].body, b));
    free(size);
}

/* ---- attention ---- */

static void attention_forward(void *context)
{
    struct bench *b = context;
    struct sizes z = b->z;
    b->k->attention_forward(b->c, b->rows, b->a, b->seq_start, z.s, z.t, z.h, z.kv, b->d,
                            1 / sqrt((double)b->d), b->workspace, b->stream);
}

static void attention_backward(void *context)
{
    struct bench *b = context;
    struct sizes z = b->z;
    b->k->attention_backward(b->b, b->w, b->c, b->rows, b->a, b->seq_start, z.s, z.t, z.h, z.kv,
                             b->d, 1 / sqrt((double)b->d), b->workspace, b->stream);
}

/* Two products per visible pair forward, five backward. */
static void measure_attention(struct bench *b)
{
    double pairs = 0;
    for (int64_t s = 0; s < b->z.s; s++) {
        double length = b->seq_start[s + 1] - b->seq_start[s];
        pairs += length * (length + 1) / 2;
    }
    double product = 2 * pairs * (double)(b->z.h * b->d);
    row_of_flops(b, "attention forward", b->z.name, 2 * product,
                 bench_seconds(attention_forward, b));
    row_of_flops(b, "attention backward", b->z.name, 5 * product,
                 bench_seconds(attention_backward, b));
}

/* ---- the others ---- */

static void rmsnorm_forward(void *context)
{
    struct bench *b = context;
    b->k->rmsnorm_forward(b->c, b->rows, b->a, b->w, b->z.t, b->z.hidden, 1e-6, b->stream);
}

static void rmsnorm_backward(void *context)
{
    struct bench *b = context;
    b->k->rmsnorm_backward(b->c, b->w + b->z.hidden, b->a, b->b, b->w, b->rows, b->z.t, b->z.hidden,
                           0, b->workspace, b->stream);
}

static void rope(void *context)
{
    struct bench *b = context;
    b->k->rope(b->c, b->w, b->w + b->z.t * b->d, b->ids, b->z.t, b->z.h, b->z.kv, b->d, 1,
               b->stream);
}

static void swiglu_forward(void *context)
{
    struct bench *b = context;
    b->k->swiglu_forward(b->c, b->a, b->z.t, b->z.ffn, b->stream);
}

static void swiglu_backward(void *context)
{
    struct bench *b = context;
    b->k->swiglu_backward(b->c, b->b, b->a, b->z.t, b->z.ffn, b->stream);
}

static void add(void *context)
{
    struct bench *b = context;
    b->k->add(b->c, b->a, b->z.t * b->z.hidden, b->stream);
}

static void embedding_forward(void *context)
{
    struct bench *b = context;
    b->k->embedding_forward(b->c, b->w, b->ids, b->z.t, b->z.t, b->z.hidden, b->stream);
}

static void embedding_backward(void *context)
{
    struct bench *b = context;
    b->k->embedding_backward(b->w, b->c, b->ids, b->z.t, b->z.t, b->z.hidden, b->stream);
}

static void cross_entropy_stats(void *context)
{
    struct bench *b = context;
    b->k->cross_entropy_stats(b->rows, b->rows + b->z.t, b->rows + 2 * b->z.t, b->a, b->ids, b->z.t,
                              b->z.vocabulary, 0, b->stream);
}

static void cross_entropy_gradient(void *context)
{
    struct bench *b = context;
    b->k->cross_entropy_gradient(b->c, b->rows, b->rows + b->z.t, b->ids, b->rows + 2 * b->z.t,
                                 b->z.t, b->z.vocabulary, 0, b->stream);
}

static void adamw(void *context)
{
    struct bench *b = context;
    const struct adamw_step step = {1e-3, 0.9, 0.999, 1e-8, 0.01, 1, 1};
    const struct adamw_part all = {.n = b->z.hidden * b->z.ffn};
    b->k->adamw_parts(b->w, NULL, b->a, b->c, b->b, &all, 1, &step, 1, b->stream);
}

static void sum_squares(void *context)
{
    struct bench *b = context;
    double sum;
    b->k->sum_squares(&sum, b->a, b->z.hidden * b->z.ffn, b->stream);
}

static void measure_others(struct bench *b)
{
    struct sizes z = b->z;
    double hidden = (double)(z.t * z.hidden), ffn = (double)(z.t * z.ffn);
    double vocabulary = (double)(z.t * z.vocabulary), matrix = (double)(z.hidden * z.ffn);
    const struct {
        const char *name;
        void (*body)(void *context);
        double floats; /* read and written */
    } operations[] = {
        {"embedding forward", embedding_forward, 2 * hidden},
        {"embedding backward", embedding_backward, 3 * hidden},
        {"rmsnorm forward", rmsnorm_forward, 2 * hidden},
        {"rmsnorm backward", rmsnorm_backward, 3 * hidden},
        {"rope", rope, 2 * (double)(z.t * (z.h + z.kv) * b->d)},
        {"swiglu forward", swiglu_forward, 3 * ffn},
        {"swiglu backward", swiglu_backward, 5 * ffn},
        {"add", add, 3 * hidden},
        {"cross_entropy stats", cross_entropy_stats, vocabulary},
        {"cross_entropy gradient", cross_entropy_gradient, 2 * vocabulary},
        {"adamw", adamw, 7 * matrix},
        {"sum_squares", sum_squares, matrix},
    };
    for (size_t k = 0; k < sizeof operations / sizeof operations[0]; k++) {
        double seconds = bench_seconds(operations[k].body, b);
        bench_row(operations[k].name, z.name, "%9.1f us %8.1f GB/s", seconds * 1e6,
                  4e-9 * operations[k].floats / seconds);
    }
}

static int64_t largest(const int64_t *values, size_t n)
{
    int64_t largest = 0;
    for (size_t k = 0; k < n; k++)
        if (values[k] > largest) largest = values[k];
    return largest;
}

static void measure(struct bench *b, struct sizes z)
{
    b->z = z;
    b->d = z.hidden / z.h;
    int64_t qkv = (z.h + 2 * z.kv) * b->d, wide = 2 * z.ffn;
    const int64_t widths[] = {qkv, wide, z.vocabulary, z.hidden};
    int64_t n = largest((const int64_t[]){z.t * largest(widths, 4), z.hidden * z.ffn}, 2);
    int64_t n_w = largest(
        (const int64_t[]){z.hidden * largest(widths, 4), z.t * z.hidden, 2 * z.t * b->d}, 3);
    b->a = bench_floats(n);
    b->b = bench_floats(n);
    b->c = bench_floats(n);
    b->w = bench_floats(n_w);
    b->rows = bench_floats(largest((const int64_t[]){z.h, 3}, 2) * z.t);
    b->seq_start = memory_new((size_t)z.s + 1, sizeof *b->seq_start);
    for (int64_t s = 0; s <= z.s; s++) b->seq_start[s] = (int32_t)(s * z.t / z.s);
    b->ids = memory_new((size_t)z.t, sizeof *b->ids);
    for (int64_t k = 0; k < z.t; k++) b->ids[k] = (int32_t)((k * 17) % z.t);
    size_t norm = b->k->norm_workspace(z.t, z.hidden);
    size_t attention = b->k->attention_workspace(z.t, z.h, z.kv, b->d);
    b->workspace = bench_floats((int64_t)((norm > attention ? norm : attention) / sizeof(float)));
    measure_linear(b, qkv, z.hidden);
    measure_linear(b, z.hidden, z.hidden);
    measure_linear(b, wide, z.hidden);
    measure_linear(b, z.hidden, z.ffn);
    measure_linear(b, z.vocabulary, z.hidden);
    measure_attention(b);
    measure_others(b);
    free(b->a);
    free(b->b);
    free(b->c);
    free(b->w);
    free(b->rows);
    free(b->seq_start);
    free(b->ids);
    free(b->workspace);
}

int main(void)
{
    static const struct sizes sizes[] = {
        {"mid (512, 4 x 512 tokens)", 2048, 4, 512, 1408, 8, 2, 8192},
        {"tiny (128, 5 x 60 tokens)", 300, 5, 128, 352, 8, 4, 1024},
    };
    struct bench b = {.k = &kernels_cpu};
    if (stream_create(&b.stream, bench_threads()) != OK) {
        fprintf(stderr, "error: %s\n", status_message());
        return 1;
    }
    b.peak = bench_sgemm_gflops(b.stream);
    char *threads = text_format("%d threads", bench_threads());
    bench_row("sgemm", threads, "%8.1f GFLOP/s", b.peak);
    free(threads);
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) measure(&b, sizes[k]);
    stream_destroy(b.stream);
    return 0;
}
