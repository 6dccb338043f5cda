/* Run lengths and their two outer forms: COCO's compressed string and the plain mask. */
#include "image/rle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/text_buffer.h"
#include "image/rle_internal.h"

void rle_release(struct rle *rle)
{
    free(rle->runs);
    *rle = (struct rle){0};
}

enum status rle_check_size(int64_t height, int64_t width)
{
    enum status status = OK;
    if (height < 0 || width < 0)
        FAIL(ERR_FORMAT, "a mask of %" PRId64 " x %" PRId64 " pixels: sizes are >= 0", width,
             height);
    if (height > 0 && width > RLE_MAX_PIXELS / height)
        FAIL(ERR_LIMIT,
             "a mask of %" PRId64 " x %" PRId64 " pixels is beyond the limit of %" PRId64 " pixels",
             width, height, RLE_MAX_PIXELS);
out:
    return status;
}

void run_list_add(struct run_list *list, uint32_t run)
{
    if (list->n == list->capacity) {
        int64_t capacity = list->capacity ? 2 * list->capacity : 64;
        uint32_t *grown = realloc(list->runs, (size_t)capacity * sizeof *grown);
        if (!grown) {
            list->out_of_memory = true;
            return;
        }
        list->runs = grown;
        list->capacity = capacity;
    }
    list->runs[list->n++] = run;
    list->total += run;
}

void run_list_release(struct run_list *list)
{
    free(list->runs);
    *list = (struct run_list){0};
}

enum status run_list_finish(struct run_list *list, struct rle *rle_out, int64_t height,
                            int64_t width)
{
    enum status status = OK;
    if (list->out_of_memory) FAIL(ERR_MEMORY, "no memory for more than %" PRId64 " runs", list->n);
    if (list->total != (uint64_t)(height * width))
        FAIL(ERR_FORMAT,
             "the runs of a mask cover %" PRIu64 " pixels where %" PRId64 " x %" PRId64
             " must be covered",
             list->total, width, height);
    *rle_out = (struct rle){height, width, list->n, list->runs};
    *list = (struct run_list){0};
out:
    run_list_release(list);
    return status;
}

/* One number: groups of 5 bits, least first, bit 5 saying that another follows, bit 4 of the last
 * group being the sign; 48 is added to each. */
static enum status read_number(int64_t *number_out, size_t *at, const char *counts, size_t length)
{
    enum status status = OK;
    int64_t value = 0;
    int shift = 0;
    for (;;) {
        if (*at == length) FAIL(ERR_FORMAT, "a mask's counts end inside a number");
        int code = (unsigned char)counts[*at] - 48;
        if (code < 0 || code > 63)
            FAIL(ERR_FORMAT, "a mask's counts hold byte 0x%02x at %zu, which is no part of a run",
                 (unsigned)(unsigned char)counts[*at], *at);
        /* A run and a difference of runs fit in 33 bits and a sign: 7 groups. */
        if (shift > 30)
            FAIL(ERR_FORMAT, "a mask's counts hold a number beyond 32 bits at %zu", *at);
        value |= (int64_t)(code & 31) << shift;
        shift += 5;
        (*at)++;
        if (code & 32) continue;
        if (code & 16) value -= (int64_t)1 << shift;
        break;
    }
    *number_out = value;
out:
    return status;
}

enum status rle_from_string(struct rle *rle_out, const char *counts, size_t length, int64_t height,
                            int64_t width)
{
    enum status status = OK;
    struct run_list list = {0};
    TRY(rle_check_size(height, width));
    uint64_t n_pixels = (uint64_t)(height * width);
    for (size_t at = 0; at < length;) {
        int64_t run = 0;
        TRY(read_number(&run, &at, counts, length));
        /* From the fourth run on, the difference to the run two before is stored. */
        if (list.n > 2) run += list.runs[list.n - 2];
        if (run < 0 || (uint64_t)run > n_pixels - list.total)
            FAIL(ERR_FORMAT,
                 "run %" PRId64 " of a mask is %" PRId64 " pixels where 0 .. %" PRIu64 " are left",
                 list.n, run, n_pixels - list.total);
        run_list_add(&list, (uint32_t)run);
        if (list.out_of_memory) break;
    }
    TRY(run_list_finish(&list, rle_out, height, width));
out:
    run_list_release(&list);
    return status;
}

char *rle_to_string(const struct rle *rle)
{
    struct text_buffer text = {0};
    for (int64_t i = 0; i < rle->n_runs; i++) {
        int64_t value = rle->runs[i];
        if (i > 2) value -= rle->runs[i - 2];
        bool more = true;
        while (more) {
            int group = (int)(value & 31);
            value >>= 5;
            more = (group & 16) ? value != -1 : value != 0;
            text_append_char(&text, (char)((more ? group | 32 : group) + 48));
        }
    }
    return text_take(&text);
}

enum status rle_from_runs(struct rle *rle_out, const uint32_t *runs, int64_t n_runs, int64_t height,
                          int64_t width)
{
    enum status status = OK;
    struct run_list list = {0};
    TRY(rle_check_size(height, width));
    for (int64_t i = 0; i < n_runs && !list.out_of_memory; i++) run_list_add(&list, runs[i]);
    TRY(run_list_finish(&list, rle_out, height, width));
out:
    run_list_release(&list);
    return status;
}

enum status rle_copy(struct rle *rle_out, const struct rle *rle)
{
    return rle_from_runs(rle_out, rle->runs, rle->n_runs, rle->height, rle->width);
}

enum status rle_from_mask(struct rle *rle_out, const uint8_t *mask, int64_t height, int64_t width)
{
    enum status status = OK;
    struct run_list list = {0};
    TRY(rle_check_size(height, width));
    bool inside = false;
    uint32_t run = 0;
    for (int64_t x = 0; x < width && !list.out_of_memory; x++)
        for (int64_t y = 0; y < height; y++) {
            if ((mask[y * width + x] != 0) != inside) {
                run_list_add(&list, run);
                run = 0;
                inside = !inside;
            }
            run++;
        }
    if (run > 0) run_list_add(&list, run);
    TRY(run_list_finish(&list, rle_out, height, width));
out:
    run_list_release(&list);
    return status;
}

void rle_to_mask(uint8_t *mask, const struct rle *rle)
{
    memset(mask, 0, (size_t)(rle->height * rle->width));
    int64_t position = 0;
    for (int64_t i = 0; i < rle->n_runs; i++) {
        int64_t end = position + rle->runs[i];
        if (i % 2 == 1) {
            int64_t x = position / rle->height, y = position % rle->height;
            for (int64_t left = end - position; left > 0; left--) {
                mask[y * rle->width + x] = 1;
                if (++y == rle->height) y = 0, x++;
            }
        }
        position = end;
    }
    ASSERT(position == rle->height * rle->width, "runs cover %" PRId64 " pixels", position);
}
