/* JPEG through libjpeg-turbo. Its errors, and the warnings that mean damaged data (it would go on
 * with grey blocks), become our sentences. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h> /* jpeglib.h needs FILE */
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

#include "base/assertion.h"
#include "image/image_codec.h"

/* A progressive file may repeat scans without end, each of them cheap to write and costly to
 * read. */
#define MAX_SCANS 500

struct jpeg_trap {
    struct jpeg_error_mgr manager; /* first: libjpeg hands back a pointer to it */
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    bool too_many_scans;
    char text[JMSG_LENGTH_MAX];
};

static void trap_error(j_common_ptr codec)
{
    struct jpeg_trap *trap = (struct jpeg_trap *)codec->err;
    trap->manager.format_message(codec, trap->text);
    longjmp(trap->escape, 1);
}

static void trap_message(j_common_ptr codec, int level)
{
    /* Level -1 is a warning. Stray bytes between segments and odd version numbers leave the picture
     * whole; anything else does not. */
    int code = codec->err->msg_code;
    bool harmless =
        code == JWRN_EXTRANEOUS_DATA || code == JWRN_JFIF_MAJOR || code == JWRN_ADOBE_XFORM;
    if (level < 0 && !harmless) trap_error(codec);
}

static void trap_output(j_common_ptr codec)
{
    (void)codec; /* libjpeg would print */
}

static void trap_progress(j_common_ptr codec)
{
    struct jpeg_trap *trap = (struct jpeg_trap *)codec->err;
    if (((j_decompress_ptr)codec)->input_scan_number <= MAX_SCANS) return;
    trap->too_many_scans = true;
    longjmp(trap->escape, 1);
}

static struct jpeg_error_mgr *trap_set(struct jpeg_trap *trap)
{
    jpeg_std_error(&trap->manager);
    trap->manager.error_exit = trap_error;
    trap->manager.emit_message = trap_message;
    trap->manager.output_message = trap_output;
    trap->progress.progress_monitor = trap_progress;
    trap->too_many_scans = false;
    trap->text[0] = '\0';
    return &trap->manager;
}

static enum status trap_sentence(const struct jpeg_trap *trap, const char *name)
{
    if (trap->too_many_scans)
        return status_fail(ERR_LIMIT, "%s: more than %d JPEG scans; re-encode it", name, MAX_SCANS);
    return status_fail(ERR_FORMAT, "%s: damaged JPEG: %s", name, trap->text);
}

bool jpeg_recognise(struct image_source source)
{
    static const uint8_t start[3] = {0xFF, 0xD8, 0xFF};
    return source.size >= sizeof start && memcmp(source.bytes, start, sizeof start) == 0;
}

static void start_reading(struct jpeg_decompress_struct *codec, struct jpeg_trap *trap,
                          struct image_source source)
{
    jpeg_create_decompress(codec);
    codec->progress = &trap->progress;
    jpeg_mem_src(codec, source.bytes, (unsigned long)source.size);
    jpeg_read_header(codec, TRUE);
}

enum status jpeg_probe(int64_t *height_out, int64_t *width_out, struct image_source source)
{
    enum status status = OK;
    struct jpeg_decompress_struct codec = {0};
    struct jpeg_trap trap;
    codec.err = trap_set(&trap);
    if (setjmp(trap.escape)) {
        status = trap_sentence(&trap, source.name);
        goto out;
    }
    start_reading(&codec, &trap, source);
    TRY(image_check_size(codec.image_height, codec.image_width, source.name));
    *height_out = codec.image_height;
    *width_out = codec.image_width;
out:
    jpeg_destroy_decompress(&codec);
    return status;
}

/* a b / 255, rounded as Pillow rounds it. */
static int multiply_255(int a, int b)
{
    int product = a * b + 128;
    return ((product >> 8) + product) >> 8;
}

