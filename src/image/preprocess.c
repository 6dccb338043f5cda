/* From the bytes of a picture to what the tower reads: decode, pad or squash, resize, normalise,
 * all of it row by row. */
#include "image/image_codec.h"
#include "image/normalise.h"
#include "image/resize.h"

void image_normalise(float *pixels, const struct image *image)
{
    struct normalisation table;
    normalisation_init(&table);
    normalise_row(pixels, image->rgb, image->height * image->width * 3, &table);
}

struct preprocess {
    float *pixels; /* [height, width, 3] */
    int64_t height, width;
    enum image_mode mode;
    struct resize_stream *stream;
};

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
    TRY_WHERE(
        resize_stream_create(&p->stream, geometry, (struct resize_target){.pixels = p->pixels}),
        "%s", name);
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
    enum status status = image_stream(&sink, source);
    resize_stream_destroy(p.stream);
    return status;
}
