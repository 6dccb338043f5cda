/* Region masks on feature grids, on the CPU: bilinear resize and mean pooling. */
#include <inttypes.h>

#include "base/assertion.h"
#include "blocks.h"
#include "cpu.h"
#include "mask_tap.h"
#include "vector.h"

/* Resized rows of one block, and the columns whose taps are computed at a time. */
enum { RESIZE_ROWS = 32, RESIZE_COLUMNS = 128 };

struct resize {
    float *out;
    const uint8_t *mask;
    int64_t y, x, oy, ox;
};

/* Up to RESIZE_ROWS rows of one region, RESIZE_COLUMNS columns of them. */
static void resize_columns(const struct resize *r, int64_t region, int64_t first_row,
                           int64_t first_column)
{
    const uint8_t *mask = r->mask + region * r->y * r->x;
    int64_t rows = r->oy - first_row < RESIZE_ROWS ? r->oy - first_row : RESIZE_ROWS;
    int64_t columns = r->ox - first_column < RESIZE_COLUMNS ? r->ox - first_column : RESIZE_COLUMNS;
    struct mask_tap taps[RESIZE_COLUMNS];
    for (int64_t i = 0; i < columns; i++) taps[i] = mask_tap_at(first_column + i, r->x, r->ox);
    for (int64_t row = first_row; row < first_row + rows; row++) {
        struct mask_tap v = mask_tap_at(row, r->y, r->oy);
        const uint8_t *top = mask + v.low * r->x, *bottom = mask + v.high * r->x;
        float *out = r->out + (region * r->oy + row) * r->ox + first_column;
        for (int64_t i = 0; i < columns; i++) {
            float u = taps[i].weight_high, u0 = 1 - u;
            float low = u0 * (float)top[taps[i].low] + u * (float)top[taps[i].high];
            float high = u0 * (float)bottom[taps[i].low] + u * (float)bottom[taps[i].high];
            out[i] = (1 - v.weight_high) * low + v.weight_high * high;
        }
    }
}

static void resize_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct resize *r = argument;
    int64_t bands = (r->oy + RESIZE_ROWS - 1) / RESIZE_ROWS;
    for (int64_t column = 0; column < r->ox; column += RESIZE_COLUMNS)
        resize_columns(r, block / bands, block % bands * RESIZE_ROWS, column);
}

enum status cpu_mask_resize(float *out, const uint8_t *mask, int64_t q, int64_t y, int64_t x,
                            int64_t oy, int64_t ox, struct stream *stream)
{
    struct resize resize = {.out = out, .mask = mask, .y = y, .x = x, .oy = oy, .ox = ox};
    thread_pool_run(pool_for(stream, q * oy * ox * 4), q * ceil_divide(oy, RESIZE_ROWS),
                    resize_block, &resize);
    return OK;
}

struct pool {
    float *out;           /* forward [Q, C] */
    const float *dout;    /* backward [Q, C] */
    const float *feature; /* forward */
    float *dfeature;      /* backward */
    const uint8_t *footprint;
    const int32_t *image_of;
    int64_t q, b, p, c;
};

/* Cells summed in fp32 before they are added to the total: keeps the rounding of a long sum low. */
enum { POOL_CELLS = 64, POOL_VECTORS = 4, POOL_CHANNELS = POOL_VECTORS * VECTOR_LANES };

static int64_t footprint_count(const uint8_t *cells, int64_t p)
{
    int64_t count = 0;
    for (int64_t cell = 0; cell < p; cell++) count += cells[cell] != 0;
    return count;
}

/* The first row of the image that a region lies in. */
static int64_t first_row(const struct pool *pool, int64_t region)
{
    int32_t image = pool->image_of[region];
    ASSERT(image >= 0 && image < pool->b, "region %" PRId64 " is of image %d, not in 0 .. %" PRId64,
           region, image, pool->b - 1);
    return image * pool->p;
}

