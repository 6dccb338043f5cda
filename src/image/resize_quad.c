/* The horizontal pass. Its sums are over neighbouring pixels, which lie across a vector; four
 * rows side by side lie along it. Where the machine multiplies bytes four at a time (AVX-512
 * VNNI and VBMI), weights are taken apart into three signed bytes; the sums are the same
 * integers. */
#include "image/resize_quad.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/assertion.h"

#if defined(__AVX512VNNI__) && defined(__AVX512VBMI__)
#include <immintrin.h>
#define BY_BYTES 1
#else
#define BY_BYTES 0
#endif

#if BY_BYTES

/* Weights four taps at a time: digits [n_out, groups, 3, 4], weight = d0 + 2^8 d1 + 2^16 d2, each
 * -128 .. 127. */
static int64_t n_groups(const struct resize_axis *axis)
{
    return (axis->max_taps + 3) / 4;
}

enum status quad_prepare(struct resize_axis *axis)
{
    enum status status = OK;
    int64_t groups = n_groups(axis);
    axis->digits = calloc((size_t)(axis->n_out * groups), 12);
    if (!axis->digits)
        FAIL(ERR_MEMORY, "no memory for the weights of a resize from %" PRId64 " to %" PRId64,
             axis->n_in, axis->n_out);
    for (int64_t i = 0; i < axis->n_out * axis->max_taps; i++) {
        int64_t x = i / axis->max_taps, tap = i % axis->max_taps;
        int8_t *group = axis->digits + (x * groups + tap / 4) * 12 + tap % 4;
        int32_t rest = axis->weight[i];
        for (int d = 0; d < 3; d++) {
            group[4 * d] = (int8_t)(uint8_t)(rest & 255);
            rest = (rest - group[4 * d]) / 256;
        }
        ASSERT(rest == 0, "a weight of %d", (int)axis->weight[i]);
    }
out:
    return status;
}

/* One dword of weights for every lane. */
static inline __m512i four_weights(const int8_t *digits)
{
    int32_t word;
    memcpy(&word, digits, sizeof word);
    return _mm512_set1_epi32(word);
}

static inline __attribute__((always_inline)) lanes_i32
quad_sum(const uint8_t *bytes, const struct resize_axis *axis, int64_t x)
{
    /* Byte 4 l + t of a group comes from lane l of tap t. */
    const __m512i order = _mm512_set_epi8(
        63, 47, 31, 15, 62, 46, 30, 14, 61, 45, 29, 13, 60, 44, 28, 12, 59, 43, 27, 11, 58, 42, 26,
        10, 57, 41, 25, 9, 56, 40, 24, 8, 55, 39, 23, 7, 54, 38, 22, 6, 53, 37, 21, 5, 52, 36, 20,
        4, 51, 35, 19, 3, 50, 34, 18, 2, 49, 33, 17, 1, 48, 32, 16, 0);
    const int8_t *digits = axis->digits + x * n_groups(axis) * 12;
    __m512i d0 = _mm512_setzero_si512(), d1 = d0, d2 = d0;
    for (int32_t tap = 0; tap < axis->count[x]; tap += 4, digits += 12) {
        __m512i taps = _mm512_permutexvar_epi8(order, _mm512_loadu_si512(bytes + tap * LANES));
        d0 = _mm512_dpbusd_epi32(d0, taps, four_weights(digits));
        d1 = _mm512_dpbusd_epi32(d1, taps, four_weights(digits + 4));
        d2 = _mm512_dpbusd_epi32(d2, taps, four_weights(digits + 8));
    }
    d1 = _mm512_add_epi32(d1, _mm512_slli_epi32(d2, 8));
    return (lanes_i32)_mm512_add_epi32(d0, _mm512_slli_epi32(d1, 8));
}

/* Rounded and shifted, not clipped. */
static inline __m512i rounded(lanes_i32 sum)
{
    const __m512i half = _mm512_set1_epi32(1 << (RESIZE_PRECISION_BITS - 1));
    return _mm512_srai_epi32(_mm512_add_epi32((__m512i)sum, half), RESIZE_PRECISION_BITS);
}

/* Four neighbouring pixels of four rows. Packing clips, and puts the four pixels of a row into that
 * row's quarter of the vector; 16 bytes go to each row, the last four of them waste. */
static inline __attribute__((always_inline)) void
resize_four(uint8_t *const out[4], const uint8_t *quad, const struct resize_axis *axis, int64_t x)
{
    const __m512i compact = _mm512_broadcast_i32x4(
        _mm_set_epi8(15, 15, 15, 15, 14, 13, 12, 10, 9, 8, 6, 5, 4, 2, 1, 0));
    __m512i pixel[4];
    for (int i = 0; i < 4; i++)
        pixel[i] = rounded(quad_sum(quad + axis->first[x + i] * LANES, axis, x + i));
    __m512i low = _mm512_packs_epi32(pixel[0], pixel[1]);
    __m512i high = _mm512_packs_epi32(pixel[2], pixel[3]);
    __m512i bytes = _mm512_shuffle_epi8(_mm512_packus_epi16(low, high), compact);
    uint8_t rows[64];
    _mm512_storeu_si512(rows, bytes);
    for (int r = 0; r < 4; r++) memcpy(out[r] + 3 * x, rows + 16 * r, 16);
}

