/* Pictures: known files to known bytes, resizing against plain sums, refusals with a sentence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "base/file.h"
#include "base/random.h"
#include "image/image.h"
#include "image/panoptic.h"
#include "image/resize.h"

#define DATA "tests/data/image/"

static uint32_t rgb_crc(const struct image *image)
{
    return crc32c(0, image->rgb, (size_t)(image->height * image->width * 3));
}

static void read_bytes(unsigned char **bytes, size_t *size, const char *path)
{
    assert_int_equal(file_read(bytes, size, path, 1 << 20), OK);
}

/* Checksums of the bytes that Pillow 11.1 gives: decoded, and resized to 128 x 128. */
static void known_files(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int64_t width, height;
        uint32_t decoded, resized;
    } files[] = {
        {DATA "one_pixel.png", 1, 1, 0x23e763a6, 0x2bbdf028},
        {DATA "tiny.png", 7, 4, 0x2279171b, 0xcbdbf54e},
        {DATA "three_rows.png", 40, 3, 0xfdff2dc9, 0x5e4cf774},
        {DATA "checker.png", 77, 99, 0x347998da, 0xafca8422},
        {DATA "cmyk.jpg", 64, 60, 0x27fcb4fd, 0xf75b861a},
        {DATA "progressive_odd.jpg", 167, 121, 0xfc2d3690, 0x61e00e6f},
        {DATA "exif_rotated.jpg", 120, 60, 0x424efb1f, 0x1680a077},
        {DATA "grey_16.png", 13, 7, 0x77a06e51, 0x2a8934d2},
        {DATA "rgba_16.png", 13, 7, 0x691fbd04, 0x742a26e8},
        {DATA "palette_2_alpha.png", 13, 7, 0x8102d94a, 0x4f7bbad1},
        {DATA "grey_1.png", 13, 7, 0xb56bc5ff, 0x02e92265},
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct image image = {0}, small = {0};
        assert_int_equal(image_read(&image, files[i].path), OK);
        assert_int_equal(image.width, files[i].width);
        assert_int_equal(image.height, files[i].height);
        assert_int_equal(image_resize_bicubic(&small, &image, 128, 128), OK);
        if (rgb_crc(&image) != files[i].decoded || rgb_crc(&small) != files[i].resized)
            fail_msg("%s: 0x%08x, 0x%08x", files[i].path, rgb_crc(&image), rgb_crc(&small));
        image_release(&image);
        image_release(&small);
    }
}

static struct image random_image(int64_t height, int64_t width)
{
    struct image image = {.height = height, .width = width};
    struct random_stream stream = random_stream(7, "image_test");
    image.rgb = malloc((size_t)(height * width * 3));
    for (int64_t i = 0; i < height * width * 3; i++)
        image.rgb[i] = (uint8_t)random_u64(stream, (uint64_t)i);
    return image;
}

static uint8_t clipped(int64_t sum)
{
    int64_t value = (sum + (1 << (RESIZE_PRECISION_BITS - 1))) >> RESIZE_PRECISION_BITS;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* One channel of one pixel as a plain sum along one axis. */
static uint8_t plain(const uint8_t *first, int64_t stride, const struct resize_axis *axis,
                     int64_t i)
{
    int64_t sum = 0;
    for (int64_t tap = 0; tap < axis->count[i]; tap++)
        sum += (int64_t)first[(axis->first[i] + tap) * stride] *
               axis->weight[i * axis->max_taps + tap];
    return clipped(sum);
}

/* Odd sizes on purpose: vectors must not read or write over a row's end. */
static void resize_is_the_plain_sum(void **state)
{
    (void)state;
    static const int64_t sizes[][4] = {{1, 1, 3, 5},    {5, 7, 5, 3},      {9, 31, 4, 64},
                                       {33, 47, 64, 7}, {130, 67, 41, 67}, {6, 200, 6, 9}};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        int64_t in_h = sizes[s][0], in_w = sizes[s][1], h = sizes[s][2], w = sizes[s][3];
        struct image image = random_image(in_h, in_w), result = {0};
        struct resize_axis columns = {0}, rows = {0};
        uint8_t *wide = malloc((size_t)(in_h * w * 3));
        assert_int_equal(resize_axis_init(&columns, in_w, w), OK);
        assert_int_equal(resize_axis_init(&rows, in_h, h), OK);
        assert_int_equal(image_resize_bicubic(&result, &image, h, w), OK);
        for (int64_t i = 0; i < in_h * w * 3; i++)
            wide[i] = in_w == w ? image.rgb[i]
                                : plain(image.rgb + i / (w * 3) * in_w * 3 + i % 3, 3, &columns,
                                        i % (w * 3) / 3);
        for (int64_t i = 0; i < h * w * 3; i++)
            assert_int_equal(result.rgb[i],
                             in_h == h ? wide[i]
                                       : plain(wide + i % (w * 3), w * 3, &rows, i / (w * 3)));
        free(wide);
        resize_axis_release(&columns);
        resize_axis_release(&rows);
        image_release(&image);
        image_release(&result);
    }
}

