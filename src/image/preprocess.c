/* From the bytes of a picture to what the tower reads: decode, pad or squash, resize, normalise. */
#include <inttypes.h>
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
    float mean[RUN], std[RUN];
};

static void normalisation_init(struct normalisation *table)
{
    for (int i = 0; i < RUN; i++) {
        table->mean[i] = (float)channel_mean[i % 3];
        table->std[i] = (float)channel_std[i % 3];
    }
}

/* The reference's roundings: byte * (1 / 255) in double, the rest in float. */
static inline __attribute__((always_inline)) void
normalise_run(float *pixels, const uint8_t *rgb, int64_t n, const struct normalisation *table)
{
    for (int64_t i = 0; i < n; i++) {
        float value = (float)((double)rgb[i] * 0.00392156862745098);
        pixels[i] = (value - table->mean[i]) / table->std[i];
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

/* image_resize_bicubic and image_normalise in one: the resized picture is never whole in memory. */
static enum status resize_normalise(float *pixels, const struct image *image, int64_t height,
                                    int64_t width)
{
    enum status status = OK;
    struct image wide = {0};
    struct resize_axis columns = {0}, rows = {0};
    uint8_t *row = NULL;
    const uint8_t *source = image->rgb;
    struct normalisation table;
    normalisation_init(&table);
    if (width != image->width) {
        TRY(image_allocate(&wide, image->height, width, "the widened picture"));
        TRY(resize_axis_init(&columns, image->width, width));
        TRY(resize_rows(wide.rgb, image->rgb, image->height, &columns));
        source = wide.rgb;
    }
    if (height == image->height) {
        normalise(pixels, source, height * width, &table);
        goto out;
    }
    TRY(resize_axis_init(&rows, image->height, height));
    row = malloc((size_t)width * 3);
    if (!row) FAIL(ERR_MEMORY, "no memory for a row of %" PRId64 " pixels", width);
    for (int64_t y = 0; y < height; y++) {
        resize_one_row(row, source, width * 3, &rows, y);
        normalise(pixels + y * width * 3, row, width, &table);
    }
out:
    free(row);
    resize_axis_release(&columns);
    resize_axis_release(&rows);
    image_release(&wide);
    return status;
}

enum status image_preprocess(float *pixels, const void *bytes, size_t size, const char *name,
                             enum image_mode mode, int64_t height, int64_t width)
{
    enum status status = OK;
    struct image image = {0}, square = {0};
    const struct image *source = &image;
    TRY(image_decode(&image, bytes, size, name));
    if (mode == IMAGE_MODE_PAD && image.height != image.width) {
        TRY(image_pad_square(&square, &image));
        source = &square;
    }
    TRY_WHERE(resize_normalise(pixels, source, height, width), "%s", name);
out:
    image_release(&image);
    image_release(&square);
    return status;
}
