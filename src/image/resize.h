/* The two passes of Pillow's bicubic resize, one axis each: for image.h's functions and for
 * tests. */
#ifndef ROBIN_IMAGE_RESIZE_H
#define ROBIN_IMAGE_RESIZE_H

#include <stdint.h>

#include "base/status.h"

#define RESIZE_PRECISION_BITS 22

/* Output i of an axis is the sum of `count[i]` inputs from `first[i]` on, times `weight`: integers
 * scaled by 2^22. */
struct resize_axis { /* zeroed is releasable */
    int64_t n_in, n_out;
    int64_t max_taps;
    int32_t *first, *count; /* [n_out] */
    int32_t *weight;        /* [n_out, max_taps]; unused ones are 0 */
};
enum status resize_axis_init(struct resize_axis *axis_out, int64_t n_in, int64_t n_out);
void resize_axis_release(struct resize_axis *axis);

/* A picture that stands in rows wider than itself: columns left .. left + width - 1 are its own,
 * the others have the colour `around`. Width 0: nothing but that colour. */
struct resize_frame {
    int64_t left, width;
    uint8_t around[3];
};

/* Horizontal pass: out u8 [height, n_out, 3], in u8 [height, frame->width, 3] within rows of n_in
 * columns. ERR_MEMORY. */
enum status resize_rows(uint8_t *out, const uint8_t *in, int64_t height,
                        const struct resize_axis *axis, const struct resize_frame *frame);
/* Row y of the vertical pass: out u8 [row_size], in u8 [n_in, row_size]. */
void resize_one_row(uint8_t *out, const uint8_t *in, int64_t row_size,
                    const struct resize_axis *axis, int64_t y);

#endif
