/* Four rows at a time through the horizontal pass, and the vectors that both passes are made of:
 * for resize.c. */
#ifndef ROBIN_IMAGE_RESIZE_QUAD_H
#define ROBIN_IMAGE_RESIZE_QUAD_H

#include <string.h>

#include "image/resize.h"

#define LANES      16
#define QUAD_SLACK 48 /* bytes behind a quad that may be read; they count nothing */

/* Machines without vectors of 64 bytes pass them otherwise, and say so; nothing here is ever called
 * through a pointer or from another compiler's code. */
#pragma GCC diagnostic ignored "-Wpsabi"

typedef int32_t lanes_i32 __attribute__((vector_size(LANES * 4)));
typedef uint8_t lanes_u8 __attribute__((vector_size(LANES)));

/* A loop, as GCC 12 takes __builtin_convertvector apart byte by byte. */
static inline lanes_i32 widen(const uint8_t *bytes)
{
    int32_t wide[LANES];
    lanes_i32 lanes;
    for (int i = 0; i < LANES; i++) wide[i] = bytes[i];
    memcpy(&lanes, wide, sizeof lanes);
    return lanes;
}

/* Rounded, shifted and clipped to bytes. */
static inline lanes_u8 narrow(const lanes_i32 *sum)
{
    lanes_i32 value = (*sum + (1 << (RESIZE_PRECISION_BITS - 1))) >> RESIZE_PRECISION_BITS;
    value &= ~(value >> 31);
    lanes_i32 above = value > 255;
    value = (value & ~above) | (above & 255);
    return __builtin_convertvector(value, lanes_u8);
}

/* What quad_resize needs of an axis beside the weights; once. ERR_MEMORY. */
enum status quad_prepare(struct resize_axis *axis);
/* Four rows of n pixels side by side, four bytes a pixel (the last is waste): quad [n, 4, 4]. One
 * vector then holds the same column of four rows. */
void quad_gather(uint8_t *quad, const uint8_t *const rows[4], int64_t n);
/* Row r < n_rows of the quad to out[r] u8 [n_out, 3]. */
void quad_resize(uint8_t *const out[4], int n_rows, const uint8_t *quad,
                 const struct resize_axis *axis);

#endif
