/* A region's mask on the grids the mask extractor reads, straight from its run lengths. A coarse
 * grid reads few pixels of a large picture, so the mask is never expanded. */
#ifndef ROBIN_IMAGE_REGION_GRID_H
#define ROBIN_IMAGE_REGION_GRID_H

#include <stdint.h>

#include "base/status.h"
#include "image/rle.h"

/* What one grid reads of pictures of one size: made once, for many masks. */
struct region_grid; /* opaque */
enum status region_grid_create(struct region_grid **grid_out, int64_t height, int64_t width,
                               int64_t grid_height, int64_t grid_width);
void region_grid_destroy(struct region_grid *grid);
/* The mask that the functions below are about; of the size that the grid was made for. Nothing of
 * it is kept. */
void region_grid_take(struct region_grid *grid, const struct rle *rle);

/* Bilinear resize of the 0/1 mask, half-pixel centres, no antialias, coordinates in fp32 as torch's
 * interpolate: the values of the kernels' mask_resize.
 *   values [grid_height, grid_width] f32, written */
void region_grid_values(float *values, const struct region_grid *grid);
/* The same resize, then value > 0.
 *   cells [grid_height, grid_width] u8 0/1, written */
void region_grid_footprint(uint8_t *cells, const struct region_grid *grid);

#endif
