/* Pillow's 8-bit bicubic resize, bit for bit: weights in double, rounded to 22-bit integers, each
 * pass rounded to bytes. The sums are integers, so vectors of any width give the same bytes. */
#include "image/resize.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "image/image_codec.h"
#include "image/resize_quad.h"

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
    free(axis->digits);
    *axis = (struct resize_axis){0};
}

static uint8_t clip_sum(int32_t sum)
{
    int32_t value = (sum + (1 << (RESIZE_PRECISION_BITS - 1))) >> RESIZE_PRECISION_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* Sums of `n_taps` rows of `size` bytes, weighted: one row of the vertical pass. */
static void blend_rows(uint8_t *out, const uint8_t *const *rows, const int32_t *weight,
                       int32_t n_taps, int64_t size)
{
    int64_t i = 0;
    for (; i + 2 * LANES <= size; i += 2 * LANES) {
        lanes_i32 low = {0}, high = {0};
        for (int32_t tap = 0; tap < n_taps; tap++) {
            low += widen(rows[tap] + i) * weight[tap];
            high += widen(rows[tap] + i + LANES) * weight[tap];
        }
        lanes_u8 bytes = narrow(&low);
        memcpy(out + i, &bytes, LANES);
        bytes = narrow(&high);
        memcpy(out + i + LANES, &bytes, LANES);
    }
    for (; i < size; i++) {
        int32_t sum = 0;
        for (int32_t tap = 0; tap < n_taps; tap++) sum += rows[tap][i] * weight[tap];
        out[i] = clip_sum(sum);
    }
}

struct resize_stream {
    struct resize_geometry geometry;
    resize_emit *emit;
    void *context;
    struct resize_axis columns, rows;
    uint8_t *arrived; /* [4, in_width, 3]: rows of the picture that wait for the horizontal pass */
    uint8_t *quad;    /* [full_width, 4, 4] and QUAD_SLACK bytes */
    uint8_t *ring; /* [n_ring, out_width, 3]: row y of the full picture, widened, at y % n_ring */
    uint8_t *padding;     /* [out_width, 3]: a widened row of the padding's colour */
    uint8_t *result;      /* [out_width, 3] */
    const uint8_t **taps; /* [rows.max_taps] */
    int64_t n_ring;
    int64_t n_wide; /* rows of the full picture that have been widened */
    int64_t n_done; /* rows of the result that have left */
};

void resize_stream_destroy(struct resize_stream *stream)
{
    if (!stream) return;
    resize_axis_release(&stream->columns);
    resize_axis_release(&stream->rows);
    free(stream->arrived);
    free(stream->quad);
    free(stream->ring);
    free(stream->padding);
    free(stream->result);
    free(stream->taps);
    free(stream);
}

static bool keeps_width(const struct resize_stream *stream)
{
    return stream->geometry.full_width == stream->geometry.out_width;
}

/* Row y of the full picture where it will be widened to. */
static uint8_t *ring_row(const struct resize_stream *stream, int64_t y)
{
    return stream->ring + y % stream->n_ring * stream->geometry.out_width * 3;
}

static void fill_padding(uint8_t *pixels, int64_t n_pixels, int64_t stride)
{
    static const uint8_t colour[3] = {IMAGE_PAD_RED, IMAGE_PAD_GREEN, IMAGE_PAD_BLUE};
    for (int64_t x = 0; x < n_pixels; x++) memcpy(pixels + x * stride, colour, 3);
}

/* Every row that the rows widened so far are enough for. */
static void emit_rows(struct resize_stream *stream)
{
    const struct resize_geometry *g = &stream->geometry;
    const struct resize_axis *rows = &stream->rows;
    for (; stream->n_done < g->out_height; stream->n_done++) {
        int64_t y = stream->n_done;
        if (rows->first[y] + rows->count[y] > stream->n_wide) break;
        for (int32_t tap = 0; tap < rows->count[y]; tap++) {
            int64_t source = rows->first[y] + tap;
            bool inside = source >= g->top && source < g->top + g->in_height;
            stream->taps[tap] = inside ? ring_row(stream, source) : stream->padding;
        }
        blend_rows(stream->result, stream->taps, rows->weight + y * rows->max_taps, rows->count[y],
                   g->out_width * 3);
        stream->emit(stream->context, y, stream->result);
    }
}

/* Widens the last n rows that arrived, the first of them being row y of the picture. */
static void widen_arrived(struct resize_stream *stream, int64_t y, int n)
{
    const struct resize_geometry *g = &stream->geometry;
    const uint8_t *source[4];
    uint8_t *target[4];
    for (int r = 0; r < 4; r++) {
        source[r] = stream->arrived + (r < n ? r : 0) * g->in_width * 3;
        target[r] = ring_row(stream, g->top + y + (r < n ? r : 0));
    }
    quad_gather(stream->quad + g->left * LANES, source, g->in_width);
    quad_resize(target, n, stream->quad, &stream->columns);
}

uint8_t *resize_stream_place(struct resize_stream *stream, int64_t y)
{
    const struct resize_geometry *g = &stream->geometry;
    if (!keeps_width(stream)) return stream->arrived + y % 4 * g->in_width * 3;
    uint8_t *row = ring_row(stream, g->top + y);
    if (g->in_width < g->full_width) fill_padding(row, g->full_width, 3);
    return row + g->left * 3;
}

void resize_stream_done(struct resize_stream *stream, int64_t y)
{
    const struct resize_geometry *g = &stream->geometry;
    bool last = y == g->in_height - 1;
    if (keeps_width(stream)) {
        stream->n_wide++;
    } else if (y % 4 == 3 || last) {
        widen_arrived(stream, y - y % 4, (int)(y % 4) + 1);
        stream->n_wide += y % 4 + 1;
    }
    if (last) stream->n_wide = g->full_height;
    emit_rows(stream);
}

/* A row of padding through the horizontal pass, and padding beside the rows to come. */
static void start_padding(struct resize_stream *stream)
{
    const struct resize_geometry *g = &stream->geometry;
    fill_padding(stream->padding, g->out_width, 3);
    if (keeps_width(stream)) return;
    for (int r = 0; r < 4; r++) fill_padding(stream->quad + 4 * r, g->full_width, LANES);
    uint8_t *const target[4] = {stream->padding, stream->padding, stream->padding, stream->padding};
    quad_resize(target, 1, stream->quad, &stream->columns);
}

enum status resize_stream_create(struct resize_stream **stream_out, struct resize_geometry geometry,
                                 resize_emit *emit, void *context)
{
    enum status status = OK;
    const struct resize_geometry *g = &geometry;
    size_t out_row = (size_t)g->out_width * 3;
    struct resize_stream *stream = calloc(1, sizeof *stream);
    if (!stream) FAIL(ERR_MEMORY, "no memory to resize a picture");
    *stream = (struct resize_stream){
        .geometry = geometry, .emit = emit, .context = context, .n_wide = g->top};
    TRY(resize_axis_init(&stream->columns, g->full_width, g->out_width));
    TRY(quad_prepare(&stream->columns));
    TRY(resize_axis_init(&stream->rows, g->full_height, g->out_height));
    /* Before four more rows are widened, all but those of the next window have been used. */
    stream->n_ring = stream->rows.max_taps + 4;
    stream->arrived = malloc((size_t)g->in_width * 12);
    stream->quad = calloc((size_t)g->full_width * LANES + QUAD_SLACK, 1);
    stream->ring = malloc((size_t)stream->n_ring * out_row);
    stream->padding = malloc(out_row);
    stream->result = malloc(out_row);
    stream->taps = malloc((size_t)stream->rows.max_taps * sizeof *stream->taps);
    if (!stream->arrived || !stream->quad || !stream->ring || !stream->padding || !stream->result ||
        !stream->taps)
        FAIL(ERR_MEMORY, "no memory to resize a picture of %" PRId64 " x %" PRId64 " pixels",
             g->full_width, g->full_height);
    start_padding(stream);
    *stream_out = stream;
    stream = NULL;
out:
    resize_stream_destroy(stream);
    return status;
}

static void keep_row(void *context, int64_t y, const uint8_t *row)
{
    struct image *image = context;
    memcpy(image->rgb + y * image->width * 3, row, (size_t)image->width * 3);
}

enum status image_resize_bicubic(struct image *image_out, const struct image *image, int64_t height,
                                 int64_t width)
{
    enum status status = OK;
    struct image result = {0};
    struct resize_stream *stream = NULL;
    struct resize_geometry geometry = {.in_height = image->height,
                                       .in_width = image->width,
                                       .full_height = image->height,
                                       .full_width = image->width,
                                       .out_height = height,
                                       .out_width = width};
    TRY(image_allocate(&result, height, width, "the resized picture"));
    TRY(resize_stream_create(&stream, geometry, keep_row, &result));
    for (int64_t y = 0; y < image->height; y++) {
        memcpy(resize_stream_place(stream, y), image->rgb + y * image->width * 3,
               (size_t)image->width * 3);
        resize_stream_done(stream, y);
    }
    *image_out = result;
    result = (struct image){0};
out:
    resize_stream_destroy(stream);
    image_release(&result);
    return status;
}