/* Channels first .. of one region's mean. */
static void pool_channels(const struct pool *pool, int64_t region, int64_t first, float scale)
{
    const float *rows = pool->feature + first_row(pool, region) * pool->c + first;
    const uint8_t *cells = pool->footprint + region * pool->p;
    int64_t part[POOL_VECTORS];
    for (int64_t v = 0; v < POOL_VECTORS; v++) {
        int64_t left = pool->c - first - v * VECTOR_LANES;
        part[v] = left > 0 ? vector_part(left) : 0;
    }
    vector_f32 total[POOL_VECTORS] = {{0}};
    for (int64_t cell = 0; cell < pool->p; cell += POOL_CELLS) {
        vector_f32 sum[POOL_VECTORS] = {{0}};
        for (int64_t i = cell; i < cell + POOL_CELLS && i < pool->p; i++)
            for (int64_t v = 0; cells[i] != 0 && v < POOL_VECTORS; v++)
                sum[v] += vector_load_partial(rows + i * pool->c + v * VECTOR_LANES, part[v], 0);
        for (int64_t v = 0; v < POOL_VECTORS; v++) total[v] += sum[v];
    }
    float *out = pool->out + region * pool->c + first;
    for (int64_t v = 0; v < POOL_VECTORS; v++)
        vector_store_partial(out + v * VECTOR_LANES, total[v] * scale, part[v]);
}

static void pool_region(void *argument, int64_t region, int worker)
{
    (void)worker;
    const struct pool *pool = argument;
    int64_t count = footprint_count(pool->footprint + region * pool->p, pool->p);
    float scale = (float)(1 / ((double)count + 1e-8));
    if (count == 0) memset(pool->out + region * pool->c, 0, (size_t)pool->c * sizeof(float));
    for (int64_t first = 0; count > 0 && first < pool->c; first += POOL_CHANNELS)
        pool_channels(pool, region, first, scale);
}

enum status cpu_mask_pool_forward(float *out, const void *feature, const uint8_t *footprint,
                                  const int32_t *image_of, int64_t q, int64_t b, int64_t p,
                                  int64_t c, struct stream *stream)
{
    struct pool pool = {.out = out,
                        .feature = feature,
                        .footprint = footprint,
                        .image_of = image_of,
                        .q = q,
                        .b = b,
                        .p = p,
                        .c = c};
    thread_pool_run(pool_for(stream, q * p * c), q, pool_region, &pool);
    return OK;
}

/* One vector of channels of all regions: rows of one image get their regions' shares in order. */
static void spread_channels(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct pool *pool = argument;
    int64_t c = pool->c, first = block * VECTOR_LANES, part = vector_part(c - first);
    for (int64_t region = 0; region < pool->q; region++) {
        const uint8_t *cells = pool->footprint + region * pool->p;
        float divisor = (float)((double)footprint_count(cells, pool->p) + 1e-8);
        vector_f32 share = vector_load_partial(pool->dout + region * c + first, part, 0) / divisor;
        float *rows = pool->dfeature + first_row(pool, region) * c + first;
        for (int64_t i = 0; i < pool->p; i++)
            if (cells[i] != 0)
                vector_store_partial(rows + i * c,
                                     vector_load_partial(rows + i * c, part, 0) + share, part);
    }
}

enum status cpu_mask_pool_backward(void *dfeature, const float *dout, const uint8_t *footprint,
                                   const int32_t *image_of, int64_t q, int64_t b, int64_t p,
                                   int64_t c, struct stream *stream)
{
    struct pool pool = {.dout = dout,
                        .dfeature = dfeature,
                        .footprint = footprint,
                        .image_of = image_of,
                        .q = q,
                        .b = b,
                        .p = p,
                        .c = c};
    thread_pool_run(pool_for(stream, q * p * c), ceil_divide(c, VECTOR_LANES), spread_channels,
                    &pool);
    return OK;
}
