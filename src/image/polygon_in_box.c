/* Polygons inside a box, as VCR's masks are drawn: every pixel of the rounded box is one sample
 * point of the exact box, inside when a ray from it crosses the outline an odd number of times. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "image/rle_internal.h"

/* The sample points of one axis: n of them, spread evenly over [low, high], from pixel `first`
 * on. */
struct spread {
    int64_t first, n;
    double low, step;
};

static struct spread spread_over(double low, double high)
{
    struct spread spread = {.first = (int64_t)rint(low)};
    spread.n = (int64_t)rint(high) - spread.first;
    if (spread.n < 1) return spread;
    double padding = (high - low) / (double)(2 * spread.n);
    spread.low = low + padding;
    if (spread.n > 1) spread.step = (high - padding - spread.low) / (double)(spread.n - 1);
    return spread;
}

static double point_at(struct spread spread, int64_t i)
{
    return (double)i * spread.step + spread.low;
}

/* Crossings with the ray to the right; a point on a horizontal edge is inside at its upper end. */
static bool is_inside(const struct polygon *polygon, double x, double y)
{
    bool inside = false;
    const double *from = polygon->xy;
    for (int64_t i = 1; i <= polygon->n_points; i++) {
        const double *to = polygon->xy + 2 * (i % polygon->n_points);
        bool from_beyond = from[1] >= y, to_beyond = to[1] >= y;
        bool left = (to[1] - y) * (from[0] - to[0]) >= (to[0] - x) * (from[1] - to[1]);
        if (from_beyond != to_beyond && left == to_beyond) inside = !inside;
        from = to;
    }
    return inside;
}

static enum status check_polygons(const struct polygon *polygons, int64_t n, struct box box)
{
    enum status status = OK;
    const double far = 1e6;
    if (!(fabs(box.x1) < far && fabs(box.y1) < far && fabs(box.x2) < far && fabs(box.y2) < far))
        FAIL(ERR_FORMAT, "a box (%g, %g, %g, %g) is far outside any picture", box.x1, box.y1,
             box.x2, box.y2);
    for (int64_t i = 0; i < n; i++)
        if (polygons[i].n_points < 3)
            FAIL(ERR_FORMAT, "polygon %" PRId64 " has %" PRId64 " points; it must have 3 or more",
                 i, polygons[i].n_points);
out:
    return status;
}

enum status rle_from_polygons_in_box(struct rle *rle_out, const struct polygon *polygons, int64_t n,
                                     struct box box, int64_t height, int64_t width)
{
    enum status status = OK;
    uint8_t *mask = NULL;
    TRY(rle_check_size(height, width));
    TRY(check_polygons(polygons, n, box));
    mask = calloc((size_t)(height * width) + 1, 1);
    if (!mask)
        FAIL(ERR_MEMORY, "no memory for a mask of %" PRId64 " x %" PRId64 " pixels", width, height);
    struct spread rows = spread_over(box.y1, box.y2), columns = spread_over(box.x1, box.x2);
    for (int64_t i = 0; i < rows.n; i++) {
        int64_t y = rows.first + i;
        if (y < 0 || y >= height) continue;
        for (int64_t j = 0; j < columns.n; j++) {
            int64_t x = columns.first + j;
            if (x < 0 || x >= width) continue;
            for (int64_t p = 0; p < n && !mask[y * width + x]; p++)
                mask[y * width + x] =
                    is_inside(&polygons[p], point_at(columns, j), point_at(rows, i));
        }
    }
    TRY(rle_from_mask(rle_out, mask, height, width));
out:
    free(mask);
    return status;
}
