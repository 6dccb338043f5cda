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

/* The horizontal pass over a padded picture: [side, n_out, 3]. Rows of background alone are all
 * the same, and only one of them is computed. */
static enum status widen_padded(uint8_t *wide, const struct image *image,
                                const struct image_place *place, const struct resize_axis *columns)
{
    enum status status = OK;
    const size_t row_size = (size_t)columns->n_out * 3;
    struct resize_frame frame = {.left = place->left, .width = image->width};
    memcpy(frame.around, image_pad_colour, sizeof frame.around);
    TRY(resize_rows(wide + (size_t)place->top * row_size, image->rgb, image->height, columns,
                    &frame));
    if (image->height == place->side) goto out;
    frame.left = frame.width = 0;
    uint8_t *blank = wide + (size_t)(place->side - 1) * row_size; /* below there is always one */
    TRY(resize_rows(blank, image->rgb, 1, columns, &frame));
    for (int64_t y = 0; y < place->side - 1; y++)
        if (y < place->top || y >= place->top + image->height)
            memcpy(wide + (size_t)y * row_size, blank, row_size);
out:
    return status;
}

/* The horizontal pass: wide_out [rows, width, 3] has the rows of the picture, or of its square. */
static enum status widen(struct image *wide_out, const struct image *image, bool padded,
                         int64_t width)
{
    enum status status = OK;
    struct image wide = {0};
    struct resize_axis columns = {0};
    const struct image_place place = image_place_on_square(image);
    const struct resize_frame whole = {.width = image->width};
    TRY(image_allocate(&wide, padded ? place.side : image->height, width, "the widened picture"));
    TRY(resize_axis_init(&columns, padded ? place.side : image->width, width));
    TRY(padded ? widen_padded(wide.rgb, image, &place, &columns)
               : resize_rows(wide.rgb, image->rgb, image->height, &columns, &whole));
    *wide_out = wide;
    wide = (struct image){0};
out:
    resize_axis_release(&columns);
    image_release(&wide);
    return status;
}

/* The vertical pass, and image_normalise on every row: the resized picture is never whole in
 * memory. */
static enum status shorten_normalise(float *pixels, const struct image *wide, int64_t height)
{
    enum status status = OK;
    struct resize_axis rows = {0};
    struct normalisation table;
    const int64_t width = wide->width;
    uint8_t *row = malloc((size_t)width * 3);
    if (!row) FAIL(ERR_MEMORY, "no memory for a row of %" PRId64 " pixels", width);
    normalisation_init(&table);
    if (height != wide->height) TRY(resize_axis_init(&rows, wide->height, height));
    for (int64_t y = 0; y < height; y++) {
        const uint8_t *source = wide->rgb + y * width * 3;
        if (height != wide->height) {
            resize_one_row(row, wide->rgb, width * 3, &rows, y);
            source = row;
        }
        normalise(pixels + y * width * 3, source, width, &table);
    }
out:
    free(row);
    resize_axis_release(&rows);
    return status;
}

enum status image_preprocess(float *pixels, const void *bytes, size_t size, const char *name,
                             enum image_mode mode, int64_t height, int64_t width)
{
    enum status status = OK;
    struct image image = {0}, wide = {0};
    TRY(image_decode(&image, bytes, size, name));
    const bool padded = mode == IMAGE_MODE_PAD && image.height != image.width;
    const int64_t columns = padded ? image_place_on_square(&image).side : image.width;
    const struct image *source = &wide;
    if (width != columns)
        TRY_WHERE(widen(&wide, &image, padded, width), "%s", name);
    else if (padded)
        TRY_WHERE(image_pad_square(&wide, &image), "%s", name);
    else
        source = &image;
    TRY_WHERE(shorten_normalise(pixels, source, height), "%s", name);
out:
    image_release(&image);
    image_release(&wide);
    return status;
}
