/* Linear layers for decoding: every output is one sum in one order, whatever the number of rows,
 * so a sequence gives the same bits alone and in any batch. With few rows each weight is read once,
 * in the order in which it lies in memory: that reading is all there is to do. With many rows a
 * block of weights stays in the second-level cache while tiles of rows pass over it.
 *
 * An output is the sum over equal parts of the inner dim, in order, of the sum over lanes, in a
 * fixed tree, of sums over every VECTOR_LANES-th element; the bias comes last. */
#include "cpu.h"

#include <stdbool.h>

#include "blocks.h"
#include "vector.h"

#define ROW_TILE    6 /* 6 x 4 sums, 4 weights and a row's vector: 29 of 32 registers */
#define OUTPUT_TILE 4
#define ONE_TILE    8 /* outputs at a time of a single row */
/* Of the inner dim at most: the longer a part, the fewer sums of lanes (1280 beside 768: 10 % of a
 * long prompt's time); a tile's rows still come from the first-level cache, or nearly all. */
#define PART_ELEMENTS 1280
/* Up to so many rows are laid out side by side before any weight is read. */
#define SOME_ROWS 48
/* Up to so many for LONG_PARTS parts at once, so that memory is read in long runs. */
#define FEW_ROWS   12
#define LONG_PARTS 4
/* Outputs of a block: what one thread does at a time. */
#define FEW_OUTPUTS  32
#define SOME_OUTPUTS 64
#define MANY_OUTPUTS 128 /* x a part: half of the second-level cache */

/* Else the compiler reads the row's vector again for every product: a load for each. */
#ifdef __x86_64__
#define KEEP_IN_REGISTER(vector) __asm__("" : "+v"(vector))
#else
#define KEEP_IN_REGISTER(vector) (void)(vector)
#endif

struct product {
    float *out;
    const float *x, *w, *bias;
    int64_t n, o, i, part, block_outputs;
};

/* Rows of one tile side by side, vector by vector: [k / lanes][n][lanes], zeros behind the last
 * element. Rows of weights lie a power of two apart, as rows of x do: both read where they lie
 * would push each other out of the cache. */
static void pack_tile(float *to, const float *x, int64_t n, int64_t i, int64_t k)
{
    const int64_t whole = k / VECTOR_LANES * VECTOR_LANES;
    for (int64_t at = 0; at < whole; at += VECTOR_LANES)
        for (int64_t r = 0; r < n; r++, to += VECTOR_LANES)
            vector_store(to, vector_load(x + r * i + at));
    for (int64_t r = 0; whole < k && r < n; r++, to += VECTOR_LANES)
        vector_store(to, vector_load_partial(x + r * i + whole, k - whole, 0.0f));
}

/* What a tile reads and writes: x packed, one part of the inner dim. */
struct tile {
    float *out;
    const float *x, *w, *bias; /* bias NULL: none, or it is not the last part */
    int64_t o, i, k;
    bool first; /* part */
    bool fetch; /* the next tile's weights come from memory */
};

/* `rows` and `outputs` are constants where this is called: the loops over them unroll. */
VECTOR_INLINE void add_products(const struct tile *t, const int rows, const int outputs,
                                const bool fetch)
{
    vector_f32 sum[ROW_TILE * OUTPUT_TILE];
    float part[ROW_TILE * OUTPUT_TILE];
    const float *x = t->x, *w = t->w;
    const int64_t i = t->i, k = t->k;
    int64_t at = 0;
#pragma GCC unroll 24 /* else the compiler clears memory first */
    for (int s = 0; s < rows * outputs; s++) sum[s] = vector_set(0.0f);
    for (; at + VECTOR_LANES <= k; at += VECTOR_LANES, x += rows * VECTOR_LANES) {
        vector_f32 weight[ONE_TILE];
        for (int c = 0; c < outputs; c++) weight[c] = vector_load(w + c * i + at);
        if (fetch)
            for (int c = 0; c < outputs; c++) __builtin_prefetch(w + (outputs + c) * i + at, 0, 2);
        for (int r = 0; r < rows; r++) {
            vector_f32 value = vector_load(x + r * VECTOR_LANES);
            KEEP_IN_REGISTER(value);
            for (int c = 0; c < outputs; c++)
                sum[r * outputs + c] = vector_fma(value, weight[c], sum[r * outputs + c]);
        }
    }
    if (at < k)
        for (int c = 0; c < outputs; c++) {
            const vector_f32 weight = vector_load_partial(w + c * i + at, k - at, 0.0f);
            for (int r = 0; r < rows; r++)
                sum[r * outputs + c] =
                    vector_fma(vector_load(x + r * VECTOR_LANES), weight, sum[r * outputs + c]);
        }
    vector_sums(part, sum, rows * outputs);
#pragma GCC unroll 6
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < outputs; c++) {
            float *out = t->out + r * t->o + c;
            const float value = t->first ? part[r * outputs + c] : *out + part[r * outputs + c];
            *out = t->bias != NULL ? value + t->bias[c] : value;
        }
}

