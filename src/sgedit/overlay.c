/* Cairo draws; a mask is the rectangles of its runs, an outline the edges between inside and
 * outside. */
#include "sgedit/overlay.h"

#include <cairo.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "image/image.h"

#define JPEG_QUALITY 85

/* Told apart by people and by models; the order is that of the regions. */
static const double colours[][3] = {
    {0.90, 0.10, 0.29}, {0.24, 0.71, 0.29}, {0.26, 0.39, 0.85}, {0.96, 0.51, 0.19},
    {0.57, 0.12, 0.71}, {0.00, 0.50, 0.50}, {0.60, 0.39, 0.14}, {0.50, 0.00, 0.00},
    {0.00, 0.00, 0.46}, {0.94, 0.20, 0.90}, {0.33, 0.42, 0.18}, {0.10, 0.60, 0.80},
};
#define N_COLOURS ((int64_t)(sizeof colours / sizeof colours[0]))

struct drawing {
    cairo_t *cairo;
    cairo_surface_t *surface;
    const struct record *record;
    double scale, side; /* side: the longer one of the picture as drawn */
    uint8_t *mask;      /* [height, width] scratch */
};

static void take_colour(const struct drawing *drawing, int64_t region, double alpha)
{
    const double *colour = colours[region % N_COLOURS];
    cairo_set_source_rgba(drawing->cairo, colour[0], colour[1], colour[2], alpha);
}

static void draw_mask(const struct drawing *drawing, const struct rle *mask, int64_t region)
{
    int64_t at = 0;
    for (int64_t run = 0; run < mask->n_runs; run++) {
        const int64_t end = at + mask->runs[run];
        while (run % 2 == 1 && at < end) {
            const int64_t row = at % mask->height, left = mask->height - row;
            const int64_t length = end - at < left ? end - at : left;
            cairo_rectangle(drawing->cairo, (double)(at / mask->height), (double)row, 1,
                            (double)length);
            at += length;
        }
        at = end;
    }
    take_colour(drawing, region, 0.35);
    cairo_fill(drawing->cairo);
}

static void draw_box(const struct drawing *drawing, struct box box, int64_t region)
{
    cairo_rectangle(drawing->cairo, box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1);
    take_colour(drawing, region, 1);
    cairo_stroke(drawing->cairo);
}

static bool inside(const struct drawing *drawing, int64_t x, int64_t y)
{
    const int64_t width = drawing->record->width, height = drawing->record->height;
    return x >= 0 && y >= 0 && x < width && y < height && drawing->mask[y * width + x] != 0;
}

/* Every edge between a pixel inside and one outside, those of one line joined. */
static void outline_lines(const struct drawing *drawing, bool vertical)
{
    const int64_t width = drawing->record->width, height = drawing->record->height;
    const int64_t n_lines = vertical ? width : height, length = vertical ? height : width;
    for (int64_t line = 0; line <= n_lines; line++) {
        int64_t begun = -1;
        for (int64_t at = 0; at <= length; at++) {
            const bool edge =
                at < length &&
                (vertical ? inside(drawing, line - 1, at) != inside(drawing, line, at)
                          : inside(drawing, at, line - 1) != inside(drawing, at, line));
            if (edge && begun < 0) begun = at;
            if (edge || begun < 0) continue;
            const double l = (double)line, from = (double)begun, to = (double)at;
            cairo_move_to(drawing->cairo, vertical ? l : from, vertical ? from : l);
            cairo_line_to(drawing->cairo, vertical ? l : to, vertical ? to : l);
            begun = -1;
        }
    }
}

static void draw_outline(const struct drawing *drawing, const struct rle *mask, int64_t region)
{
    rle_to_mask(drawing->mask, mask);
    outline_lines(drawing, false);
    outline_lines(drawing, true);
    take_colour(drawing, region, 1);
    cairo_stroke(drawing->cairo);
}

/* The number on white, where the box begins. */
static void draw_number(const struct drawing *drawing, struct box box, int64_t region)
{
    char text[24];
    cairo_text_extents_t extents;
    const double size = (drawing->side / 36 > 11 ? drawing->side / 36 : 11) / drawing->scale;
    snprintf(text, sizeof text, "%" PRId64, region + 1);
    cairo_set_font_size(drawing->cairo, size);
    cairo_text_extents(drawing->cairo, text, &extents);
    const double x = box.x1, y = box.y1;
    cairo_set_source_rgba(drawing->cairo, 1, 1, 1, 0.85);
    cairo_rectangle(drawing->cairo, x - size / 8, y - extents.height - size / 4,
                    extents.x_advance + size / 4, extents.height + size / 4);
    cairo_fill(drawing->cairo);
    take_colour(drawing, region, 1);
    cairo_move_to(drawing->cairo, x, y - size / 8);
    cairo_show_text(drawing->cairo, text);
}

static void draw_region(const struct drawing *drawing, int64_t region,
                        const struct overlay_style *style)
{
    const struct record_region *what = &drawing->record->regions[region];
    const bool has_mask = what->mask.n_runs > 0;
    if (has_mask && style->polygons) draw_outline(drawing, &what->mask, region);
    if (has_mask && !style->polygons) draw_mask(drawing, &what->mask, region);
    if (!has_mask || !style->polygons) draw_box(drawing, what->box, region);
    draw_number(drawing, what->box, region);
}

