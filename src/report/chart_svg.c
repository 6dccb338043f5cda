/* Drawing curves. */
#include "report/chart_svg.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH   760
#define HEIGHT  300
#define LEFT    74
#define RIGHT   16
#define TOP     34
#define BOTTOM  46
#define COLUMNS 700 /* of points that can be told apart */

/* Okabe and Ito's colours, which people tell apart who see few; darkened where they are pale. */
static const char *const colours[] = {"#0072b2", "#d55e00", "#009e73", "#a8569a",
                                      "#b8860b", "#3a8fbf", "#444444", "#8b4513"};

struct scale {
    double low, high, first; /* of the axis; where its pixels begin */
    double pixels;           /* negative: upwards */
    bool logarithmic;
};

void append_escaped(struct text_buffer *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '<')
            text_append(out, "&lt;");
        else if (*text == '&')
            text_append(out, "&amp;");
        else if (*text == '"')
            text_append(out, "&quot;");
        else
            text_append_char(out, *text);
    }
}

static double place(const struct scale *scale, double value)
{
    const double low = scale->logarithmic ? log10(scale->low) : scale->low;
    const double high = scale->logarithmic ? log10(scale->high) : scale->high;
    const double at = scale->logarithmic ? log10(value) : value;
    return scale->first + scale->pixels * (at - low) / (high - low);
}

/* 1, 2 or 5 times a power of ten, about `range` / `n`. */
static double round_step(double range, int n)
{
    const double raw = range / n, power = pow(10, floor(log10(raw)));
    const double digits = raw / power;
    return power * (digits < 1.5 ? 1 : digits < 3.5 ? 2 : digits < 7.5 ? 5 : 10);
}

/* "12000" as "12k", 1e-05 as it is. */
static void put_number(struct text_buffer *out, double value)
{
    const double size = fabs(value);
    if (size >= 1e9)
        text_printf(out, "%gG", value / 1e9);
    else if (size >= 1e6)
        text_printf(out, "%gM", value / 1e6);
    else if (size >= 1e4)
        text_printf(out, "%gk", value / 1e3);
    else
        text_printf(out, "%g", fabs(value) < 1e-12 ? 0 : value);
}

static void find_range(double *low, double *high, const struct chart *chart)
{
    *low = INFINITY;
    *high = -INFINITY;
    for (int c = 0; c < chart->n_curves; c++) {
        for (int64_t i = 0; i < chart->n; i++) {
            const double y = chart->curves[c].y[i];
            if (!isfinite(y)) continue;
            *low = fmin(*low, y);
            *high = fmax(*high, y);
        }
    }
    if (!isfinite(*low)) *low = *high = 0;
}

static struct scale scale_of_y(const struct chart *chart)
{
    struct scale scale = {.first = HEIGHT - BOTTOM, .pixels = TOP + BOTTOM - HEIGHT};
    find_range(&scale.low, &scale.high, chart);
    scale.logarithmic = chart->logarithmic && scale.low > 0 && scale.high > 4 * scale.low;
    if (scale.logarithmic) {
        scale.low /= 1.1;
        scale.high *= 1.1;
        return scale;
    }
    if (chart->from_zero && scale.low > 0) scale.low = 0;
    if (scale.high <= scale.low) scale.high = scale.low + (scale.low != 0 ? fabs(scale.low) : 1);
    const double step = round_step(scale.high - scale.low, 5);
    scale.low = step * floor(scale.low / step);
    scale.high = step * ceil(scale.high / step);
    return scale;
}

static void put_y_line(struct text_buffer *out, const struct scale *scale, double value)
{
    const double y = place(scale, value);
    text_printf(out, "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" class=\"grid\"/>", LEFT,
                WIDTH - RIGHT, y, y);
    text_printf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", LEFT - 8, y + 4);
    put_number(out, value);
    text_append(out, "</text>\n");
}

static void put_y_axis(struct text_buffer *out, const struct scale *scale)
{
    if (!scale->logarithmic) {
        const double step = round_step(scale->high - scale->low, 5);
        for (int i = 0; scale->low + i * step <= scale->high + step / 1000; i++)
            put_y_line(out, scale, scale->low + i * step);
        return;
    }
    static const double digits[] = {1, 2, 5};
    const bool dense = log10(scale->high / scale->low) < 3;
    for (double power = pow(10, floor(log10(scale->low))); power <= scale->high; power *= 10)
        for (int d = 0; d < (dense ? 3 : 1); d++)
            if (digits[d] * power >= scale->low && digits[d] * power <= scale->high)
                put_y_line(out, scale, digits[d] * power);
}

static void put_x_axis(struct text_buffer *out, const struct scale *scale)
{
    const double step = fmax(1, round_step(scale->high - scale->low, 8));
    for (double x = step * ceil(scale->low / step); x <= scale->high + step / 1000; x += step) {
        const double at = place(scale, x);
        text_printf(out, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" class=\"axis\"/>", at,
                    at, HEIGHT - BOTTOM, HEIGHT - BOTTOM + 5);
        text_printf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", at,
                    HEIGHT - BOTTOM + 20);
        put_number(out, x);
        text_append(out, "</text>\n");
    }
    text_printf(out, "<line x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\" class=\"axis\"/>\n", LEFT,
                WIDTH - RIGHT, HEIGHT - BOTTOM, HEIGHT - BOTTOM);
    text_printf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">step</text>\n",
                (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8);
}

