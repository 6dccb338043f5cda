/* Masks: small reference cases, and everything else against the same thing done pixel by pixel. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "image/region_grid.h"
#include "image/rle.h"
#include "kernels.h"

#define N_RANDOM 60

static json_t *read_cases(const char *path)
{
    json_t *cases = json_load_file(path, JSON_ALLOW_NUL, NULL);
    assert_non_null(cases);
    return cases;
}

static const char *string_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static const struct json_place place = {"cases.json", "case"};

/* A mask of blobs or of noise, of a size of its own. */
struct sample {
    struct rle rle;
    uint8_t *mask;
};
static struct sample random_sample(int64_t index, int64_t height, int64_t width)
{
    struct random_stream stream = random_substream(random_stream(11, "rle_test"), (uint64_t)index);
    struct sample sample = {.mask = malloc((size_t)(height * width))};
    double share = random_uniform(stream, 0), radius = 3 + 20 * random_uniform(stream, 1);
    double cx = (double)width * random_uniform(stream, 2);
    double cy = (double)height * random_uniform(stream, 3);
    for (int64_t p = 0; p < height * width; p++) {
        double dx = (double)(p % width) - cx, dy = (double)(p / width) - cy;
        sample.mask[p] = index % 2 ? dx * dx + dy * dy < radius * radius
                                   : random_uniform(stream, (uint64_t)(4 + p)) < share;
    }
    assert_int_equal(rle_from_mask(&sample.rle, sample.mask, height, width), OK);
    return sample;
}

static int64_t side(int64_t index, uint64_t draw)
{
    return 1 + (int64_t)random_below(random_stream(12, "sides"), (uint64_t)index * 2 + draw, 60);
}

static void release(struct sample *sample)
{
    rle_release(&sample->rle);
    free(sample->mask);
}

static void every_form_and_back(void **state)
{
    (void)state;
    for (int64_t i = 0; i < N_RANDOM; i++) {
        int64_t height = side(i, 0), width = side(i, 1);
        struct sample sample = random_sample(i, height, width);
        struct rle again = {0}, copy = {0};
        uint8_t *mask = malloc((size_t)(height * width));
        char *text = rle_to_string(&sample.rle);
        assert_int_equal(rle_from_string(&again, text, strlen(text), height, width), OK);
        assert_int_equal(again.n_runs, sample.rle.n_runs);
        assert_memory_equal(again.runs, sample.rle.runs, (size_t)again.n_runs * 4);
        assert_int_equal(rle_copy(&copy, &again), OK);
        rle_to_mask(mask, &copy);
        assert_memory_equal(mask, sample.mask, (size_t)(height * width));
        rle_release(&again);
        rle_release(&copy);
        free(text);
        free(mask);
        release(&sample);
    }
}

static void area_and_boxes(void **state)
{
    (void)state;
    for (int64_t i = 0; i < N_RANDOM; i++) {
        int64_t height = side(i, 0), width = side(i, 1), x1 = width, y1 = height, x2 = 0, y2 = 0;
        struct sample sample = random_sample(i, height, width);
        uint64_t area = 0;
        for (int64_t p = 0; p < height * width; p++) {
            if (!sample.mask[p]) continue;
            area++;
            x1 = p % width < x1 ? p % width : x1;
            x2 = p % width >= x2 ? p % width + 1 : x2;
            y1 = p / width < y1 ? p / width : y1;
            y2 = p / width + 1;
        }
        struct box box = rle_box(&sample.rle), inclusive = {0};
        assert_true(rle_area(&sample.rle) == area);
        if (area > 0) {
            assert_true(box.x1 == (double)x1 && box.y1 == (double)y1);
            assert_true(box.x2 == (double)x2 && box.y2 == (double)y2);
            assert_int_equal(rle_box_inclusive(&inclusive, &sample.rle), OK);
            assert_true(inclusive.x2 == box.x2 - 1 && inclusive.y2 == box.y2 - 1);
        } else {
            assert_true(box.x2 == 0 && box.y2 == 0);
            assert_int_equal(rle_box_inclusive(&inclusive, &sample.rle), ERR_FORMAT);
        }
        release(&sample);
    }
}

