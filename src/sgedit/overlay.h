/* Pictures with their regions drawn in, for a teacher to look at. */
#ifndef ROBIN_SGEDIT_OVERLAY_H
#define ROBIN_SGEDIT_OVERLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "corpus/record.h"

#define OVERLAY_PADDING 50 /* white pixels on every side, for numbers of regions at the edge */

struct overlay_style {
    bool polygons;        /* outlines of the masks alone; else masks and boxes */
    bool reversed;        /* the last region first: what one order hides, the other shows */
    int64_t longest_side; /* larger pictures are drawn smaller; 0: never */
    const int64_t *only;  /* [n_only] regions to draw, numbered from 0; NULL: all */
    int64_t n_only;
};

/* A JPEG of record->image with all regions, each with its number (from 1) in its colour; to free().
 * Errors  those of decoding; ERR_MEMORY */
enum status overlay_draw(uint8_t **bytes_out, size_t *size_out, const struct record *record,
                         const struct overlay_style *style);

#endif
