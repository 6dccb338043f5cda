/* Both passes with vectors of the compiler, for any processor. The sums of the horizontal pass are
 * over neighbouring pixels, which lie across a vector; four rows side by side lie along it. */
#include "base/shuffle.h"
#include "image/resize_bands.h"

#if !BANDS_BY_BYTES

#if defined(__AVX2__)
#include <immintrin.h>
#endif
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Machines without vectors of 64 bytes pass them otherwise, and say so; nothing here is ever called
 * through a pointer or from another compiler's code. */
#pragma GCC diagnostic ignored "-Wpsabi"

enum { LANES = 16, SLACK = 48 }; /* bytes behind a quad that may be read; they count nothing */

/* Two halves, as compilers take vectors apart that are wider than the machine's. */
typedef int32_t half_i32 __attribute__((vector_size(LANES * 2)));
typedef uint8_t lanes_u8 __attribute__((vector_size(LANES)));
struct lanes {
    half_i32 half[2];
};
typedef int32_t quad_i32 __attribute__((vector_size(16)));

struct bands {
    const struct resize_geometry *geometry;
    const struct resize_axis *columns, *rows;
    uint8_t *arrived;     /* [16, in_width, 3]: rows that wait for the horizontal pass */
    uint8_t *quad;        /* [full_width, 4, 4] and SLACK: four of them, side by side */
    uint8_t *ring;        /* [n_ring, out_width, 3]: row y of the picture, widened, at y % n_ring */
    uint8_t *padding;     /* [out_width, 3]: a widened row of the padding's colour */
    uint8_t *result;      /* [out_width, 3] */
    const uint8_t **taps; /* [rows->max_taps] */
    int64_t n_ring;
};

static inline half_i32 widen(const uint8_t *bytes)
{
#if defined(__AVX2__)
    return (half_i32)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)bytes));
#else
    half_i32 wide;
    for (int i = 0; i < LANES / 2; i++) wide[i] = bytes[i];
    return wide;
#endif
}

static inline __attribute__((always_inline)) void add_weighted(struct lanes *sum,
                                                               const uint8_t *bytes, int32_t weight)
{
    sum->half[0] += widen(bytes) * weight;
    sum->half[1] += widen(bytes + LANES / 2) * weight;
}

/* Rounded, shifted and clipped to bytes. */
static inline __attribute__((always_inline)) lanes_u8 narrow(const struct lanes *sum)
{
    const int32_t round = 1 << (RESIZE_PRECISION_BITS - 1);
    const half_i32 low = (sum->half[0] + round) >> RESIZE_PRECISION_BITS;
    const half_i32 high = (sum->half[1] + round) >> RESIZE_PRECISION_BITS;
#if defined(__AVX2__)
    /* packing takes the quarters of both halves in turn */
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32((__m256i)low, (__m256i)high),
                                                   _MM_SHUFFLE(3, 1, 2, 0));
    return (lanes_u8)_mm_packus_epi16(_mm256_castsi256_si128(words),
                                      _mm256_extracti128_si256(words, 1));
