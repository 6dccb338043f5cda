/* A region's mask on the grids the mask extractor reads, straight from its run lengths. A coarse
 * grid reads few pixels of a large picture, so the mask is never expanded. */
#ifndef ROBIN_IMAGE_REGION_GRID_H
#define ROBIN_IMAGE_REGION_GRID_H

#include <stdint.h>

#include "base/status.h"
#include "image/rle.h"

/* Bilinear resize of the 0/1 mask, half-pixel centres, no antialias, coordinates in fp32 as torch's
 * interpolate: the values of the kernels' mask_resize.
 *   values [grid_height, grid_width] f32, written */
enum status region_grid_values(float *values, const struct rle *rle, int64_t grid_height,
                               int64_t grid_width);
/* The same resize, then value > 0.
 *   cells [grid_height, grid_width] u8 0/1, written */
enum status region_grid_footprint(uint8_t *cells, const struct rle *rle, int64_t grid_height,
                                  int64_t grid_width);

#endif
