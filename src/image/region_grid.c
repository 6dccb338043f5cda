/* Bilinear samples of a mask. Only the source rows and columns that a grid reads are looked at: at
 * most two per cell of each axis, filled run by run. */
#include "image/region_grid.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"

/* What one axis of the grid reads. Samples are the source indices that some cell reads, counted in
 * increasing order. */
struct sampled_axis {
    int64_t n_in, n_cells;
    int32_t *rank;        /* [n_in + 1]: samples below this source index */
    int32_t *low, *high;  /* [n_cells]: the two samples of a cell */
    float *weight;        /* [n_cells]: of the high one; the low one has the rest */
    int32_t first, after; /* samples that any pixel of the mask touches; empty: first >= after */
};

static void axis_release(struct sampled_axis *axis)
{
    free(axis->rank);
    free(axis->low);
    free(axis->high);
    free(axis->weight);
}

static enum status axis_init(struct sampled_axis *axis, int64_t n_in, int64_t n_cells)
{
    enum status status = OK;
    axis->n_in = n_in;
    axis->n_cells = n_cells;
    axis->rank = calloc((size_t)n_in + 1, sizeof *axis->rank);
    axis->low = calloc((size_t)n_cells, sizeof *axis->low);
    axis->high = calloc((size_t)n_cells, sizeof *axis->high);
    axis->weight = calloc((size_t)n_cells, sizeof *axis->weight);
    if (!axis->rank || !axis->low || !axis->high || !axis->weight)
        FAIL(ERR_MEMORY, "no memory for a grid of %" PRId64 " cells", n_cells);
    /* fp32 on purpose: torch computes coordinates so, and `value > 0` must be decided alike. */
    float scale = (float)n_in / (float)n_cells;
    for (int64_t i = 0; i < n_cells; i++) {
        float position = scale * ((float)i + 0.5F) - 0.5F;
        if (position < 0) position = 0;
        int32_t low = (int32_t)position;
        if (low > n_in - 1) low = (int32_t)(n_in - 1);
        float weight = position - (float)low;
        axis->weight[i] = weight < 1 ? weight : 1;
        axis->low[i] = low;
        axis->high[i] = low < n_in - 1 ? low + 1 : low;
        axis->rank[axis->low[i] + 1] = axis->rank[axis->high[i] + 1] = 1;
    }
    for (int64_t i = 0; i < n_in; i++) axis->rank[i + 1] += axis->rank[i];
    for (int64_t i = 0; i < n_cells; i++) {
        axis->low[i] = axis->rank[axis->low[i]];
        axis->high[i] = axis->rank[axis->high[i]];
    }
    axis->first = axis->rank[n_in];
out:
    return status;
}

/* The samples of source indices [start, end) are touched; their count is returned. */
static int32_t axis_touch(struct sampled_axis *axis, int64_t start, int64_t end)
{
    int32_t first = axis->rank[start], after = axis->rank[end];
    if (first >= after) return 0;
    if (first < axis->first) axis->first = first;
    if (after > axis->after) axis->after = after;
    return after - first;
}

/* The cells that read a touched sample: [*first, *after). */
static void axis_cells(int64_t *first, int64_t *after, const struct sampled_axis *axis)
{
    *first = 0;
    *after = axis->n_cells;
    while (*first < *after && axis->high[*first] < axis->first) ++*first;
    while (*after > *first && axis->low[*after - 1] >= axis->after) --*after;
}

struct samples {
    struct sampled_axis rows, columns;
    int64_t n_rows;
    uint8_t *inside; /* [samples of columns, samples of rows] 0/1 */
};

/* Source rows [start, end) of source column x are inside. */
static void mark(struct samples *samples, int64_t x, int64_t start, int64_t end)
{
    struct sampled_axis *columns = &samples->columns, *rows = &samples->rows;
    if (columns->rank[x] == columns->rank[x + 1]) return;
    int32_t n = axis_touch(rows, start, end);
    if (n == 0) return;
    axis_touch(columns, x, x + 1);
    memset(samples->inside + columns->rank[x] * samples->n_rows + rows->rank[start], 1, (size_t)n);
}

