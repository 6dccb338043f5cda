/* LayerNorm on the CPU. Rows are cut into fixed blocks of CPU_NORM_BLOCK_ROWS, the weight gradients
 * summed per block first and over the blocks in double afterwards. */
#include <math.h>

#include "blocks.h"
#include "column_sums.h"
#include "cpu.h"
#include "vector.h"

struct forward {
    float *out, *mean, *rstd;
    const float *x, *w, *b;
    int64_t n, c;
    double eps;
};

struct backward {
    float *dx;
    float *partial; /* [blocks, 2, C]; NULL: the weights are frozen */
    const float *dout, *x, *w, *mean, *rstd;
    int64_t n, c;
    int accumulate;
};

/* Sums of a row: of x, or of (x - mean)^2, in lanes and then pairwise. */
static float row_sum(const float *x, int64_t c)
{
    vector_f32 a = {0}, b = {0};
    int64_t i = 0;
    for (; i + 2 * VECTOR_LANES <= c; i += 2 * VECTOR_LANES) {
        a += vector_load(x + i);
        b += vector_load(x + i + VECTOR_LANES);
    }
    for (; i < c; i += VECTOR_LANES) a += vector_load_partial(x + i, vector_part(c - i), 0);
    return vector_sum(a + b);
}

static float row_squares(const float *x, float mean, int64_t c)
{
    vector_f32 a = {0}, b = {0};
    int64_t i = 0;
    for (; i + 2 * VECTOR_LANES <= c; i += 2 * VECTOR_LANES) {
        vector_f32 d = vector_load(x + i) - mean, e = vector_load(x + i + VECTOR_LANES) - mean;
        a = vector_fma(d, d, a);
        b = vector_fma(e, e, b);
    }
    float sum = vector_sum(a + b);
    for (; i < c; i++) sum += (x[i] - mean) * (x[i] - mean);
    return sum;
}

static void forward_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct forward *l = argument;
    int64_t c = l->c, end = (block + 1) * CPU_NORM_BLOCK_ROWS;
    for (int64_t row = block * CPU_NORM_BLOCK_ROWS; row < end && row < l->n; row++) {
        const float *x = l->x + row * c;
        float *out = l->out + row * c;
        float mean = row_sum(x, c) / (float)c;
        float variance = row_squares(x, mean, c) / (float)c;
        float rstd = (float)(1 / sqrt((double)variance + l->eps));
        int64_t i = 0;
        for (; i + VECTOR_LANES <= c; i += VECTOR_LANES) {
            vector_f32 h = (vector_load(x + i) - mean) * rstd;
            vector_store(out + i, vector_fma(h, vector_load(l->w + i), vector_load(l->b + i)));
        }
        for (; i < c; i++) out[i] = fmaf((x[i] - mean) * rstd, l->w[i], l->b[i]);
        l->mean[row] = mean;
        l->rstd[row] = rstd;
    }
}

enum status cpu_layernorm_forward(void *out, float *mean, float *rstd, const void *x, const void *w,
                                  const void *b, int64_t n, int64_t c, double eps,
                                  struct stream *stream)
{
    struct forward l = {
        .out = out, .mean = mean, .rstd = rstd, .x = x, .w = w, .b = b, .n = n, .c = c, .eps = eps};
    thread_pool_run(pool_for(stream, n * c), cpu_norm_blocks(n), forward_block, &l);
    return OK;
}

/* dx of one row; dw and db (NULL: frozen) [C] are added to. */
static void backward_row(const struct backward *l, int64_t row, float *dw, float *db)
{
    int64_t c = l->c;
    const float *x = l->x + row * c, *dout = l->dout + row * c;
    float *dx = l->dx + row * c;
    float mean = l->mean[row], rstd = l->rstd[row];
    vector_f32 sum_g = {0}, sum_gh = {0};
    for (int64_t i = 0; i < c; i += VECTOR_LANES) {
        int64_t part = vector_part(c - i);
        /* Lanes beyond the row hold dout = 0 and so add nothing. */
        vector_f32 h = (vector_load_partial(x + i, part, 0) - mean) * rstd;
        vector_f32 g =
            vector_load_partial(dout + i, part, 0) * vector_load_partial(l->w + i, part, 0);
        sum_g += g;
        sum_gh = vector_fma(g, h, sum_gh);
    }
    float mean_g = vector_sum(sum_g) / (float)c, mean_gh = vector_sum(sum_gh) / (float)c;
    for (int64_t i = 0; i < c; i += VECTOR_LANES) {
        int64_t part = vector_part(c - i);
        vector_f32 h = (vector_load_partial(x + i, part, 0) - mean) * rstd;
        vector_f32 d = vector_load_partial(dout + i, part, 0);
        vector_f32 g = d * vector_load_partial(l->w + i, part, 0);
        vector_f32 slope = vector_fma(-h, vector_set(mean_gh), g - mean_g) * rstd;
        if (l->accumulate) slope += vector_load_partial(dx + i, part, 0);
        vector_store_partial(dx + i, slope, part);
        if (dw == NULL) continue;
        vector_store_partial(dw + i, vector_fma(d, h, vector_load_partial(dw + i, part, 0)), part);
        vector_store_partial(db + i, vector_load_partial(db + i, part, 0) + d, part);
    }
}

static void backward_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct backward *l = argument;
    float *dw = l->partial != NULL ? l->partial + block * 2 * l->c : NULL;
    float *db = dw != NULL ? dw + l->c : NULL;
    if (dw != NULL) memset(dw, 0, (size_t)(2 * l->c) * sizeof(float));
    int64_t end = (block + 1) * CPU_NORM_BLOCK_ROWS;
    for (int64_t row = block * CPU_NORM_BLOCK_ROWS; row < end && row < l->n; row++)
        backward_row(l, row, dw, db);
}

enum status cpu_layernorm_backward(void *dx, float *dw, float *db, const void *dout, const void *x,
                                   const void *w, const float *mean, const float *rstd, int64_t n,
                                   int64_t c, int accumulate, void *workspace,
                                   struct stream *stream)
{
    struct backward l = {.dx = dx,
                         .dout = dout,
                         .x = x,
                         .w = w,
                         .mean = mean,
                         .rstd = rstd,
                         .n = n,
                         .c = c,
                         .accumulate = accumulate,
                         .partial = dw != NULL ? workspace : NULL};
    int64_t blocks = cpu_norm_blocks(n);
    thread_pool_run(pool_for(stream, n * c), blocks, backward_block, &l);
    if (dw == NULL) return OK;
    struct column_sums sums = {
        .out = dw, .partial = workspace, .blocks = blocks, .stride = 2 * c, .columns = c};
    column_sums_add(&sums, stream);
    sums.out = db;
    sums.partial += c;
    column_sums_add(&sums, stream);
    return OK;
}
