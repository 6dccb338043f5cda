/* Limits: Park et al. 2025 and its released region pipeline (region_proposal). */
#include "sgedit/proposals.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_file.h"
#include "base/text_buffer.h"
#include "corpus/import_common.h"

#define MAX_FILE_BYTES  ((size_t)256 << 20)
#define MAX_PROPOSALS   10000
#define WHOLE_IOU       0.8 /* predicted_iou and stability_score, at least */
#define WHOLE_STABILITY 0.8
#define WHOLE_AREA      300 /* pixels */
#define PART_IOU        0.9
#define PART_STABILITY  0.9
#define UNION_CONTAINED 0.9 /* share of a mask inside another for being contained in it */
#define UNION_COVERED   0.9 /* share of a mask that contained ones cover for being their union */
#define PART_MAX_IOU    0.7 /* with a kept mask */
#define PART_OVERLAP    0.6 /* share of a part inside a kept mask */
#define LARGE_QUANTILE  0.75

void proposals_release(struct proposals *proposals)
{
    for (int64_t i = 0; i < proposals->n; i++) rle_release(&proposals->masks[i]);
    free(proposals->masks);
    *proposals = (struct proposals){0};
}

static enum status add_copy(struct proposals *proposals, const struct rle *mask)
{
    enum status status = OK;
    proposals->masks =
        memory_resize(proposals->masks, (size_t)proposals->n + 1, sizeof *proposals->masks);
    proposals->masks[proposals->n] = (struct rle){0};
    TRY(rle_copy(&proposals->masks[proposals->n], mask));
    proposals->n++;
out:
    return status;
}

static enum status shared_area(double *area_out, const struct rle *a, const struct rle *b)
{
    enum status status = OK;
    const struct rle two[2] = {*a, *b};
    struct rle both = {0};
    TRY(rle_merge(&both, two, 2, 1));
    *area_out = (double)rle_area(&both);
out:
    rle_release(&both);
    return status;
}

/* Whether mask i is what at least two others, contained in it, cover. */
static enum status is_union(bool *is_out, const struct proposals *all, int64_t i)
{
    enum status status = OK;
    const struct rle *mask = &all->masks[i];
    struct rle *contained = memory_new((size_t)all->n + 1, sizeof *contained), covered = {0};
    int64_t n = 0;
    double area = 0;
    *is_out = false;
    for (int64_t j = 0; j < all->n; j++) {
        const struct rle *other = &all->masks[j];
        if (j == i || rle_area(other) >= rle_area(mask)) continue;
        TRY(shared_area(&area, mask, other));
        if (area > UNION_CONTAINED * (double)rle_area(other)) contained[n++] = *other;
    }
    if (n < 2) goto out;
    TRY(rle_merge(&covered, contained, n, 0));
    TRY(shared_area(&area, mask, &covered));
    *is_out = area >= UNION_COVERED * (double)rle_area(mask);
out:
    rle_release(&covered);
    free(contained);
    return status;
}

