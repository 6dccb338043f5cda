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
/* COCO's compressed string of `length` bytes. */
enum status rle_from_string(struct rle *rle_out, const char *counts, size_t length, int64_t height,
                            int64_t width);
char *rle_to_string(const struct rle *rle); /* to free() */
/* mask u8 0/1, row-major [height, width] */
enum status rle_from_mask(struct rle *rle_out, const uint8_t *mask, int64_t height, int64_t width);
void rle_to_mask(uint8_t *mask, const struct rle *rle);
enum status rle_from_runs(struct rle *rle_out, const uint32_t *runs, int64_t n_runs, int64_t height,
                          int64_t width);
/* Any `segmentation` of COCO: a list of polygons (merged), {size, counts: list}, {size, counts:
 * string}. */
enum status rle_from_json(struct rle *rle_out, const json_t *segmentation, int64_t height,
                          int64_t width, struct json_place place);
enum status rle_from_polygon(struct rle *rle_out, const double *xy, int64_t n_points,
                             int64_t height, int64_t width);
/* The filled box, as the reference makes a mask from one (golden/boxes). */
enum status rle_from_box(struct rle *rle_out, struct box box, int64_t height, int64_t width);
enum status rle_merge(struct rle *rle_out, const struct rle *masks, int64_t n, int intersect);

uint64_t rle_area(const struct rle *rle);
/* pycocotools toBbox as x1, y1, x2 = x1 + w, y2 = y1 + h; all 0 when empty. */
struct box rle_box(const struct rle *rle);
/* torchvision masks_to_boxes: x2, y2 is the last pixel inside. ERR_FORMAT when the mask is empty.
 */
enum status rle_box_inclusive(struct box *box_out, const struct rle *rle);
double rle_iou(const struct rle *a, const struct rle *b, int b_is_crowd);
double box_iou(struct box a, struct box b, int b_is_crowd);

#endif
