/* From the bytes of a picture to what the tower reads: decode, pad or squash, resize, normalise,
 * all of it row by row. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "image/image_codec.h"
#include "image/resize.h"

/* OpenAI CLIP's statistics, as the reference's processor has them. */
static const double channel_mean[3] = {0.48145466, 0.4578275, 0.40821073};
static const double channel_std[3] = {0.26862954, 0.26130258, 0.27577711};

/* The statistics of 16 pixels behind each other, so that the loop below is one of vectors. */
enum { RUN = 48 };

struct normalisation {
    float mean[RUN], std[RUN], inverse[RUN];
};

static void normalisation_init(struct normalisation *table)
{
    for (int i = 0; i < RUN; i++) {
        table->mean[i] = (float)channel_mean[i % 3];
        table->std[i] = (float)channel_std[i % 3];
        table->inverse[i] = 1 / table->std[i];
    }
}

/* x / y, correctly rounded, from the rounded 1 / y: the remainder of a first quotient corrects it.
 * True of the 3 x 256 quotients taken here, as tests/image/image_test.c goes through. */
static inline float quotient(float x, float y, float inverse)
{
    float first = x * inverse;
    return fmaf(fmaf(-first, y, x), inverse, first);
}

/* The reference's roundings: byte * (1 / 255) in double to float, which is byte / 255 in float;
 * then (value - mean) / std in float. */
static inline __attribute__((always_inline)) void
normalise_run(float *pixels, const uint8_t *rgb, int64_t n, const struct normalisation *table)
{
    for (int64_t i = 0; i < n; i++) {
        float value = quotient((float)rgb[i], 255.0F, 1 / 255.0F);
        pixels[i] = quotient(value - table->mean[i], table->std[i], table->inverse[i]);
    }
}

static void normalise(float *pixels, const uint8_t *rgb, int64_t n_pixels,
                      const struct normalisation *table)
{
    int64_t n = 3 * n_pixels, i = 0;
    for (; i + RUN <= n; i += RUN) normalise_run(pixels + i, rgb + i, RUN, table);
    normalise_run(pixels + i, rgb + i, n - i, table);
}

void image_normalise(float *pixels, const struct image *image)
{
    struct normalisation table;
    normalisation_init(&table);
    normalise(pixels, image->rgb, image->height * image->width, &table);
}

struct preprocess {
    float *pixels; /* [height, width, 3] */
    int64_t height, width;
    enum image_mode mode;
    struct normalisation table;
    struct resize_stream *stream;
};

static void normalise_row(void *context, int64_t y, const uint8_t *row)
{
    struct preprocess *p = context;
    normalise(p->pixels + y * p->width * 3, row, p->width, &p->table);
}

static enum status start(void *context, int64_t height, int64_t width, const char *name)
{
    enum status status = OK;
    struct preprocess *p = context;
    struct resize_geometry geometry = {.in_height = height,
                                       .in_width = width,
                                       .full_height = height,
                                       .full_width = width,
                                       .out_height = p->height,
                                       .out_width = p->width};
    if (p->mode == IMAGE_MODE_PAD) {
        int64_t side = height > width ? height : width;
        geometry.full_height = geometry.full_width = side;
        geometry.top = (side - height) / 2;
        geometry.left = (side - width) / 2;
    }
    TRY_WHERE(resize_stream_create(&p->stream, geometry, normalise_row, p), "%s", name);
out:
    return status;
}

static uint8_t *place(void *context, int64_t y)
{
    return resize_stream_place(((struct preprocess *)context)->stream, y);
}

static void done(void *context, int64_t y)
{
    resize_stream_done(((struct preprocess *)context)->stream, y);
}

enum status image_preprocess(float *pixels, struct image_source source, enum image_mode mode,
                             int64_t height, int64_t width)
{
    struct preprocess p = {.pixels = pixels, .height = height, .width = width, .mode = mode};
    struct row_sink sink = {&p, start, place, done};
    normalisation_init(&p.table);
    enum status status = image_stream(&sink, source);
    resize_stream_destroy(p.stream);
    return status;
}
