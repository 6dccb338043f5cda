/* Linear layers for decoding: every output is one sum in one order, whatever the number of rows,
 * so a sequence gives the same bits alone and in any batch. Each weight is read once for a batch,
 * in the order in which it lies in memory: with few rows that reading is all there is to do.
 *
 * An output is the sum over lanes, in a fixed tree, of sums over every VECTOR_LANES-th element. */
#include "cpu.h"

#include "blocks.h"
#include "vector.h"

#define ROW_TILE      6 /* 6 x 4 sums, 4 weights and a row's vector: 29 of 32 registers */
#define OUTPUT_TILE   4
#define ONE_TILE      8  /* outputs at a time of a single row */
#define BLOCK_ROWS    48 /* rows whose sums are kept between parts of the inner dim */
#define BLOCK_OUTPUTS 64
/* Inner elements of a part: four rows of weights stay in the first-level cache while all rows of
 * the block pass; with few rows the parts are long, so that memory is read in long runs. */
#define PART_ELEMENTS      1024
#define LONG_PART_ELEMENTS 4096
#define FEW_ROWS           12
#define FEW_OUTPUTS        32

/* Else the compiler reads the row's vector again for every product: a load for each. */
#ifdef __x86_64__
#define KEEP_IN_REGISTER(vector) __asm__("" : "+v"(vector))
#else
#define KEEP_IN_REGISTER(vector) (void)(vector)
#endif

struct product {
    float *out;
    const float *x, *w, *bias;
    int64_t n, o, i, block_outputs;
};

/* The rows of a tile side by side, vector by vector: [tile][k / lanes][rows of the tile][lanes],
 * zeros behind the last element. Rows of weights lie a power of two apart, as rows of x do: both
 * read where they lie would push each other out of the cache. */
static void pack_rows(float *packed, const float *x, int64_t rows, int64_t i, int64_t k)
{
    const int64_t vectors = ceil_divide(k, VECTOR_LANES);
    for (int64_t first = 0; first < rows; first += ROW_TILE) {
        const int64_t n = smaller(ROW_TILE, rows - first);
        float *to = packed + first * vectors * VECTOR_LANES;
        for (int64_t v = 0; v < vectors; v++)
            for (int64_t r = 0; r < n; r++, to += VECTOR_LANES) {
                const int64_t at = v * VECTOR_LANES;
                const float *from = x + (first + r) * i + at;
                vector_store(to, vector_load_partial(from, vector_part(k - at), 0.0f));
            }
    }
}

/* sums [rows, outputs] of vectors += x w [outputs, k]^T, lane by lane; x packed. `rows` and
 * `outputs` are constants where this is called: the loops over them unroll. */
VECTOR_INLINE void add_products(vector_f32 *sums, const float *x, const float *w, int64_t i,
                                int64_t k, const int rows, const int outputs)
{
    vector_f32 sum[ROW_TILE * OUTPUT_TILE];
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < outputs; c++) sum[r * outputs + c] = sums[r * BLOCK_OUTPUTS + c];
    int64_t at = 0;
    for (; at + VECTOR_LANES <= k; at += VECTOR_LANES, x += rows * VECTOR_LANES) {
        vector_f32 weight[ONE_TILE];
        for (int c = 0; c < outputs; c++) weight[c] = vector_load(w + c * i + at);
        for (int r = 0; r < rows; r++) {
            vector_f32 value = vector_load(x + r * VECTOR_LANES);
            KEEP_IN_REGISTER(value);
            for (int c = 0; c < outputs; c++)
                sum[r * outputs + c] = vector_fma(value, weight[c], sum[r * outputs + c]);
        }
    }
    for (int c = 0; at < k && c < outputs; c++) {
        const vector_f32 weight = vector_load_partial(w + c * i + at, k - at, 0.0f);
        for (int r = 0; r < rows; r++)
            sum[r * outputs + c] =
                vector_fma(vector_load(x + r * VECTOR_LANES), weight, sum[r * outputs + c]);
    }
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < outputs; c++) sums[r * BLOCK_OUTPUTS + c] = sum[r * outputs + c];
}