/* Gathers pixels four by four as long as 16 bytes of each row are there; says how many. */
static int64_t gather_fours(uint8_t *quad, const uint8_t *const rows[4], int64_t n)
{
    /* Byte 16 p + 4 r + c of four pixels is byte 3 p + c of row r; the waste is any. */
    uint8_t from[64];
    for (int i = 0; i < 64; i++) from[i] = (uint8_t)(i / 4 % 4 * 16 + i / 16 * 3 + i % 4);
    const __m512i order = _mm512_loadu_si512(from);
    int64_t x = 0;
    for (; 3 * x + 16 <= 3 * n; x += 4) {
        __m512i bytes = _mm512_castsi128_si512(_mm_loadu_si128((const void *)(rows[0] + 3 * x)));
        bytes = _mm512_inserti32x4(bytes, _mm_loadu_si128((const void *)(rows[1] + 3 * x)), 1);
        bytes = _mm512_inserti32x4(bytes, _mm_loadu_si128((const void *)(rows[2] + 3 * x)), 2);
        bytes = _mm512_inserti32x4(bytes, _mm_loadu_si128((const void *)(rows[3] + 3 * x)), 3);
        _mm512_storeu_si512(quad + x * LANES, _mm512_permutexvar_epi8(order, bytes));
    }
    return x;
}

#else

enum status quad_prepare(struct resize_axis *axis)
{
    ASSERT(axis->digits == NULL, "digits on a machine without their use: %" PRId64, axis->n_out);
    return OK;
}

static inline __attribute__((always_inline)) lanes_i32
quad_sum(const uint8_t *bytes, const struct resize_axis *axis, int64_t x)
{
    const int32_t *weight = axis->weight + x * axis->max_taps;
    lanes_i32 sum = {0};
    for (int32_t tap = 0; tap < axis->count[x]; tap++)
        sum += widen(bytes + tap * LANES) * weight[tap];
    return sum;
}

typedef int32_t quad_i32 __attribute__((vector_size(16)));

/* Four neighbouring pixels of four rows, the waste between them taken out: 16 bytes go to each row,
 * the last four of them waste again. */
static void store_four(uint8_t *const out[4], const lanes_u8 pixel[4])
{
    const quad_i32 low = {0, 4, 1, 5}, high = {2, 6, 3, 7};
    const quad_i32 first = {0, 1, 4, 5}, second = {2, 3, 6, 7};
    const lanes_u8 packed = {0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 15, 15, 15, 15};
    const quad_i32 *p = (const quad_i32 *)pixel;
    quad_i32 ab_low = __builtin_shuffle(p[0], p[1], low);
    quad_i32 cd_low = __builtin_shuffle(p[2], p[3], low);
    quad_i32 ab_high = __builtin_shuffle(p[0], p[1], high);
    quad_i32 cd_high = __builtin_shuffle(p[2], p[3], high);
    const quad_i32 rows[4] = {
        __builtin_shuffle(ab_low, cd_low, first), __builtin_shuffle(ab_low, cd_low, second),
        __builtin_shuffle(ab_high, cd_high, first), __builtin_shuffle(ab_high, cd_high, second)};
    for (int r = 0; r < 4; r++) {
        lanes_u8 bytes = __builtin_shuffle((lanes_u8)rows[r], packed);
        memcpy(out[r], &bytes, sizeof bytes);
    }
}

static void resize_four(uint8_t *const out[4], const uint8_t *quad, const struct resize_axis *axis,
                        int64_t x)
{
    lanes_u8 pixel[4];
    uint8_t *const to[4] = {out[0] + 3 * x, out[1] + 3 * x, out[2] + 3 * x, out[3] + 3 * x};
    for (int i = 0; i < 4; i++) {
        lanes_i32 sum = quad_sum(quad + axis->first[x + i] * LANES, axis, x + i);
        pixel[i] = narrow(&sum);
    }
    store_four(to, pixel);
}

static int64_t gather_fours(uint8_t *quad, const uint8_t *const rows[4], int64_t n)
{
    int64_t x = 0;
    for (; x + 4 < n; x++)
        for (int r = 0; r < 4; r++) memcpy(quad + x * LANES + 4 * r, rows[r] + 3 * x, 4);
    return x;
}

#endif

void quad_gather(uint8_t *quad, const uint8_t *const rows[4], int64_t n)
{
    for (int64_t x = gather_fours(quad, rows, n); x < n; x++)
        for (int r = 0; r < 4; r++) memcpy(quad + x * LANES + 4 * r, rows[r] + 3 * x, 3);
}

void quad_resize(uint8_t *const out[4], int n_rows, const uint8_t *quad,
                 const struct resize_axis *axis)
{
    const struct resize_axis a = *axis; /* a copy: stores of bytes might change the caller's */
    int64_t x = 0;
    /* The waste behind four pixels lands where the next two go. */
    for (; n_rows == 4 && x + 6 <= a.n_out; x += 4) resize_four(out, quad, &a, x);
    for (; x < a.n_out; x++) {
        lanes_i32 sum = quad_sum(quad + a.first[x] * LANES, &a, x);
        lanes_u8 pixel = narrow(&sum);
        for (int r = 0; r < n_rows; r++) memcpy(out[r] + 3 * x, (const uint8_t *)&pixel + 4 * r, 3);
    }
}