static void merging_and_overlap(void **state)
{
    (void)state;
    for (int64_t i = 0; i < N_RANDOM; i++) {
        int64_t height = side(i, 0), width = side(i, 1), n = height * width;
        struct sample a = random_sample(i, height, width), b = random_sample(i + 1, height, width);
        struct rle both[2] = {a.rle, b.rle}, merged = {0};
        uint8_t *mask = malloc((size_t)n);
        uint64_t n_and = 0, n_or = 0;
        for (int64_t p = 0; p < n; p++) {
            n_and += a.mask[p] & b.mask[p];
            n_or += a.mask[p] | b.mask[p];
        }
        for (int intersect = 0; intersect < 2; intersect++) {
            assert_int_equal(rle_merge(&merged, both, 2, intersect), OK);
            rle_to_mask(mask, &merged);
            for (int64_t p = 0; p < n; p++)
                assert_int_equal(mask[p],
                                 intersect ? a.mask[p] & b.mask[p] : a.mask[p] | b.mask[p]);
            rle_release(&merged);
        }
        double iou = n_and ? (double)n_and / (double)n_or : 0;
        double crowd = n_and ? (double)n_and / (double)rle_area(&a.rle) : 0;
        assert_true(rle_iou(&a.rle, &b.rle, 0) == iou);
        assert_true(rle_iou(&a.rle, &b.rle, 1) == crowd);
        free(mask);
        release(&a);
        release(&b);
    }
    struct sample a = random_sample(1, 5, 6), b = random_sample(1, 6, 5);
    struct rle both[2] = {a.rle, b.rle}, merged = {0};
    assert_int_equal(rle_merge(&merged, both, 2, 0), ERR_SHAPE);
    release(&a);
    release(&b);
}

/* From the run lengths as from the whole mask, to the last bit. */
static void grids_are_the_kernels(void **state)
{
    (void)state;
    static const int64_t grids[][2] = {{1, 1}, {4, 4}, {7, 16}, {28, 28}, {32, 9}, {61, 64}};
    for (int64_t i = 0; i < N_RANDOM; i++) {
        int64_t height = side(i, 0) * (i % 5 + 1), width = side(i, 1) * (i % 3 + 1);
        struct sample sample = random_sample(i, height, width);
        for (size_t g = 0; g < sizeof grids / sizeof grids[0]; g++) {
            int64_t rows = grids[g][0], columns = grids[g][1], n = rows * columns;
            float want[64 * 64], got[64 * 64];
            uint8_t cells[64 * 64];
            assert_int_equal(
                kernels_ref.mask_resize(want, sample.mask, 1, height, width, rows, columns, NULL),
                OK);
            struct region_grid *grid = NULL;
            assert_int_equal(region_grid_create(&grid, height, width, rows, columns), OK);
            for (int turn = 0; turn < 2; turn++) { /* what another mask left is gone */
                struct rle other = {0};
                assert_int_equal(
                    rle_from_box(&other, (struct box){0, 0, (double)width / 2, 9}, height, width),
                    OK);
                region_grid_take(grid, turn == 0 ? &other : &sample.rle);
                rle_release(&other);
            }
            region_grid_values(got, grid);
            region_grid_footprint(cells, grid);
            region_grid_destroy(grid);
            assert_memory_equal(got, want, (size_t)n * sizeof *got);
            for (int64_t k = 0; k < n; k++) assert_int_equal(cells[k], want[k] > 0);
        }
        release(&sample);
    }
}

/* The reference accepts two of these sizes, which are not two whole numbers: refused here. */
static void hostile_cases(void **state)
{
    (void)state;
    json_t *cases = read_cases("tests/data/rle/hostile.json");
    size_t i, n_refused = 0, n_decoded = 0;
    const json_t *row;
    json_array_foreach(cases, i, row)
    {
        struct rle rle = {0};
        const json_t *decoded = json_object_get(json_object_get(row, "result"), "decode");
        const char *id = string_at(row, "id");
        bool odd_size = strcmp(id, "size_three") == 0 || strcmp(id, "size_float") == 0;
        bool fine = (json_is_object(decoded) && !odd_size) || strcmp(id, "list_ok") == 0 ||
                    strcmp(id, "counts_is_list") == 0;
        status_clear();
        enum status status = rle_from_json(&rle, json_object_get(row, "rle"), -1, -1, place);
        if ((status == OK) != fine) fail_msg("%s: %s", id, status_message());
        if (status != OK) {
            n_refused++;
            assert_null(rle.runs);
            assert_non_null(strstr(status_message(), "cases.json: case"));
        } else if (json_is_object(decoded)) {
            n_decoded++;
            int64_t area = json_integer_value(json_object_get(decoded, "sum"));
            assert_int_equal((int64_t)rle_area(&rle), area);
        }
        rle_release(&rle);
    }
    assert_true(n_refused > 25 && n_decoded >= 7);
    json_decref(cases);
}

