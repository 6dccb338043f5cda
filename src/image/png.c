/* PNG through libpng. Its errors become our sentences; its warnings (an odd colour profile, say) do
 * not touch the pixels and are dropped. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "image/image_codec.h"

#define HEADER_SIZE 33 /* signature, then the IHDR chunk */
/* Deflate gives at most 1032 bytes for one. */
#define MAX_INFLATION 1032

struct png_input {
    struct image_source source;
    size_t used;
    char text[200]; /* what libpng said */
};

static void trap_error(png_structp codec, png_const_charp text)
{
    struct png_input *input = png_get_error_ptr(codec);
    snprintf(input->text, sizeof input->text, "%s", text);
    png_longjmp(codec, 1);
}

static void drop_warning(png_structp codec, png_const_charp text)
{
    (void)codec;
    (void)text;
}

static void read_bytes(png_structp codec, png_bytep bytes, png_size_t size)
{
    struct png_input *input = png_get_io_ptr(codec);
    if (size > input->source.size - input->used) png_error(codec, "the file ends too early");
    memcpy(bytes, input->source.bytes + input->used, size);
    input->used += size;
}

bool png_recognise(struct image_source source)
{
    return source.size >= 8 && png_sig_cmp(source.bytes, 0, 8) == 0;
}

static uint32_t big_endian_32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
           (uint32_t)bytes[3];
}

/* Height, width and bits per pixel from the IHDR chunk, which must come first. */
static enum status read_header(int64_t *height_out, int64_t *width_out, int *bits_out,
                               struct image_source source)
{
    static const int channels[7] = {1, 0, 3, 1, 2, 0, 4};
    enum status status = OK;
    if (source.size < HEADER_SIZE || memcmp(source.bytes + 12, "IHDR", 4) != 0)
        FAIL(ERR_FORMAT, "%s: damaged PNG: no header in its %zu bytes", source.name, source.size);
    int depth = source.bytes[24], colour = source.bytes[25];
    if (colour > 6 || channels[colour] == 0 || depth > 16)
        FAIL(ERR_FORMAT, "%s: damaged PNG: colour type %d with %d bits", source.name, colour,
             depth);
    int64_t width = big_endian_32(source.bytes + 16), height = big_endian_32(source.bytes + 20);
    TRY(image_check_size(height, width, source.name));
    *height_out = height;
    *width_out = width;
    *bits_out = depth * channels[colour];
out:
    return status;
}

enum status png_probe(int64_t *height_out, int64_t *width_out, struct image_source source)
{
    int bits = 0;
    return read_header(height_out, width_out, &bits, source);
}

/* Rows that no stream of `source.size` bytes can hold are refused before memory is taken. */
static enum status check_inflation(int64_t height, int64_t width, int bits,
                                   struct image_source source)
{
    enum status status = OK;
    int64_t raw = height * ((width * bits + 7) / 8);
    if (raw / MAX_INFLATION > (int64_t)source.size)
        FAIL(ERR_FORMAT,
             "%s: damaged PNG: %zu bytes cannot hold the %" PRId64 " x %" PRId64 " pixels claimed",
             source.name, source.size, width, height);
out:
    return status;
}

/* Asks libpng for 8-bit RGB. Grey of 16 bits stays as it is: Pillow clips it (see narrow_grey). */
static void choose_format(png_structp codec, png_infop info)
{
    int colour = png_get_color_type(codec, info), depth = png_get_bit_depth(codec, info);
    if (colour == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(codec);
    if (colour == PNG_COLOR_TYPE_GRAY && depth < 8) png_set_expand_gray_1_2_4_to_8(codec);
    if (depth == 16 && colour != PNG_COLOR_TYPE_GRAY) png_set_strip_16(codec);
    png_set_strip_alpha(codec);
    png_set_gray_to_rgb(codec);
    png_set_interlace_handling(codec);
    png_read_update_info(codec, info);
}

/* 16-bit grey became [n, 3] big-endian words; Pillow's conversion of mode I;16 clips at 255. */
static void narrow_grey(uint8_t *rgb, const uint8_t *wide, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint8_t value = wide[6 * i] != 0 ? 255 : wide[6 * i + 1];
        memset(rgb + 3 * i, value, 3);
    }
}

/* Decodes into memory the caller owns, so that nothing is lost when libpng jumps out. `rows` has
 * `height` pointers. 0: input->text says why not. */
static bool read_pixels(png_structp codec, png_infop info, uint8_t *pixels, size_t row_size,
                        png_bytepp rows)
{
    if (setjmp(png_jmpbuf(codec))) return false;
    choose_format(codec, info);
    if (png_get_rowbytes(codec, info) != row_size) png_error(codec, "unexpected row size");
    png_uint_32 height = png_get_image_height(codec, info);
    for (png_uint_32 y = 0; y < height; y++) rows[y] = pixels + y * row_size;
    png_read_image(codec, rows);
    png_read_end(codec, NULL);
    return true;
}

