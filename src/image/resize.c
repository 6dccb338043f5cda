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
#include "image/resize_bands.h"

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

struct resize_stream {
    struct resize_geometry geometry;
    struct resize_target target;
    struct normalisation table;
    struct resize_axis columns, rows; /* rows: empty where the columns' do for both */
    struct bands *bands;              /* NULL: the sizes stay, rows leave as they come */
    uint8_t *row;                     /* [full_width, 3]: then the row between */
    int64_t n_wide;                   /* rows of the full picture that have been widened */
    int64_t n_done;                   /* rows of the result that have left */
};

void resize_stream_destroy(struct resize_stream *stream)
{
    if (!stream) return;
    bands_destroy(stream->bands);
    resize_axis_release(&stream->columns);
    resize_axis_release(&stream->rows);
    free(stream->row);
    free(stream);
}

void resize_fill_padding(uint8_t *pixels, int64_t n, int64_t stride)
{
    static const uint8_t colour[3] = {IMAGE_PAD_RED, IMAGE_PAD_GREEN, IMAGE_PAD_BLUE};
    for (int64_t x = 0; x < n; x++) memcpy(pixels + x * stride, colour, 3);
}

/* A row of the result that is a row of the full picture. */
static void pass_on(struct resize_stream *stream, int64_t y)
{
    const int64_t n = stream->geometry.out_width * 3;
    if (stream->target.rgb)
        memcpy(stream->target.rgb + y * n, stream->row, (size_t)n);
    else
        normalise_row(stream->target.pixels + y * n, stream->row, n, &stream->table);
}

/* Rows of nothing but padding, up to `end`. */
static void pass_padding(struct resize_stream *stream, int64_t end)
{
    if (stream->n_done < end) resize_fill_padding(stream->row, stream->geometry.full_width, 3);
    for (; stream->n_done < end; stream->n_done++) pass_on(stream, stream->n_done);
}

static void row_passes(struct resize_stream *stream, int64_t y)
{
    const struct resize_geometry *g = &stream->geometry;
    pass_on(stream, g->top + y);
    stream->n_done++;
    if (y == g->in_height - 1) pass_padding(stream, g->full_height);
}

static const struct resize_axis *row_axis(const struct resize_stream *stream)
{
    return stream->rows.n_out > 0 ? &stream->rows : &stream->columns;
}

/* Every row that the rows widened so far are enough for. */
static void blend_rows(struct resize_stream *stream)
{
    const struct resize_geometry *g = &stream->geometry;
    const struct resize_axis *rows = row_axis(stream);
    for (; stream->n_done < g->out_height; stream->n_done++) {
        const int64_t y = stream->n_done, at = y * g->out_width * 3;
        if (rows->first[y] + rows->count[y] > stream->n_wide) break;
        if (stream->target.rgb)
            bands_blend_rgb(stream->bands, y, stream->target.rgb + at);
        else
            bands_blend_pixels(stream->bands, y, stream->target.pixels + at, &stream->table);
    }
}

uint8_t *resize_stream_place(struct resize_stream *stream, int64_t y)
{
    const struct resize_geometry *g = &stream->geometry;
    if (stream->bands) return bands_place(stream->bands, y);
    if (y == 0) {
        pass_padding(stream, g->top);
        resize_fill_padding(stream->row, g->full_width, 3); /* beside the rows to come */
    }
    return stream->row + g->left * 3;
}

void resize_stream_done(struct resize_stream *stream, int64_t y)
{
    const struct resize_geometry *g = &stream->geometry;
    if (!stream->bands) {
        row_passes(stream, y);
        return;
    }
    const bool last = y == g->in_height - 1;
    if (y % BAND != BAND - 1 && !last) return;
    bands_widen(stream->bands, y - y % BAND, (int)(y % BAND) + 1);
    stream->n_wide = last ? g->full_height : g->top + y + 1;
    blend_rows(stream);
}

enum status resize_stream_create(struct resize_stream **stream_out, struct resize_geometry geometry,
                                 struct resize_target target)
{
    enum status status = OK;
    struct resize_stream *stream = calloc(1, sizeof *stream);
    if (!stream) FAIL(ERR_MEMORY, "no memory to resize a picture");
    *stream =
        (struct resize_stream){.geometry = geometry, .target = target, .n_wide = geometry.top};
    const struct resize_geometry *g = &stream->geometry;
    normalisation_init(&stream->table);
    if (g->full_width == g->out_width && g->full_height == g->out_height) {
        stream->row = malloc((size_t)g->full_width * 3);
        if (!stream->row) FAIL(ERR_MEMORY, "no memory for one row of a picture");
    } else {
        TRY(resize_axis_init(&stream->columns, g->full_width, g->out_width));
        if (g->full_height != g->full_width || g->out_height != g->out_width)
            TRY(resize_axis_init(&stream->rows, g->full_height, g->out_height));
        TRY(bands_create(&stream->bands, g, &stream->columns, row_axis(stream)));
    }
    *stream_out = stream;
    stream = NULL;
out:
    resize_stream_destroy(stream);
    return status;
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
    TRY(resize_stream_create(&stream, geometry, (struct resize_target){.rgb = result.rgb}));
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
