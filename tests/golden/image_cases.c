/* Family "image": pictures through decoding, padding, resizing and normalising. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "golden_families.h"
#include "golden_sha256.h"
#include "golden_text.h"
#include "image/image.h"
#include "image/resize.h"

/* Paths that begin with data/ stand beside the reference folders, others in the folder. */
static char *picture_path(const char *directory, const char *file)
{
    if (strncmp(file, "data/", 5) == 0) return text_format("%s/../../%s", directory, file);
    return path_join(directory, file);
}

static void check_hash(struct golden_report *report, const char *group, const json_t *row,
                       const char *key, const void *bytes, size_t size)
{
    char hex[65];
    sha256_hex(hex, bytes, size);
    const char *want = golden_text_string(row, key);
    golden_report_case(report, group, strcmp(hex, want) == 0, "%s: %s is %s, not %s",
                       golden_text_string(row, "id"), key, hex, want);
}

static size_t rgb_size(const struct image *image)
{
    return (size_t)(image->height * image->width * 3);
}

/* Our tensor is channel last; the reference's bytes are channel first. */
static float *channels_first(const float *pixels, int64_t n_pixels)
{
    float *planes = memory_new((size_t)n_pixels * 3, sizeof *planes);
    for (int64_t i = 0; i < n_pixels; i++)
        for (int64_t c = 0; c < 3; c++) planes[c * n_pixels + i] = pixels[3 * i + c];
    return planes;
}

static void check_pixels(struct golden_report *report, const json_t *row, const float *pixels,
                         int64_t size)
{
    const char *id = golden_text_string(row, "id");
    float *planes = channels_first(pixels, size * size);
    check_hash(report, "pixel values", row, "pixel_values_sha256", planes,
               (size_t)(size * size * 3) * sizeof *planes);
    double worst = 0;
    size_t i;
    const json_t *sample;
    json_array_foreach(json_object_get(row, "samples"), i, sample)
    {
        int64_t c = json_integer_value(json_object_get(sample, "c"));
        int64_t y = json_integer_value(json_object_get(sample, "y"));
        int64_t x = json_integer_value(json_object_get(sample, "x"));
        double want = json_number_value(json_object_get(sample, "value"));
        double off = fabs((double)planes[(c * size + y) * size + x] - want);
        if (!(off <= worst)) worst = off;
    }
    golden_report_float(report, "samples", id, worst, 1e-6);
    free(planes);
}

static enum status run_picture(const char *directory, const json_t *row,
                               struct golden_report *report)
{
    enum status status = OK;
    struct image image = {0}, square = {0}, resized = {0}, stored = {0};
    unsigned char *bytes = NULL;
    float *pixels = NULL;
    size_t n_bytes = 0;
    char *path = picture_path(directory, golden_text_string(row, "file")), *png = NULL;
    bool pad = strcmp(golden_text_string(row, "aspect"), "pad") == 0;
    int64_t size = json_integer_value(json_object_get(row, "size"));
    TRY(file_read(&bytes, &n_bytes, path, (size_t)64 << 20));
    TRY(image_decode(&image, bytes, n_bytes, path));
    check_hash(report, "decoded", row, "decoded_rgb_sha256", image.rgb, rgb_size(&image));
    if (pad) TRY(image_pad_square(&square, &image));
    const struct image *source = pad ? &square : &image;
    check_hash(report, "square", row, "square_rgb_sha256", source->rgb, rgb_size(source));
    TRY(image_resize_bicubic(&resized, source, size, size));
    check_hash(report, "resized", row, "resized_rgb_sha256", resized.rgb, rgb_size(&resized));
    if (json_is_string(json_object_get(row, "png"))) {
        png = path_join(directory, golden_text_string(row, "png"));
        TRY(image_read(&stored, png));
        bool same = stored.height == size && stored.width == size &&
                    memcmp(stored.rgb, resized.rgb, rgb_size(&stored)) == 0;
        golden_report_case(report, "stored pictures", same, "%s differs", png);
    }
    pixels = memory_new(rgb_size(&resized), sizeof *pixels);
    struct image_source whole = {bytes, n_bytes, path};
    TRY(image_preprocess(pixels, whole, pad ? IMAGE_MODE_PAD : IMAGE_MODE_SQUASH, size, size));
    check_pixels(report, row, pixels, size);
out:
    free(path);
    free(png);
    free(bytes);
    free(pixels);
    image_release(&image);
    image_release(&square);
    image_release(&resized);
    image_release(&stored);
    return status;
}

static bool same_window(const struct resize_axis *axis, int64_t i, const json_t *window)
{
    const json_t *weights = json_object_get(window, "weights");
    if (json_integer_value(json_object_get(window, "first")) != axis->first[i]) return false;
    if (json_array_size(weights) != (size_t)axis->count[i]) return false;
    for (int64_t tap = 0; tap < axis->count[i]; tap++)
        if (json_integer_value(json_array_get(weights, (size_t)tap)) !=
            axis->weight[i * axis->max_taps + tap])
            return false;
    return true;
}

static enum status run_coefficients(const json_t *row, struct golden_report *report)
{
    enum status status = OK;
    struct resize_axis axis = {0};
    const json_t *windows = json_object_get(row, "windows");
    TRY(resize_axis_init(&axis, json_integer_value(json_object_get(row, "n_in")),
                         json_integer_value(json_object_get(row, "n_out"))));
    for (int64_t i = 0; i < axis.n_out; i++)
        golden_report_case(report, "coefficients",
                           same_window(&axis, i, json_array_get(windows, (size_t)i)),
                           "%s: window %lld", golden_text_string(row, "id"), (long long)i);
out:
    resize_axis_release(&axis);
    return status;
}

/* A picture of 256 greys through image_normalise gives the whole table. */
static void run_table(const json_t *rows, struct golden_report *report)
{
    uint8_t grey[256 * 3];
    float pixels[256 * 3];
    for (int i = 0; i < 256 * 3; i++) grey[i] = (uint8_t)(i / 3);
    image_normalise(pixels, &(struct image){.height = 16, .width = 16, .rgb = grey});
    for (size_t c = 0; c < 3; c++) {
        const json_t *list = json_object_get(json_array_get(rows, c), "fp32_bits");
        for (size_t byte = 0; byte < 256; byte++) {
            uint32_t bits;
            memcpy(&bits, &pixels[3 * byte + c], sizeof bits);
            const char *want = json_string_value(json_array_get(list, byte));
            bool same = want && strtoul(want, NULL, 16) == bits;
            golden_report_case(report, "normalise table", same, "channel %zu, byte %zu: %08x", c,
                               byte, bits);
        }
    }
}

static bool recognises(const char *directory)
{
    return golden_text_holds(directory, "image.json");
}

static enum status run(const char *directory, const struct golden_options *options,
                       struct golden_report *report)
{
    (void)options;
    enum status status = OK;
    json_t *pictures = NULL, *coefficients = NULL, *table = NULL;
    size_t i;
    const json_t *row;
    TRY(golden_text_cases(&pictures, directory, "image.json"));
    TRY(golden_text_cases(&coefficients, directory, "coefficients.json"));
    TRY(golden_text_cases(&table, directory, "normalise_table.json"));
    json_array_foreach(pictures, i, row) TRY(run_picture(directory, row, report));
    json_array_foreach(coefficients, i, row) TRY(run_coefficients(row, report));
    run_table(table, report);
out:
    json_decref(pictures);
    json_decref(coefficients);
    json_decref(table);
    return status;
}

const struct golden_family golden_image = {"image", recognises, run};
