/* Both passes where the processor multiplies bytes four at a time (AVX-512 VNNI and VBMI).
 *
 * Weights are taken apart into three signed bytes, weight = d0 + 2^8 d1 + 2^16 d2, and multiplied
 * with four pixels at once. For the horizontal pass four neighbouring pixels of one channel of a
 * row lie in one dword, 16 rows in a vector; what it gives lies with four rows in a dword, as the
 * vertical pass wants them. */
#include "image/resize_bands.h"

#if BANDS_BY_BYTES

#include <immintrin.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"

enum {
    GROUP_BYTES = 3 * 64, /* four pixels of 16 rows: a vector for each channel */
    CHUNK = 48,           /* bytes of a row of the result that are made together */
    DIGITS = 3
};

/* A window of the vertical pass: four rows at a time, and their weights. */
struct source {
    const uint8_t *quad; /* [elements, 4] */
    int8_t digits[DIGITS][4];
};

struct bands {
    const struct resize_geometry *geometry;
    const struct resize_axis *columns, *rows;
    int64_t n_groups; /* of four pixels in a row of the full picture, the last one filled up */
    int64_t first_group, end_group; /* that hold a pixel of the picture */
    int64_t row_bytes;              /* of an arrived row */
    uint8_t *arrived;               /* [16, row_bytes]: rows as wide as the full picture */
    uint8_t *gathered;              /* [n_groups, 3, 16, 4] */
    int64_t n_out;                  /* columns of the result, filled up to four */
    int64_t first_out, end_out;     /* that see a pixel of the picture */
    int64_t max_taps;               /* groups of four in a window */
    int32_t *window, *n_window;     /* [n_out]: first group, groups */
    int8_t *digits;                 /* [n_out, max_taps, 3, 4] */
    int64_t elements;               /* of a widened row: bytes, filled up to CHUNK */
    int64_t n_ring;
    uint8_t *ring;          /* [n_ring, 4, elements, 4]: band b of 16 rows at b % n_ring */
    uint8_t *padding;       /* [elements, 4]: one row of padding, three of zeros */
    struct source *sources; /* [rows->max_taps] */
};

static void take_apart(int8_t digits[DIGITS][4], int tap, int32_t weight)
{
    int32_t rest = weight;
    for (int d = 0; d < DIGITS; d++) {
        digits[d][tap] = (int8_t)(uint8_t)(rest & 255);
        rest = (rest - digits[d][tap]) / 256;
    }
    ASSERT(rest == 0, "a weight of %d", (int)weight);
}

/* One dword of weights for every lane. */
static inline __m512i four_weights(const int8_t *digits)
{
    int32_t word;
    memcpy(&word, digits, sizeof word);
    return _mm512_set1_epi32(word);
}

/* The sums of three digits put together, rounded and shifted, not clipped. */
static inline __m512i whole(__m512i d0, __m512i d1, __m512i d2)
{
    const __m512i half = _mm512_set1_epi32(1 << (RESIZE_PRECISION_BITS - 1));
    d1 = _mm512_add_epi32(d1, _mm512_slli_epi32(d2, 8));
    d0 = _mm512_add_epi32(_mm512_add_epi32(d0, half), _mm512_slli_epi32(d1, 8));
    return _mm512_srai_epi32(d0, RESIZE_PRECISION_BITS);
}

/* ---- the horizontal pass ---- */

/* Four rows' 16 bytes, four pixels in them, to one quarter of the vector for each channel: four
 * rows of four pixels. */
static inline __m512i by_channel(const uint8_t *row, int64_t row_bytes, __m512i order)
{
    __m512i bytes = _mm512_castsi128_si512(_mm_loadu_si128((const void *)row));
    bytes = _mm512_inserti32x4(bytes, _mm_loadu_si128((const void *)(row + row_bytes)), 1);
    bytes = _mm512_inserti32x4(bytes, _mm_loadu_si128((const void *)(row + 2 * row_bytes)), 2);
    bytes = _mm512_inserti32x4(bytes, _mm_loadu_si128((const void *)(row + 3 * row_bytes)), 3);
    return _mm512_permutexvar_epi8(order, bytes);
}

