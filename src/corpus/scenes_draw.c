/* Pixels of a scene, by cairo: each thing is an outline filled with its colour, and marks
 * clipped to that outline. The same outline, drawn alone, says which pixels are the thing's. */
#include "corpus/scenes_draw.h"

#include <cairo.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"

#define PI 3.14159265358979323846

struct tint {
    double r, g, b;
};
static const struct tint hair = {0.10, 0.08, 0.08}, skin = {0.97, 0.84, 0.70};
static const struct tint metal = {0.86, 0.89, 0.93}, ink = {0.05, 0.05, 0.05};
static const struct tint white = {1, 1, 1};

static void use_tint(cairo_t *cairo, struct tint tint)
{
    cairo_set_source_rgb(cairo, tint.r, tint.g, tint.b);
}

/* The thing's colour, darkened by the factor. */
static void use_colour(cairo_t *cairo, const struct scenes_thing *thing, double factor)
{
    const double *rgb = scenes_colour(thing->colour)->rgb;
    cairo_set_source_rgb(cairo, rgb[0] * factor, rgb[1] * factor, rgb[2] * factor);
}

static bool has_face(const struct scenes_thing *thing)
{
    return thing->name == SCENES_PERSON || thing->name == SCENES_ROBOT;
}

/* Half the height of a head; heads are as wide as high. */
static double head_radius(const struct scenes_thing *thing)
{
    return fmin(0.47 * thing->width, 0.26 * thing->height);
}

/* Points of a polygon in shares of the thing's box. */
static void polygon(cairo_t *cairo, const struct scenes_thing *thing, const double *points,
                    int64_t n)
{
    cairo_new_sub_path(cairo);
    for (int64_t i = 0; i < n; i++)
        cairo_line_to(cairo, thing->x + points[2 * i] * thing->width,
                      thing->y + points[2 * i + 1] * thing->height);
    cairo_close_path(cairo);
}

static void circle(cairo_t *cairo, double x, double y, double radius)
{
    cairo_new_sub_path(cairo);
    cairo_arc(cairo, x, y, radius, 0, 2 * PI);
    cairo_close_path(cairo);
}

/* Left and right alike, whatever side the face is on. */
static void outline_character(cairo_t *cairo, const struct scenes_thing *thing)
{
    double r = head_radius(thing), middle = thing->x + thing->width / 2;
    double chest = 1.9 * r / thing->height; /* where the body begins, under the chin */
    if (thing->name == SCENES_PERSON) {
        const double body[] = {0.08, chest, 0.92, chest, 1, 1, 0, 1};
        circle(cairo, middle, thing->y + r, r);
        polygon(cairo, thing, body, 4);
    } else {
        const double body[] = {0, chest, 1, chest, 1, 1, 0, 1};
        cairo_rectangle(cairo, middle - r, thing->y, 2 * r, 2 * r);
        polygon(cairo, thing, body, 4);
    }
}

static void outline_star(cairo_t *cairo, const struct scenes_thing *thing)
{
    double points[20];
    for (int i = 0; i < 10; i++) {
        /* Radii by which five points fill the box; the waist is fat, for area. */
        double waist = i % 2 ? 0.55 : 1, angle = PI * (0.2 * i - 0.5);
        points[2 * i] = 0.5 + 0.526 * waist * cos(angle);
        points[2 * i + 1] = 0.553 + 0.553 * waist * sin(angle);
    }
    polygon(cairo, thing, points, 10);
}

static void outline(cairo_t *cairo, const struct scenes_thing *thing)
{
    static const double triangle[] = {0.5, 0, 1, 1, 0, 1};
    static const double cup[] = {0, 0, 0.78, 0, 0.66, 1, 0.12, 1};
    static const double table[] = {0,   0,   1,   0,   1,   0.4, 0.9, 0.4, 0.9, 1,   0.7, 1,
                                   0.7, 0.4, 0.3, 0.4, 0.3, 1,   0.1, 1,   0.1, 0.4, 0,   0.4};
    double w = thing->width, h = thing->height;
    cairo_new_path(cairo);
    switch (thing->name) {
    case SCENES_PERSON:
    case SCENES_ROBOT: outline_character(cairo, thing); break;
    case SCENES_CIRCLE: circle(cairo, thing->x + w / 2, thing->y + h / 2, w / 2); break;
    case SCENES_TRIANGLE: polygon(cairo, thing, triangle, 3); break;
    case SCENES_STAR: outline_star(cairo, thing); break;
    case SCENES_CUP:
        polygon(cairo, thing, cup, 4);
        circle(cairo, thing->x + 0.76 * w, thing->y + 0.42 * h, 0.24 * w);
        break;
    case SCENES_TABLE: polygon(cairo, thing, table, 12); break;
    default: cairo_rectangle(cairo, thing->x, thing->y, w, h); break;
    }
}

