/* What image.c shares with the decoder of each format: not for other folders. */
#ifndef ROBIN_IMAGE_IMAGE_CODEC_H
#define ROBIN_IMAGE_IMAGE_CODEC_H

#include <stdbool.h>

#include "image/image.h"

/* The bytes of one picture and the name that sentences give it. */
struct image_source {
    const uint8_t *bytes;
    size_t size;
    const char *name;
};

/* Refuses sizes beyond the limits of image.h, before anything is allocated. */
enum status image_check_size(int64_t height, int64_t width, const char *name);
/* image->rgb for height x width x 3 bytes, not zeroed. */
enum status image_allocate(struct image *image_out, int64_t height, int64_t width,
                           const char *name);

/* Background of a padded picture, and where the picture stands on its square. */
extern const uint8_t image_pad_colour[3];
struct image_place {
    int64_t side, top, left;
};
struct image_place image_place_on_square(const struct image *image);

bool jpeg_recognise(struct image_source source);
enum status jpeg_probe(int64_t *height_out, int64_t *width_out, struct image_source source);
enum status jpeg_decode(struct image *image_out, struct image_source source);

bool png_recognise(struct image_source source);
enum status png_probe(int64_t *height_out, int64_t *width_out, struct image_source source);
enum status png_decode(struct image *image_out, struct image_source source);

#endif
