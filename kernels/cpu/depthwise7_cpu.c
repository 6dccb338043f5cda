/* 7x7 depthwise convolution on the CPU. Channels are the vector lanes. A block of work is a band of
 * rows of one image for one vector of channels; inside it, tiles of the map are first packed with
 * their border of 3 (zeros outside of the image), so that the 49 taps run without a branch over
 * memory that stays in the first-level cache. */
#include "blocks.h"
#include "cpu.h"
#include "vector.h"

enum {
    SIDE = 7,
    PADDING = 3,
    TAPS = SIDE * SIDE,
    TILE_ROWS = 8,
    TILE_COLUMNS = 32,
    PACKED_ROWS = TILE_ROWS + 2 * PADDING,
    PACKED_COLUMNS = TILE_COLUMNS + 2 * PADDING,
    WIDE = VECTOR_LANES == 16 ? 16 : 8, /* outputs whose sums fit the registers with 7 weights */
    NARROW = 4,
    GROUPS = 32 /* partial sums of the weight gradient */
};

struct map {
    int64_t b, y, x, c;
};

/* A part of one image: rows and columns within it, channels first .. first + part - 1. */
struct tile {
    int64_t image, row, column, first, part;
};

/* The pool, or NULL for maps so small that waking a thread would take longer. */
static struct thread_pool *map_pool(const struct map *map, struct stream *stream)
{
    return pool_for(stream, map->b * map->y * map->x * map->c * TAPS / 4);
}

static int64_t map_bands(const struct map *map)
{
    return ceil_divide(map->y, TILE_ROWS);
}

static int64_t map_chunks(const struct map *map)
{
    return ceil_divide(map->c, VECTOR_LANES);
}

static int64_t map_groups(const struct map *map)
{
    return smaller(map->b * map_bands(map), GROUPS);
}

/* The tile of a block's channels at the top left of band `band`, counted over all images. */
static struct tile tile_start(const struct map *map, int64_t band, int64_t chunk)
{
    int64_t first = chunk * VECTOR_LANES;
    return (struct tile){.image = band / map_bands(map),
                         .row = band % map_bands(map) * TILE_ROWS,
                         .first = first,
                         .part = vector_part(map->c - first)};
}

static const float *pixel_at(const float *values, const struct map *map, const struct tile *tile,
                             int64_t row, int64_t column)
{
    return values + ((tile->image * map->y + row) * map->x + column) * map->c + tile->first;
}

/* packed [rows, columns]: the map from (tile row - border, tile column - border) on. */
static void pack(vector_f32 *packed, const float *values, const struct map *map,
                 const struct tile *tile, int64_t rows, int64_t columns, int64_t border)
{
    int64_t left = tile->column - border, right = smaller(left + columns, map->x);
    int64_t from = left < 0 ? 0 : left;
    for (int64_t i = 0; i < rows; i++, packed += columns) {
        int64_t row = tile->row - border + i;
        if (row < 0 || row >= map->y) {
            memset(packed, 0, (size_t)columns * sizeof *packed);
            continue;
        }
        for (int64_t column = left; column < from; column++)
            packed[column - left] = (vector_f32){0};
        const float *pixel = pixel_at(values, map, tile, row, from);
        for (int64_t column = from; column < right; column++, pixel += map->c)
            packed[column - left] = vector_load_partial(pixel, tile->part, 0);
        for (int64_t column = right; column < left + columns; column++)
            packed[column - left] = (vector_f32){0};
    }
}

/* ---- forward, and backward to the input: the same sums with other weights ---- */

struct convolution {
    struct map map;
    float *out;
    const float *in;
    const float *bias; /* NULL: none */
    const float *w;    /* [C, 7, 7] */
    float *taps;       /* [chunks, 49, lanes]: the weights, reversed for the transpose */
    int reversed, accumulate;
};

/* Weights of one vector of channels, tap by tap. */
static void pack_taps(void *argument, int64_t chunk, int worker)
{
    (void)worker;
    const struct convolution *v = argument;
    float *taps = v->taps + chunk * TAPS * VECTOR_LANES;
    int64_t first = chunk * VECTOR_LANES, part = vector_part(v->map.c - first);
    memset(taps, 0, TAPS * VECTOR_LANES * sizeof *taps);
    for (int64_t lane = 0; lane < part; lane++)
        for (int64_t tap = 0; tap < TAPS; tap++)
            taps[(v->reversed ? TAPS - 1 - tap : tap) * VECTOR_LANES + lane] =
                v->w[(first + lane) * TAPS + tap];
}