/* One function per shape, so that each has constants. */
#define TILE(ROWS, OUTPUTS)                                                                        \
    static void tile_##ROWS##_##OUTPUTS(vector_f32 *sums, const float *x, const float *w,          \
                                        int64_t i, int64_t k)                                      \
    {                                                                                              \
        add_products(sums, x, w, i, k, ROWS, OUTPUTS);                                             \
    }
TILE(1, 1)
TILE(2, 1)
TILE(3, 1)
TILE(4, 1)
TILE(5, 1)
TILE(6, 1)
TILE(1, 4)
TILE(2, 4)
TILE(3, 4)
TILE(4, 4)
TILE(5, 4)
TILE(6, 4)
TILE(1, 8)

typedef void (*tile_function)(vector_f32 *sums, const float *x, const float *w, int64_t i,
                              int64_t k);
static const tile_function wide_tiles[] = {tile_1_4, tile_2_4, tile_3_4,
                                           tile_4_4, tile_5_4, tile_6_4};
static const tile_function narrow_tiles[] = {tile_1_1, tile_2_1, tile_3_1,
                                             tile_4_1, tile_5_1, tile_6_1};

/* A part of the inner dim for a block of rows, `x` packed, and outputs from `column` on. */
static void add_part(const struct product *p, vector_f32 *sums, const float *x, int64_t rows,
                     int64_t column, int64_t outputs, int64_t at, int64_t k)
{
    const int64_t padded = ceil_divide(k, VECTOR_LANES) * VECTOR_LANES;
    const int64_t most = p->n == 1 ? ONE_TILE : OUTPUT_TILE;
    for (int64_t c = 0, width; c < outputs; c += width) {
        const float *w = p->w + (column + c) * p->i + at;
        width = outputs - c >= most ? most : outputs - c >= OUTPUT_TILE ? OUTPUT_TILE : 1;
        for (int64_t r = 0; r < rows; r += ROW_TILE) {
            const int64_t n = smaller(ROW_TILE, rows - r);
            const tile_function tile = width == ONE_TILE      ? tile_1_8
                                       : width == OUTPUT_TILE ? wide_tiles[n - 1]
                                                              : narrow_tiles[n - 1];
            tile(sums + r * BLOCK_OUTPUTS + c, x + r * padded, w, p->i, k);
        }
    }
}

static void write_rows(const struct product *p, const vector_f32 *sums, int64_t first, int64_t rows,
                       int64_t column, int64_t outputs)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < outputs; c++) {
            const float sum = vector_sum(sums[r * BLOCK_OUTPUTS + c]);
            p->out[(first + r) * p->o + column + c] =
                p->bias != NULL ? sum + p->bias[column + c] : sum;
        }
}

static void product_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct product *p = argument;
    const int64_t column = block * p->block_outputs;
    const int64_t outputs = smaller(p->block_outputs, p->o - column);
    const int64_t part = p->n <= FEW_ROWS ? LONG_PART_ELEMENTS : PART_ELEMENTS;
    vector_f32 sums[BLOCK_ROWS * BLOCK_OUTPUTS];
    _Alignas(64) float packed[BLOCK_ROWS * PART_ELEMENTS];
    for (int64_t first = 0; first < p->n; first += BLOCK_ROWS) {
        const int64_t rows = smaller(BLOCK_ROWS, p->n - first);
        memset(sums, 0, (size_t)(rows * BLOCK_OUTPUTS) * sizeof *sums);
        for (int64_t at = 0; at < p->i; at += part) {
            const int64_t k = smaller(part, p->i - at);
            pack_rows(packed, p->x + first * p->i + at, rows, p->i, k);
            add_part(p, sums, packed, rows, column, outputs, at, k);
        }
        write_rows(p, sums, first, rows, column, outputs);
    }
}

enum status cpu_linear_rows(void *out, const void *x, const void *w, const void *bias, int64_t n,
                            int64_t o, int64_t i, struct stream *stream)
{
    struct product p = {.out = out, .x = x, .w = w, .bias = bias, .n = n, .o = o, .i = i};
    if (n == 0) return OK;
    p.block_outputs = n <= FEW_ROWS ? FEW_OUTPUTS : BLOCK_OUTPUTS;
    thread_pool_run(pool_for(stream, o * i), ceil_divide(o, p.block_outputs), product_block, &p);
    return OK;
}
