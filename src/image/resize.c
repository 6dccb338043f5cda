/* Pillow's 8-bit bicubic resize, bit for bit: weights in double, rounded to 22-bit integers, each
 * pass rounded to bytes. The sums are integers, so vectors of any width give the same bytes. */
#include "image/resize.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "image/image_codec.h"

#define LANES 16

typedef int32_t lanes_i32 __attribute__((vector_size(LANES * 4)));
typedef uint8_t lanes_u8 __attribute__((vector_size(LANES)));

/* Keys' cubic with a = -0.5; the order of operations is Pillow's. */
static double cubic(double x)
{
    const double a = -0.5;
    if (x < 0) x = -x;
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
    return 0;
}

static int32_t fixed_point(double weight)
{
    double scaled = weight * (double)(1 << RESIZE_PRECISION_BITS);
    return (int32_t)(weight < 0 ? scaled - 0.5 : scaled + 0.5);
}

/* Fills first, count and weights of output i; `window` [max_taps] is scratch. */
static void axis_fill(struct resize_axis *axis, int64_t i, double *window)
{
    double scale = (double)axis->n_in / (double)axis->n_out;
    double stretch = scale < 1 ? 1 : scale, support = 2 * stretch, inverse = 1 / stretch;
    double centre = ((double)i + 0.5) * scale, sum = 0;
    int64_t first = (int64_t)(centre - support + 0.5), last = (int64_t)(centre + support + 0.5);
    if (first < 0) first = 0;
    if (last > axis->n_in) last = axis->n_in;
    int64_t count = last - first;
    ASSERT(count >= 1 && count <= axis->max_taps, "%" PRId64 " taps at %" PRId64, count, i);
    for (int64_t tap = 0; tap < count; tap++) {
        window[tap] = cubic(((double)(tap + first) - centre + 0.5) * inverse);
        sum += window[tap];
    }
    double share = sum != 0 ? 1 / sum : 1;
    axis->first[i] = (int32_t)first;
    axis->count[i] = (int32_t)count;
    for (int64_t tap = 0; tap < count; tap++)
        axis->weight[i * axis->max_taps + tap] = fixed_point(window[tap] * share);
}

enum status resize_axis_init(struct resize_axis *axis_out, int64_t n_in, int64_t n_out)
{
    enum status status = OK;
    double scale = (double)n_in / (double)n_out;
    struct resize_axis axis = {.n_in = n_in,
                               .n_out = n_out,
                               .max_taps = (int64_t)ceil(2 * (scale < 1 ? 1 : scale)) * 2 + 1};
    double *window = NULL;
    ASSERT(n_in >= 1 && n_out >= 1, "resize %" PRId64 " to %" PRId64, n_in, n_out);
    axis.first = calloc((size_t)n_out, sizeof *axis.first);
    axis.count = calloc((size_t)n_out, sizeof *axis.count);
    axis.weight = calloc((size_t)(n_out * axis.max_taps), sizeof *axis.weight);
    window = calloc((size_t)axis.max_taps, sizeof *window);
    if (!axis.first || !axis.count || !axis.weight || !window)
        FAIL(ERR_MEMORY, "no memory for the weights of a resize from %" PRId64 " to %" PRId64, n_in,
             n_out);
    for (int64_t i = 0; i < n_out; i++) axis_fill(&axis, i, window);
    *axis_out = axis;
    axis = (struct resize_axis){0};
out:
    free(window);
    resize_axis_release(&axis);
    return status;
}

void resize_axis_release(struct resize_axis *axis)
{
    free(axis->first);
    free(axis->count);
    free(axis->weight);
    *axis = (struct resize_axis){0};
}

/* A loop, as GCC 12 takes __builtin_convertvector apart byte by byte. */
static inline lanes_i32 widen(const uint8_t *bytes)
{
    int32_t wide[LANES];
    lanes_i32 lanes;
    for (int i = 0; i < LANES; i++) wide[i] = bytes[i];
    memcpy(&lanes, wide, sizeof lanes);
    return lanes;
}

