/* Family "rle": run lengths, polygons, overlaps, bad input, panoptic pictures, masks on grids. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "device/stream.h"
#include "golden_families.h"
#include "golden_sha256.h"
#include "golden_text.h"
#include "image/panoptic.h"
#include "image/region_grid.h"
#include "kernels.h"

#define AT ((struct json_place){"case", id})

static double number_at(const json_t *list, size_t i)
{
    return json_number_value(json_array_get(list, i));
}

static int64_t integer_at(const json_t *list, size_t i)
{
    return json_integer_value(json_array_get(list, i));
}

/* True if the mask's compressed string is the JSON string. */
static bool same_counts(const struct rle *rle, const json_t *want)
{
    char *text = rle_to_string(rle);
    bool same = golden_text_equal(want, text, strlen(text));
    free(text);
    return same;
}

/* xywh of pycocotools. */
static bool same_xywh(const struct rle *rle, const json_t *want)
{
    struct box box = rle_box(rle);
    return box.x1 == number_at(want, 0) && box.y1 == number_at(want, 1) &&
           box.x2 - box.x1 == number_at(want, 2) && box.y2 - box.y1 == number_at(want, 3);
}

static bool same_inclusive(const struct rle *rle, const json_t *want)
{
    struct box box;
    if (rle_box_inclusive(&box, rle) != OK) return json_is_null(want);
    return box.x1 == number_at(want, 0) && box.y1 == number_at(want, 1) &&
           box.x2 == number_at(want, 2) && box.y2 == number_at(want, 3);
}

static uint8_t *mask_of(const struct rle *rle)
{
    uint8_t *mask = memory_new((size_t)(rle->height * rle->width) + 1, 1);
    rle_to_mask(mask, rle);
    return mask;
}

/* ---- codec.json ---- */

static enum status check_codec(const json_t *row, struct golden_report *report)
{
    enum status status = OK;
    struct rle rle = {0}, again = {0};
    uint8_t *mask = NULL;
    char hex[65];
    const char *id = golden_text_string(row, "id");
    const json_t *runs = json_object_get(row, "runs");
    TRY(rle_from_json(&rle, row, -1, -1, AT));
    mask = mask_of(&rle);
    sha256_hex(hex, mask, (size_t)(rle.height * rle.width));
    bool same = strcmp(hex, golden_text_string(row, "decoded_sha256")) == 0;
    golden_report_case(report, "decode", same, "%s", id);
    TRY(rle_from_mask(&again, mask, rle.height, rle.width));
    golden_report_case(report, "encode", same_counts(&again, json_object_get(row, "counts")), "%s",
                       id);
    same = rle.n_runs == json_integer_value(json_object_get(row, "n_runs"));
    for (size_t i = 0; same && i < json_array_size(runs); i++)
        same = rle.runs[i] == (uint64_t)integer_at(runs, i);
    golden_report_case(report, "runs", same, "%s", id);
    same = (int64_t)rle_area(&rle) == json_integer_value(json_object_get(row, "area"));
    golden_report_case(report, "area", same, "%s", id);
    same = same_xywh(&rle, json_object_get(row, "bbox_xywh")) &&
           same_inclusive(&rle, json_object_get(row, "masks_to_boxes_xyxy"));
    golden_report_case(report, "boxes", same, "%s", id);
out:
    free(mask);
    rle_release(&rle);
    rle_release(&again);
    return status;
}

/* ---- polygon.json ---- */

static enum status check_polygon(const json_t *row, struct golden_report *report)
{
    struct rle rle = {0};
    const char *id = golden_text_string(row, "id");
    const json_t *segmentation = json_object_get(row, "segmentation");
    const json_t *parts = json_object_get(row, "parts");
    int64_t height = json_integer_value(json_object_get(row, "height"));
    int64_t width = json_integer_value(json_object_get(row, "width"));
    enum status status = rle_from_json(&rle, segmentation, height, width, AT);
    if (json_object_get(row, "error")) {
        golden_report_case(report, "refused polygons", status != OK && *status_message(), "%s", id);
    } else {
        bool same = status == OK && same_counts(&rle, json_object_get(row, "counts")) &&
                    same_xywh(&rle, json_object_get(row, "bbox_xywh")) &&
                    (int64_t)rle_area(&rle) == json_integer_value(json_object_get(row, "area"));
        golden_report_case(report, "polygons", same, "%s: %s", id,
                           status == OK ? "another mask" : status_message());
    }
    rle_release(&rle);
    for (size_t i = 0; i < json_array_size(parts); i++) {
        json_t *alone = json_pack("[O]", json_array_get(segmentation, i));
        bool same = rle_from_json(&rle, alone, height, width, AT) == OK &&
                    same_counts(&rle, json_array_get(parts, i));
        golden_report_case(report, "polygon parts", same, "%s: part %zu", id, i);
        rle_release(&rle);
        json_decref(alone);
    }
    return OK;
}