/* White teeth under a flat lip, or a black mouth over one with a brow: large, because the face
 * is. */
static void draw_mood(cairo_t *cairo, const struct scenes_thing *thing)
{
    double r = head_radius(thing), side = (double)thing->facing;
    double x = thing->x + thing->width / 2 + side * 0.48 * r, y = thing->y;
    cairo_set_line_width(cairo, 0.1 * r);
    if (thing->mood == SCENES_SMILING) {
        cairo_new_path(cairo);
        cairo_arc(cairo, x, y + 1.22 * r, 0.46 * r, 0, PI);
        cairo_close_path(cairo);
        use_tint(cairo, white);
        cairo_fill_preserve(cairo);
        use_tint(cairo, ink);
        cairo_stroke(cairo);
    } else if (thing->mood == SCENES_FROWNING) {
        cairo_new_path(cairo);
        cairo_arc(cairo, x, y + 1.66 * r, 0.46 * r, PI, 2 * PI);
        cairo_close_path(cairo);
        use_tint(cairo, ink);
        cairo_fill(cairo);
        cairo_set_line_width(cairo, 0.24 * r);
        cairo_move_to(cairo, x - side * 0.42 * r, y + 0.36 * r);
        cairo_line_to(cairo, x + side * 0.42 * r, y + 0.66 * r);
        cairo_stroke(cairo);
    }
}

/* A face on one half of the head, hair on the other; the body's back in a darker shade. */
static void draw_face(cairo_t *cairo, const struct scenes_thing *thing)
{
    struct tint face = thing->name == SCENES_PERSON ? skin : metal;
    double r = head_radius(thing), side = (double)thing->facing;
    double middle = thing->x + thing->width / 2;
    cairo_rectangle(cairo, side > 0 ? thing->x : middle, thing->y, thing->width / 2, thing->height);
    use_colour(cairo, thing, 0.45);
    cairo_fill(cairo);
    cairo_rectangle(cairo, thing->x, thing->y, thing->width, 1.9 * r);
    use_tint(cairo, hair);
    cairo_fill(cairo);
    cairo_rectangle(cairo, side > 0 ? middle - 0.15 * r : thing->x, thing->y + 0.16 * r,
                    thing->width / 2 + 0.15 * r, 1.74 * r);
    use_tint(cairo, face);
    cairo_fill(cairo);
    circle(cairo, middle + side * 0.5 * r, thing->y + 0.82 * r, 0.2 * r);
    use_tint(cairo, ink);
    cairo_fill(cairo);
    draw_mood(cairo, thing);
    if (!thing->has_hands) return;
    for (int i = 0; i < 2; i++) {
        circle(cairo, thing->hands[2 * i], thing->hands[2 * i + 1], 5.2);
        use_tint(cairo, ink);
        cairo_fill(cairo);
        circle(cairo, thing->hands[2 * i], thing->hands[2 * i + 1], 4.4);
        use_tint(cairo, face);
        cairo_fill(cairo);
    }
}

/* Marks by which a box is no square and a cup no box. */
static void draw_marks(cairo_t *cairo, const struct scenes_thing *thing)
{
    double x = thing->x, y = thing->y, w = thing->width, h = thing->height;
    switch (thing->name) {
    case SCENES_BOX:
        cairo_set_line_width(cairo, 4);
        cairo_move_to(cairo, x, y);
        cairo_line_to(cairo, x + w, y + h);
        cairo_move_to(cairo, x + w, y);
        cairo_line_to(cairo, x, y + h);
        cairo_stroke(cairo);
        cairo_set_line_width(cairo, 10); /* half of it is outside and clipped away */
        cairo_rectangle(cairo, x, y, w, h);
        cairo_stroke(cairo);
        break;
    case SCENES_CUP:
        use_tint(cairo, white);
        cairo_rectangle(cairo, x, y + 0.12 * h, 0.78 * w, 0.2 * h);
        cairo_fill(cairo);
        break;
    case SCENES_TABLE:
        cairo_rectangle(cairo, x, y + 0.4 * h, w, 0.6 * h);
        cairo_fill(cairo);
        break;
    default: break;
    }
}

static void draw_thing(cairo_t *cairo, const struct scenes_thing *thing)
{
    cairo_save(cairo);
    outline(cairo, thing);
    use_colour(cairo, thing, 1);
    cairo_fill_preserve(cairo);
    cairo_clip(cairo);
    use_colour(cairo, thing, 0.45); /* for marks that choose no other */
    if (has_face(thing))
        draw_face(cairo, thing);
    else
        draw_marks(cairo, thing);
    cairo_restore(cairo);
}

