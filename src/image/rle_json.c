/* The `segmentation` of COCO's JSON in its three forms: polygons, a list of runs, a string. */
#include <inttypes.h>
#include <stdlib.h>

#include "image/rle_internal.h"

/* FAIL with file and record in front. */
#define FAIL_AT(place, code, format, ...)                                                          \
    FAIL(code, "%s: %s: " format, (place).file, (place).record, __VA_ARGS__)

static enum status read_polygon(struct rle *rle_out, const json_t *list, int64_t height,
                                int64_t width, struct json_place place)
{
    enum status status = OK;
    size_t n = json_array_size(list);
    double *xy = NULL;
    if (!json_is_array(list) || n < 6)
        FAIL_AT(place, ERR_FORMAT,
                "a polygon of segmentation has %zu numbers; it must have 6 or more", n);
    xy = malloc(n * sizeof *xy);
    if (!xy) FAIL_AT(place, ERR_MEMORY, "no memory for a polygon of %zu numbers", n);
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_array_get(list, i);
        if (!json_is_number(value))
            FAIL_AT(place, ERR_FORMAT, "element %zu of a polygon is not a number", i);
        xy[i] = json_number_value(value);
    }
    TRY_WHERE(rle_from_polygon(rle_out, xy, (int64_t)(n / 2), height, width), "%s: %s", place.file,
              place.record);
out:
    free(xy);
    return status;
}

static enum status read_polygons(struct rle *rle_out, const json_t *polygons, int64_t height,
                                 int64_t width, struct json_place place)
{
    enum status status = OK;
    struct rle *parts = NULL;
    size_t n = json_array_size(polygons);
    if (n == 0) FAIL_AT(place, ERR_FORMAT, "segmentation has %s", "no polygon");
    if (height < 0 || width < 0)
        FAIL_AT(place, ERR_FORMAT, "polygons need the %s", "picture's height and width");
    parts = calloc(n, sizeof *parts);
    if (!parts) FAIL_AT(place, ERR_MEMORY, "no memory for %zu polygons", n);
    for (size_t i = 0; i < n; i++)
        TRY(read_polygon(&parts[i], json_array_get(polygons, i), height, width, place));
    TRY(rle_merge(rle_out, parts, (int64_t)n, 0));
out:
    for (size_t i = 0; parts && i < n; i++) rle_release(&parts[i]);
    free(parts);
    return status;
}

/* The two numbers of `size`, which must be those wanted unless the wanted ones are -1. */
static enum status read_size(int64_t *height, int64_t *width, const json_t *object,
                             struct json_place place)
{
    enum status status = OK;
    json_t *size = NULL;
    int64_t *sides[2] = {height, width};
    TRY(json_field(&size, object, "size", JSON_ARRAY, place));
    if (json_array_size(size) != 2)
        FAIL_AT(place, ERR_FORMAT, "size has %zu numbers; it must have 2", json_array_size(size));
    for (size_t i = 0; i < 2; i++) {
        const json_t *side = json_array_get(size, i);
        if (!json_is_integer(side) || json_integer_value(side) < 0)
            FAIL_AT(place, ERR_FORMAT, "size[%zu] is not a whole number >= 0", i);
        if (*sides[i] >= 0 && json_integer_value(side) != *sides[i])
            FAIL_AT(place, ERR_SHAPE,
                    "segmentation's size[%zu] is %" JSON_INTEGER_FORMAT
                    " and the picture's is %" PRId64,
                    i, json_integer_value(side), *sides[i]);
        *sides[i] = json_integer_value(side);
    }
out:
    return status;
}

static enum status read_counts_list(struct rle *rle_out, const json_t *counts, int64_t height,
                                    int64_t width, struct json_place place)
{
    enum status status = OK;
    struct run_list list = {0};
    TRY_WHERE(rle_check_size(height, width), "%s: %s", place.file, place.record);
    for (size_t i = 0; i < json_array_size(counts) && !list.out_of_memory; i++) {
        const json_t *run = json_array_get(counts, i);
        if (!json_is_integer(run) || json_integer_value(run) < 0 ||
            json_integer_value(run) > height * width)
            FAIL_AT(place, ERR_FORMAT, "counts[%zu] is not a whole number in 0 .. %" PRId64, i,
                    height * width);
        run_list_add(&list, (uint32_t)json_integer_value(run));
    }
    TRY_WHERE(run_list_finish(&list, rle_out, height, width), "%s: %s", place.file, place.record);
out:
    run_list_release(&list);
    return status;
}

enum status rle_from_json(struct rle *rle_out, const json_t *segmentation, int64_t height,
                          int64_t width, struct json_place place)
{
    enum status status = OK;
    if (json_is_array(segmentation)) {
        TRY(read_polygons(rle_out, segmentation, height, width, place));
        goto out;
    }
    if (!json_is_object(segmentation))
        FAIL_AT(place, ERR_FORMAT, "segmentation is neither a list of polygons nor %s",
                "an object with size and counts");
    TRY(read_size(&height, &width, segmentation, place));
    const json_t *counts = json_object_get(segmentation, "counts");
    if (json_is_array(counts))
        TRY(read_counts_list(rle_out, counts, height, width, place));
    else if (json_is_string(counts))
        TRY_WHERE(rle_from_string(rle_out, json_string_value(counts), json_string_length(counts),
                                  height, width),
                  "%s: %s", place.file, place.record);
    else
        FAIL_AT(place, ERR_FORMAT, "counts is %s", counts ? "neither list nor string" : "missing");
out:
    return status;
}