/* `width` sums that are neighbours in a row; width is a constant where this is inlined. */
VECTOR_INLINE void sum_taps(vector_f32 *sums, const vector_f32 *packed, const float *taps,
                            int width)
{
    vector_f32 sum[WIDE];
#pragma GCC unroll 16
    for (int j = 0; j < width; j++) sum[j] = sums[j];
    for (int ky = 0; ky < SIDE; ky++, packed += PACKED_COLUMNS, taps += SIDE * VECTOR_LANES) {
        vector_f32 w[SIDE];
#pragma GCC unroll 7
        for (int kx = 0; kx < SIDE; kx++) w[kx] = vector_load(taps + kx * VECTOR_LANES);
#pragma GCC unroll 22
        for (int i = 0; i < width + SIDE - 1; i++) {
            vector_f32 value = packed[i];
#pragma GCC unroll 7
            for (int kx = 0; kx < SIDE; kx++)
                if (i >= kx && i - kx < width) sum[i - kx] = vector_fma(value, w[kx], sum[i - kx]);
        }
    }
#pragma GCC unroll 16
    for (int j = 0; j < width; j++) sums[j] = sum[j];
}

/* One row of a tile: `row` within it. */
static void convolve_row(const struct convolution *v, const struct tile *tile,
                         const vector_f32 *packed, int64_t row)
{
    const struct map *map = &v->map;
    const float *taps = v->taps + tile->first * TAPS;
    vector_f32 start = v->bias != NULL ? vector_load_partial(v->bias + tile->first, tile->part, 0)
                                       : (vector_f32){0};
    int64_t columns = smaller(TILE_COLUMNS, map->x - tile->column);
    vector_f32 sums[TILE_COLUMNS];
    for (int64_t j = 0; j < TILE_COLUMNS; j++) sums[j] = start;
    packed += row * PACKED_COLUMNS;
    int64_t j = 0;
    for (; j + WIDE <= columns; j += WIDE) sum_taps(sums + j, packed + j, taps, WIDE);
    for (; j < columns; j += NARROW) sum_taps(sums + j, packed + j, taps, NARROW);

    float *out = v->out + (pixel_at(v->in, map, tile, tile->row + row, tile->column) - v->in);
    for (j = 0; j < columns; j++, out += map->c) {
        if (v->accumulate) sums[j] += vector_load_partial(out, tile->part, 0);
        vector_store_partial(out, sums[j], tile->part);
    }
}

static void convolve_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct convolution *v = argument;
    int64_t chunks = map_chunks(&v->map);
    struct tile tile = tile_start(&v->map, block / chunks, block % chunks);
    int64_t rows = smaller(TILE_ROWS, v->map.y - tile.row);
    for (; tile.column < v->map.x; tile.column += TILE_COLUMNS) {
        vector_f32 packed[PACKED_ROWS * PACKED_COLUMNS];
        pack(packed, v->in, &v->map, &tile, rows + 2 * PADDING, PACKED_COLUMNS, PADDING);
        for (int64_t row = 0; row < rows; row++) convolve_row(v, &tile, packed, row);
    }
}

static void convolve(struct convolution *v, struct stream *stream)
{
    int64_t chunks = map_chunks(&v->map);
    thread_pool_run(pool_for(stream, v->map.c * TAPS), chunks, pack_taps, v);
    thread_pool_run(map_pool(&v->map, stream), v->map.b * map_bands(&v->map) * chunks,
                    convolve_block, v);
}

enum status cpu_depthwise7_forward(void *out, const void *in, const void *w, const void *bias,
                                   int64_t b, int64_t y, int64_t x, int64_t c, void *workspace,
                                   struct stream *stream)
{
    struct convolution v = {
        .map = {b, y, x, c}, .out = out, .in = in, .bias = bias, .w = w, .taps = workspace};
    if (b * y * x > 0) convolve(&v, stream);
    return OK;
}

enum status cpu_depthwise7_backward_input(void *din, const void *dout, const void *w, int64_t b,
                                          int64_t y, int64_t x, int64_t c, int accumulate,
                                          void *workspace, struct stream *stream)
{
    struct convolution v = {.map = {b, y, x, c},
                            .out = din,
                            .in = dout,
                            .w = w,
                            .taps = workspace,
                            .reversed = 1,
                            .accumulate = accumulate};
    if (b * y * x > 0) convolve(&v, stream);
    return OK;
}

/* ---- backward to the weights ---- */

struct weight_gradient {
    struct map map;
    float *dw, *dbias;
    const float *dout, *in;
    float *partial; /* [groups, chunks, 49 + 1, lanes]: taps, then the bias */
};

