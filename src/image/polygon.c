/* Polygons to masks exactly as pycocotools' rasteriser decides them: the outline is walked on a
 * grid five times finer, and in the middle of each pixel column the walk's height says where the
 * mask changes. Its roundings toward zero are kept. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "image/image.h"
#include "image/rle_internal.h"

#define FINE      5 /* steps per pixel */
#define MAX_STEPS ((int64_t)1 << 28)

struct point {
    int64_t x, y;
};

/* The outline as it is walked: the last point, and where the mask changes (positions in column-
 * major order), not sorted. */
struct walk {
    int64_t height, width;
    bool started;
    struct point last;
    uint32_t *changes;
    int64_t n, capacity;
};

static enum status add_change(struct walk *walk, int64_t column, int64_t row)
{
    enum status status = OK;
    if (walk->n == walk->capacity) {
        int64_t capacity = walk->capacity ? 2 * walk->capacity : 256;
        uint32_t *grown = realloc(walk->changes, (size_t)capacity * sizeof *grown);
        if (!grown) FAIL(ERR_MEMORY, "no memory for a polygon of %" PRId64 " changes", walk->n);
        walk->changes = grown;
        walk->capacity = capacity;
    }
    walk->changes[walk->n++] = (uint32_t)(column * walk->height + row);
out:
    return status;
}

/* One step of the walk. It changes the mask when it passes the middle of a pixel column: fine
 * column 5 c + 2 going either way. */
static enum status step_to(struct walk *walk, struct point point)
{
    enum status status = OK;
    struct point last = walk->last;
    bool started = walk->started;
    walk->last = point;
    walk->started = true;
    if (!started || point.x == last.x) goto out;
    int64_t fine_x = point.x < last.x ? point.x : point.x - 1;
    if (fine_x < 0 || fine_x % FINE != FINE / 2) goto out;
    int64_t column = fine_x / FINE;
    if (column > walk->width - 1) goto out;
    int64_t fine_y = point.y < last.y ? point.y : last.y;
    double row = ((double)fine_y + 0.5) / FINE - 0.5;
    if (row < 0) row = 0;
    if (row > (double)walk->height) row = (double)walk->height;
    TRY(add_change(walk, column, (int64_t)ceil(row)));
out:
    return status;
}

/* Every fine point from `from` to `to`, both included. The shorter axis is interpolated from the
 * end with the smaller coordinate, whichever way the walk goes. */
static enum status walk_edge(struct walk *walk, struct point from, struct point to)
{
    enum status status = OK;
    int64_t dx = llabs(to.x - from.x), dy = llabs(to.y - from.y), n = dx >= dy ? dx : dy;
    bool flip = dx >= dy ? from.x > to.x : from.y > to.y;
    struct point low = flip ? to : from, high = flip ? from : to;
    double slope = 0;
    if (n > 0)
        slope = dx >= dy ? (double)(high.y - low.y) / (double)dx
                         : (double)(high.x - low.x) / (double)dy;
    for (int64_t i = 0; i <= n; i++) {
        int64_t t = flip ? n - i : i;
        struct point point = {low.x + t, low.y + t};
        if (dx >= dy)
            point.y = (int64_t)((double)low.y + slope * (double)t + 0.5);
        else
            point.x = (int64_t)((double)low.x + slope * (double)t + 0.5);
        TRY(step_to(walk, point));
    }
out:
    return status;
}

static int compare_positions(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

/* Sorted changes to runs: two at one position cancel. */
static enum status runs_from_changes(struct rle *rle_out, struct walk *walk)
{
    struct run_list list = {0};
    uint32_t n_pixels = (uint32_t)(walk->height * walk->width), position = 0;
    if (walk->n > 0)
        qsort(walk->changes, (size_t)walk->n, sizeof *walk->changes, compare_positions);
    for (int64_t i = 0; i < walk->n && !list.out_of_memory; i++) {
        if (i + 1 < walk->n && walk->changes[i] == walk->changes[i + 1]) {
            i++;
            continue;
        }
        if (walk->changes[i] >= n_pixels) break;
        run_list_add(&list, walk->changes[i] - position);
        position = walk->changes[i];
    }
    if (n_pixels > position) run_list_add(&list, n_pixels - position);
    return run_list_finish(&list, rle_out, walk->height, walk->width);
}

static enum status fine_points(struct point *points, const double *xy, int64_t n_points)
{
    enum status status = OK;
    const double limit = 4.0 * IMAGE_MAX_SIDE;
    int64_t n_steps = 0;
    for (int64_t i = 0; i < n_points; i++) {
        double x = xy[2 * i], y = xy[2 * i + 1];
        if (!isfinite(x) || !isfinite(y))
            FAIL(ERR_FORMAT, "point %" PRId64 " of a polygon is not finite", i);
        if (fabs(x) > limit || fabs(y) > limit)
            FAIL(ERR_LIMIT, "point %" PRId64 " of a polygon is (%g, %g); the limit is %g", i, x, y,
                 limit);
        points[i] = (struct point){(int64_t)(FINE * x + 0.5), (int64_t)(FINE * y + 0.5)};
        if (i == 0) continue;
        int64_t dx = llabs(points[i].x - points[i - 1].x),
                dy = llabs(points[i].y - points[i - 1].y);
        n_steps += dx > dy ? dx : dy;
        if (n_steps > MAX_STEPS)
            FAIL(ERR_LIMIT, "the outline of a polygon is longer than %" PRId64 " pixels",
                 MAX_STEPS / FINE);
    }
out:
    return status;
}

enum status rle_from_polygon(struct rle *rle_out, const double *xy, int64_t n_points,
                             int64_t height, int64_t width)
{
    enum status status = OK;
    struct walk walk = {.height = height, .width = width};
    struct point *points = NULL;
    TRY(rle_check_size(height, width));
    if (n_points < 3)
        FAIL(ERR_FORMAT, "a polygon of %" PRId64 " points; it must have 3 or more", n_points);
    points = calloc((size_t)n_points, sizeof *points);
    if (!points) FAIL(ERR_MEMORY, "no memory for a polygon of %" PRId64 " points", n_points);
    TRY(fine_points(points, xy, n_points));
    for (int64_t i = 0; i < n_points; i++)
        TRY(walk_edge(&walk, points[i], points[(i + 1) % n_points]));
    TRY(runs_from_changes(rle_out, &walk));
out:
    free(points);
    free(walk.changes);
    return status;
}