static void draw_regions(const struct drawing *drawing, const struct overlay_style *style)
{
    const int64_t n = style->only != NULL ? style->n_only : drawing->record->n_regions;
    cairo_set_antialias(drawing->cairo, CAIRO_ANTIALIAS_NONE);
    cairo_set_line_width(drawing->cairo, (drawing->side > 900 ? 3 : 2) / drawing->scale);
    cairo_select_font_face(drawing->cairo, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
                           CAIRO_FONT_WEIGHT_BOLD);
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = style->reversed ? n - 1 - i : i;
        draw_region(drawing, style->only != NULL ? style->only[at] : at, style);
    }
}

/* RGB as cairo wants it, a word a pixel. */
static void draw_picture(const struct drawing *drawing, const struct image *image)
{
    cairo_surface_t *picture =
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)image->width, (int)image->height);
    unsigned char *bytes = cairo_image_surface_get_data(picture);
    const int stride = cairo_image_surface_get_stride(picture);
    for (int64_t y = 0; y < image->height && bytes != NULL; y++) {
        uint32_t *row = (uint32_t *)(void *)(bytes + y * stride);
        const uint8_t *rgb = image->rgb + y * image->width * 3;
        for (int64_t x = 0; x < image->width; x++, rgb += 3)
            row[x] = (uint32_t)rgb[0] << 16 | (uint32_t)rgb[1] << 8 | rgb[2];
    }
    cairo_surface_mark_dirty(picture);
    cairo_set_source_surface(drawing->cairo, picture, 0, 0);
    cairo_paint(drawing->cairo);
    cairo_surface_destroy(picture);
}

static enum status encode(uint8_t **bytes_out, size_t *size_out, cairo_surface_t *surface)
{
    enum status status = OK;
    struct image image = {.width = cairo_image_surface_get_width(surface),
                          .height = cairo_image_surface_get_height(surface)};
    cairo_surface_flush(surface);
    const unsigned char *bytes = cairo_image_surface_get_data(surface);
    const int stride = cairo_image_surface_get_stride(surface);
    if (bytes == NULL || cairo_surface_status(surface) != CAIRO_STATUS_SUCCESS)
        FAIL(ERR_MEMORY, "cairo could not draw: %s",
             cairo_status_to_string(cairo_surface_status(surface)));
    image.rgb = malloc((size_t)(image.width * image.height * 3));
    if (image.rgb == NULL) FAIL(ERR_MEMORY, "no memory for a picture with its regions");
    for (int64_t y = 0; y < image.height; y++) {
        const uint32_t *row = (const uint32_t *)(const void *)(bytes + y * stride);
        uint8_t *rgb = image.rgb + y * image.width * 3;
        for (int64_t x = 0; x < image.width; x++, rgb += 3) {
            rgb[0] = (uint8_t)(row[x] >> 16);
            rgb[1] = (uint8_t)(row[x] >> 8);
            rgb[2] = (uint8_t)row[x];
        }
    }
    TRY(image_encode_jpeg(bytes_out, size_out, &image, JPEG_QUALITY));
out:
    image_release(&image);
    return status;
}

enum status overlay_draw(uint8_t **bytes_out, size_t *size_out, const struct record *record,
                         const struct overlay_style *style)
{
    enum status status = OK;
    struct image image = {0};
    struct drawing drawing = {.record = record, .scale = 1};
    TRY_WHERE(image_decode(&image, record->image, record->image_size, record->id), "record %s",
              record->id);
    const int64_t longest = image.width > image.height ? image.width : image.height;
    if (style->longest_side > 0 && longest > style->longest_side)
        drawing.scale = (double)style->longest_side / (double)longest;
    drawing.side = (double)longest * drawing.scale;
    drawing.mask = malloc((size_t)(image.width * image.height));
    drawing.surface = cairo_image_surface_create(
        CAIRO_FORMAT_RGB24, (int)((double)image.width * drawing.scale) + 2 * OVERLAY_PADDING,
        (int)((double)image.height * drawing.scale) + 2 * OVERLAY_PADDING);
    drawing.cairo = cairo_create(drawing.surface);
    if (drawing.mask == NULL) FAIL(ERR_MEMORY, "no memory for a mask");
    cairo_set_source_rgb(drawing.cairo, 1, 1, 1);
    cairo_paint(drawing.cairo);
    cairo_translate(drawing.cairo, OVERLAY_PADDING, OVERLAY_PADDING);
    cairo_scale(drawing.cairo, drawing.scale, drawing.scale);
    draw_picture(&drawing, &image);
    draw_regions(&drawing, style);
    TRY(encode(bytes_out, size_out, drawing.surface));
out:
    if (drawing.cairo != NULL) cairo_destroy(drawing.cairo);
    if (drawing.surface != NULL) cairo_surface_destroy(drawing.surface);
    free(drawing.mask);
    image_release(&image);
    return status;
}