/* Row by row as in one piece: against padding, resizing and normalising whole pictures. */
static void check_preprocess(const struct image *image, enum image_mode mode, int64_t height,
                             int64_t width)
{
    uint8_t *bytes = NULL;
    size_t size = 0, n = (size_t)(height * width * 3);
    float *pixels = malloc(n * sizeof *pixels), *want = malloc(n * sizeof *want);
    struct image square = {0}, small = {0};
    assert_int_equal(image_encode_png(&bytes, &size, image), OK);
    struct image_source source = {bytes, size, "x"};
    assert_int_equal(image_preprocess(pixels, source, mode, height, width), OK);
    assert_int_equal(image_pad_square(&square, image), OK);
    const struct image *whole = mode == IMAGE_MODE_PAD ? &square : image;
    assert_int_equal(image_resize_bicubic(&small, whole, height, width), OK);
    image_normalise(want, &small);
    assert_memory_equal(pixels, want, n * sizeof *want);
    image_release(&square);
    image_release(&small);
    free(bytes);
    free(pixels);
    free(want);
}

static void preprocess_is_its_steps(void **state)
{
    (void)state;
    static const int64_t sizes[][2] = {{1, 1},  {1, 9},   {9, 1},  {37, 5},   {5, 37},
                                       {40, 6}, {23, 64}, {64, 7}, {131, 67}, {67, 131}};
    static const int64_t targets[][2] = {{16, 16}, {64, 64}, {7, 33}, {64, 48}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct image image = random_image(sizes[i][0], sizes[i][1]);
        for (size_t t = 0; t < sizeof targets / sizeof targets[0]; t++) {
            check_preprocess(&image, IMAGE_MODE_PAD, targets[t][0], targets[t][1]);
            check_preprocess(&image, IMAGE_MODE_SQUASH, targets[t][0], targets[t][1]);
        }
        image_release(&image);
    }
}

/* Damage that shows late, when rows have already left. */
static void preprocess_refuses_damage(void **state)
{
    (void)state;
    unsigned char *bytes = NULL;
    size_t size = 0;
    float pixels[32 * 32 * 3];
    read_bytes(&bytes, &size, DATA "exif_rotated.jpg");
    struct image_source source = {bytes, size - 40, "p/q.jpg"};
    status_clear();
    assert_int_equal(image_preprocess(pixels, source, IMAGE_MODE_PAD, 32, 32), ERR_FORMAT);
    assert_non_null(strstr(status_message(), "p/q.jpg: damaged JPEG"));
    free(bytes);
}

/* Every byte in every channel, against the divisions as the reference does them. */
static void normalising_rounds_as_the_reference(void **state)
{
    (void)state;
    static const double mean[3] = {0.48145466, 0.4578275, 0.40821073};
    static const double std[3] = {0.26862954, 0.26130258, 0.27577711};
    uint8_t grey[256 * 3];
    float pixels[256 * 3], want[256 * 3];
    for (int i = 0; i < 256 * 3; i++) {
        grey[i] = (uint8_t)(i / 3);
        volatile float value = (float)((double)grey[i] * 0.00392156862745098);
        want[i] = (value - (float)mean[i % 3]) / (float)std[i % 3];
    }
    image_normalise(pixels, &(struct image){.height = 16, .width = 16, .rgb = grey});
    assert_memory_equal(pixels, want, sizeof want);
}

static void padding_is_centred(void **state)
{
    (void)state;
    struct image image = random_image(3, 6), square = {0};
    assert_int_equal(image_pad_square(&square, &image), OK);
    assert_int_equal(square.height, 6);
    assert_int_equal(square.rgb[0], 122);
    assert_int_equal(square.rgb[1], 116);
    assert_int_equal(square.rgb[2], 104);
    assert_memory_equal(square.rgb + 6 * 3, image.rgb, 3 * 6 * 3); /* (6 - 3) / 2 rows above */
    assert_int_equal(square.rgb[4 * 6 * 3], 122);
    image_release(&image);
    image_release(&square);
}

