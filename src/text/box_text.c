/* Boxes as text and back. The arithmetic is the reference's: normalise, clip, times 1000, cut. */
#include "text/box_text.h"

#include <math.h>

#include "text/unicode.h"

#define MAX_THOUSANDTHS 1e9 /* larger quotients do not fit the reference's integers either */

static bool inside(struct box b, double width, double height)
{
    return b.x1 >= 0 && b.x1 <= b.x2 && b.x2 <= width && b.y1 >= 0 && b.y1 <= b.y2 &&
           b.y2 <= height;
}

static double clip(double value)
{
    return value < 0 ? 0 : value > 1 ? 1 : value;
}

static enum status normalise(struct box *box, int64_t width, int64_t height,
                             const struct box_format *format)
{
    enum status status = OK;
    double w = (double)width, h = (double)height;
    if (format->bounds == BOX_BOUNDS_REFUSE && !inside(*box, w, h))
        FAIL(ERR_FORMAT, "the box %g %g %g %g is not inside its picture of %g x %g", box->x1,
             box->y1, box->x2, box->y2, w, h);
    *box = (struct box){box->x1 / w, box->y1 / h, box->x2 / w, box->y2 / h};
    if (format->bounds == BOX_BOUNDS_CLIP)
        *box = (struct box){clip(box->x1), clip(box->y1), clip(box->x2), clip(box->y2)};
    if (format->square) {
        double box_w = box->x2 - box->x1, box_h = box->y2 - box->y1;
        if (box_w < box_h)
            box->x2 += box_h - box_w;
        else
            box->y2 += box_w - box_h;
    }
    double limit = MAX_THOUSANDTHS / 1000;
    bool fits = fabs(box->x1) < limit && fabs(box->y1) < limit && fabs(box->x2) < limit &&
                fabs(box->y2) < limit;
    if (!fits)
        FAIL(ERR_FORMAT, "a box is far outside its picture or not a number; check its units");
out:
    return status;
}

static enum status check_size(int64_t width, int64_t height)
{
    enum status status = OK;
    if (width <= 0 || height <= 0)
        FAIL(ERR_SHAPE, "a picture of %lld x %lld has no boxes", (long long)width,
             (long long)height);
out:
    return status;
}

enum status box_text_write(struct text_buffer *out, const struct box *boxes, int64_t n,
                           int64_t width, int64_t height, const struct box_format *format)
{
    enum status status = OK;
    bool qwen = format->style == BOX_STYLE_QWEN;
    struct text_buffer text = {0};
    TRY(check_size(width, height));
    if (!qwen) text_append(&text, "<box>[");
    for (int64_t i = 0; i < n; i++) {
        struct box b = boxes[i];
        TRY(normalise(&b, width, height, format));
        int x1 = (int)(b.x1 * 1000), y1 = (int)(b.y1 * 1000);
        int x2 = (int)(b.x2 * 1000), y2 = (int)(b.y2 * 1000);
        if (qwen)
            text_printf(&text, "<|box_start|>(%d,%d),(%d,%d)<|box_end|>", x1, y1, x2, y2);
        else
            text_printf(&text, "%s[%d,%d,%d,%d]", i ? "," : "", x1, y1, x2, y2);
    }
    if (!qwen) text_append(&text, "]</box>");
    text_append(out, text_of(&text));
out:
    text_release(&text);
    return status;
}

enum status point_text_write(struct text_buffer *out, const double *xy, int64_t n_points,
                             int64_t width, int64_t height)
{
    enum status status = OK;
    struct text_buffer text = {0};
    const struct box_format keep = {.bounds = BOX_BOUNDS_KEEP};
    TRY(check_size(width, height));
    text_append(&text, "<point>[");
    for (int64_t i = 0; i < n_points; i++) {
        struct box b = {xy[2 * i], xy[2 * i + 1], xy[2 * i], xy[2 * i + 1]};
        TRY(normalise(&b, width, height, &keep));
        text_printf(&text, "%s[%d,%d]", i ? "," : "", (int)(b.x1 * 1000), (int)(b.y1 * 1000));
    }
    text_append(&text, "]</point>");
    text_append(out, text.text);
out:
    text_release(&text);
    return status;
}

struct reader {
    const char *text;
    size_t size, at;
};

static void skip_space(struct reader *r)
{
    while (r->at < r->size) {
        uint32_t c;
        int n = utf8_decode(&c, r->text + r->at, r->size - r->at);
        if (n < 0 || !unicode_is_python_space(c)) break;
        r->at += (size_t)n;
    }
}

static bool take(struct reader *r, char c)
{
    bool there = r->at < r->size && r->text[r->at] == c;
    r->at += there;
    return there;
}

/* Decimal digits of any script. */
static bool take_number(struct reader *r, double *value_out)
{
    size_t first = r->at;
    *value_out = 0;
    while (r->at < r->size) {
        uint32_t c;
        int n = utf8_decode(&c, r->text + r->at, r->size - r->at);
        int digit = n > 0 ? unicode_digit(c) : -1;
        if (digit < 0) break;
        *value_out = *value_out * 10 + digit;
        r->at += (size_t)n;
    }
    return r->at > first;
}

/* "(a , b)": no space at the inside of the brackets, as in the reference's expression. */
static bool take_pair(struct reader *r, double *a_out, double *b_out)
{
    if (!take(r, '(') || !take_number(r, a_out)) return false;
    skip_space(r);
    if (!take(r, ',')) return false;
    skip_space(r);
    return take_number(r, b_out) && take(r, ')');
}

static bool take_box(struct reader *r, struct box *box)
{
    if (!take_pair(r, &box->x1, &box->y1)) return false;
    skip_space(r);
    if (!take(r, ',')) return false;
    skip_space(r);
    return take_pair(r, &box->x2, &box->y2);
}

void box_text_find(struct box **boxes_out, int64_t *n_out, const char *text, size_t size)
{
    struct box *boxes = NULL, box;
    int64_t n = 0;
    for (size_t at = 0; at < size;) {
        struct reader r = {.text = text, .size = size, .at = at};
        if (text[at] != '(' || !take_box(&r, &box)) {
            at++;
            continue;
        }
        boxes = memory_resize(boxes, (size_t)n + 1, sizeof *boxes);
        boxes[n++] = box;
        at = r.at;
    }
    *boxes_out = boxes;
    *n_out = n;
}

struct box box_denormalise(struct box b, int64_t width, int64_t height)
{
    double w = (double)width, h = (double)height;
    return (struct box){trunc(b.x1 / 1000 * w), trunc(b.y1 / 1000 * h), trunc(b.x2 / 1000 * w),
                        trunc(b.y2 / 1000 * h)};
}
