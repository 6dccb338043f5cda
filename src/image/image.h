/* Pictures: decoding, and the exact preprocessing of the reference (CLIPImageProcessor over Pillow
 * < 12). */
#ifndef ROBIN_IMAGE_IMAGE_H
#define ROBIN_IMAGE_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Larger pictures are refused from their headers (ERR_LIMIT): a few hundred bytes can claim
 * gigabytes. */
#define IMAGE_MAX_SIDE   16384
#define IMAGE_MAX_PIXELS (1 << 26)

struct image { /* zeroed is releasable */
    int64_t height, width;
    uint8_t *rgb; /* [height, width, 3] */
};

/* The aspect switch: pad = centred on a square of the background first; squash = both sides to the
 * size. */
#define IMAGE_PAD_RED   122
#define IMAGE_PAD_GREEN 116
#define IMAGE_PAD_BLUE  104
enum image_mode { IMAGE_MODE_PAD, IMAGE_MODE_SQUASH };

/* JPEG or PNG, known by its first bytes; grey, CMYK, 16 bit, palette and alpha become RGB as
 * Pillow's convert("RGB") does; EXIF orientation is not applied (as the reference). `name` is for
 * the sentence only. */
enum status image_decode(struct image *image_out, const void *bytes, size_t size, const char *name);
/* Height and width from the header alone. */
enum status image_probe(int64_t *height_out, int64_t *width_out, const void *bytes, size_t size,
                        const char *name);
enum status image_read(struct image *image_out, const char *path);
void image_release(struct image *image);

/* Baseline JPEG, 4:2:0, of that quality; deterministic bytes; memory to free(). */
enum status image_encode_jpeg(uint8_t **bytes_out, size_t *size_out, const struct image *image,
                              int quality);
enum status image_encode_png(uint8_t **bytes_out, size_t *size_out, const struct image *image);

/* Pillow's 8-bit bicubic (a = -0.5), horizontal pass first. */
enum status image_resize_bicubic(struct image *image_out, const struct image *image, int64_t height,
                                 int64_t width);
enum status image_pad_square(struct image *image_out, const struct image *image);
/* pixels f32 [height, width, 3] = (byte * 0.00392156862745098 - mean) / std, as the reference
 * rounds it. */
void image_normalise(float *pixels, const struct image *image);

/* The bytes of a picture and the name that sentences give it. */
struct image_source {
    const uint8_t *bytes;
    size_t size;
    const char *name;
};
/* Decode, pad or squash to height x width, normalise: what the model sees, f32 [height, width, 3].
 * On failure pixels may have been written. */
enum status image_preprocess(float *pixels, struct image_source source, enum image_mode mode,
                             int64_t height, int64_t width);

#endif
