/* Both passes of the resize over bands of 16 rows: for resize.c. There are two of it, one for
 * processors that multiply bytes four at a time (resize_vnni.c), one for all others
 * (resize_plain.c); the sums are the same integers. */
#ifndef ROBIN_IMAGE_RESIZE_BANDS_H
#define ROBIN_IMAGE_RESIZE_BANDS_H

#include "image/normalise.h"
#include "image/resize.h"

#define BAND 16

#if defined(__AVX512VNNI__) && defined(__AVX512VBMI__)
#define BANDS_BY_BYTES 1
#else
#define BANDS_BY_BYTES 0
#endif

struct
    bands; /* opaque: rows that wait for the horizontal pass, and widened ones for the vertical */

/* Geometry and axes are borrowed. ERR_MEMORY. */
enum status bands_create(struct bands **bands_out, const struct resize_geometry *geometry,
                         const struct resize_axis *columns, const struct resize_axis *rows);
void bands_destroy(struct bands *bands);

/* Where row y of the picture is to be written: u8 [in_width, 3]. */
uint8_t *bands_place(struct bands *bands, int64_t y);
/* Rows y .. y + n - 1 of the picture have been written, 1 <= n <= 16, y a multiple of 16: through
 * the horizontal pass with them. All but the rows of the next window have been used by then. */
void bands_widen(struct bands *bands, int64_t y, int n);
/* Row y of the result: bytes u8 [out_width, 3], or normalised f32 [out_width, 3]. */
void bands_blend_rgb(struct bands *bands, int64_t y, uint8_t *rgb);
void bands_blend_pixels(struct bands *bands, int64_t y, float *pixels,
                        const struct normalisation *table);

/* Of the padding's colour, n pixels `stride` bytes apart. */
void resize_fill_padding(uint8_t *pixels, int64_t n, int64_t stride);

/* A sum of weighted bytes as a byte: rounded, shifted, clipped. */
static inline uint8_t resize_clip(int32_t sum)
{
    const int32_t value = (sum + (1 << (RESIZE_PRECISION_BITS - 1))) >> RESIZE_PRECISION_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

#endif