/* One function per shape, so that each has constants. */
#define TILE(ROWS, OUTPUTS)                                                                        \
    static void tile_##ROWS##_##OUTPUTS(const struct tile *t)                                      \
    {                                                                                              \
        if (t->fetch)                                                                              \
            add_products(t, ROWS, OUTPUTS, true);                                                  \
        else                                                                                       \
            add_products(t, ROWS, OUTPUTS, false);                                                 \
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

typedef void (*tile_function)(const struct tile *t);
static const tile_function wide_tiles[] = {tile_1_4, tile_2_4, tile_3_4,
                                           tile_4_4, tile_5_4, tile_6_4};
static const tile_function narrow_tiles[] = {tile_1_1, tile_2_1, tile_3_1,
                                             tile_4_1, tile_5_1, tile_6_1};

static tile_function find_tile(int64_t rows, int64_t outputs)
{
    return outputs == ONE_TILE      ? tile_1_8
           : outputs == OUTPUT_TILE ? wide_tiles[rows - 1]
                                    : narrow_tiles[rows - 1];
}

/* Row `row`, output `column`, the part at `at` of the inner dim. */
static struct tile tile_at(const struct product *p, int64_t row, int64_t column, int64_t at)
{
    const int64_t k = smaller(p->part, p->i - at);
    const bool last = at + k == p->i;
    return (struct tile){.out = p->out + row * p->o + column,
                         .w = p->w + column * p->i + at,
                         .bias = last && p->bias != NULL ? p->bias + column : NULL,
                         .o = p->o,
                         .i = p->i,
                         .k = k,
                         .first = at == 0};
}

static int64_t tile_width(const struct product *p, int64_t left)
{
    if (p->n == 1 && left >= ONE_TILE) return ONE_TILE;
    return left >= OUTPUT_TILE ? OUTPUT_TILE : 1;
}

/* Outputs column .. end - 1 of at most SOME_ROWS rows: weights in the order of memory. */
static void few_rows(const struct product *p, int64_t column, int64_t end)
{
    _Alignas(64) float packed[SOME_ROWS * PART_ELEMENTS];
    const int64_t span = p->n <= FEW_ROWS ? LONG_PARTS * p->part : p->part;
    const int64_t part_size = ceil_divide(p->n, ROW_TILE) * ROW_TILE * PART_ELEMENTS;
    for (int64_t from = 0; from < p->i; from += span) {
        const int64_t to = smaller(p->i, from + span);
        for (int64_t at = from; at < to; at += p->part)
            for (int64_t r = 0; r < p->n; r += ROW_TILE)
                pack_tile(packed + (at - from) / p->part * part_size + r * PART_ELEMENTS,
                          p->x + r * p->i + at, smaller(ROW_TILE, p->n - r), p->i,
                          smaller(p->part, p->i - at));
        for (int64_t c = column, width; c < end; c += width) {
            width = tile_width(p, end - c);
            for (int64_t at = from; at < to; at += p->part)
                for (int64_t r = 0; r < p->n; r += ROW_TILE) {
                    struct tile tile = tile_at(p, r, c, at);
                    tile.fetch = r == 0;
                    tile.x = packed + (at - from) / p->part * part_size + r * PART_ELEMENTS;
                    find_tile(smaller(ROW_TILE, p->n - r), width)(&tile);
                }
        }
    }
}

/* The same of any number of rows: weights from the cache for all tiles of rows but the first. */
static void many_rows(const struct product *p, int64_t column, int64_t end)
{
    _Alignas(64) float packed[ROW_TILE * PART_ELEMENTS];
    for (int64_t at = 0; at < p->i; at += p->part)
        for (int64_t r = 0; r < p->n; r += ROW_TILE) {
            const int64_t rows = smaller(ROW_TILE, p->n - r);
            pack_tile(packed, p->x + r * p->i + at, rows, p->i, smaller(p->part, p->i - at));
            for (int64_t c = column, width; c < end; c += width) {
                struct tile tile = tile_at(p, r, c, at);
                tile.x = packed;
                width = tile_width(p, end - c);
                find_tile(rows, width)(&tile);
            }
        }
}

static void product_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct product *p = argument;
    const int64_t column = block * p->block_outputs;
    const int64_t end = smaller(p->o, column + p->block_outputs);
    if (p->n <= SOME_ROWS)
        few_rows(p, column, end);
    else
        many_rows(p, column, end);
}

enum status cpu_linear_rows(void *out, const void *x, const void *w, const void *bias, int64_t n,
                            int64_t o, int64_t i, struct stream *stream)
{
    struct product p = {.out = out, .x = x, .w = w, .bias = bias, .n = n, .o = o, .i = i};
    if (n == 0) return OK;
    p.part = ceil_divide(i, ceil_divide(i, PART_ELEMENTS) * VECTOR_LANES) * VECTOR_LANES;
    p.block_outputs = n <= FEW_ROWS ? FEW_OUTPUTS : n <= SOME_ROWS ? SOME_OUTPUTS : MANY_OUTPUTS;
    thread_pool_run(pool_for(stream, o * i), ceil_divide(o, p.block_outputs), product_block, &p);
    return OK;
}