/* sums [49 + 1] += one tile's share. */
static void gradient_tile(vector_f32 *sums, const struct weight_gradient *g,
                          const struct tile *tile)
{
    int64_t rows = smaller(TILE_ROWS, g->map.y - tile->row);
    int64_t columns = smaller(TILE_COLUMNS, g->map.x - tile->column);
    vector_f32 in[PACKED_ROWS * PACKED_COLUMNS], dout[TILE_ROWS * TILE_COLUMNS];
    pack(in, g->in, &g->map, tile, rows + 2 * PADDING, PACKED_COLUMNS, PADDING);
    pack(dout, g->dout, &g->map, tile, rows, TILE_COLUMNS, 0);
    for (int ky = 0; ky < SIDE; ky++) {
        vector_f32 sum[SIDE] = {{0}};
        for (int64_t row = 0; row < rows; row++) {
            const vector_f32 *from = in + (row + ky) * PACKED_COLUMNS;
            for (int64_t column = 0; column < columns; column++) {
                vector_f32 d = dout[row * TILE_COLUMNS + column];
#pragma GCC unroll 7
                for (int kx = 0; kx < SIDE; kx++)
                    sum[kx] = vector_fma(d, from[column + kx], sum[kx]);
            }
        }
        for (int kx = 0; kx < SIDE; kx++) sums[ky * SIDE + kx] += sum[kx];
    }
    for (int64_t i = 0; i < rows * TILE_COLUMNS; i++) sums[TAPS] += dout[i];
}

static void gradient_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct weight_gradient *g = argument;
    int64_t chunks = map_chunks(&g->map), groups = map_groups(&g->map);
    int64_t group = block / chunks, bands = g->map.b * map_bands(&g->map);
    vector_f32 sums[TAPS + 1] = {{0}};
    for (int64_t band = group * bands / groups; band < (group + 1) * bands / groups; band++) {
        struct tile tile = tile_start(&g->map, band, block % chunks);
        for (; tile.column < g->map.x; tile.column += TILE_COLUMNS) gradient_tile(sums, g, &tile);
    }
    memcpy(g->partial + block * (TAPS + 1) * VECTOR_LANES, sums, sizeof sums);
}

/* Adds the groups up in order, in double, for one vector of channels. */
static void gradient_sum(void *argument, int64_t chunk, int worker)
{
    (void)worker;
    const struct weight_gradient *g = argument;
    int64_t chunks = map_chunks(&g->map), groups = map_groups(&g->map);
    double total[(TAPS + 1) * VECTOR_LANES] = {0};
    for (int64_t group = 0; group < groups; group++) {
        const float *partial = g->partial + (group * chunks + chunk) * (TAPS + 1) * VECTOR_LANES;
        for (int64_t i = 0; i < (TAPS + 1) * VECTOR_LANES; i++) total[i] += (double)partial[i];
    }
    int64_t first = chunk * VECTOR_LANES, part = vector_part(g->map.c - first);
    for (int64_t lane = 0; lane < part; lane++) {
        float *dw = g->dw + (first + lane) * TAPS, *dbias = g->dbias + first + lane;
        for (int64_t tap = 0; tap < TAPS; tap++)
            dw[tap] = (float)((double)dw[tap] + total[tap * VECTOR_LANES + lane]);
        *dbias = (float)((double)*dbias + total[TAPS * VECTOR_LANES + lane]);
    }
}

enum status cpu_depthwise7_backward_weight(float *dw, float *dbias, const void *dout,
                                           const void *in, int64_t b, int64_t y, int64_t x,
                                           int64_t c, void *workspace, struct stream *stream)
{
    struct weight_gradient g = {.map = {b, y, x, c},
                                .dw = dw,
                                .dbias = dbias,
                                .dout = dout,
                                .in = in,
                                .partial = workspace};
    if (b * y * x == 0) return OK;
    int64_t chunks = map_chunks(&g.map);
    thread_pool_run(map_pool(&g.map, stream), map_groups(&g.map) * chunks, gradient_block, &g);
    thread_pool_run(map_pool(&g.map, stream), chunks, gradient_sum, &g);
    return OK;
}

size_t cpu_depthwise7_workspace(int64_t b, int64_t y, int64_t x, int64_t c)
{
    struct map map = {b, y, x, c};
    int64_t partial = map_groups(&map) * (TAPS + 1);
    int64_t vectors = map_chunks(&map) * (partial > TAPS ? partial : TAPS);
    return (size_t)vectors * VECTOR_LANES * sizeof(float);
}
