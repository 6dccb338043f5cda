/* Masks as COCO run lengths (column-major, the first run counts zeros), and everything that becomes
 * one. The reference is pycocotools 2.0.11 where it is defined; what it answers from garbage is
 * refused here. */
#ifndef ROBIN_IMAGE_RLE_H
#define ROBIN_IMAGE_RLE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json_file.h"
#include "base/status.h"

/* Larger masks are refused (ERR_LIMIT) before memory is taken; positions fit in 32 bits. */
#define RLE_MAX_PIXELS ((int64_t)1 << 30)

struct rle { /* zeroed is releasable */
    int64_t height, width;
    int64_t n_runs;
    uint32_t *runs; /* sums to height * width */
};

struct box { /* pixels; x1, y1 is the first pixel corner, x2, y2 exclusive unless a function says
                otherwise */
    double x1, y1, x2, y2;
};

void rle_release(struct rle *rle);
enum status rle_copy(struct rle *rle_out, const struct rle *rle);

/* ---- what becomes a mask ---- */

/* COCO's compressed string of `length` bytes. ERR_FORMAT: characters outside the code, negative
 * runs, runs that do not sum to height * width (pycocotools answers some of these from memory
 * it does not own). */
enum status rle_from_string(struct rle *rle_out, const char *counts, size_t length, int64_t height,
                            int64_t width);
enum status rle_from_runs(struct rle *rle_out, const uint32_t *runs, int64_t n_runs, int64_t height,
                          int64_t width);
/* mask u8, row-major [height, width]; everything but 0 is inside */
enum status rle_from_mask(struct rle *rle_out, const uint8_t *mask, int64_t height, int64_t width);
/* xy [n_points, 2], at least 3 points; as pycocotools' rasteriser. ERR_FORMAT for coordinates that
 * are not finite, ERR_LIMIT for those beyond 4 * IMAGE_MAX_SIDE and for outlines of more than 2^28
 * steps. */
enum status rle_from_polygon(struct rle *rle_out, const double *xy, int64_t n_points,
                             int64_t height, int64_t width);
struct polygon {
    const double *xy; /* [n_points, 2] */
    int64_t n_points;
};
/* The union of n polygons inside a box, sampled as VCR's masks are (matplotlib's point test at
 * evenly spread points of the box). Box and polygons in pixels of the picture. */
enum status rle_from_polygons_in_box(struct rle *rle_out, const struct polygon *polygons, int64_t n,
                                     struct box box, int64_t height, int64_t width);
/* Any `segmentation` of COCO: a list of polygons (merged), {size, counts: list}, {size, counts:
 * string}. Height and width -1: as `size` says, which otherwise must agree; polygons need them. */
enum status rle_from_json(struct rle *rle_out, const json_t *segmentation, int64_t height,
                          int64_t width, struct json_place place);
/* The filled box: coordinates truncated toward zero, [x1, x2) x [y1, y2), cut to the picture. Where
 * the reference lets a negative coordinate count from the far end, it is 0 here. */
enum status rle_from_box(struct rle *rle_out, struct box box, int64_t height, int64_t width);
/* A border of `thickness` pixels to either side of the box's edges, after moving the box into the
 * picture; `inside` (NULL: none) is added. The reference's box_segmentation has thickness 3. */
enum status rle_from_box_border(struct rle *rle_out, struct box box, int64_t thickness,
                                const struct rle *inside, int64_t height, int64_t width);
/* Union or intersection of n >= 1 masks of one size (ERR_SHAPE otherwise). */
enum status rle_merge(struct rle *rle_out, const struct rle *masks, int64_t n, int intersect);

/* ---- what a mask becomes ---- */

char *rle_to_string(const struct rle *rle); /* to free() */
/* mask u8 0/1, row-major [height, width], written */
void rle_to_mask(uint8_t *mask, const struct rle *rle);

uint64_t rle_area(const struct rle *rle);
/* pycocotools toBbox as x1, y1, x2 = x1 + w, y2 = y1 + h; all 0 when empty. */
struct box rle_box(const struct rle *rle);
/* torchvision masks_to_boxes: x2, y2 is the last pixel inside. ERR_FORMAT when the mask is empty.
 */
enum status rle_box_inclusive(struct box *box_out, const struct rle *rle);
/* Intersection over union; over the area of `a` where b is a crowd. Masks of other sizes are our
 * error. */
double rle_iou(const struct rle *a, const struct rle *b, int b_is_crowd);
double box_iou(struct box a, struct box b, int b_is_crowd);

#endif