/* ---- iou.json ---- */

static struct box box_of_xywh(const json_t *xywh)
{
    double x = number_at(xywh, 0), y = number_at(xywh, 1);
    return (struct box){x, y, x + number_at(xywh, 2), y + number_at(xywh, 3)};
}

static enum status read_masks(struct rle **masks_out, const json_t *list, const char *id)
{
    enum status status = OK;
    *masks_out = memory_new(json_array_size(list) + 1, sizeof **masks_out);
    for (size_t i = 0; i < json_array_size(list); i++)
        TRY(rle_from_json(&(*masks_out)[i], json_array_get(list, i), -1, -1, AT));
out:
    return status;
}

static void free_masks(struct rle *masks, size_t n)
{
    for (size_t i = 0; masks && i < n; i++) rle_release(&masks[i]);
    free(masks);
}

static enum status check_merges(const json_t *row, const struct rle *dt, size_t n_dt,
                                const struct rle *gt, size_t n_gt, struct golden_report *report)
{
    enum status status = OK;
    struct rle merged = {0};
    static const char *const keys[2] = {"union", "intersection"};
    struct rle *all = memory_new(n_dt + n_gt + 1, sizeof *all);
    memcpy(all, dt, n_dt * sizeof *all);
    memcpy(all + n_dt, gt, n_gt * sizeof *all);
    for (int intersect = 0; intersect < 2; intersect++) {
        TRY(rle_merge(&merged, all, (int64_t)(n_dt + n_gt), intersect));
        golden_report_case(report, "merge",
                           same_counts(&merged, json_object_get(row, keys[intersect])), "%s: %s",
                           golden_text_string(row, "id"), keys[intersect]);
        rle_release(&merged);
    }
out:
    free(all);
    return status;
}

static enum status check_iou(const json_t *row, struct golden_report *report)
{
    enum status status = OK;
    const char *id = golden_text_string(row, "id");
    const json_t *dt = json_object_get(row, "dt"), *gt = json_object_get(row, "gt");
    const json_t *crowd = json_object_get(row, "iscrowd"), *want = json_object_get(row, "iou");
    size_t n_dt = json_array_size(dt), n_gt = json_array_size(gt);
    struct rle *dt_masks = NULL, *gt_masks = NULL;
    bool are_masks = json_is_object(json_array_get(dt, 0));
    if (are_masks) {
        TRY(read_masks(&dt_masks, dt, id));
        TRY(read_masks(&gt_masks, gt, id));
        TRY(check_merges(row, dt_masks, n_dt, gt_masks, n_gt, report));
    }
    for (size_t i = 0; i < n_dt; i++)
        for (size_t j = 0; j < n_gt; j++) {
            int is_crowd = (int)integer_at(crowd, j);
            double iou = are_masks ? rle_iou(&dt_masks[i], &gt_masks[j], is_crowd)
                                   : box_iou(box_of_xywh(json_array_get(dt, i)),
                                             box_of_xywh(json_array_get(gt, j)), is_crowd);
            golden_report_float(report, "overlap", id,
                                fabs(iou - number_at(json_array_get(want, i), j)), 1e-12);
        }
out:
    free_masks(dt_masks, n_dt);
    free_masks(gt_masks, n_gt);
    return status;
}

/* ---- hostile.json ---- */

static void column_major_sha256(char hex[65], const struct rle *rle)
{
    uint8_t *mask = mask_of(rle);
    uint8_t *columns = memory_new((size_t)(rle->height * rle->width) + 1, 1);
    for (int64_t x = 0; x < rle->width; x++)
        for (int64_t y = 0; y < rle->height; y++)
            columns[x * rle->height + y] = mask[y * rle->width + x];
    sha256_hex(hex, columns, (size_t)(rle->height * rle->width));
    free(mask);
    free(columns);
}

/* Two whole sizes, and as counts a string or whole runs that cover them: the rest may be refused
 * even where the reference makes something of it. */
