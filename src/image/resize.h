/* Pillow's bicubic resize: the weights of an axis, and both passes over rows as they come. For
 * image.h's functions and for tests. */
#ifndef ROBIN_IMAGE_RESIZE_H
#define ROBIN_IMAGE_RESIZE_H

#include <stdint.h>

#include "base/status.h"
#include "image/image.h"

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

/* A square's picture arrives row by row and leaves resized, row by row: neither it nor the step
 * between the passes is ever whole in memory, which costs more than the arithmetic. */
struct resize_geometry {
    int64_t in_height, in_width; /* of the picture */
    /* The picture stands at row `top`, column `left` of a larger one of the padding's colour;
     * without padding the larger one is the picture. */
    int64_t full_height, full_width, top, left;
    int64_t out_height, out_width;
};
/* The result [out_height, out_width, 3], one of them: bytes, or normalised as the tower reads them.
 */
struct resize_target {
    uint8_t *rgb;
    float *pixels;
};

struct resize_stream; /* opaque */
enum status resize_stream_create(struct resize_stream **stream_out, struct resize_geometry geometry,
                                 struct resize_target target);
void resize_stream_destroy(struct resize_stream *stream);
/* Where row y of the picture is to be written: u8 [in_width, 3]; then done(y). Rows come in
 * order. */
uint8_t *resize_stream_place(struct resize_stream *stream, int64_t y);
void resize_stream_done(struct resize_stream *stream, int64_t y);

#endif
