/* Masks together: union, intersection, overlap; and what is measured of one: area and box. */
#include <inttypes.h>

#include "base/assertion.h"
#include "image/rle_internal.h"

/* Walks the runs of a mask: `left` pixels of value `inside` are ahead. Runs of zero pixels are
 * passed over. */
struct run_cursor {
    const struct rle *rle;
    int64_t next;
    uint32_t left;
    bool inside;
};

static void cursor_settle(struct run_cursor *cursor)
{
    while (cursor->left == 0 && cursor->next < cursor->rle->n_runs) {
        cursor->inside = cursor->next % 2 == 1;
        cursor->left = cursor->rle->runs[cursor->next++];
    }
}

static struct run_cursor cursor_start(const struct rle *rle)
{
    struct run_cursor cursor = {.rle = rle};
    cursor_settle(&cursor);
    return cursor;
}

/* The longest stretch over which neither changes; 0 at the end. */
static uint32_t cursors_common(const struct run_cursor *a, const struct run_cursor *b)
{
    return a->left < b->left ? a->left : b->left;
}

static void cursor_advance(struct run_cursor *cursor, uint32_t n)
{
    cursor->left -= n;
    cursor_settle(cursor);
}

static enum status merge_two(struct rle *rle_out, const struct rle *a, const struct rle *b,
                             bool intersect)
{
    struct run_list list = {0};
    struct run_cursor left = cursor_start(a), right = cursor_start(b);
    bool inside = false;
    uint32_t run = 0, common = 0;
    while ((common = cursors_common(&left, &right)) > 0 && !list.out_of_memory) {
        bool value = intersect ? left.inside && right.inside : left.inside || right.inside;
        if (value != inside) {
            run_list_add(&list, run);
            run = 0;
            inside = value;
        }
        run += common;
        cursor_advance(&left, common);
        cursor_advance(&right, common);
    }
    if (run > 0) run_list_add(&list, run);
    return run_list_finish(&list, rle_out, a->height, a->width);
}

enum status rle_merge(struct rle *rle_out, const struct rle *masks, int64_t n, int intersect)
{
    enum status status = OK;
    struct rle sum = {0};
    ASSERT(n >= 1, "merging %" PRId64 " masks", n);
    TRY(rle_copy(&sum, &masks[0]));
    for (int64_t i = 1; i < n; i++) {
        if (masks[i].height != sum.height || masks[i].width != sum.width)
            FAIL(ERR_SHAPE,
                 "cannot merge masks of %" PRId64 " x %" PRId64 " and %" PRId64 " x %" PRId64
                 " pixels",
                 sum.width, sum.height, masks[i].width, masks[i].height);
        struct rle merged = {0};
        TRY(merge_two(&merged, &sum, &masks[i], intersect));
        rle_release(&sum);
        sum = merged;
    }
    *rle_out = sum;
    sum = (struct rle){0};
out:
    rle_release(&sum);
    return status;
}

uint64_t rle_area(const struct rle *rle)
{
    uint64_t area = 0;
    for (int64_t i = 1; i < rle->n_runs; i += 2) area += rle->runs[i];
    return area;
}

struct box rle_box(const struct rle *rle)
{
    int64_t x1 = rle->width, y1 = rle->height, x2 = 0, y2 = 0, position = 0;
    for (int64_t i = 0; i < rle->n_runs; position += rle->runs[i++]) {
        if (i % 2 == 0 || rle->runs[i] == 0) continue;
        int64_t last = position + rle->runs[i] - 1;
        int64_t first_x = position / rle->height, last_x = last / rle->height;
        int64_t first_y = position % rle->height, last_y = last % rle->height;
        if (last_x > first_x) { /* over a column's end: its last row and the next one's first */
            first_y = 0;
            last_y = rle->height - 1;
        }
        if (first_x < x1) x1 = first_x;
        if (first_y < y1) y1 = first_y;
        if (last_x >= x2) x2 = last_x + 1;
        if (last_y >= y2) y2 = last_y + 1;
    }
    if (x2 == 0) return (struct box){0};
    return (struct box){(double)x1, (double)y1, (double)x2, (double)y2};
}

enum status rle_box_inclusive(struct box *box_out, const struct rle *rle)
{
    enum status status = OK;
    struct box box = rle_box(rle);
    if (box.x2 == 0) FAIL(ERR_FORMAT, "an empty mask has no box");
    *box_out = (struct box){box.x1, box.y1, box.x2 - 1, box.y2 - 1};
out:
    return status;
}

double rle_iou(const struct rle *a, const struct rle *b, int b_is_crowd)
{
    ASSERT(a->height == b->height && a->width == b->width,
           "overlap of masks of %" PRId64 " x %" PRId64 " and %" PRId64 " x %" PRId64 " pixels",
           a->width, a->height, b->width, b->height);
    struct run_cursor left = cursor_start(a), right = cursor_start(b);
    uint64_t both = 0, either = 0;
    uint32_t common = 0;
    while ((common = cursors_common(&left, &right)) > 0) {
        if (left.inside && right.inside) both += common;
        if (left.inside || right.inside) either += common;
        cursor_advance(&left, common);
        cursor_advance(&right, common);
    }
    if (both == 0) return 0;
    return (double)both / (double)(b_is_crowd ? rle_area(a) : either);
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

double box_iou(struct box a, struct box b, int b_is_crowd)
{
    double width = smaller(a.x2, b.x2) - larger(a.x1, b.x1);
    double height = smaller(a.y2, b.y2) - larger(a.y1, b.y1);
    if (width <= 0 || height <= 0) return 0;
    double both = width * height, area = (a.x2 - a.x1) * (a.y2 - a.y1);
    if (b_is_crowd) return both / area;
    return both / (area + (b.x2 - b.x1) * (b.y2 - b.y1) - both);
}