static int compare_areas(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The area that a share of the masks does not pass; 0 of none. */
static double quantile_area(const struct proposals *proposals, double share)
{
    if (proposals->n == 0) return 0;
    uint64_t *areas = memory_new((size_t)proposals->n, sizeof *areas);
    for (int64_t i = 0; i < proposals->n; i++) areas[i] = rle_area(&proposals->masks[i]);
    qsort(areas, (size_t)proposals->n, sizeof *areas, compare_areas);
    const double area = (double)areas[(int64_t)(share * (double)(proposals->n - 1))];
    free(areas);
    return area;
}

/* How a part lies among what is kept. */
static enum status compare_part(const struct rle *part, const struct proposals *kept,
                                double *best_iou, double *best_overlap)
{
    enum status status = OK;
    const double own = (double)rle_area(part);
    *best_iou = *best_overlap = 0;
    for (int64_t i = 0; i < kept->n; i++) {
        double area = 0;
        TRY(shared_area(&area, part, &kept->masks[i]));
        const double iou = area / (own + (double)rle_area(&kept->masks[i]) - area);
        if (iou > *best_iou) *best_iou = iou;
        if (area / own > *best_overlap) *best_overlap = area / own;
    }
out:
    return status;
}

enum status proposals_merge(struct proposals *merged_out, const struct proposals *whole,
                            const struct proposals *part)
{
    enum status status = OK;
    struct proposals merged = {0};
    for (int64_t i = 0; i < whole->n; i++) {
        bool is = false;
        TRY(is_union(&is, whole, i));
        if (!is) TRY(add_copy(&merged, &whole->masks[i]));
    }
    const double median = quantile_area(&merged, 0.5);
    const double large = quantile_area(part, LARGE_QUANTILE);
    for (int64_t i = 0; i < part->n; i++) {
        double iou = 0, overlap = 0;
        const double area = (double)rle_area(&part->masks[i]);
        TRY(compare_part(&part->masks[i], &merged, &iou, &overlap));
        if (iou <= PART_MAX_IOU && (overlap < PART_OVERLAP || area > median || area > large))
            TRY(add_copy(&merged, &part->masks[i]));
    }
    *merged_out = merged;
    merged = (struct proposals){0};
out:
    proposals_release(&merged);
    return status;
}

/* ---- files ---- */

struct reading {
    struct proposals whole, part;
    const struct record *record;
};

static enum status read_row(struct reading *reading, const json_t *row, struct json_place place)
{
    enum status status = OK;
    struct rle mask = {0};
    double iou = 0, stability = 0;
    const char *level = json_string_value(json_object_get(row, "level"));
    json_t *segmentation = json_object_get(row, "segmentation");
    if (segmentation == NULL)
        FAIL(ERR_FORMAT, "%s: %s: field 'segmentation' is missing", place.file, place.record);
    TRY(json_field_number(&iou, row, "predicted_iou", place));
    TRY(json_field_number(&stability, row, "stability_score", place));
    TRY(rle_from_json(&mask, segmentation, reading->record->height, reading->record->width, place));
    const bool may_be_whole = level == NULL || strcmp(level, "whole") == 0;
    const bool may_be_part = level == NULL || strcmp(level, "part") == 0;
    if (rle_area(&mask) == 0) goto out;
    if (may_be_whole && iou >= WHOLE_IOU && stability >= WHOLE_STABILITY &&
        rle_area(&mask) >= WHOLE_AREA)
        TRY(add_copy(&reading->whole, &mask));
    if (may_be_part && iou >= PART_IOU && stability >= PART_STABILITY)
        TRY(add_copy(&reading->part, &mask));
out:
    rle_release(&mask);
    return status;
}

static enum status read_rows(struct reading *reading, const json_t *root, const char *path)
{
    enum status status = OK;
    const json_t *rows = json_is_array(root) ? root : json_object_get(root, "annotations");
    char *where = NULL;
    if (!json_is_array(rows))
        FAIL(ERR_FORMAT, "%s must be a list of masks, or an object with 'annotations'", path);
    if (json_array_size(rows) > MAX_PROPOSALS)
        FAIL(ERR_LIMIT, "%s has %zu masks, the limit is %d", path, json_array_size(rows),
             MAX_PROPOSALS);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        free(where);
        where = text_format("mask %zu", i);
        TRY(read_row(reading, json_array_get(rows, i), (struct json_place){path, where}));
    }
out:
    free(where);
    return status;
}

enum status proposals_read(struct proposals *proposals_out, const char *directory,
                           const struct record *record)
{
    enum status status = OK;
    struct reading reading = {.record = record};
    json_t *root = NULL;
    char *name = text_format("%s.json", record->id), *path = NULL;
    TRY(import_path(&path, directory, name));
    TRY(json_file_read(&root, path, MAX_FILE_BYTES));
    TRY(read_rows(&reading, root, path));
    TRY(proposals_merge(proposals_out, &reading.whole, &reading.part));
out:
    json_decref(root);
    proposals_release(&reading.whole);
    proposals_release(&reading.part);
    free(path);
    free(name);
    return status;
}