static void gather(struct bands *bands)
{
    uint8_t from[64]; /* byte 16 c + 4 r + t is byte 3 t + c of row r; the last quarter is waste */
    for (int i = 0; i < 64; i++) from[i] = (uint8_t)(i / 4 % 4 * 16 + i % 4 * 3 + i / 16 % 3);
    const __m512i order = _mm512_loadu_si512(from);
    const int64_t row_bytes = bands->row_bytes;
    for (int64_t g = bands->first_group; g < bands->end_group; g++) {
        const uint8_t *row = bands->arrived + g * 12;
        const __m512i a = by_channel(row, row_bytes, order);
        const __m512i b = by_channel(row + 4 * row_bytes, row_bytes, order);
        const __m512i c = by_channel(row + 8 * row_bytes, row_bytes, order);
        const __m512i d = by_channel(row + 12 * row_bytes, row_bytes, order);
        const __m512i ab = _mm512_shuffle_i32x4(a, b, 0x44);
        const __m512i cd = _mm512_shuffle_i32x4(c, d, 0x44);
        const __m512i ab_blue = _mm512_shuffle_i32x4(a, b, 0xAA);
        const __m512i cd_blue = _mm512_shuffle_i32x4(c, d, 0xAA);
        uint8_t *group = bands->gathered + g * GROUP_BYTES;
        _mm512_storeu_si512(group, _mm512_shuffle_i32x4(ab, cd, 0x88));
        _mm512_storeu_si512(group + 64, _mm512_shuffle_i32x4(ab, cd, 0xDD));
        _mm512_storeu_si512(group + 128, _mm512_shuffle_i32x4(ab_blue, cd_blue, 0x88));
    }
}

/* Column x of 16 rows: a vector for each channel. */
static inline __attribute__((always_inline)) void column_sum(__m512i sum[3],
                                                             const struct bands *bands, int64_t x)
{
    const uint8_t *group = bands->gathered + bands->window[x] * GROUP_BYTES;
    const int8_t *digits = bands->digits + x * bands->max_taps * 12;
    __m512i d[3][DIGITS];
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < DIGITS; i++) d[c][i] = _mm512_setzero_si512();
    for (int32_t t = 0; t < bands->n_window[x]; t++, group += GROUP_BYTES, digits += 12) {
        for (int c = 0; c < 3; c++) {
            const __m512i pixels = _mm512_loadu_si512(group + 64 * c);
            for (int i = 0; i < DIGITS; i++)
                d[c][i] = _mm512_dpbusd_epi32(d[c][i], pixels, four_weights(digits + 4 * i));
        }
    }
    for (int c = 0; c < 3; c++) sum[c] = whole(d[c][0], d[c][1], d[c][2]);
}

/* Four bytes of 16 rows, clipped: those of four rows to each of the four quads of a band. */
static inline void store_bytes(uint8_t *band, int64_t quad_bytes, const __m512i sum[4])
{
    const __m512i low = _mm512_packs_epi32(sum[0], sum[1]);
    const __m512i high = _mm512_packs_epi32(sum[2], sum[3]);
    const __m512i bytes = _mm512_packus_epi16(low, high);
    _mm_storeu_si128((void *)band, _mm512_castsi512_si128(bytes));
    _mm_storeu_si128((void *)(band + quad_bytes), _mm512_extracti32x4_epi32(bytes, 1));
    _mm_storeu_si128((void *)(band + 2 * quad_bytes), _mm512_extracti32x4_epi32(bytes, 2));
    _mm_storeu_si128((void *)(band + 3 * quad_bytes), _mm512_extracti32x4_epi32(bytes, 3));
}

/* Columns first .. end - 1 of 16 rows into a band of the ring; both are multiples of four. */
static void widen_columns(const struct bands *bands, uint8_t *band, int64_t first, int64_t end)
{
    const struct bands b = *bands; /* a copy: stores of bytes might change the caller's */
    for (int64_t x = first; x < end; x += 4) {
        __m512i sum[12];
        for (int i = 0; i < 4; i++) column_sum(sum + 3 * i, &b, x + i);
        for (int k = 0; k < 3; k++)
            store_bytes(band + 12 * x + 16 * k, 4 * b.elements, sum + 4 * k);
    }
}

static uint8_t *ring_band(const struct bands *bands, int64_t band)
{
    return bands->ring + band % bands->n_ring * BAND * bands->elements;
}

uint8_t *bands_place(struct bands *bands, int64_t y)
{
    return bands->arrived + y % BAND * bands->row_bytes + bands->geometry->left * 3;
}

void bands_widen(struct bands *bands, int64_t y, int n)
{
    (void)n; /* rows that did not arrive are widened as they are: no window weighs them */
    gather(bands);
    widen_columns(bands, ring_band(bands, y / BAND), bands->first_out, bands->end_out);
}

/* ---- the vertical pass ---- */

