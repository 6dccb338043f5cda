/* Masks made of boxes: the filled one, and the border that marks a box without hiding what is in
 * it. */
#include <inttypes.h>
#include <math.h>

#include "base/assertion.h"
#include "image/rle_internal.h"

struct rectangle { /* pixels [x1, x2) x [y1, y2) */
    int64_t x1, y1, x2, y2;
};

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* Toward zero; what no picture reaches becomes a number that none reaches either. */
static int64_t whole(double coordinate)
{
    const double far = 1e9;
    if (!(coordinate > -far)) return (int64_t)-far; /* NaN too */
    return coordinate < far ? (int64_t)coordinate : (int64_t)far;
}

/* The rectangle cut to the picture. */
static enum status from_rectangle(struct rle *rle_out, struct rectangle r, int64_t height,
                                  int64_t width)
{
    struct run_list list = {0};
    int64_t x1 = clamp(r.x1, 0, width), x2 = clamp(r.x2, 0, width);
    int64_t y1 = clamp(r.y1, 0, height), y2 = clamp(r.y2, 0, height);
    if (x1 >= x2 || y1 >= y2) {
        if (height * width > 0) run_list_add(&list, (uint32_t)(height * width));
        return run_list_finish(&list, rle_out, height, width);
    }
    run_list_add(&list, (uint32_t)(x1 * height + y1));
    if (y2 - y1 == height) {
        run_list_add(&list, (uint32_t)((x2 - x1) * height));
    } else {
        for (int64_t x = x1; x < x2 && !list.out_of_memory; x++) {
            if (x > x1) run_list_add(&list, (uint32_t)(height - (y2 - y1)));
            run_list_add(&list, (uint32_t)(y2 - y1));
        }
    }
    int64_t rest = height * width - (int64_t)list.total;
    if (rest > 0) run_list_add(&list, (uint32_t)rest);
    return run_list_finish(&list, rle_out, height, width);
}

static enum status check_box(struct box box)
{
    if (isfinite(box.x1) && isfinite(box.y1) && isfinite(box.x2) && isfinite(box.y2)) return OK;
    return status_fail(ERR_FORMAT, "a box (%g, %g, %g, %g) is not finite", box.x1, box.y1, box.x2,
                       box.y2);
}

enum status rle_from_box(struct rle *rle_out, struct box box, int64_t height, int64_t width)
{
    enum status status = OK;
    TRY(rle_check_size(height, width));
    TRY(check_box(box));
    struct rectangle filled = {whole(box.x1), whole(box.y1), whole(box.x2), whole(box.y2)};
    TRY(from_rectangle(rle_out, filled, height, width));
out:
    return status;
}

enum status rle_from_box_border(struct rle *rle_out, struct box box, int64_t thickness,
                                const struct rle *inside, int64_t height, int64_t width)
{
    enum status status = OK;
    struct rle parts[5] = {0};
    int64_t n_parts = 4;
    TRY(rle_check_size(height, width));
    TRY(check_box(box));
    int64_t t = thickness, x1 = whole(box.x1), y1 = whole(box.y1);
    int64_t x2 = whole(box.x2), y2 = whole(box.y2);
    if (x1 < 0) x1 = 0;
    if (y1 < 0) y1 = 0;
    if (x2 > width - 1) x2 = width - 1;
    if (y2 > height - 1) y2 = height - 1;
    const struct rectangle bands[4] = {{x1 - t, y1 - t, x2 + t, y1 + t},
                                       {x1 - t, y2 - t, x2 + t, y2 + t},
                                       {x1 - t, y1 - t, x1 + t, y2 + t},
                                       {x2 - t, y1 - t, x2 + t, y2 + t}};
    for (int i = 0; i < 4; i++) TRY(from_rectangle(&parts[i], bands[i], height, width));
    if (inside) TRY(rle_copy(&parts[n_parts++], inside));
    TRY(rle_merge(rle_out, parts, n_parts, 0));
out:
    for (int i = 0; i < 5; i++) rle_release(&parts[i]);
    return status;
}
