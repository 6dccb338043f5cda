/* RMSNorm on the CPU, and the workspace that all norms share. */
#include "cpu.h"

#include <math.h>

#include "blocks.h"
#include "vector.h"

/* Columns of one block when the partial weight gradients are summed. */
#define REDUCE_COLUMNS 256

int64_t cpu_norm_blocks(int64_t n)
{
    return ceil_divide(n, CPU_NORM_BLOCK_ROWS);
}

size_t cpu_norm_workspace(int64_t n, int64_t c)
{
    return (size_t)(cpu_norm_blocks(n) * 2 * c) * sizeof(float);
}

struct forward {
    float *out, *rstd;
    const float *x, *w;
    int64_t n, c;
    double eps;
};

static float sum_squares_row(const float *x, int64_t c)
{
    vector_f32 sum = {0};
    int64_t k = 0;
    for (; k + VECTOR_LANES <= c; k += VECTOR_LANES) {
        vector_f32 v = vector_load(x + k);
        sum = vector_fma(v, v, sum);
    }
    if (k < c) {
        vector_f32 v = vector_load_partial(x + k, c - k, 0.0f);
        sum = vector_fma(v, v, sum);
    }
    return vector_sum(sum);
}

static void forward_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct forward *f = argument;
    const float *restrict w = f->w;
    int64_t rows = light_block_rows(f->c), end = smaller(f->n, (block + 1) * rows);
    for (int64_t row = block * rows; row < end; row++) {
        const float *restrict x = f->x + row * f->c;
        float *restrict out = f->out + row * f->c;
        double mean = (double)sum_squares_row(x, f->c) / (double)f->c;
        float r = (float)(1.0 / sqrt(mean + f->eps));
        f->rstd[row] = r;
        for (int64_t k = 0; k < f->c; k++) out[k] = x[k] * r * w[k];
    }
}

enum status cpu_rmsnorm_forward(void *out, float *rstd, const void *x, const void *w, int64_t n,
                                int64_t c, double eps, struct stream *stream)
{
    struct forward f = {out, rstd, x, w, n, c, eps};
    run_blocks(stream, n, light_block_rows(c), forward_block, &f);
    return OK;
}

struct backward {
    float *dx, *dw, *partial; /* partial [blocks, C] */
    const float *dout, *x, *w, *rstd;
    int64_t n, c, n_blocks;
    int accumulate;
};

/* sum_k g_k w_k x_k */
static float dot_row(const float *g, const float *w, const float *x, int64_t c)
{
    vector_f32 sum = {0};
    int64_t k = 0;
    for (; k + VECTOR_LANES <= c; k += VECTOR_LANES)
        sum = vector_fma(vector_load(g + k) * vector_load(w + k), vector_load(x + k), sum);
    if (k < c)
        sum = vector_fma(vector_load_partial(g + k, c - k, 0.0f) *
                             vector_load_partial(w + k, c - k, 0.0f),
                         vector_load_partial(x + k, c - k, 0.0f), sum);
    return vector_sum(sum);
}

static void backward_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct backward *b = argument;
    const float *restrict w = b->w;
    float *restrict partial = b->dw != NULL ? b->partial + block * b->c : NULL;
    if (partial != NULL) memset(partial, 0, (size_t)b->c * sizeof(float));
    int64_t first = block * CPU_NORM_BLOCK_ROWS;
    int64_t end = smaller(b->n, first + CPU_NORM_BLOCK_ROWS);
    for (int64_t row = first; row < end; row++) {
        const float *restrict x = b->x + row * b->c, *restrict g = b->dout + row * b->c;
        float *restrict dx = b->dx + row * b->c;
        float r = b->rstd[row];
        float shared = r * r * r / (float)b->c * dot_row(g, w, x, b->c);
        if (b->accumulate)
            for (int64_t k = 0; k < b->c; k++) dx[k] += r * w[k] * g[k] - x[k] * shared;
        else
            for (int64_t k = 0; k < b->c; k++) dx[k] = r * w[k] * g[k] - x[k] * shared;
        if (partial != NULL)
            for (int64_t k = 0; k < b->c; k++) partial[k] += g[k] * x[k] * r;
    }
}

static void reduce_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct backward *b = argument;
    int64_t first = block * REDUCE_COLUMNS, width = smaller(REDUCE_COLUMNS, b->c - first);
    double sum[REDUCE_COLUMNS] = {0};
    for (int64_t rows = 0; rows < b->n_blocks; rows++)
        for (int64_t k = 0; k < width; k++) sum[k] += (double)b->partial[rows * b->c + first + k];
    for (int64_t k = 0; k < width; k++)
        b->dw[first + k] = (float)((double)b->dw[first + k] + sum[k]);
}

enum status cpu_rmsnorm_backward(void *dx, float *dw, const void *dout, const void *x,
                                 const void *w, const float *rstd, int64_t n, int64_t c,
                                 int accumulate, void *workspace, struct stream *stream)
{
    struct backward b = {.dx = dx,
                         .dw = dw,
                         .partial = workspace,
                         .dout = dout,
                         .x = x,
                         .w = w,
                         .rstd = rstd,
                         .n = n,
                         .c = c,
                         .n_blocks = cpu_norm_blocks(n),
                         .accumulate = accumulate};
    if (n == 0) return OK;
    thread_pool_run(pool_for(stream, n * c), b.n_blocks, backward_block, &b);
    if (dw != NULL)
        thread_pool_run(pool_for(stream, b.n_blocks * c), ceil_divide(c, REDUCE_COLUMNS),
                        reduce_block, &b);
    return OK;
}
