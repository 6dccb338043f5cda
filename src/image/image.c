/* Pictures of any format: which decoder, the limits, memory, padding. */
#include "image/image.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "image/image_codec.h"

#define MAX_FILE_SIZE ((size_t)1 << 30)

static const uint8_t pad_colour[3] = {IMAGE_PAD_RED, IMAGE_PAD_GREEN, IMAGE_PAD_BLUE};

enum status image_check_size(int64_t height, int64_t width, const char *name)
{
    enum status status = OK;
    if (height < 1 || width < 1)
        FAIL(ERR_FORMAT, "%s: a picture of %" PRId64 " x %" PRId64 " pixels; both must be >= 1",
             name, width, height);
    if (height > IMAGE_MAX_SIDE || width > IMAGE_MAX_SIDE || height * width > IMAGE_MAX_PIXELS)
        FAIL(ERR_LIMIT,
             "%s: a picture of %" PRId64 " x %" PRId64
             " pixels; the limits are %d a side and %d in all: make it smaller",
             name, width, height, IMAGE_MAX_SIDE, IMAGE_MAX_PIXELS);
out:
    return status;
}

enum status image_allocate(struct image *image_out, int64_t height, int64_t width, const char *name)
{
    enum status status = OK;
    TRY(image_check_size(height, width, name));
    uint8_t *rgb = malloc((size_t)(height * width * 3));
    if (!rgb)
        FAIL(ERR_MEMORY, "%s: no memory for a picture of %" PRId64 " x %" PRId64 " pixels", name,
             width, height);
    *image_out = (struct image){.height = height, .width = width, .rgb = rgb};
out:
    return status;
}

void image_release(struct image *image)
{
    free(image->rgb);
    *image = (struct image){0};
}

/* The sentence for bytes that are neither JPEG nor PNG. */
static enum status unknown_format(struct image_source source)
{
    if (source.size == 0)
        return status_fail(ERR_FORMAT, "%s: no bytes where a JPEG or PNG was expected",
                           source.name);
    return status_fail(ERR_FORMAT,
                       "%s: neither JPEG nor PNG (%zu bytes, the first is 0x%02x); convert it",
                       source.name, source.size, source.bytes[0]);
}

static enum status start_image(void *context, int64_t height, int64_t width, const char *name)
{
    return image_allocate(context, height, width, name);
}

static uint8_t *place_in_image(void *context, int64_t y)
{
    struct image *image = context;
    return image->rgb + y * image->width * 3;
}

static void row_in_image(void *context, int64_t y)
{
    (void)context;
    (void)y;
}

enum status image_stream(const struct row_sink *sink, struct image_source source)
{
    if (jpeg_recognise(source)) return jpeg_decode(sink, source);
    if (png_recognise(source)) return png_decode(sink, source);
    return unknown_format(source);
}

enum status image_decode(struct image *image_out, const void *bytes, size_t size, const char *name)
{
    struct image image = {0};
    struct row_sink sink = {&image, start_image, place_in_image, row_in_image};
    enum status status = image_stream(&sink, (struct image_source){bytes, size, name});
    if (status == OK)
        *image_out = image;
    else
        image_release(&image);
    return status;
}

enum status image_probe(int64_t *height_out, int64_t *width_out, const void *bytes, size_t size,
                        const char *name)
{
    struct image_source source = {bytes, size, name};
    if (jpeg_recognise(source)) return jpeg_probe(height_out, width_out, source);
    if (png_recognise(source)) return png_probe(height_out, width_out, source);
    return unknown_format(source);
}

enum status image_read(struct image *image_out, const char *path)
{
    enum status status = OK;
    unsigned char *bytes = NULL;
    size_t size = 0;
    TRY(file_read(&bytes, &size, path, MAX_FILE_SIZE));
    TRY(image_decode(image_out, bytes, size, path));
out:
    free(bytes);
    return status;
}

enum status image_pad_square(struct image *image_out, const struct image *image)
{
    enum status status = OK;
    int64_t side = image->height > image->width ? image->height : image->width;
    int64_t top = (side - image->height) / 2, left = (side - image->width) / 2;
    struct image square = {0};
    TRY(image_allocate(&square, side, side, "the padded picture"));
    for (int64_t y = 0; y < side; y++) {
        uint8_t *row = square.rgb + y * side * 3;
        bool inside = y >= top && y < top + image->height;
        int64_t end = inside ? left : side;
        for (int64_t x = 0; x < end; x++) memcpy(row + 3 * x, pad_colour, 3);
        if (!inside) continue;
        memcpy(row + 3 * left, image->rgb + (y - top) * image->width * 3, (size_t)image->width * 3);
        for (int64_t x = left + image->width; x < side; x++) memcpy(row + 3 * x, pad_colour, 3);
    }
    *image_out = square;
out:
    return status;
}
