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
    int32_t *rank;       /* [n_in + 1]: samples below this source index */
    int32_t *low, *high; /* [n_cells]: the two samples of a cell */
    float *weight;       /* [n_cells]: of the high one; the low one has the rest */
    int32_t n_samples;
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
    axis->n_samples = axis->rank[n_in];
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

struct region_grid {
    struct sampled_axis rows, columns;
    uint8_t *inside; /* [samples of columns, samples of rows] 0/1 */
};

/* Source rows [start, end) of source column x are inside. */
static void mark(struct region_grid *grid, int64_t x, int64_t start, int64_t end)
{
    struct sampled_axis *columns = &grid->columns, *rows = &grid->rows;
    if (columns->rank[x] == columns->rank[x + 1]) return;
    int32_t n = axis_touch(rows, start, end);
    if (n == 0) return;
    axis_touch(columns, x, x + 1);
    memset(grid->inside + columns->rank[x] * rows->n_samples + rows->rank[start], 1, (size_t)n);
}

void region_grid_destroy(struct region_grid *grid)
{
    if (!grid) return;
    axis_release(&grid->rows);
    axis_release(&grid->columns);
    free(grid->inside);
    free(grid);
}

enum status region_grid_create(struct region_grid **grid_out, int64_t height, int64_t width,
                               int64_t grid_height, int64_t grid_width)
{
    enum status status = OK;
    ASSERT(height > 0 && width > 0 && grid_height > 0 && grid_width > 0,
           "a mask of %" PRId64 " x %" PRId64 " on a grid of %" PRId64 " x %" PRId64, width, height,
           grid_width, grid_height);
    struct region_grid *grid = calloc(1, sizeof *grid);
    if (!grid)
        FAIL(ERR_MEMORY, "no memory for a grid of %" PRId64 " x %" PRId64, grid_width, grid_height);
    TRY(axis_init(&grid->rows, height, grid_height));
    TRY(axis_init(&grid->columns, width, grid_width));
    grid->inside = calloc((size_t)grid->columns.n_samples, (size_t)grid->rows.n_samples);
    if (!grid->inside)
        FAIL(ERR_MEMORY, "no memory for a grid of %" PRId64 " x %" PRId64, grid_width, grid_height);
    *grid_out = grid;
    grid = NULL;
out:
    region_grid_destroy(grid);
    return status;
}

/* Nothing is inside, nothing is touched. */
static void forget(struct region_grid *grid)
{
    struct sampled_axis *columns = &grid->columns, *rows = &grid->rows;
    for (int32_t x = columns->first; x < columns->after; x++)
        memset(grid->inside + (int64_t)x * rows->n_samples, 0, (size_t)rows->n_samples);
    columns->first = columns->n_samples;
    rows->first = rows->n_samples;
    columns->after = rows->after = 0;
}

void region_grid_take(struct region_grid *grid, const struct rle *rle)
{
    ASSERT(rle->height == grid->rows.n_in && rle->width == grid->columns.n_in,
           "a mask of %" PRId64 " x %" PRId64 " for a grid over %" PRId64 " x %" PRId64, rle->width,
           rle->height, grid->columns.n_in, grid->rows.n_in);
    int64_t position = 0;
    forget(grid);
    for (int64_t i = 0; i < rle->n_runs; position += rle->runs[i++]) {
        if (i % 2 == 0) continue;
        int64_t end = position + rle->runs[i], start = position;
        for (int64_t x = start / rle->height; start < end; x++) {
            int64_t top = x * rle->height, bottom = top + rle->height;
            mark(grid, x, start - top, (end < bottom ? end : bottom) - top);
            start = bottom;
        }
    }
}

void region_grid_values(float *values, const struct region_grid *grid)
{
    const struct sampled_axis *rows = &grid->rows, *columns = &grid->columns;
    int64_t x1, x2, y1, y2;
    memset(values, 0, (size_t)(rows->n_cells * columns->n_cells) * sizeof *values);
    axis_cells(&x1, &x2, columns);
    axis_cells(&y1, &y2, rows);
    for (int64_t x = x1; x < x2; x++) {
        const uint8_t *left = grid->inside + (int64_t)columns->low[x] * rows->n_samples;
        const uint8_t *right = grid->inside + (int64_t)columns->high[x] * rows->n_samples;
        /* The blend of the four pairs of (left, right) bits. */
        double u = (double)columns->weight[x], u0 = (double)(1.0F - columns->weight[x]);
        const double blend[4] = {0, u0, u, u0 + u};
        for (int64_t y = y1; y < y2; y++) {
            int32_t low = rows->low[y], high = rows->high[y];
            double v = (double)rows->weight[y], v0 = (double)(1.0F - rows->weight[y]);
            double value =
                v0 * blend[left[low] | right[low] << 1] + v * blend[left[high] | right[high] << 1];
            values[y * columns->n_cells + x] = (float)value;
        }
    }
}

void region_grid_footprint(uint8_t *cells, const struct region_grid *grid)
{
    const struct sampled_axis *rows = &grid->rows, *columns = &grid->columns;
    int64_t x1, x2, y1, y2;
    memset(cells, 0, (size_t)(rows->n_cells * columns->n_cells));
    axis_cells(&x1, &x2, columns);
    axis_cells(&y1, &y2, rows);
    for (int64_t x = x1; x < x2; x++) {
        /* A sample of weight 0 adds nothing; the low weight is never 0. */
        int32_t other = columns->weight[x] > 0 ? columns->high[x] : columns->low[x];
        const uint8_t *left = grid->inside + (int64_t)columns->low[x] * rows->n_samples;
        const uint8_t *right = grid->inside + (int64_t)other * rows->n_samples;
        for (int64_t y = y1; y < y2; y++) {
            int32_t low = rows->low[y], high = rows->weight[y] > 0 ? rows->high[y] : low;
            cells[y * columns->n_cells + x] = left[low] | right[low] | left[high] | right[high];
        }
    }
}
