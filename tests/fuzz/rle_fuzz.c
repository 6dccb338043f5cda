/* Masks from strings, runs, polygons, boxes and JSON. */
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "fuzz/fuzz.h"
#include "image/rle.h"

/* A mask that was accepted is of its size and survives its own text. */
static void use_mask(const struct rle *rle)
{
    uint64_t sum = 0;
    for (int64_t i = 0; i < rle->n_runs; i++) sum += rle->runs[i];
    fuzz_require(sum == (uint64_t)(rle->height * rle->width), "runs sum to the mask's size");
    fuzz_require(rle_area(rle) <= sum, "the area is within the mask");
    char *text = rle_to_string(rle);
    struct rle again = {0};
    fuzz_require(rle_from_string(&again, text, strlen(text), rle->height, rle->width) == OK,
                 "a mask's own string is read");
    fuzz_require(rle_area(&again) == rle_area(rle), "and gives the same mask");
    if (sum > 0 && sum <= 1 << 16) {
        uint8_t *mask = malloc((size_t)sum);
        fuzz_require(mask != NULL, "memory");
        rle_to_mask(mask, rle);
        struct rle back = {0};
        fuzz_require(rle_from_mask(&back, mask, rle->height, rle->width) == OK &&
                         rle_area(&back) == rle_area(rle),
                     "a mask survives its pixels");
        rle_release(&back);
        free(mask);
    }
    struct box box = rle_box(rle);
    fuzz_require(box.x2 <= (double)rle->width && box.y2 <= (double)rle->height,
                 "the box is within the mask");
    if (rle_area(rle) > 0) fuzz_require(rle_iou(rle, &again, 0) == 1.0, "a mask overlaps itself");
    rle_release(&again);
    free(text);
}

static enum status make_mask(struct rle *rle, struct fuzz_input *input)
{
    uint64_t kind = fuzz_integer(input, 6);
    int64_t height = (int64_t)fuzz_integer(input, 1 << 10);
    int64_t width = (int64_t)fuzz_integer(input, 1 << 10);
    if (kind == 5) { /* sizes as a hostile file may claim them */
        height = (int64_t)fuzz_integer(input, UINT64_MAX);
        width = (int64_t)fuzz_integer(input, UINT64_MAX);
        kind = 0;
    }
    size_t size;
    char *text = fuzz_rest(input, &size);
    enum status status = OK;
    struct json_place place = {.file = "fuzz", .record = ""};
    if (kind == 0) {
        status = rle_from_string(rle, text, size, height, width);
    } else if (kind == 1) {
        status = rle_from_runs(rle, (const uint32_t *)(const void *)text, (int64_t)(size / 4),
                               height, width);
    } else if (kind == 2) {
        status = rle_from_polygon(rle, (const double *)(const void *)text, (int64_t)(size / 16),
                                  height, width);
    } else if (kind == 3) {
        double xy[4];
        for (int i = 0; i < 4; i++) xy[i] = fuzz_double(input);
        struct box box = {xy[0], xy[1], xy[2], xy[3]};
        status = rle_from_box(rle, box, height, width);
    } else {
        json_t *json = json_loadb(text, size, JSON_DECODE_ANY, NULL);
        if (json == NULL) status = ERR_FORMAT;
        int64_t known = height % 2; /* else the mask's own size counts */
        if (json != NULL)
            status = rle_from_json(rle, json, known ? height : -1, known ? width : -1, place);
        json_decref(json);
    }
    free(text);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    struct rle rle = {0};
    if (make_mask(&rle, &input) == OK) use_mask(&rle);
    rle_release(&rle);
    return 0;
}
