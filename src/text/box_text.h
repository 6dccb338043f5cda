/* Boxes and points as the model reads and writes them: thousandths of the picture's sides. */
#ifndef ROBIN_TEXT_BOX_TEXT_H
#define ROBIN_TEXT_BOX_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text_buffer.h"
#include "image/rle.h"

enum box_style {
    BOX_STYLE_QWEN, /* <|box_start|>(x1,y1),(x2,y2)<|box_end|>, boxes one behind the other */
    BOX_STYLE_PLAIN /* <box>[[x1,y1,x2,y2],[..]]</box>, for tokenizers without box tokens */
};
/* What is done with a box that leaves the picture. Reversed boxes are never swapped. */
enum box_bounds {
    BOX_BOUNDS_CLIP,  /* training: cut to the picture */
    BOX_BOUNDS_KEEP,  /* inference of the reference: numbers below 0 and above 1000 appear */
    BOX_BOUNDS_REFUSE /* ERR_FORMAT unless 0 <= x1 <= x2 <= width, likewise y */
};

struct box_format { /* zeroed is what training uses */
    enum box_style style;
    enum box_bounds bounds;
    bool square; /* the reference's "square" mode: the short side grows to the long one */
};

/* Appends the text of n boxes in pixels of a [height, width] picture: (int)(x / width * 1000).
 * ERR_SHAPE unless width and height are positive, ERR_FORMAT on numbers that are not finite. */
enum status box_text_write(struct text_buffer *out, const struct box *boxes, int64_t n,
                           int64_t width, int64_t height, const struct box_format *format);

/* Appends <point>[[x,y],..]]</point>, not clipped. xy [n_points, 2] in pixels. */
enum status point_text_write(struct text_buffer *out, const double *xy, int64_t n_points,
                             int64_t width, int64_t height);

/* Every "(a,b),(c,d)" of the text, in order, as written (thousandths). An array to free(). */
void box_text_find(struct box **boxes_out, int64_t *n_out, const char *text, size_t size);

/* Thousandths to whole pixels: (int)(v / 1000 * side). */
struct box box_denormalise(struct box box, int64_t width, int64_t height);

#endif
