/* Linear layers on OpenBLAS. The product is cut into tiles that depend on its dims alone, and each
 * tile is one single-threaded sgemm over the whole inner dim: the bits cannot depend on the number
 * of threads, as they would with the library's own threads. */
#include "cpu.h"

#include <cblas.h>

#include "base/assertion.h"
#include "blocks.h"

/* Measured on Zen 4: sgemm of 512 x 512 tiles runs at 92 to 98 % of the speed of the whole product,
 * 256 x 256 at 80 to 92 %, 64 x 64 at 65 to 80 %: large tiles, but enough of them to share out. */
#define TILE_MAX     512
#define TILE_MIN     64
#define TILES_WANTED 8
/* About 20 microseconds of one core: what starting a loop on the pool costs several times over. */
#define TILE_FLOPS_MIN (1 << 21)
/* Columns of one block of the bias gradient. */
#define BIAS_COLUMNS 64

/* c [M, N] = a [M, K] b [K, N] + beta c, or with `bias` [N] in every row instead of c. */
struct product {
    CBLAS_TRANSPOSE transpose_a, transpose_b;
    int64_t m, n, k;
    const float *a, *b, *bias;
    float beta, *c;
    int64_t tile_rows, tile_columns, n_column_tiles;
};

/* Cuts `size` into equal tiles of at most `limit`, in multiples of 16 (a cache line). */
static int64_t tile_size(int64_t size, int64_t limit)
{
    int64_t even = ceil_divide(size, ceil_divide(size, limit));
    return ceil_divide(even, 16) * 16;
}

static int64_t count_tiles(const struct product *p)
{
    return ceil_divide(p->m, p->tile_rows) * ceil_divide(p->n, p->tile_columns);
}

static void choose_tiles(struct product *p)
{
    p->tile_rows = tile_size(p->m, TILE_MAX);
    p->tile_columns = tile_size(p->n, TILE_MAX);
    while (count_tiles(p) < TILES_WANTED &&
           2 * p->tile_rows * p->tile_columns * p->k > 2 * TILE_FLOPS_MIN) {
        int64_t *longer = p->tile_rows >= p->tile_columns ? &p->tile_rows : &p->tile_columns;
        if (*longer < 2 * TILE_MIN) break;
        *longer = tile_size(*longer, *longer / 2);
    }
    p->n_column_tiles = ceil_divide(p->n, p->tile_columns);
}

static void product_tile(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct product *p = argument;
    int64_t row = block / p->n_column_tiles * p->tile_rows;
    int64_t column = block % p->n_column_tiles * p->tile_columns;
    int64_t rows = smaller(p->tile_rows, p->m - row);
    int64_t columns = smaller(p->tile_columns, p->n - column);
    float *c = p->c + row * p->n + column;
    if (p->bias != NULL)
        for (int64_t y = 0; y < rows; y++)
            for (int64_t x = 0; x < columns; x++) c[y * p->n + x] = p->bias[column + x];
    int64_t lda = p->transpose_a == CblasTrans ? p->m : p->k;
    int64_t ldb = p->transpose_b == CblasTrans ? p->k : p->n;
    const float *a = p->a + (p->transpose_a == CblasTrans ? row : row * p->k);
    const float *b = p->b + (p->transpose_b == CblasTrans ? column * p->k : column);
    if (p->m == 1 && p->transpose_b == CblasTrans) {
        /* One token, as in decoding: reading the weights is all there is to do, and sgemm would
         * copy them first (three times slower once they are larger than the caches). */
        cblas_sgemv(CblasRowMajor, CblasNoTrans, (int)columns, (int)p->k, 1.0f, b, (int)ldb, a, 1,
                    p->beta, c, 1);
        return;
    }
    cblas_sgemm(CblasRowMajor, p->transpose_a, p->transpose_b, (int)rows, (int)columns, (int)p->k,
                1.0f, a, (int)lda, b, (int)ldb, p->beta, c, (int)p->n);
}

static void multiply(struct product *p, struct stream *stream)
{
    ASSERT(p->m <= INT32_MAX && p->n <= INT32_MAX && p->k <= INT32_MAX,
           "a product of %lld x %lld x %lld is beyond BLAS's 32-bit sizes", (long long)p->m,
           (long long)p->n, (long long)p->k);
    if (p->m == 0 || p->n == 0) return;
    /* The pool's threads are the only ones: the library starts none of its own. */
    if (openblas_get_num_threads() != 1) openblas_set_num_threads(1);
    choose_tiles(p);
    thread_pool_run(stream->pool, count_tiles(p), product_tile, p);
}

enum status cpu_linear_forward(void *out, const void *x, const void *w, const void *bias, int64_t n,
                               int64_t o, int64_t i, struct stream *stream)
{
    struct product p = {.transpose_a = CblasNoTrans,
                        .transpose_b = CblasTrans,
                        .m = n,
                        .n = o,
                        .k = i,
                        .a = x,
                        .b = w,
                        .bias = bias,
                        .beta = bias != NULL ? 1.0f : 0.0f,
                        .c = out};
    multiply(&p, stream);
    return OK;
}

enum status cpu_linear_backward_input(void *dx, const void *dy, const void *w, int64_t n, int64_t o,
                                      int64_t i, int accumulate, struct stream *stream)
{
    struct product p = {.transpose_a = CblasNoTrans,
                        .transpose_b = CblasNoTrans,
                        .m = n,
                        .n = i,
                        .k = o,
                        .a = dy,
                        .b = w,
                        .beta = accumulate ? 1.0f : 0.0f,
                        .c = dx};
    multiply(&p, stream);
    return OK;
}

struct column_sums {
    float *sums;
    const float *rows;
    int64_t n, columns;
};

static void column_sums_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct column_sums *s = argument;
    int64_t first = block * BIAS_COLUMNS, width = smaller(BIAS_COLUMNS, s->columns - first);
    double sum[BIAS_COLUMNS] = {0};
    for (int64_t row = 0; row < s->n; row++) {
        const float *values = s->rows + row * s->columns + first;
        for (int64_t k = 0; k < width; k++) sum[k] += (double)values[k];
    }
    for (int64_t k = 0; k < width; k++)
        s->sums[first + k] = (float)((double)s->sums[first + k] + sum[k]);
}

enum status cpu_linear_backward_weight(float *dw, float *dbias, const void *dy, const void *x,
                                       int64_t n, int64_t o, int64_t i, struct stream *stream)
{
    struct product p = {.transpose_a = CblasTrans,
                        .transpose_b = CblasNoTrans,
                        .m = o,
                        .n = i,
                        .k = n,
                        .a = dy,
                        .b = x,
                        .beta = 1.0f,
                        .c = dw};
    if (n == 0) return OK;
    if (i > 0) multiply(&p, stream);
    struct column_sums sums = {dbias, dy, n, o};
    if (dbias != NULL)
        thread_pool_run(pool_for(stream, n * o), ceil_divide(o, BIAS_COLUMNS), column_sums_block,
                        &sums);
    return OK;
}