#else
    lanes_u8 bytes;
    for (int i = 0; i < LANES; i++) {
        const int32_t value = i < LANES / 2 ? low[i] : high[i - LANES / 2];
        bytes[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
    return bytes;
#endif
}

/* ---- the horizontal pass ---- */

/* Four rows of n pixels side by side, four bytes a pixel (the last is waste): quad [n, 4, 4]. */
static void quad_gather(uint8_t *quad, const uint8_t *const rows[4], int64_t n)
{
    int64_t x = 0;
    for (; x + 4 < n; x++)
        for (int r = 0; r < 4; r++) memcpy(quad + x * LANES + 4 * r, rows[r] + 3 * x, 4);
    for (; x < n; x++)
        for (int r = 0; r < 4; r++) memcpy(quad + x * LANES + 4 * r, rows[r] + 3 * x, 3);
}

static inline __attribute__((always_inline)) struct lanes
quad_sum(const uint8_t *bytes, const struct resize_axis *axis, int64_t x)
{
    const int32_t *weight = axis->weight + x * axis->max_taps;
    struct lanes sum = {0};
    for (int32_t tap = 0; tap < axis->count[x]; tap++)
        add_weighted(&sum, bytes + tap * LANES, weight[tap]);
    return sum;
}

/* Four neighbouring pixels of four rows, the waste between them taken out: 16 bytes go to each row,
 * the last four of them waste again. */
static void store_four(uint8_t *const out[4], const lanes_u8 pixel[4])
{
    const quad_i32 low = {0, 4, 1, 5}, high = {2, 6, 3, 7};
    const quad_i32 first = {0, 1, 4, 5}, second = {2, 3, 6, 7};
    const lanes_u8 packed = {0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 15, 15, 15, 15};
    const quad_i32 *p = (const quad_i32 *)pixel;
    quad_i32 ab_low = SHUFFLE_TWO(p[0], p[1], low);
    quad_i32 cd_low = SHUFFLE_TWO(p[2], p[3], low);
    quad_i32 ab_high = SHUFFLE_TWO(p[0], p[1], high);
    quad_i32 cd_high = SHUFFLE_TWO(p[2], p[3], high);
    const quad_i32 rows[4] = {
        SHUFFLE_TWO(ab_low, cd_low, first), SHUFFLE_TWO(ab_low, cd_low, second),
        SHUFFLE_TWO(ab_high, cd_high, first), SHUFFLE_TWO(ab_high, cd_high, second)};
    for (int r = 0; r < 4; r++) {
        lanes_u8 bytes = SHUFFLE((lanes_u8)rows[r], packed);
        memcpy(out[r], &bytes, sizeof bytes);
    }
}

static void resize_four(uint8_t *const out[4], const uint8_t *quad, const struct resize_axis *axis,
                        int64_t x)
{
    lanes_u8 pixel[4];
    uint8_t *const to[4] = {out[0] + 3 * x, out[1] + 3 * x, out[2] + 3 * x, out[3] + 3 * x};
    for (int i = 0; i < 4; i++) {
        struct lanes sum = quad_sum(quad + axis->first[x + i] * LANES, axis, x + i);
        pixel[i] = narrow(&sum);
    }
    store_four(to, pixel);
}

/* Row r < n_rows of the quad to out[r] u8 [n_out, 3]. */
static void quad_resize(uint8_t *const out[4], int n_rows, const uint8_t *quad,
                        const struct resize_axis *axis)
{
    const struct resize_axis a = *axis; /* a copy: stores of bytes might change the caller's */
    int64_t x = 0;
    /* The waste behind four pixels lands where the next two go. */
    for (; n_rows == 4 && x + 6 <= a.n_out; x += 4) resize_four(out, quad, &a, x);
    for (; x < a.n_out; x++) {
        struct lanes sum = quad_sum(quad + a.first[x] * LANES, &a, x);
        lanes_u8 pixel = narrow(&sum);
        for (int r = 0; r < n_rows; r++) memcpy(out[r] + 3 * x, (const uint8_t *)&pixel + 4 * r, 3);
    }
}

/* Row y of the picture where it will be widened to. */
static uint8_t *ring_row(const struct bands *bands, int64_t y)
{
    return bands->ring + y % bands->n_ring * bands->geometry->out_width * 3;
}

uint8_t *bands_place(struct bands *bands, int64_t y)
{
    return bands->arrived + y % BAND * bands->geometry->in_width * 3;
}

void bands_widen(struct bands *bands, int64_t y, int n)
{
    const struct resize_geometry *g = bands->geometry;
    for (int q = 0; q < n; q += 4) {
        const int n_rows = n - q < 4 ? n - q : 4;
        const uint8_t *source[4];
        uint8_t *target[4];
        for (int r = 0; r < 4; r++) {
            const int row = q + (r < n_rows ? r : 0);
            source[r] = bands->arrived + row * g->in_width * 3;
            target[r] = ring_row(bands, y + row);
        }
        quad_gather(bands->quad + g->left * LANES, source, g->in_width);
        quad_resize(target, n_rows, bands->quad, bands->columns);
    }
}

/* ---- the vertical pass ---- */

/* Sums of `n_taps` rows of `size` bytes, weighted. */
static void blend_rows(uint8_t *out, const uint8_t *const *rows, const int32_t *weight,
                       int32_t n_taps, int64_t size)
{
    int64_t i = 0;
    for (; i + 2 * LANES <= size; i += 2 * LANES) {
        struct lanes low = {0}, high = {0};
        for (int32_t tap = 0; tap < n_taps; tap++) {
            add_weighted(&low, rows[tap] + i, weight[tap]);
            add_weighted(&high, rows[tap] + i + LANES, weight[tap]);
        }
        lanes_u8 bytes = narrow(&low);
        memcpy(out + i, &bytes, LANES);
        bytes = narrow(&high);
        memcpy(out + i + LANES, &bytes, LANES);
    }
    for (; i < size; i++) {
        int32_t sum = 0;
        for (int32_t tap = 0; tap < n_taps; tap++) sum += rows[tap][i] * weight[tap];
        out[i] = resize_clip(sum);
    }
}

void bands_blend_rgb(struct bands *bands, int64_t y, uint8_t *rgb)
{
    const struct resize_geometry *g = bands->geometry;
    const struct resize_axis *rows = bands->rows;
    for (int32_t tap = 0; tap < rows->count[y]; tap++) {
        const int64_t source = rows->first[y] + tap - g->top;
        const bool inside = source >= 0 && source < g->in_height;
        bands->taps[tap] = inside ? ring_row(bands, source) : bands->padding;
    }
    blend_rows(rgb, bands->taps, rows->weight + y * rows->max_taps, rows->count[y],
               g->out_width * 3);
}

void bands_blend_pixels(struct bands *bands, int64_t y, float *pixels,
                        const struct normalisation *table)
{
    bands_blend_rgb(bands, y, bands->result);
    normalise_row(pixels, bands->result, bands->geometry->out_width * 3, table);
}

/* ---- memory ---- */

/* A row of padding through the horizontal pass, and padding beside the rows to come. */
static void start_padding(struct bands *bands)
{
    const struct resize_geometry *g = bands->geometry;
    uint8_t *const target[4] = {bands->padding, bands->padding, bands->padding, bands->padding};
    for (int r = 0; r < 4; r++) resize_fill_padding(bands->quad + 4 * r, g->full_width, LANES);
    quad_resize(target, 1, bands->quad, bands->columns);
}

enum status bands_create(struct bands **bands_out, const struct resize_geometry *geometry,
                         const struct resize_axis *columns, const struct resize_axis *rows)
{
    enum status status = OK;
    const struct resize_geometry *g = geometry;
    const size_t out_row = (size_t)g->out_width * 3;
    struct bands *bands = calloc(1, sizeof *bands);
    if (!bands) FAIL(ERR_MEMORY, "no memory to resize a picture");
    *bands = (struct bands){
        .geometry = g, .columns = columns, .rows = rows, .n_ring = rows->max_taps + BAND};
    bands->arrived = malloc((size_t)g->in_width * 3 * BAND);
    bands->quad = calloc((size_t)g->full_width * LANES + SLACK, 1);
    bands->ring = malloc((size_t)bands->n_ring * out_row);
    bands->padding = malloc(out_row);
    bands->result = malloc(out_row);
    bands->taps = malloc((size_t)rows->max_taps * sizeof *bands->taps);
    if (!bands->arrived || !bands->quad || !bands->ring || !bands->padding || !bands->result ||
        !bands->taps)
        FAIL(ERR_MEMORY, "no memory to resize a picture of %" PRId64 " x %" PRId64 " pixels",
             g->full_width, g->full_height);
    start_padding(bands);
    *bands_out = bands;
    bands = NULL;
out:
    bands_destroy(bands);
    return status;
}

void bands_destroy(struct bands *bands)
{
    if (!bands) return;
    free(bands->arrived);
    free(bands->quad);
    free(bands->ring);
    free(bands->padding);
    free(bands->result);
    free(bands->taps);
    free(bands);
}

#endif
