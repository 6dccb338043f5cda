/* What image.c shares with the decoder of each format: not for other folders. */
#ifndef ROBIN_IMAGE_IMAGE_CODEC_H
#define ROBIN_IMAGE_IMAGE_CODEC_H

#include <stdbool.h>

#include "image/image.h"

/* Refuses sizes beyond the limits of image.h, before anything is allocated. */
enum status image_check_size(int64_t height, int64_t width, const char *name);
/* image->rgb for height x width x 3 bytes, not zeroed. */
enum status image_allocate(struct image *image_out, int64_t height, int64_t width,
                           const char *name);

/* Where a decoder puts a picture, row after row. */
struct row_sink {
    void *context;
    /* Once, when the size is known and checked. */
    enum status (*start)(void *context, int64_t height, int64_t width, const char *name);
    uint8_t *(*place)(void *context, int64_t y); /* memory for row y: u8 [width, 3] */
    void (*done)(void *context, int64_t y);      /* row y is written */
};
/* Decodes whatever the source is. On failure rows may have been written. */
enum status image_stream(const struct row_sink *sink, struct image_source source);

bool jpeg_recognise(struct image_source source);
enum status jpeg_probe(int64_t *height_out, int64_t *width_out, struct image_source source);
enum status jpeg_decode(const struct row_sink *sink, struct image_source source);

bool png_recognise(struct image_source source);
enum status png_probe(int64_t *height_out, int64_t *width_out, struct image_source source);
enum status png_decode(const struct row_sink *sink, struct image_source source);

#endif
