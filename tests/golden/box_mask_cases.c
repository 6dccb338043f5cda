/* Family "box_masks": masks made of boxes. */
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "golden_families.h"
#include "golden_text.h"
#include "image/rle.h"

static double number_at(const json_t *list, size_t i)
{
    return json_number_value(json_array_get(list, i));
}

static struct box box_at(const json_t *row, const char *key)
{
    const json_t *list = json_object_get(row, key);
    return (struct box){number_at(list, 0), number_at(list, 1), number_at(list, 2),
                        number_at(list, 3)};
}

static bool same_mask(const struct rle *rle, const json_t *want)
{
    char *text = rle_to_string(rle);
    bool same = golden_text_equal(json_object_get(want, "counts"), text, strlen(text)) &&
                (int64_t)rle_area(rle) == json_integer_value(json_object_get(want, "area"));
    free(text);
    return same;
}

/* Rows [y1, y2) and columns [x1, x2), cut to the picture by whoever asks. */
struct band {
    int64_t x1, y1, x2, y2;
};

static int64_t toward_zero(const json_t *list, size_t i)
{
    return (int64_t)number_at(list, i);
}

/* The bands of a row's box: one, filled, or the four of the border. */
static int64_t bands_of(struct band bands[4], const json_t *row, bool border)
{
    const json_t *box = json_object_get(row, "box");
    int64_t height = json_integer_value(json_object_get(row, "height"));
    int64_t width = json_integer_value(json_object_get(row, "width"));
    int64_t x1 = toward_zero(box, 0), y1 = toward_zero(box, 1);
    int64_t x2 = toward_zero(box, 2), y2 = toward_zero(box, 3);
    if (!border) {
        bands[0] = (struct band){x1, y1, x2, y2};
        return 1;
    }
    x1 = x1 < 0 ? 0 : x1;
    y1 = y1 < 0 ? 0 : y1;
    x2 = x2 > width - 1 ? width - 1 : x2;
    y2 = y2 > height - 1 ? height - 1 : y2;
    bands[0] = (struct band){x1 - 3, y1 - 3, x2 + 3, y1 + 3};
    bands[1] = (struct band){x1 - 3, y2 - 3, x2 + 3, y2 + 3};
    bands[2] = (struct band){x1 - 3, y1 - 3, x1 + 3, y2 + 3};
    bands[3] = (struct band){x2 - 3, y1 - 3, x2 + 3, y2 + 3};
    return 4;
}

/* True if the reference lets a coordinate of the bands count from the far end of the picture, as
 * Python does with negative ones: such a box is cut to the picture here. */
static bool counts_from_the_end(const struct band *bands, int64_t n, bool border)
{
    bool negative = false;
    for (int64_t i = 0; i < n; i++) {
        /* Of the border the reference raises the first two edges, and the other two not. */
        bool starts = border ? (i == 1 && bands[i].y1 < 0) || (i == 3 && bands[i].x1 < 0)
                             : bands[i].x1 < 0 || bands[i].y1 < 0;
        negative = negative || starts || bands[i].x2 < 0 || bands[i].y2 < 0;
    }
    return negative;
}

/* Pixel by pixel: what ours must be, as a mask. */
static bool same_as_bands(const struct rle *rle, const struct band *bands, int64_t n,
                          const struct rle *inside)
{
    size_t n_pixels = (size_t)(rle->height * rle->width);
    uint8_t *mask = memory_new(n_pixels + 1, 1), *added = memory_new(n_pixels + 1, 1);
    rle_to_mask(mask, rle);
    if (inside) rle_to_mask(added, inside);
    bool same = true;
    for (size_t p = 0; p < n_pixels; p++) {
        int64_t x = (int64_t)p % rle->width, y = (int64_t)p / rle->width;
        bool want = added[p];
        for (int64_t i = 0; i < n; i++)
            want = want ||
                   (x >= bands[i].x1 && x < bands[i].x2 && y >= bands[i].y1 && y < bands[i].y2);
        same = same && want == mask[p];
    }
    free(mask);
    free(added);
    return same;
}

static void check_bands(struct golden_report *report, const json_t *row, const struct rle *rle,
                        bool border, const struct rle *inside)
{
    struct band bands[4];
    int64_t n = bands_of(bands, row, border);
    const char *key = border ? "border_3px" : "filled";
    bool same = counts_from_the_end(bands, n, border) ? same_as_bands(rle, bands, n, inside)
                                                      : same_mask(rle, json_object_get(row, key));
    golden_report_case(report, key, same, "%s: area %lld", golden_text_string(row, "id"),
                       (long long)rle_area(rle));
}

static enum status check_box(const json_t *row, struct golden_report *report)
{
    enum status status = OK;
    struct rle filled = {0}, border = {0}, inside = {0};
    int64_t height = json_integer_value(json_object_get(row, "height"));
    int64_t width = json_integer_value(json_object_get(row, "width"));
    struct box box = box_at(row, "box");
    bool has_inside = json_is_array(json_object_get(row, "internal_mask_xyxy"));
    if (has_inside) TRY(rle_from_box(&inside, box_at(row, "internal_mask_xyxy"), height, width));
    TRY(rle_from_box(&filled, box, height, width));
    check_bands(report, row, &filled, false, NULL);
    TRY(rle_from_box_border(&border, box, 3, has_inside ? &inside : NULL, height, width));
    check_bands(report, row, &border, true, has_inside ? &inside : NULL);
out:
    rle_release(&filled);
    rle_release(&border);
    rle_release(&inside);
    return status;
}

static enum status check_vcr(const json_t *row, struct golden_report *report)
{
    enum status status = OK;
    struct rle mask = {0};
    const char *id = golden_text_string(row, "id");
    const json_t *lists = json_object_get(row, "polygons"), *points;
    size_t n = json_array_size(lists), i;
    struct polygon *polygons = memory_new(n, sizeof *polygons);
    json_array_foreach(lists, i, points)
    {
        size_t n_points = json_array_size(points);
        double *xy = memory_new(2 * n_points, sizeof *xy);
        for (size_t k = 0; k < 2 * n_points; k++)
            xy[k] = number_at(json_array_get(points, k / 2), k % 2);
        polygons[i] = (struct polygon){xy, (int64_t)n_points};
    }
    TRY(rle_from_polygons_in_box(&mask, polygons, (int64_t)n, box_at(row, "box"),
                                 json_integer_value(json_object_get(row, "height")),
                                 json_integer_value(json_object_get(row, "width"))));
    golden_report_case(report, "polygons in a box", same_mask(&mask, json_object_get(row, "vcr")),
                       "%s: area %lld", id, (long long)rle_area(&mask));
out:
    for (i = 0; i < n; i++) free((double *)polygons[i].xy);
    free(polygons);
    rle_release(&mask);
    return status;
}

static bool recognises(const char *directory)
{
    return golden_text_holds(directory, "box_masks.json");
}

static enum status run(const char *directory, const struct golden_options *options,
                       struct golden_report *report)
{
    (void)options;
    enum status status = OK;
    json_t *cases = NULL;
    size_t i;
    const json_t *row;
    TRY(golden_text_cases(&cases, directory, "box_masks.json"));
    json_array_foreach(cases, i, row)
    {
        if (json_object_get(row, "vcr"))
            TRY(check_vcr(row, report));
        else
            TRY(check_box(row, report));
    }
out:
    json_decref(cases);
    return status;
}

const struct golden_family golden_box_masks = {"box_masks", recognises, run};