/* Rounded, shifted and clipped to bytes. */
static lanes_u8 narrow(lanes_i32 sum)
{
    lanes_i32 value = (sum + (1 << (RESIZE_PRECISION_BITS - 1))) >> RESIZE_PRECISION_BITS;
    value &= ~(value >> 31);
    lanes_i32 above = value > 255;
    value = (value & ~above) | (above & 255);
    return __builtin_convertvector(value, lanes_u8);
}

static uint8_t clip_sum(int32_t sum)
{
    int32_t value = (sum + (1 << (RESIZE_PRECISION_BITS - 1))) >> RESIZE_PRECISION_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* Four rows side by side, four bytes a pixel (the last is waste): quad [n_in, 4, 4]. One vector
 * then holds the same column of four rows. */
static void gather_quad(uint8_t *quad, const uint8_t *const rows[4], int64_t n)
{
    for (int64_t x = 0; x < n - 1; x++)
        for (int r = 0; r < 4; r++) memcpy(quad + x * LANES + 4 * r, rows[r] + 3 * x, 4);
    for (int r = 0; n > 0 && r < 4; r++)
        memcpy(quad + (n - 1) * LANES + 4 * r, rows[r] + 3 * (n - 1), 3);
}

static void fill_quad(uint8_t *quad, const uint8_t colour[3], int64_t n)
{
    for (int64_t i = 0; i < 4 * n; i++) memcpy(quad + 4 * i, colour, 3);
}

static inline __attribute__((always_inline)) lanes_u8
quad_pixel(const uint8_t *quad, const struct resize_axis *axis, int64_t x)
{
    const uint8_t *bytes = quad + (int64_t)axis->first[x] * LANES;
    const int32_t *weight = axis->weight + x * axis->max_taps;
    lanes_i32 sum = {0};
    for (int32_t tap = 0; tap < axis->count[x]; tap++)
        sum += widen(bytes + tap * LANES) * weight[tap];
    return narrow(sum);
}

typedef int32_t quad_i32 __attribute__((vector_size(16)));

/* Four neighbouring pixels of four rows, the waste between them taken out: 16 bytes go to each row,
 * the last four of them waste again. */
static void store_four(uint8_t *const out[4], const lanes_u8 pixel[4])
{
    const quad_i32 low = {0, 4, 1, 5}, high = {2, 6, 3, 7};
    const quad_i32 first = {0, 1, 4, 5}, second = {2, 3, 6, 7};
    const lanes_u8 packed = {0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 15, 15, 15, 15};
    const quad_i32 a = (quad_i32)pixel[0], b = (quad_i32)pixel[1];
    const quad_i32 c = (quad_i32)pixel[2], d = (quad_i32)pixel[3];
    quad_i32 ab_low = __builtin_shuffle(a, b, low), ab_high = __builtin_shuffle(a, b, high);
    quad_i32 cd_low = __builtin_shuffle(c, d, low), cd_high = __builtin_shuffle(c, d, high);
    const quad_i32 rows[4] = {
        __builtin_shuffle(ab_low, cd_low, first), __builtin_shuffle(ab_low, cd_low, second),
        __builtin_shuffle(ab_high, cd_high, first), __builtin_shuffle(ab_high, cd_high, second)};
    for (int r = 0; r < 4; r++) {
        lanes_u8 bytes = __builtin_shuffle((lanes_u8)rows[r], packed);
        memcpy(out[r], &bytes, sizeof bytes);
    }
}

static void resize_quad(uint8_t *const out[4], int n_rows, const uint8_t *quad,
                        const struct resize_axis *axis)
{
    const struct resize_axis a = *axis; /* a copy: stores of bytes might change the caller's */
    int64_t x = 0;
    /* The waste behind four pixels lands where the next two go. */
    for (; n_rows == 4 && x + 6 <= a.n_out; x += 4) {
        lanes_u8 pixel[4];
        uint8_t *const to[4] = {out[0] + 3 * x, out[1] + 3 * x, out[2] + 3 * x, out[3] + 3 * x};
        for (int i = 0; i < 4; i++) pixel[i] = quad_pixel(quad, &a, x + i);
        store_four(to, pixel);
    }
    for (; x < a.n_out; x++) {
        lanes_u8 pixel = quad_pixel(quad, &a, x);
        for (int r = 0; r < n_rows; r++) memcpy(out[r] + 3 * x, (const uint8_t *)&pixel + 4 * r, 3);
    }
}

enum status resize_rows(uint8_t *out, const uint8_t *in, int64_t height,
                        const struct resize_axis *axis, const struct resize_frame *frame)
{
    enum status status = OK;
    uint8_t *quad = calloc((size_t)axis->n_in, LANES);
    if (!quad) FAIL(ERR_MEMORY, "no memory to resize rows of %" PRId64 " pixels", axis->n_in);
    fill_quad(quad, frame->around, axis->n_in);
    for (int64_t y = 0; y < height; y += 4) {
        int n_rows = height - y < 4 ? (int)(height - y) : 4;
        const uint8_t *source[4];
        uint8_t *target[4];
        for (int r = 0; r < 4; r++) {
            int64_t row = y + (r < n_rows ? r : 0);
            source[r] = in + row * frame->width * 3;
            target[r] = out + row * axis->n_out * 3;
        }
        gather_quad(quad + frame->left * LANES, source, frame->width);
        resize_quad(target, n_rows, quad, axis);
    }
out:
    free(quad);
    return status;
}

void resize_one_row(uint8_t *out, const uint8_t *in, int64_t row_size,
                    const struct resize_axis *axis, int64_t y)
{
    const uint8_t *source = in + axis->first[y] * row_size;
    const int32_t *weight = axis->weight + y * axis->max_taps;
    int32_t n_taps = axis->count[y];
    int64_t i = 0;
    for (; i + 2 * LANES <= row_size; i += 2 * LANES) {
        lanes_i32 low = {0}, high = {0};
        for (int32_t tap = 0; tap < n_taps; tap++) {
            low += widen(source + tap * row_size + i) * weight[tap];
            high += widen(source + tap * row_size + i + LANES) * weight[tap];
        }
        lanes_u8 bytes = narrow(low);
        memcpy(out + i, &bytes, LANES);
        bytes = narrow(high);
        memcpy(out + i + LANES, &bytes, LANES);
    }
    for (; i < row_size; i++) {
        int32_t sum = 0;
        for (int32_t tap = 0; tap < n_taps; tap++) sum += source[tap * row_size + i] * weight[tap];
        out[i] = clip_sum(sum);
    }
}

enum status image_resize_bicubic(struct image *image_out, const struct image *image, int64_t height,
                                 int64_t width)
{
    enum status status = OK;
    struct image wide = {0}, result = {0};
    struct resize_axis columns = {0}, rows = {0};
    const struct image *source = image;
    if (width != image->width) {
        TRY(image_allocate(&wide, image->height, width, "the widened picture"));
        TRY(resize_axis_init(&columns, image->width, width));
        const struct resize_frame whole = {.width = image->width};
        TRY(resize_rows(wide.rgb, image->rgb, image->height, &columns, &whole));
        source = &wide;
    }
    TRY(image_allocate(&result, height, width, "the resized picture"));
    if (height != image->height) {
        TRY(resize_axis_init(&rows, image->height, height));
        for (int64_t y = 0; y < height; y++)
            resize_one_row(result.rgb + y * width * 3, source->rgb, width * 3, &rows, y);
    } else {
        memcpy(result.rgb, source->rgb, (size_t)(height * width * 3));
    }
    *image_out = result;
    result = (struct image){0};
out:
    resize_axis_release(&columns);
    resize_axis_release(&rows);
    image_release(&wide);
    image_release(&result);
    return status;
}