static uint8_t clip_byte(int value)
{
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* CMYK of a JPEG is stored inverted (Adobe's habit, which Pillow takes for granted); then
 * Pillow's CMYK to RGB: (255 - k) - c (255 - k) / 255. */
static void rgb_from_inverted_cmyk(uint8_t *rgb, const uint8_t *cmyk, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        int white = cmyk[4 * i + 3];
        for (int c = 0; c < 3; c++)
            rgb[3 * i + c] = clip_byte(white - multiply_255(255 - cmyk[4 * i + c], white));
    }
}

/* Every row into the sink; `cmyk_row` (NULL unless the file is CMYK) holds one of four channels. */
static void read_rows(struct jpeg_decompress_struct *codec, const struct row_sink *sink,
                      uint8_t *cmyk_row)
{
    while (codec->output_scanline < codec->output_height) {
        int64_t y = codec->output_scanline;
        uint8_t *row = sink->place(sink->context, y), *target = cmyk_row ? cmyk_row : row;
        if (jpeg_read_scanlines(codec, &target, 1) != 1) continue;
        if (cmyk_row) rgb_from_inverted_cmyk(row, cmyk_row, codec->output_width);
        sink->done(sink->context, y);
    }
}

enum status jpeg_decode(const struct row_sink *sink, struct image_source source)
{
    enum status status = OK;
    struct jpeg_decompress_struct codec = {0};
    struct jpeg_trap trap;
    uint8_t *volatile cmyk_row = NULL; /* written between setjmp and a longjmp */
    codec.err = trap_set(&trap);
    if (setjmp(trap.escape)) {
        status = trap_sentence(&trap, source.name);
        goto out;
    }
    start_reading(&codec, &trap, source);
    TRY(image_check_size(codec.image_height, codec.image_width, source.name));
    TRY(sink->start(sink->context, codec.image_height, codec.image_width, source.name));
    bool is_cmyk = codec.num_components == 4;
    codec.out_color_space = is_cmyk ? JCS_CMYK : JCS_RGB;
    if (is_cmyk) {
        cmyk_row = malloc((size_t)codec.image_width * 4);
        if (!cmyk_row) FAIL(ERR_MEMORY, "%s: no memory for one row", source.name);
    }
    jpeg_start_decompress(&codec);
    read_rows(&codec, sink, cmyk_row);
    jpeg_finish_decompress(&codec);
out:
    jpeg_destroy_decompress(&codec);
    free(cmyk_row);
    return status;
}

struct jpeg_output {
    unsigned char *bytes;
    unsigned long size;
};

/* false: trap->text says why not. Memory is the caller's, so that nothing is lost by the jump. */
static bool write_rows(struct jpeg_output *output, struct jpeg_compress_struct *codec,
                       struct jpeg_trap *trap, const struct image *image, int quality)
{
    if (setjmp(trap->escape)) return false;
    jpeg_create_compress(codec);
    jpeg_mem_dest(codec, &output->bytes, &output->size);
    codec->image_width = (JDIMENSION)image->width;
    codec->image_height = (JDIMENSION)image->height;
    codec->input_components = 3;
    codec->in_color_space = JCS_RGB;
    jpeg_set_defaults(codec);
    jpeg_set_quality(codec, quality, TRUE);
    jpeg_start_compress(codec, TRUE);
    while (codec->next_scanline < codec->image_height) {
        JSAMPROW row = image->rgb + (int64_t)codec->next_scanline * image->width * 3;
        jpeg_write_scanlines(codec, &row, 1);
    }
    jpeg_finish_compress(codec);
    return true;
}

enum status image_encode_jpeg(uint8_t **bytes_out, size_t *size_out, const struct image *image,
                              int quality)
{
    enum status status = OK;
    struct jpeg_compress_struct codec = {0};
    struct jpeg_trap trap;
    struct jpeg_output output = {0};
    ASSERT(quality >= 1 && quality <= 100, "JPEG quality is %d", quality);
    codec.err = trap_set(&trap);
    if (!write_rows(&output, &codec, &trap, image, quality))
        FAIL(ERR_MEMORY, "cannot encode a JPEG of %" PRId64 " x %" PRId64 " pixels: %s",
             image->width, image->height, trap.text);
    *bytes_out = output.bytes;
    *size_out = output.size;
    output.bytes = NULL;
out:
    jpeg_destroy_compress(&codec);
    free(output.bytes);
    return status;
}