static bool read_info(png_structp codec, png_infop info)
{
    if (setjmp(png_jmpbuf(codec))) return false;
    png_set_user_limits(codec, IMAGE_MAX_SIDE, IMAGE_MAX_SIDE);
    png_read_info(codec, info);
    return true;
}

/* The whole picture: rows of an interlaced file come in seven passes. */
static enum status decode_image(struct image *image_out, struct image_source source)
{
    enum status status = OK;
    struct image image = {0};
    png_bytepp rows = NULL;
    uint8_t *wide = NULL;
    struct png_input input = {.source = source};
    png_infop info = NULL;
    png_structp codec =
        png_create_read_struct(PNG_LIBPNG_VER_STRING, &input, trap_error, drop_warning);
    if (codec) info = png_create_info_struct(codec);
    if (!codec || !info) FAIL(ERR_MEMORY, "%s: no memory for a PNG decoder", source.name);
    int64_t height = 0, width = 0;
    int bits = 0;
    TRY(read_header(&height, &width, &bits, source));
    TRY(check_inflation(height, width, bits, source));
    png_set_read_fn(codec, &input, read_bytes);
    if (!read_info(codec, info)) FAIL(ERR_FORMAT, "%s: damaged PNG: %s", source.name, input.text);
    TRY(image_allocate(&image, height, width, source.name));
    bool is_wide = bits == 16 && png_get_color_type(codec, info) == PNG_COLOR_TYPE_GRAY;
    size_t row_size = (size_t)width * (is_wide ? 6 : 3);
    rows = malloc((size_t)height * sizeof *rows);
    wide = is_wide ? malloc((size_t)height * row_size) : NULL;
    if (!rows || (is_wide && !wide)) FAIL(ERR_MEMORY, "%s: no memory for the rows", source.name);
    if (!read_pixels(codec, info, is_wide ? wide : image.rgb, row_size, rows))
        FAIL(ERR_FORMAT, "%s: damaged PNG: %s", source.name, input.text);
    if (is_wide) narrow_grey(image.rgb, wide, height * width);
    *image_out = image;
    image = (struct image){0};
out:
    png_destroy_read_struct(&codec, &info, NULL);
    free(rows);
    free(wide);
    image_release(&image);
    return status;
}

enum status png_decode(const struct row_sink *sink, struct image_source source)
{
    enum status status = OK;
    struct image image = {0};
    TRY(decode_image(&image, source));
    TRY(sink->start(sink->context, image.height, image.width, source.name));
    for (int64_t y = 0; y < image.height; y++) {
        memcpy(sink->place(sink->context, y), image.rgb + y * image.width * 3,
               (size_t)image.width * 3);
        sink->done(sink->context, y);
    }
out:
    image_release(&image);
    return status;
}

struct png_output {
    uint8_t *bytes;
    size_t size, capacity;
};

static void write_bytes(png_structp codec, png_bytep bytes, png_size_t size)
{
    struct png_output *output = png_get_io_ptr(codec);
    if (size > output->capacity - output->size) {
        size_t capacity = output->capacity * 2 + size;
        uint8_t *grown = realloc(output->bytes, capacity);
        if (!grown) png_error(codec, "no memory");
        output->bytes = grown;
        output->capacity = capacity;
    }
    memcpy(output->bytes + output->size, bytes, size);
    output->size += size;
}

static bool write_pixels(png_structp codec, png_infop info, const struct image *image)
{
    if (setjmp(png_jmpbuf(codec))) return false;
    png_set_user_limits(codec, IMAGE_MAX_SIDE, IMAGE_MAX_SIDE);
    png_set_IHDR(codec, info, (png_uint_32)image->width, (png_uint_32)image->height, 8,
                 PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(codec, info);
    for (int64_t y = 0; y < image->height; y++)
        png_write_row(codec, image->rgb + y * image->width * 3);
    png_write_end(codec, NULL);
    return true;
}

static void flush_nothing(png_structp codec)
{
    (void)codec;
}

enum status image_encode_png(uint8_t **bytes_out, size_t *size_out, const struct image *image)
{
    enum status status = OK;
    struct png_output output = {0};
    struct png_input messages = {0};
    png_infop info = NULL;
    png_structp codec =
        png_create_write_struct(PNG_LIBPNG_VER_STRING, &messages, trap_error, drop_warning);
    if (codec) info = png_create_info_struct(codec);
    if (!codec || !info) FAIL(ERR_MEMORY, "no memory for a PNG encoder");
    png_set_write_fn(codec, &output, write_bytes, flush_nothing);
    if (!write_pixels(codec, info, image))
        FAIL(ERR_FORMAT, "cannot encode a PNG: %s", messages.text);
    *bytes_out = output.bytes;
    *size_out = output.size;
    output.bytes = NULL;
out:
    png_destroy_write_struct(&codec, &info);
    free(output.bytes);
    return status;
}
