/* See regions_json.h. */
#include "generate/regions_json.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/text_buffer.h"
#include "image/image.h"

#define MAX_MASK_BYTES ((size_t)16 << 20)

void regions_release(struct regions *regions)
{
    for (int64_t i = 0; i < regions->n; i++) rle_release(&regions->masks[i]);
    free(regions->masks);
    free(regions->boxes);
    *regions = (struct regions){0};
}

/* Takes the mask over. */
static void add(struct regions *regions, struct rle mask, struct box box)
{
    const size_t n = (size_t)regions->n + 1;
    regions->masks = memory_resize(regions->masks, n, sizeof *regions->masks);
    regions->boxes = memory_resize(regions->boxes, n, sizeof *regions->boxes);
    regions->masks[regions->n] = mask;
    regions->boxes[regions->n++] = box;
}

enum status regions_add_box(struct regions *regions, struct box box, int64_t height, int64_t width)
{
    enum status status = OK;
    struct rle mask = {0};
    const bool inside = box.x1 >= 0 && box.y1 >= 0 && box.x2 <= (double)width &&
                        box.y2 <= (double)height && box.x1 < box.x2 && box.y1 < box.y2;
    if (!inside)
        FAIL(ERR_SHAPE,
             "box [%g, %g, %g, %g] does not lie inside the picture of %" PRId64 " x %" PRId64
             " pixels, left above right below",
             box.x1, box.y1, box.x2, box.y2, width, height);
    TRY(rle_from_box(&mask, box, height, width));
    if (rle_area(&mask) == 0) {
        rle_release(&mask);
        FAIL(ERR_SHAPE, "box [%g, %g, %g, %g] holds no whole pixel", box.x1, box.y1, box.x2,
             box.y2);
    }
    add(regions, mask, box);
out:
    return status;
}

static enum status add_rle(struct regions *regions, struct rle *mask)
{
    enum status status = OK;
    if (rle_area(mask) == 0) FAIL(ERR_SHAPE, "the mask is empty");
    add(regions, *mask, rle_box(mask));
    *mask = (struct rle){0};
out:
    rle_release(mask);
    return status;
}

enum status regions_add_mask(struct regions *regions, const void *bytes, size_t size,
                             const char *name, int64_t height, int64_t width)
{
    enum status status = OK;
    struct image image = {0};
    struct rle mask = {0};
    int64_t mask_height, mask_width;
    TRY(image_probe(&mask_height, &mask_width, bytes, size, name));
    if (mask_height != height || mask_width != width)
        FAIL(ERR_SHAPE,
             "%s is %" PRId64 " x %" PRId64 " pixels but the picture %" PRId64 " x %" PRId64, name,
             mask_width, mask_height, width, height);
    TRY(image_decode(&image, bytes, size, name));
    for (int64_t i = 0; i < height * width; i++) {
        const uint8_t *rgb = image.rgb + 3 * i;
        image.rgb[i] = rgb[0] != 0 || rgb[1] != 0 || rgb[2] != 0; /* i <= 3 i: already read */
    }
    TRY(rle_from_mask(&mask, image.rgb, height, width));
    TRY_WHERE(add_rle(regions, &mask), "%s", name);
out:
    image_release(&image);
    return status;
}

static enum status add_listed_box(struct regions *regions, const json_t *box, int64_t height,
                                  int64_t width)
{
    enum status status = OK;
    double x[4];
    if (!json_is_array(box) || json_array_size(box) != 4)
        FAIL(ERR_FORMAT, "box is not a list of four numbers");
    for (size_t i = 0; i < 4; i++) {
        const json_t *value = json_array_get(box, i);
        if (!json_is_number(value)) FAIL(ERR_FORMAT, "box is not a list of four numbers");
        x[i] = json_number_value(value);
    }
    TRY(regions_add_box(regions, (struct box){x[0], x[1], x[2], x[3]}, height, width));
out:
    return status;
}

static enum status add_data_url(struct regions *regions, const json_t *mask, int64_t height,
                                int64_t width)
{
    enum status status = OK;
    uint8_t *bytes = NULL;
    size_t size = 0;
    const char *text = json_string_value(mask), *comma = text ? strstr(text, ";base64,") : NULL;
    if (comma == NULL || strncmp(text, "data:image/", 11) != 0)
        FAIL(ERR_FORMAT, "mask is not a data URL (data:image/png;base64,...)");
    TRY(base64_decode(&bytes, &size, comma + 8, MAX_MASK_BYTES));
    TRY(regions_add_mask(regions, bytes, size, "the mask", height, width));
out:
    free(bytes);
    return status;
}

static enum status add_item(struct regions *regions, const json_t *item, int64_t height,
                            int64_t width)
{
    enum status status = OK;
    struct rle mask = {0};
    const json_t *box = json_object_get(item, "box");
    const json_t *segmentation = json_object_get(item, "segmentation");
    const json_t *picture = json_object_get(item, "mask");
    if ((box != NULL) + (segmentation != NULL) + (picture != NULL) != 1)
        FAIL(ERR_FORMAT, "a region has exactly one of box, segmentation and mask");
    if (box != NULL) TRY(add_listed_box(regions, box, height, width));
    if (picture != NULL) TRY(add_data_url(regions, picture, height, width));
    if (segmentation != NULL) {
        TRY(rle_from_json(&mask, segmentation, height, width,
                          (struct json_place){"segmentation", ""}));
        TRY(add_rle(regions, &mask));
    }
out:
    return status;
}

enum status regions_from_json(struct regions *regions, const json_t *list, int64_t most,
                              int64_t height, int64_t width, const char *file)
{
    enum status status = OK;
    if (!json_is_array(list)) FAIL(ERR_FORMAT, "%s: regions are not a list", file);
    if ((int64_t)json_array_size(list) > most - regions->n)
        FAIL(ERR_LIMIT, "%s: %zu regions; at most %" PRId64, file, json_array_size(list),
             most - regions->n);
    for (size_t i = 0; i < json_array_size(list); i++)
        TRY_WHERE(add_item(regions, json_array_get(list, i), height, width), "%s: regions[%zu]",
                  file, i);
out:
    return status;
}
