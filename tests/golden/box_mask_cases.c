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

/* Where the reference lets a negative coordinate count from the far end of the picture, ours is 0:
 * the area that must then come out, or -1 for every other case. */
static int64_t area_when_clamped(const char *id, bool border)
{
    if (!border && strcmp(id, "negative_start") == 0) return 10 * 9;
    if (!border && strcmp(id, "all_negative") == 0) return 0;
    if (border && strcmp(id, "small_near_origin") == 0) return 5 * 5;
    return -1;
}

static void check_mask(struct golden_report *report, const char *group, const char *id,
                       const struct rle *rle, const json_t *want)
{
    int64_t area = area_when_clamped(id, strcmp(group, "border") == 0);
    bool same = area >= 0 ? (int64_t)rle_area(rle) == area : same_mask(rle, want);
    golden_report_case(report, group, same, "%s: area %lld", id, (long long)rle_area(rle));
}

static enum status check_box(const json_t *row, struct golden_report *report)
{
    enum status status = OK;
    struct rle filled = {0}, border = {0}, inside = {0};
    const char *id = golden_text_string(row, "id");
    int64_t height = json_integer_value(json_object_get(row, "height"));
    int64_t width = json_integer_value(json_object_get(row, "width"));
    struct box box = box_at(row, "box");
    bool has_inside = json_is_array(json_object_get(row, "internal_mask_xyxy"));
    if (has_inside) TRY(rle_from_box(&inside, box_at(row, "internal_mask_xyxy"), height, width));
    TRY(rle_from_box(&filled, box, height, width));
    check_mask(report, "filled", id, &filled, json_object_get(row, "filled"));
    TRY(rle_from_box_border(&border, box, 3, has_inside ? &inside : NULL, height, width));
    check_mask(report, "border", id, &border, json_object_get(row, "border_3px"));
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
    check_mask(report, "polygons in a box", id, &mask, json_object_get(row, "vcr"));
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