static void encoding_is_lossless_or_near(void **state)
{
    (void)state;
    struct image image = random_image(17, 23), again = {0};
    uint8_t *bytes = NULL, *twin = NULL;
    size_t size = 0, twin_size = 0;
    assert_int_equal(image_encode_png(&bytes, &size, &image), OK);
    assert_int_equal(image_decode(&again, bytes, size, "x.png"), OK);
    assert_memory_equal(image.rgb, again.rgb, 17 * 23 * 3);
    image_release(&again);
    free(bytes);
    for (int64_t i = 0; i < 17 * 23 * 3; i++) image.rgb[i] = (uint8_t)(100 + i / 69);
    assert_int_equal(image_encode_jpeg(&bytes, &size, &image, 95), OK);
    assert_int_equal(image_encode_jpeg(&twin, &twin_size, &image, 95), OK);
    assert_int_equal(size, twin_size);
    assert_memory_equal(bytes, twin, size);
    assert_int_equal(image_decode(&again, bytes, size, "x.jpg"), OK);
    for (int64_t i = 0; i < 17 * 23 * 3; i++)
        assert_in_range(again.rgb[i] + 8, image.rgb[i], image.rgb[i] + 16);
    image_release(&again);
    image_release(&image);
    free(bytes);
    free(twin);
}

static void probe_reads_the_header(void **state)
{
    (void)state;
    static const char *const files[] = {DATA "tiny.png", DATA "cmyk.jpg", DATA "exif_rotated.jpg"};
    for (size_t i = 0; i < 3; i++) {
        unsigned char *bytes = NULL;
        size_t size = 0;
        int64_t height = 0, width = 0;
        struct image image = {0};
        read_bytes(&bytes, &size, files[i]);
        assert_int_equal(image_probe(&height, &width, bytes, size, files[i]), OK);
        assert_int_equal(image_decode(&image, bytes, size, files[i]), OK);
        assert_true(height == image.height && width == image.width);
        image_release(&image);
        free(bytes);
    }
}

static void refuse(const void *bytes, size_t size, enum status code, const char *part)
{
    struct image image = {0};
    status_clear();
    assert_int_equal(image_decode(&image, bytes, size, "p/q.jpg"), code);
    assert_null(image.rgb);
    if (!strstr(status_message(), "p/q.jpg") || !strstr(status_message(), part))
        fail_msg("'%s' does not name the file and '%s'", status_message(), part);
}

static void put_32(unsigned char *bytes, uint32_t value)
{
    for (int i = 0; i < 4; i++) bytes[i] = (unsigned char)(value >> (24 - 8 * i));
}

static void bad_files_are_refused(void **state)
{
    (void)state;
    unsigned char *bytes = NULL;
    size_t size = 0;
    refuse("", 0, ERR_FORMAT, "no bytes");
    refuse("GIF89a...", 9, ERR_FORMAT, "neither JPEG nor PNG");
    read_bytes(&bytes, &size, DATA "progressive_odd.jpg");
    refuse(bytes, 3, ERR_FORMAT, "damaged JPEG");
    refuse(bytes, 200, ERR_FORMAT, "damaged JPEG");
    refuse(bytes, size - 2, ERR_FORMAT, "damaged JPEG"); /* all there but the end marker */
    refuse(bytes, size / 2, ERR_FORMAT, "damaged JPEG");
    free(bytes);
    read_bytes(&bytes, &size, DATA "checker.png");
    refuse(bytes, 8, ERR_FORMAT, "damaged PNG");
    refuse(bytes, 40, ERR_FORMAT, "damaged PNG");
    refuse(bytes, size - 1, ERR_FORMAT, "damaged PNG");
    bytes[size / 2] ^= 1;
    refuse(bytes, size, ERR_FORMAT, "damaged PNG");
    free(bytes);
}

/* Headers that claim more than the limits, or more than the bytes can hold, before memory is
 * taken. */