/* The window of row y of the result: quads of the picture's rows, and the padding. */
static int window_of(struct bands *bands, int64_t y)
{
    const struct resize_geometry *g = bands->geometry;
    const int32_t *weight = bands->rows->weight + y * bands->rows->max_taps;
    const int64_t first = bands->rows->first[y] - g->top, end = first + bands->rows->count[y];
    int32_t outside = 0;
    int n = 0;
    for (int64_t row = first; row < end; row++) {
        if (row < 0 || row >= g->in_height) {
            outside += weight[row - first];
            continue;
        }
        if (row % 4 == 0 || row == first || row == 0)
            bands->sources[n++] = (struct source){.quad = ring_band(bands, row / BAND) +
                                                          row % BAND / 4 * 4 * bands->elements};
        take_apart(bands->sources[n - 1].digits, (int)(row % 4), weight[row - first]);
    }
    if (outside != 0) {
        bands->sources[n] = (struct source){.quad = bands->padding};
        take_apart(bands->sources[n++].digits, 0, outside);
    }
    return n;
}

/* Bytes at .. at + 47 of a row of the result, as whole numbers, clipped. */
static inline __attribute__((always_inline)) void
chunk_sum(__m512i sum[3], const struct source *sources, int n, int64_t at)
{
    __m512i d[3][DIGITS];
    for (int v = 0; v < 3; v++)
        for (int i = 0; i < DIGITS; i++) d[v][i] = _mm512_setzero_si512();
    for (int s = 0; s < n; s++) {
        for (int v = 0; v < 3; v++) {
            const __m512i bytes = _mm512_loadu_si512(sources[s].quad + 4 * (at + 16 * v));
            for (int i = 0; i < DIGITS; i++)
                d[v][i] = _mm512_dpbusd_epi32(d[v][i], bytes, four_weights(sources[s].digits[i]));
        }
    }
    for (int v = 0; v < 3; v++) {
        sum[v] = _mm512_max_epi32(whole(d[v][0], d[v][1], d[v][2]), _mm512_setzero_si512());
        sum[v] = _mm512_min_epi32(sum[v], _mm512_set1_epi32(255));
    }
}

/* Lanes of vector `v` of the chunk at `at` that lie before the end of the row. */
static inline __mmask16 lanes_left(int64_t at, int v, int64_t n)
{
    const int64_t left = n - at - 16 * v;
    return (__mmask16)(left >= 16 ? 0xFFFF : left > 0 ? (1 << left) - 1 : 0);
}

void bands_blend_rgb(struct bands *bands, int64_t y, uint8_t *rgb)
{
    const int64_t n = bands->geometry->out_width * 3;
    const int n_sources = window_of(bands, y);
    for (int64_t at = 0; at < n; at += CHUNK) {
        __m512i sum[3];
        chunk_sum(sum, bands->sources, n_sources, at);
        for (int v = 0; v < 3; v++)
            _mm512_mask_cvtepi32_storeu_epi8(rgb + at + 16 * v, lanes_left(at, v, n), sum[v]);
    }
}

void bands_blend_pixels(struct bands *bands, int64_t y, float *pixels,
                        const struct normalisation *table)
{
    const __m512 high = _mm512_set1_ps(NORMALISE_HIGH), low = _mm512_set1_ps(NORMALISE_LOW);
    const int64_t n = bands->geometry->out_width * 3;
    const int n_sources = window_of(bands, y);
    for (int64_t at = 0; at < n; at += CHUNK) {
        __m512i sum[3];
        chunk_sum(sum, bands->sources, n_sources, at);
        for (int v = 0; v < 3; v++) {
            const __m512 byte = _mm512_cvtepi32_ps(sum[v]);
            __m512 value = _mm512_fmadd_ps(byte, high, _mm512_mul_ps(byte, low));
            value = _mm512_sub_ps(value, _mm512_loadu_ps(table->mean + 16 * v));
            value = _mm512_fmadd_ps(value, _mm512_loadu_ps(table->high + 16 * v),
                                    _mm512_mul_ps(value, _mm512_loadu_ps(table->low + 16 * v)));
            _mm512_mask_storeu_ps(pixels + at + 16 * v, lanes_left(at, v, n), value);
        }
    }
}

/* ---- memory ---- */

/* Windows of the horizontal pass in groups of four pixels; columns beyond the result repeat its
 * last. */
static void prepare_columns(struct bands *bands)
{
    const struct resize_axis *axis = bands->columns;
    for (int64_t x = 0; x < bands->n_out; x++) {
        const int64_t column = x < axis->n_out ? x : axis->n_out - 1;
        const int64_t first = axis->first[column], end = first + axis->count[column];
        int8_t(*digits)[DIGITS][4] =
            (void *)(bands->digits + x * bands->max_taps * (int64_t)sizeof *digits);
        bands->window[x] = (int32_t)(first / 4);
        bands->n_window[x] = (int32_t)((end - 1) / 4 - first / 4 + 1);
        for (int64_t pixel = first; pixel < end; pixel++)
            take_apart(digits[pixel / 4 - first / 4], (int)(pixel % 4),
                       axis->weight[column * axis->max_taps + pixel - first]);
    }
    const struct resize_geometry *g = bands->geometry;
    bands->first_out = bands->n_out;
    for (int64_t x = 0; x < bands->n_out; x += 4) {
        int64_t first = bands->window[x], end = 0; /* of four columns together */
        for (int64_t i = x; i < x + 4; i++)
            if (bands->window[i] + bands->n_window[i] > end)
                end = bands->window[i] + bands->n_window[i];
        if (4 * end <= g->left || 4 * first >= g->left + g->in_width) continue;
        if (x < bands->first_out) bands->first_out = x;
        bands->end_out = x + 4;
    }
}