static void samples_release(struct samples *samples)
{
    axis_release(&samples->rows);
    axis_release(&samples->columns);
    free(samples->inside);
}

static enum status samples_init(struct samples *samples, const struct rle *rle, int64_t grid_height,
                                int64_t grid_width)
{
    enum status status = OK;
    ASSERT(rle->height > 0 && rle->width > 0 && grid_height > 0 && grid_width > 0,
           "a mask of %" PRId64 " x %" PRId64 " on a grid of %" PRId64 " x %" PRId64, rle->width,
           rle->height, grid_width, grid_height);
    TRY(axis_init(&samples->rows, rle->height, grid_height));
    TRY(axis_init(&samples->columns, rle->width, grid_width));
    samples->n_rows = samples->rows.rank[rle->height];
    samples->inside = calloc((size_t)samples->columns.rank[rle->width], (size_t)samples->n_rows);
    if (!samples->inside)
        FAIL(ERR_MEMORY, "no memory for a grid of %" PRId64 " x %" PRId64, grid_width, grid_height);
    int64_t position = 0;
    for (int64_t i = 0; i < rle->n_runs; position += rle->runs[i++]) {
        if (i % 2 == 0) continue;
        int64_t end = position + rle->runs[i], start = position;
        for (int64_t x = start / rle->height; start < end; x++) {
            int64_t top = x * rle->height, bottom = top + rle->height;
            mark(samples, x, start - top, (end < bottom ? end : bottom) - top);
            start = bottom;
        }
    }
out:
    return status;
}

enum status region_grid_values(float *values, const struct rle *rle, int64_t grid_height,
                               int64_t grid_width)
{
    enum status status = OK;
    struct samples samples = {0};
    TRY(samples_init(&samples, rle, grid_height, grid_width));
    memset(values, 0, (size_t)(grid_height * grid_width) * sizeof *values);
    const struct sampled_axis *rows = &samples.rows, *columns = &samples.columns;
    int64_t x1, x2, y1, y2;
    axis_cells(&x1, &x2, columns);
    axis_cells(&y1, &y2, rows);
    for (int64_t x = x1; x < x2; x++) {
        const uint8_t *left = samples.inside + columns->low[x] * samples.n_rows;
        const uint8_t *right = samples.inside + columns->high[x] * samples.n_rows;
        /* The blend of the four pairs of (left, right) bits. */
        double u = (double)columns->weight[x], u0 = (double)(1.0F - columns->weight[x]);
        const double blend[4] = {0, u0, u, u0 + u};
        for (int64_t y = y1; y < y2; y++) {
            int32_t low = rows->low[y], high = rows->high[y];
            double v = (double)rows->weight[y], v0 = (double)(1.0F - rows->weight[y]);
            double value =
                v0 * blend[left[low] | right[low] << 1] + v * blend[left[high] | right[high] << 1];
            values[y * grid_width + x] = (float)value;
        }
    }
out:
    samples_release(&samples);
    return status;
}

enum status region_grid_footprint(uint8_t *cells, const struct rle *rle, int64_t grid_height,
                                  int64_t grid_width)
{
    enum status status = OK;
    struct samples samples = {0};
    TRY(samples_init(&samples, rle, grid_height, grid_width));
    memset(cells, 0, (size_t)(grid_height * grid_width));
    const struct sampled_axis *rows = &samples.rows, *columns = &samples.columns;
    int64_t x1, x2, y1, y2;
    axis_cells(&x1, &x2, columns);
    axis_cells(&y1, &y2, rows);
    for (int64_t x = x1; x < x2; x++) {
        /* A sample of weight 0 adds nothing; the low weight is never 0. */
        int32_t other = columns->weight[x] > 0 ? columns->high[x] : columns->low[x];
        const uint8_t *left = samples.inside + columns->low[x] * samples.n_rows;
        const uint8_t *right = samples.inside + other * samples.n_rows;
        for (int64_t y = y1; y < y2; y++) {
            int32_t low = rows->low[y], high = rows->weight[y] > 0 ? rows->high[y] : low;
            cells[y * grid_width + x] = left[low] | right[low] | left[high] | right[high];
        }
    }
out:
    samples_release(&samples);
    return status;
}
