/* Regions of a picture as people and programs write them. */
#ifndef ROBIN_GENERATE_REGIONS_JSON_H
#define ROBIN_GENERATE_REGIONS_JSON_H

#include <jansson.h>

#include "base/json_file.h"
#include "image/rle.h"

struct regions { /* zeroed is empty and releasable */
    struct rle *masks;
    struct box *boxes; /* pixels, x2, y2 exclusive */
    int64_t n;
};
void regions_release(struct regions *regions);

/* Appends the filled box. ERR_SHAPE unless it has an area inside the picture. */
enum status regions_add_box(struct regions *regions, struct box box, int64_t height, int64_t width);
/* Appends what is not black in a PNG or JPEG of the picture's size. */
enum status regions_add_mask(struct regions *regions, const void *bytes, size_t size,
                             const char *name, int64_t height, int64_t width);

/* Appends the regions of a list whose items are objects with one of
 *     "box": [x1, y1, x2, y2]   pixels
 *     "segmentation": ...       polygons or run lengths as COCO has them
 *     "mask": "data:image/png;base64,..."
 * Other keys are left alone. At most `most` regions in all. ERR_FORMAT, ERR_SHAPE, ERR_LIMIT with
 * the place. */
enum status regions_from_json(struct regions *regions, const json_t *list, int64_t most,
                              int64_t height, int64_t width, const char *file);

#endif
