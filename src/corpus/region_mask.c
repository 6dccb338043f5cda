/* See region_mask.h. */
#include "corpus/region_mask.h"

#include <inttypes.h>
#include <stdbool.h>

#include "base/assertion.h"

#define BORDER 3 /* pixels, as the reference draws boxes */

enum status region_mask(struct rle *mask_out, const struct record *record, int64_t region,
                        enum region_mode mode)
{
    enum status status = OK;
    int64_t height = record->height, width = record->width;
    if (region < 0) {
        struct box whole = {0, 0, (double)width, (double)height};
        TRY(rle_from_box(mask_out, whole, height, width));
        goto out;
    }
    ASSERT(region < record->n_regions, "region %lld of %lld", (long long)region,
           (long long)record->n_regions);
    const struct rle *mask = &record->regions[region].mask;
    struct box box = record->regions[region].box;
    bool has_mask = mask->n_runs > 0;
    if (has_mask && (mask->height != height || mask->width != width))
        FAIL(ERR_SHAPE,
             "record %s: regions[%" PRId64 "].mask is %" PRId64 " x %" PRId64
             ", its picture %" PRId64 " x %" PRId64 " (height x width)",
             record->id, region, mask->height, mask->width, height, width);
    if (mode == REGION_BOX || (mode == REGION_SEGMENTATION && !has_mask))
        TRY(rle_from_box(mask_out, box, height, width));
    else if (mode == REGION_SEGMENTATION)
        TRY(rle_copy(mask_out, mask));
    else
        TRY(rle_from_box_border(mask_out, box, BORDER, has_mask ? mask : NULL, height, width));
out:
    return status;
}