static void put_marks(struct text_buffer *out, const struct chart *chart, const struct scale *x)
{
    for (int64_t i = 0; i < chart->n_marks; i++) {
        const double at = place(x, chart->marks[i]);
        text_printf(out, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" class=\"mark\"/>", at,
                    at, TOP, HEIGHT - BOTTOM);
        text_printf(out, "<text x=\"%.1f\" y=\"%d\" class=\"mark\">", at + 4, TOP + 12);
        append_escaped(out, chart->mark_names[i]);
        text_append(out, "</text>\n");
    }
}

static void put_point(struct text_buffer *out, bool *begun, double x, double y)
{
    text_printf(out, "%s%.1f %.1f", *begun ? " L" : "M", x, y);
    *begun = true;
}

/* Rows first .. end - 1 as one column: their lowest and highest, in their order. */
static void put_column(struct text_buffer *out, bool *begun, const struct chart *chart,
                       const double *y, const struct scale scales[2], const int64_t rows[2])
{
    int64_t low = -1, high = -1;
    for (int64_t i = rows[0]; i < rows[1]; i++) {
        if (!isfinite(y[i]) || (scales[1].logarithmic && y[i] <= 0)) continue;
        if (low < 0 || y[i] < y[low]) low = i;
        if (high < 0 || y[i] > y[high]) high = i;
    }
    if (low < 0) return;
    const int64_t first = low < high ? low : high, second = low < high ? high : low;
    put_point(out, begun, place(&scales[0], chart->x[first]), place(&scales[1], y[first]));
    if (second != first)
        put_point(out, begun, place(&scales[0], chart->x[second]), place(&scales[1], y[second]));
}

static void put_curve(struct text_buffer *out, const struct chart *chart,
                      const struct chart_curve *curve, const char *colour,
                      const struct scale scales[2])
{
    const int64_t per_column = chart->n / COLUMNS + 1;
    bool begun = false;
    text_printf(out, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"%s\" opacity=\"%s\" d=\"",
                colour, curve->faint ? "1" : "1.8", curve->faint ? "0.35" : "1");
    for (int64_t i = 0; i < chart->n; i += per_column) {
        const int64_t rows[2] = {i, i + per_column < chart->n ? i + per_column : chart->n};
        put_column(out, &begun, chart, curve->y, scales, rows);
    }
    text_append(out, "\"/>\n");
}

static void put_legend(struct text_buffer *out, const struct chart *chart)
{
    double x = LEFT + 8 + 7.4 * (double)strlen(chart->title) + 18;
    int colour = 0;
    for (int c = 0; c < chart->n_curves; c++) {
        const struct chart_curve *curve = &chart->curves[c];
        const char *stroke = colours[(size_t)colour % (sizeof colours / sizeof colours[0])];
        if (!curve->faint) colour++;
        if (curve->name == NULL) continue;
        text_printf(out,
                    "<line x1=\"%.0f\" x2=\"%.0f\" y1=\"18\" y2=\"18\" stroke=\"%s\" "
                    "stroke-width=\"3\"/><text x=\"%.0f\" y=\"22\">",
                    x, x + 14, stroke, x + 18);
        append_escaped(out, curve->name);
        text_append(out, "</text>\n");
        x += 34 + 6.6 * (double)strlen(curve->name);
    }
}

void chart_svg(struct text_buffer *out, const struct chart *chart)
{
    struct scale scales[2] = {
        {.low = chart->n > 0 ? chart->x[0] : 0, .first = LEFT, .pixels = WIDTH - LEFT - RIGHT},
        scale_of_y(chart)};
    scales[0].high = chart->n > 1 ? chart->x[chart->n - 1] : scales[0].low + 1;
    text_printf(out,
                "<svg viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
                "xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" font-family=\"sans-serif\" "
                "font-size=\"12\"><style>.grid{stroke:#ddd}.axis{stroke:#333}"
                "line.mark{stroke:#999;stroke-dasharray:3 3}text{fill:#222}"
                "text.mark{fill:#777;font-size:10px}</style>\n",
                WIDTH, HEIGHT, WIDTH, HEIGHT);
    text_printf(out, "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", WIDTH, HEIGHT);
    text_printf(out, "<text x=\"%d\" y=\"22\" font-size=\"14\" font-weight=\"bold\">", LEFT);
    append_escaped(out, chart->title);
    text_printf(out,
                "</text>\n<text transform=\"translate(14 %d) rotate(-90)\" "
                "text-anchor=\"middle\">",
                (TOP + HEIGHT - BOTTOM) / 2);
    append_escaped(out, chart->y_name);
    text_append(out, "</text>\n");
    put_y_axis(out, &scales[1]);
    put_x_axis(out, &scales[0]);
    put_marks(out, chart, &scales[0]);
    int colour = 0;
    for (int c = 0; c < chart->n_curves; c++) {
        put_curve(out, chart, &chart->curves[c],
                  colours[(size_t)colour % (sizeof colours / sizeof colours[0])], scales);
        if (!chart->curves[c].faint) colour++;
    }
    put_legend(out, chart);
    text_append(out, "</svg>\n");
}
