/* COCO's panoptic PNG: a picture whose colours are segment numbers. */
#ifndef ROBIN_IMAGE_PANOPTIC_H
#define ROBIN_IMAGE_PANOPTIC_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "image/rle.h"

#define PANOPTIC_MAX_SEGMENTS 4096

struct panoptic_segment {
    uint32_t id; /* R + 256 G + 65536 B; 0 is what no segment covers */
    struct rle mask;
};

struct panoptic { /* zeroed is releasable */
    int64_t height, width;
    struct panoptic_segment *segments; /* by increasing id; no mask is empty */
    int64_t n_segments;
};

/* ERR_LIMIT for more than PANOPTIC_MAX_SEGMENTS colours: then it is not such a picture. */
enum status panoptic_decode(struct panoptic *panoptic_out, const void *bytes, size_t size,
                            const char *name);
enum status panoptic_read(struct panoptic *panoptic_out, const char *path);
void panoptic_release(struct panoptic *panoptic);
/* NULL if the picture has no such segment. */
const struct rle *panoptic_mask(const struct panoptic *panoptic, uint32_t id);

#endif
