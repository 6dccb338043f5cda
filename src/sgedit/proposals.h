/* Regions that a segmentation model proposes, from the files it writes. */
#ifndef ROBIN_SGEDIT_PROPOSALS_H
#define ROBIN_SGEDIT_PROPOSALS_H

#include <stdint.h>

#include "base/status.h"
#include "corpus/record.h"
#include "image/rle.h"

struct proposals { /* zeroed is empty and releasable */
    struct rle *masks;
    int64_t n;
};
void proposals_release(struct proposals *proposals);

/* DIRECTORY/ID.json: SAM's and Semantic-SAM's layout, a list (or {annotations: list}) of
 * {segmentation, predicted_iou, stability_score, area}, optionally `level`: "whole" or "part".
 * Without it every mask is judged as both. Merged as ROBIN's region pipeline does; the limits are
 * in the .c. ERR_FORMAT names file and field. */
enum status proposals_read(struct proposals *proposals_out, const char *directory,
                           const struct record *record);

/* The merge alone, for tests: whole masks that are the union of others are left out, then parts
 * that none of the whole masks is nearly and that stand out or are large are added. */
enum status proposals_merge(struct proposals *merged_out, const struct proposals *whole,
                            const struct proposals *part);

#endif