/* Grey, brighter to one side. */
static void draw_background(cairo_t *cairo, struct random_stream noise)
{
    double middle = 0.62 + 0.16 * random_uniform(noise, 0), half = SCENES_UNITS / 2.0;
    double slope = 0.10 * random_uniform(noise, 1), angle = 2 * PI * random_uniform(noise, 2);
    double dx = half * cos(angle), dy = half * sin(angle);
    cairo_pattern_t *pattern =
        cairo_pattern_create_linear(half - dx, half - dy, half + dx, half + dy);
    double low = middle - slope, high = middle + slope;
    cairo_pattern_add_color_stop_rgb(pattern, 0, low, low, low);
    cairo_pattern_add_color_stop_rgb(pattern, 1, high, high, high);
    cairo_set_source(cairo, pattern);
    cairo_paint(cairo);
    cairo_pattern_destroy(pattern);
}

/* cairo's words to RGB, each channel moved by -4 .. 3. */
static void copy_pixels(struct image *image, const uint8_t *data, int stride,
                        struct random_stream noise)
{
    for (int64_t y = 0; y < image->height; y++) {
        const uint32_t *words = (const uint32_t *)(const void *)(data + y * stride);
        for (int64_t x = 0; x < image->width; x++) {
            uint64_t bits = random_u64(noise, (uint64_t)(3 + y * image->width + x));
            for (int c = 0; c < 3; c++) {
                int value =
                    (int)(words[x] >> (16 - 8 * c) & 255) + (int)(bits >> (32 + 8 * c) & 7) - 4;
                image->rgb[(y * image->width + x) * 3 + c] = (uint8_t)(value < 0     ? 0
                                                                       : value > 255 ? 255
                                                                                     : value);
            }
        }
    }
}

static cairo_t *new_canvas(cairo_format_t format, int64_t size)
{
    cairo_surface_t *surface = cairo_image_surface_create(format, (int)size, (int)size);
    cairo_t *cairo = cairo_create(surface);
    cairo_surface_destroy(surface); /* the context keeps it */
    cairo_scale(cairo, (double)size / SCENES_UNITS, (double)size / SCENES_UNITS);
    return cairo;
}

/* Marks the pixels of every thing, later ones over earlier ones. `canvas` is 8-bit alpha. */
static void fill_owners(uint8_t *owner, cairo_t *canvas, const struct scenes_layout *layout,
                        int64_t size)
{
    cairo_surface_t *surface = cairo_get_target(canvas);
    memset(owner, SCENES_NO_THING, (size_t)(size * size));
    for (int64_t i = 0; i < layout->n_things; i++) {
        cairo_set_operator(canvas, CAIRO_OPERATOR_CLEAR);
        cairo_paint(canvas);
        cairo_set_operator(canvas, CAIRO_OPERATOR_OVER);
        cairo_set_source_rgba(canvas, 0, 0, 0, 1);
        outline(canvas, &layout->things[i]);
        cairo_fill(canvas);
        cairo_surface_flush(surface);
        const uint8_t *alpha = cairo_image_surface_get_data(surface);
        int stride = cairo_image_surface_get_stride(surface);
        for (int64_t y = 0; y < size; y++)
            for (int64_t x = 0; x < size; x++)
                if (alpha[y * stride + x] >= 128) owner[y * size + x] = (uint8_t)i;
    }
}

enum status scenes_picture_draw(struct scenes_picture *picture_out,
                                const struct scenes_layout *layout,
                                const struct scenes_options *options, struct random_stream noise)
{
    enum status status = OK;
    int64_t size = options->size;
    struct scenes_picture picture = {.image = {.height = size, .width = size}};
    cairo_t *colour = new_canvas(CAIRO_FORMAT_RGB24, size);
    cairo_t *alpha = new_canvas(CAIRO_FORMAT_A8, size);
    picture.image.rgb = malloc((size_t)(size * size * 3));
    picture.owner = malloc((size_t)(size * size));
    if (!picture.image.rgb || !picture.owner || cairo_status(colour) != CAIRO_STATUS_SUCCESS ||
        cairo_status(alpha) != CAIRO_STATUS_SUCCESS)
        FAIL(ERR_MEMORY, "no memory to draw a scene of %" PRId64 " pixels a side", size);
    draw_background(colour, noise);
    for (int64_t i = 0; i < layout->n_things; i++) draw_thing(colour, &layout->things[i]);
    fill_owners(picture.owner, alpha, layout, size);
    cairo_surface_t *surface = cairo_get_target(colour);
    cairo_surface_flush(surface);
    copy_pixels(&picture.image, cairo_image_surface_get_data(surface),
                cairo_image_surface_get_stride(surface), noise);
    *picture_out = picture;
    picture = (struct scenes_picture){0};
out:
    cairo_destroy(colour);
    cairo_destroy(alpha);
    scenes_picture_release(&picture);
    return status;
}

void scenes_picture_release(struct scenes_picture *picture)
{
    image_release(&picture->image);
    free(picture->owner);
    *picture = (struct scenes_picture){0};
}