static void polygon_cases(void **state)
{
    (void)state;
    json_t *cases = read_cases("tests/data/rle/polygon.json");
    size_t i;
    const json_t *row;
    json_array_foreach(cases, i, row)
    {
        struct rle rle = {0};
        enum status status =
            rle_from_json(&rle, json_object_get(row, "segmentation"),
                          json_integer_value(json_object_get(row, "height")),
                          json_integer_value(json_object_get(row, "width")), place);
        if (json_object_get(row, "error")) {
            assert_int_not_equal(status, OK);
            continue;
        }
        assert_int_equal(status, OK);
        char *text = rle_to_string(&rle);
        assert_string_equal(text, string_at(row, "counts"));
        free(text);
        rle_release(&rle);
    }
    json_decref(cases);
}

static void bad_polygons_are_refused(void **state)
{
    (void)state;
    struct rle rle = {0};
    const double far[] = {0, 0, 1e6, 0, 1, 1}, nan_point[] = {0, 0, NAN, 0, 1, 1};
    assert_int_equal(rle_from_polygon(&rle, far, 3, 10, 10), ERR_LIMIT);
    assert_int_equal(rle_from_polygon(&rle, nan_point, 3, 10, 10), ERR_FORMAT);
    assert_int_equal(rle_from_polygon(&rle, far, 2, 10, 10), ERR_FORMAT);
    int64_t n = 10000; /* as long an outline as the limit of a coordinate allows, again and again */
    double *zigzag = malloc((size_t)n * 2 * sizeof *zigzag);
    for (int64_t i = 0; i < 2 * n; i++) zigzag[i] = i % 4 < 2 ? -65000 : 65000;
    assert_int_equal(rle_from_polygon(&rle, zigzag, n, 10, 10), ERR_LIMIT);
    free(zigzag);
    assert_int_equal(rle_from_mask(&rle, NULL, 1 << 20, 1 << 20), ERR_LIMIT);
    assert_null(rle.runs);
}

static void boxes_become_masks(void **state)
{
    (void)state;
    struct rle filled = {0}, border = {0};
    uint8_t mask[24 * 30];
    assert_int_equal(rle_from_box(&filled, (struct box){-4.5, 6.9, 20.9, 99}, 24, 30), OK);
    rle_to_mask(mask, &filled);
    for (int p = 0; p < 24 * 30; p++) assert_int_equal(mask[p], p % 30 < 20 && p / 30 >= 6);
    assert_int_equal(rle_from_box_border(&border, (struct box){8, 6, 20, 15}, 3, &filled, 24, 30),
                     OK);
    rle_to_mask(mask, &border);
    for (int p = 0; p < 24 * 30; p++) {
        int x = p % 30, y = p / 30;
        bool outer = x >= 5 && x < 23 && y >= 3 && y < 18;
        bool inner = x >= 11 && x < 17 && y >= 9 && y < 12;
        assert_int_equal(mask[p], (outer && !inner) || (x < 20 && y >= 6));
    }
    rle_release(&filled);
    rle_release(&border);
    assert_int_equal(rle_from_box(&filled, (struct box){0, 0, INFINITY, 1}, 4, 4), ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_and_back),
        cmocka_unit_test(area_and_boxes),
        cmocka_unit_test(merging_and_overlap),
        cmocka_unit_test(grids_are_the_kernels),
        cmocka_unit_test(hostile_cases),
        cmocka_unit_test(polygon_cases),
        cmocka_unit_test(bad_polygons_are_refused),
        cmocka_unit_test(boxes_become_masks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