static bool is_well_formed(const json_t *rle)
{
    const json_t *size = json_object_get(rle, "size"), *counts = json_object_get(rle, "counts");
    if (json_array_size(size) != 2) return false;
    for (size_t i = 0; i < 2; i++)
        if (!json_is_integer(json_array_get(size, i)) || integer_at(size, i) < 0) return false;
    if (!json_is_array(counts)) return json_is_string(counts);
    int64_t total = 0;
    for (size_t i = 0; i < json_array_size(counts); i++) {
        if (!json_is_integer(json_array_get(counts, i)) || integer_at(counts, i) < 0) return false;
        total += integer_at(counts, i);
    }
    return total == integer_at(size, 0) * integer_at(size, 1);
}

/* What the reference decodes well we must decode alike, if it is well formed; what it refuses or
 * answers from memory that is not its own must be refused. A well-formed list of runs is fine here,
 * though one call of the reference wants it in another form. */
static enum status check_hostile(const json_t *row, struct golden_report *report)
{
    struct rle rle = {0};
    char hex[65];
    const char *id = golden_text_string(row, "id");
    const json_t *result = json_object_get(row, "result"), *object = json_object_get(row, "rle");
    const json_t *decoded = json_object_get(result, "decode");
    const json_t *listed = json_object_get(result, "frPyObjects");
    bool is_list = json_is_array(json_object_get(object, "counts"));
    bool answered = json_is_object(decoded) || json_is_object(listed) || is_list;
    bool well_formed = is_well_formed(object);
    enum status status = rle_from_json(&rle, object, -1, -1, AT);
    bool same = true;
    if (status != OK) {
        same = *status_message() && !(answered && well_formed);
    } else if (json_is_object(decoded)) {
        column_major_sha256(hex, &rle);
        same = strcmp(hex, golden_text_string(decoded, "sha256")) == 0;
    } else {
        same = answered && well_formed &&
               (!listed || same_counts(&rle, json_object_get(listed, "counts")));
    }
    golden_report_case(report, "hostile", same, "%s: %s", id,
                       status == OK ? "accepted, or another mask" : status_message());
    rle_release(&rle);
    return OK;
}

/* ---- panoptic.json ---- */

static void check_segment(const json_t *segment, const struct panoptic *panoptic, const char *id,
                          struct golden_report *report)
{
    int64_t number = json_integer_value(json_object_get(segment, "id"));
    const struct rle *mask = panoptic_mask(panoptic, (uint32_t)number);
    bool same = mask != NULL;
    if (same) {
        char hex[65], *counts = rle_to_string(mask);
        sha256_hex(hex, counts, strlen(counts));
        free(counts);
        same = strcmp(hex, golden_text_string(segment, "counts_sha256")) == 0 &&
               (int64_t)rle_area(mask) == json_integer_value(json_object_get(segment, "area")) &&
               same_xywh(mask, json_object_get(segment, "rle_bbox_xywh")) &&
               same_inclusive(mask, json_object_get(segment, "masks_to_boxes_xyxy"));
    }
    golden_report_case(report, "panoptic segments", same, "%s: segment %lld", id,
                       (long long)number);
}

static enum status check_panoptic(const char *directory, const json_t *row,
                                  struct golden_report *report)
{
    enum status status = OK;
    struct panoptic panoptic = {0};
    const char *id = golden_text_string(row, "id");
    const json_t *ids = json_object_get(row, "ids_in_png"), *segment;
    char *path = text_format("%s/../../%s", directory, golden_text_string(row, "file"));
    size_t i;
    TRY(panoptic_read(&panoptic, path));
    bool same = (size_t)panoptic.n_segments == json_array_size(ids) &&
                panoptic.height == json_integer_value(json_object_get(row, "height")) &&
                panoptic.width == json_integer_value(json_object_get(row, "width"));
    for (i = 0; same && i < json_array_size(ids); i++)
        same = panoptic.segments[i].id == (uint64_t)integer_at(ids, i);
    const struct rle *nothing = panoptic_mask(&panoptic, 0);
    int64_t unlabelled = nothing ? (int64_t)rle_area(nothing) : 0;
    same = same && unlabelled == json_integer_value(json_object_get(row, "unlabelled_pixels"));
    golden_report_case(report, "panoptic ids", same, "%s", id);
    json_array_foreach(json_object_get(row, "segments"), i, segment)
        check_segment(segment, &panoptic, id, report);
out:
    free(path);
    panoptic_release(&panoptic);
    return status;
}

/* ---- mask_resize.json ---- */

