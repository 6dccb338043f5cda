/* From bytes to what the tower reads, with the roundings of the reference: byte * (1 / 255) in
 * double to float, which is byte / 255 in float; then (value - mean) / std in float. */
#ifndef ROBIN_IMAGE_NORMALISE_H
#define ROBIN_IMAGE_NORMALISE_H

#include <math.h>
#include <stdint.h>

/* The statistics of 16 pixels behind each other, so that loops over them are loops of vectors. */
#define NORMALISE_RUN 48

/* x / y is taken as x * high + x * low, 1 / y = high + low: correctly rounded for the 3 x 256
 * quotients taken here, as tests/image/image_test.c goes through. */
#define NORMALISE_HIGH (1 / 255.0F)
#define NORMALISE_LOW  ((float)(1 / 255.0 - (double)NORMALISE_HIGH))

struct normalisation {
    float mean[NORMALISE_RUN], high[NORMALISE_RUN], low[NORMALISE_RUN]; /* of 1 / std */
};

void normalisation_init(struct normalisation *table);

/* pixels f32 [n], rgb u8 [n]: a row, or a piece of one that begins with red. */
void normalise_row(float *pixels, const uint8_t *rgb, int64_t n, const struct normalisation *table);

#endif