/* Column x of a widened row of padding. */
static void pad_column(struct bands *bands, int64_t x)
{
    const struct resize_axis *axis = bands->columns;
    const int64_t column = x < axis->n_out ? x : axis->n_out - 1;
    uint8_t colour[3];
    int32_t sum = 0;
    resize_fill_padding(colour, 1, 3);
    for (int32_t tap = 0; tap < axis->count[column]; tap++)
        sum += axis->weight[column * axis->max_taps + tap];
    for (int64_t c = 0; c < 3; c++) {
        const int64_t element = 3 * x + c;
        const uint8_t byte = resize_clip(sum * colour[c]);
        bands->padding[4 * element] = byte;
        if (x >= bands->first_out && x < bands->end_out) continue;
        for (int64_t quad = 0; quad < 4 * bands->n_ring; quad++)
            memset(bands->ring + 4 * (quad * bands->elements + element), byte, 4);
    }
}

/* Padding beside the rows to come, a widened row of it, and columns that see nothing else. */
static void start_padding(struct bands *bands)
{
    uint8_t colour[3];
    resize_fill_padding(colour, 1, 3);
    for (int64_t r = 0; r < BAND; r++)
        resize_fill_padding(bands->arrived + r * bands->row_bytes, 4 * bands->n_groups, 3);
    for (int64_t g = 0; g < bands->n_groups; g++)
        for (int64_t c = 0; c < 3 && (g < bands->first_group || g >= bands->end_group); c++)
            memset(bands->gathered + g * GROUP_BYTES + 64 * c, colour[c], 64);
    for (int64_t x = 0; x < bands->n_out; x++) pad_column(bands, x);
}

static enum status take_memory(struct bands *bands)
{
    enum status status = OK;
    const size_t n_out = (size_t)bands->n_out, elements = (size_t)bands->elements;
    bands->arrived = calloc(BAND, (size_t)bands->row_bytes);
    bands->gathered = malloc((size_t)bands->n_groups * GROUP_BYTES);
    bands->window = malloc(n_out * sizeof *bands->window);
    bands->n_window = malloc(n_out * sizeof *bands->n_window);
    bands->digits = calloc(n_out * (size_t)bands->max_taps, 12);
    bands->ring = calloc((size_t)bands->n_ring * BAND, elements);
    bands->padding = calloc(elements, 4);
    bands->sources = malloc((size_t)bands->rows->max_taps * sizeof *bands->sources);
    if (!bands->arrived || !bands->gathered || !bands->window || !bands->n_window ||
        !bands->digits || !bands->ring || !bands->padding || !bands->sources)
        FAIL(ERR_MEMORY, "no memory to resize a picture of %" PRId64 " x %" PRId64 " pixels",
             bands->geometry->full_width, bands->geometry->full_height);
out:
    return status;
}

enum status bands_create(struct bands **bands_out, const struct resize_geometry *geometry,
                         const struct resize_axis *columns, const struct resize_axis *rows)
{
    enum status status = OK;
    const struct resize_geometry *g = geometry;
    struct bands *bands = calloc(1, sizeof *bands);
    if (!bands) FAIL(ERR_MEMORY, "no memory to resize a picture");
    *bands = (struct bands){.geometry = g, .columns = columns, .rows = rows};
    bands->n_groups = (g->full_width + 3) / 4;
    bands->first_group = g->left / 4;
    bands->end_group = (g->left + g->in_width + 3) / 4;
    bands->row_bytes = bands->n_groups * 12 + 16; /* 16 bytes are read of the last 12 */
    bands->n_out = (g->out_width + 3) / 4 * 4;
    bands->max_taps = (columns->max_taps + 2) / 4 + 1;
    bands->elements = (bands->n_out * 3 + CHUNK - 1) / CHUNK * CHUNK;
    bands->n_ring = (rows->max_taps + BAND - 2) / BAND + 1;
    TRY(take_memory(bands));
    prepare_columns(bands);
    if (g->in_width < g->full_width || g->in_height < g->full_height) start_padding(bands);
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
    free(bands->gathered);
    free(bands->window);
    free(bands->n_window);
    free(bands->digits);
    free(bands->ring);
    free(bands->padding);
    free(bands->sources);
    free(bands);
}

#endif