/* One grid, from the run lengths and from the whole mask through the kernels. On grids of a
 * power of two the reference's arithmetic is exact. */
static enum status check_grid(const json_t *grid, const struct rle *rle, const uint8_t *mask,
                              const char *id, const struct golden_options *options,
                              struct golden_report *report)
{
    enum status status = OK;
    struct rle footprint = {0}, above = {0};
    struct region_grid *ours = NULL;
    int64_t size = json_integer_value(json_object_get(grid, "size")), n = size * size;
    float *values = memory_new((size_t)n, sizeof *values), *kernel = memory_new((size_t)n, 4);
    uint8_t *cells = memory_new((size_t)n, 1);
    const json_t *counts = json_object_get(grid, "above_zero_counts"), *sample;
    double worst = 0, apart = 0, limit = (size & (size - 1)) == 0 ? 0 : 1e-6;
    size_t i;
    TRY(region_grid_create(&ours, rle->height, rle->width, size, size));
    region_grid_take(ours, rle);
    region_grid_values(values, ours);
    region_grid_footprint(cells, ours);
    TRY(rle_from_mask(&footprint, cells, size, size));
    for (int64_t k = 0; k < n; k++) cells[k] = values[k] > 0;
    TRY(rle_from_mask(&above, cells, size, size));
    bool same = same_counts(&footprint, counts) && same_counts(&above, counts);
    golden_report_case(report, "footprints", same, "%s at %lld", id, (long long)size);
    json_array_foreach(json_object_get(grid, "samples"), i, sample)
    {
        int64_t y = json_integer_value(json_object_get(sample, "y"));
        int64_t x = json_integer_value(json_object_get(sample, "x"));
        double want = json_number_value(json_object_get(sample, "value"));
        worst = fmax(worst, fabs((double)values[y * size + x] - want));
    }
    const json_t *all = json_object_get(grid, "values");
    for (i = 0; i < json_array_size(all); i++)
        worst = fmax(worst, fabs((double)values[i] - number_at(all, i)));
    golden_report_float(report, "grid values", id, worst, limit);
    if (options->host_kernels->mask_resize) {
        TRY(options->host_kernels->mask_resize(kernel, mask, 1, rle->height, rle->width, size, size,
                                               options->host_stream));
        TRY(stream_wait(options->host_stream));
        for (int64_t k = 0; k < n; k++)
            apart = fmax(apart, fabs((double)kernel[k] - (double)values[k]));
        golden_report_float(report, "kernels mask_resize", id, apart, limit);
    }
out:
    region_grid_destroy(ours);
    rle_release(&footprint);
    rle_release(&above);
    free(values);
    free(kernel);
    free(cells);
    return status;
}

static enum status check_resize(const json_t *row, const struct golden_options *options,
                                struct golden_report *report)
{
    enum status status = OK;
    struct rle rle = {0};
    uint8_t *mask = NULL;
    const char *id = golden_text_string(row, "id");
    const json_t *grid;
    size_t i;
    TRY(rle_from_json(&rle, row, -1, -1, AT));
    mask = mask_of(&rle);
    json_array_foreach(json_object_get(row, "grids"), i, grid)
        TRY(check_grid(grid, &rle, mask, id, options, report));
out:
    free(mask);
    rle_release(&rle);
    return status;
}

static bool recognises(const char *directory)
{
    return golden_text_holds(directory, "codec.json") &&
           golden_text_holds(directory, "polygon.json");
}

static enum status run(const char *directory, const struct golden_options *options,
                       struct golden_report *report)
{
    static const char *const files[6] = {"codec.json",   "polygon.json",  "iou.json",
                                         "hostile.json", "panoptic.json", "mask_resize.json"};
    enum status status = OK;
    json_t *cases = NULL;
    for (int file = 0; file < 6; file++) {
        size_t i;
        const json_t *row;
        TRY(golden_text_cases(&cases, directory, files[file]));
        json_array_foreach(cases, i, row)
        {
            switch (file) {
            case 0: TRY(check_codec(row, report)); break;
            case 1: TRY(check_polygon(row, report)); break;
            case 2: TRY(check_iou(row, report)); break;
            case 3: TRY(check_hostile(row, report)); break;
            case 4: TRY(check_panoptic(directory, row, report)); break;
            default: TRY(check_resize(row, options, report)); break;
            }
        }
        json_decref(cases);
        cases = NULL;
    }
out:
    json_decref(cases);
    return status;
}

const struct golden_family golden_rle = {"rle", recognises, run};
