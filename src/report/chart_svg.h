/* Curves as SVG: dark lines on white, axes with round numbers, a legend. */
#ifndef ROBIN_REPORT_CHART_SVG_H
#define ROBIN_REPORT_CHART_SVG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text_buffer.h"

#define CHART_MAX_CURVES 12

struct chart_curve {
    const char *name; /* in the legend; NULL: not there */
    const double *y;  /* [n], NaN where there is nothing */
    bool faint;       /* behind the others: what a smooth curve was made of */
};

struct chart {
    const char *title, *y_name;
    const double *x; /* [n], increasing */
    int64_t n;
    struct chart_curve curves[CHART_MAX_CURVES];
    int n_curves;
    bool logarithmic; /* y, where all of it is above 0 */
    bool from_zero;
    const double *marks; /* [n_marks]: x of vertical lines */
    const char *const *mark_names;
    int64_t n_marks;
};

/* Appends an <svg> element. Of more points than can be seen the lowest and the highest of each
 * column remain, so that no spike is lost. */
void chart_svg(struct text_buffer *out, const struct chart *chart);

/* "<" as "&lt;" and so on. */
void append_escaped(struct text_buffer *out, const char *text);

#endif
