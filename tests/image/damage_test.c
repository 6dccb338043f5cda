/* Damaged input to every parser of src/image: bits flipped, bytes cut off, by a fixed sequence.
 * Each must answer, and an error must be a sentence that names the input. What happens inside is
 * watched by the address sanitizer (make asan). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/random.h"
#include "image/image.h"
#include "image/panoptic.h"
#include "image/region_grid.h"
#include "image/rle.h"

#define N_DAMAGED 300

/* Copy number `round` of the bytes: some bits flipped, every third one also cut. */
static unsigned char *damage(const unsigned char *bytes, size_t *size, uint64_t round)
{
    struct random_stream stream = random_substream(random_stream(5, "damage"), round);
    unsigned char *copy = malloc(*size);
    memcpy(copy, bytes, *size);
    uint64_t n_flips = 1 + random_below(stream, 0, 4);
    for (uint64_t i = 0; i < n_flips; i++)
        copy[random_below(stream, 2 * i + 1, *size)] ^=
            (unsigned char)(1 << random_below(stream, 2 * i + 2, 8));
    if (round % 3 == 0) *size = random_below(stream, 99, *size);
    return copy;
}

static void check(enum status status, const char *name)
{
    if (status != OK && !strstr(status_message(), name))
        fail_msg("'%s' does not name %s", status_message(), name);
    status_clear();
}

static void pictures(void **state)
{
    (void)state;
    static const char *const files[] = {"cmyk.jpg",    "progressive_odd.jpg", "exif_rotated.jpg",
                                        "tiny.png",    "three_rows.png",      "checker.png",
                                        "grey_16.png", "palette_2_alpha.png"};
    int64_t n_refused = 0;
    for (size_t f = 0; f < sizeof files / sizeof files[0]; f++) {
        unsigned char *bytes = NULL;
        size_t whole = 0;
        char path[64];
        snprintf(path, sizeof path, "tests/data/image/%s", files[f]);
        assert_int_equal(file_read(&bytes, &whole, path, 1 << 20), OK);
        for (uint64_t round = 0; round < N_DAMAGED; round++) {
            size_t size = whole;
            unsigned char *copy = damage(bytes, &size, round);
            struct image image = {0};
            struct panoptic panoptic = {0};
            enum status status = image_decode(&image, copy, size, "some/file");
            n_refused += status != OK;
            check(status, "some/file");
            if (round % 8 == 0)
                check(panoptic_decode(&panoptic, copy, size, "some/file"), "some/file");
            panoptic_release(&panoptic);
            image_release(&image);
            free(copy);
        }
        free(bytes);
    }
    print_message("%lld of %d damaged pictures refused\n", (long long)n_refused, 8 * N_DAMAGED);
    assert_true(n_refused > 4 * N_DAMAGED);
}

/* Compressed strings: whatever is accepted covers the picture exactly. */
static void strings(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "Q21c000000o7", "ahn12_?3M30000001M7MI5O100002Nkoa3", "0S1",
        "a6c0h<V1kNb0]O001O00010O00000010O0001O000010M2L6I=D<B?A`0AhVP8"};
    static const int64_t sizes[][2] = {{20, 20}, {500, 375}, {5, 7}, {427, 640}};
    int64_t n_refused = 0;
    for (size_t t = 0; t < 4; t++)
        for (uint64_t round = 0; round < 4 * N_DAMAGED; round++) {
            size_t size = strlen(texts[t]);
            unsigned char *copy = damage((const unsigned char *)texts[t], &size, round);
            struct rle rle = {0};
            enum status status =
                rle_from_string(&rle, (const char *)copy, size, sizes[t][0], sizes[t][1]);
            n_refused += status != OK;
            check(status, "mask");
            if (status == OK) {
                uint8_t cells[16 * 16];
                uint64_t total = 0;
                for (int64_t i = 0; i < rle.n_runs; i++) total += rle.runs[i];
                assert_true(total == (uint64_t)(sizes[t][0] * sizes[t][1]));
                struct region_grid *grid = NULL;
                assert_int_equal(region_grid_create(&grid, rle.height, rle.width, 16, 16), OK);
                region_grid_take(grid, &rle);
                region_grid_footprint(cells, grid);
                region_grid_destroy(grid);
                (void)rle_box(&rle);
            }
            rle_release(&rle);
            free(copy);
        }
    assert_true(n_refused > 8 * N_DAMAGED);
}

/* JSON that still parses after the damage, as each kind of segmentation. */
static void segmentations(void **state)
{
    (void)state;
    static const char *const texts[] = {"[[3.5, 3, 9, 3.25, 9, 9, 3, 9], [1, 1, 6, 1, 6, 6]]",
                                        "{\"size\": [5, 4], \"counts\": [6, 3, 11]}",
                                        "{\"size\": [20, 20], \"counts\": \"Q21c000000o7\"}"};
    struct json_place place = {"a.json", "annotations[3]"};
    int64_t n_parsed = 0;
    for (size_t t = 0; t < 3; t++)
        for (uint64_t round = 0; round < 8 * N_DAMAGED; round++) {
            size_t size = strlen(texts[t]);
            unsigned char *copy = damage((const unsigned char *)texts[t], &size, round);
            json_t *json = json_loadb((const char *)copy, size, JSON_ALLOW_NUL, NULL);
            struct rle rle = {0};
            if (json) {
                n_parsed++;
                check(rle_from_json(&rle, json, t == 0 ? 14 : -1, t == 0 ? 14 : -1, place),
                      "a.json: annotations[3]");
            }
            rle_release(&rle);
            json_decref(json);
            free(copy);
        }
    assert_true(n_parsed > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures),
        cmocka_unit_test(strings),
        cmocka_unit_test(segmentations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