static void bombs_are_refused(void **state)
{
    (void)state;
    unsigned char *bytes = NULL;
    size_t size = 0;
    int64_t height = 0, width = 0;
    read_bytes(&bytes, &size, DATA "checker.png");
    put_32(bytes + 16, 100000);
    put_32(bytes + 20, 100000);
    refuse(bytes, size, ERR_LIMIT, "100000 x 100000");
    assert_int_equal(image_probe(&height, &width, bytes, size, "x"), ERR_LIMIT);
    put_32(bytes + 16, 16000);
    put_32(bytes + 20, 16000);
    refuse(bytes, size, ERR_LIMIT, "16000 x 16000");
    put_32(bytes + 16, 8000);
    put_32(bytes + 20, 8000);
    refuse(bytes, size, ERR_FORMAT, "cannot hold");
    put_32(bytes + 16, 0);
    refuse(bytes, size, ERR_FORMAT, "0 x 8000");
    free(bytes);
    read_bytes(&bytes, &size, DATA "cmyk.jpg");
    for (size_t i = 0; i + 8 < size;
         i++) /* the frame header: 0xFFC0, length, depth, height, width */
        if (bytes[i] == 0xFF && bytes[i + 1] == 0xC0) memset(bytes + i + 5, 0x7F, 4);
    refuse(bytes, size, ERR_LIMIT, "32639 x 32639");
    free(bytes);
}

/* A progressive file whose last scan is repeated a thousand times is small and slow. */
static void endless_scans_are_refused(void **state)
{
    (void)state;
    unsigned char *bytes = NULL;
    size_t size = 0, last = 0;
    read_bytes(&bytes, &size, DATA "progressive_odd.jpg");
    for (size_t i = 0; i + 1 < size; i++)
        if (bytes[i] == 0xFF && bytes[i + 1] == 0xDA) last = i;
    size_t scan = size - 2 - last, n = 1000;
    unsigned char *many = malloc(last + n * scan + 2);
    memcpy(many, bytes, last);
    for (size_t i = 0; i < n; i++) memcpy(many + last + i * scan, bytes + last, scan);
    memcpy(many + last + n * scan, bytes + size - 2, 2);
    struct image image = {0};
    assert_int_not_equal(image_decode(&image, many, last + n * scan + 2, "p/q.jpg"), OK);
    assert_non_null(strstr(status_message(), "p/q.jpg"));
    free(many);
    free(bytes);
}

static void panoptic_colours(void **state)
{
    (void)state;
    uint8_t rgb[] = {1, 0, 0, 0, 2, 0, 1, 0, 0, /* row 0: ids 1, 512, 1 */
                     0, 0, 3, 0, 2, 0, 0, 0, 0};
    struct image image = {.height = 2, .width = 3, .rgb = rgb};
    struct panoptic panoptic = {0};
    uint8_t *bytes = NULL, mask[6];
    size_t size = 0;
    assert_int_equal(image_encode_png(&bytes, &size, &image), OK);
    assert_int_equal(panoptic_decode(&panoptic, bytes, size, "x.png"), OK);
    assert_int_equal(panoptic.n_segments, 4);
    static const uint32_t ids[4] = {0, 1, 512, 196608};
    static const uint8_t masks[4][6] = {
        {0, 0, 0, 0, 0, 1}, {1, 0, 1, 0, 0, 0}, {0, 1, 0, 0, 1, 0}, {0, 0, 0, 1, 0, 0}};
    for (int i = 0; i < 4; i++) {
        const struct rle *rle = panoptic_mask(&panoptic, ids[i]);
        assert_non_null(rle);
        rle_to_mask(mask, rle);
        assert_memory_equal(mask, masks[i], 6);
    }
    assert_null(panoptic_mask(&panoptic, 2));
    panoptic_release(&panoptic);
    free(bytes);
    struct image noise = random_image(100, 100);
    assert_int_equal(image_encode_png(&bytes, &size, &noise), OK);
    assert_int_equal(panoptic_decode(&panoptic, bytes, size, "x.png"), ERR_LIMIT);
    assert_non_null(strstr(status_message(), "x.png"));
    image_release(&noise);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_files),
        cmocka_unit_test(resize_is_the_plain_sum),
        cmocka_unit_test(preprocess_is_its_steps),
        cmocka_unit_test(preprocess_refuses_damage),
        cmocka_unit_test(normalising_rounds_as_the_reference),
        cmocka_unit_test(padding_is_centred),
        cmocka_unit_test(encoding_is_lossless_or_near),
        cmocka_unit_test(probe_reads_the_header),
        cmocka_unit_test(bad_files_are_refused),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(endless_scans_are_refused),
        cmocka_unit_test(panoptic_colours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
