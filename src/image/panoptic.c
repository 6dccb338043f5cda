/* Every segment's mask in one pass over the picture: each keeps its runs and where its last one
 * ended. */
#include "image/panoptic.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/file.h"
#include "image/image.h"
#include "image/rle_internal.h"

#define N_SLOTS       16384 /* a power of two, 4 times the segments */
#define MAX_FILE_SIZE ((size_t)1 << 28)

struct slot {
    bool used;
    uint32_t id;
    struct run_list runs; /* alternating, ending with the segment's last pixel so far */
};

/* The slot of an id, or the free one where it goes. */
static struct slot *find_slot(struct slot *slots, uint32_t id)
{
    uint32_t at = id * 0x9E3779B1u % N_SLOTS;
    while (slots[at].used && slots[at].id != id) at = (at + 1) % N_SLOTS;
    return &slots[at];
}

static uint32_t id_at(const struct image *image, int64_t position)
{
    int64_t x = position / image->height, y = position % image->height;
    const uint8_t *rgb = image->rgb + (y * image->width + x) * 3;
    return rgb[0] | (uint32_t)rgb[1] << 8 | (uint32_t)rgb[2] << 16;
}

/* Pixels [start, end) in column-major order belong to the slot. */
static void slot_add(struct slot *slot, int64_t start, int64_t end)
{
    run_list_add(&slot->runs, (uint32_t)(start - (int64_t)slot->runs.total));
    run_list_add(&slot->runs, (uint32_t)(end - start));
}

static enum status collect(struct slot *slots, int64_t *n_segments_out, const struct image *image,
                           const char *name)
{
    enum status status = OK;
    int64_t n_pixels = image->height * image->width, n_segments = 0;
    for (int64_t start = 0; start < n_pixels;) {
        uint32_t id = id_at(image, start);
        int64_t end = start + 1;
        while (end < n_pixels && id_at(image, end) == id) end++;
        struct slot *slot = find_slot(slots, id);
        if (!slot->used && ++n_segments > PANOPTIC_MAX_SEGMENTS)
            FAIL(ERR_LIMIT, "%s: more than %d colours; a panoptic PNG has one per segment", name,
                 PANOPTIC_MAX_SEGMENTS);
        slot->used = true;
        slot->id = id;
        slot_add(slot, start, end);
        start = end;
    }
    *n_segments_out = n_segments;
out:
    return status;
}

static int compare_segments(const void *a, const void *b)
{
    uint32_t left = ((const struct panoptic_segment *)a)->id;
    uint32_t right = ((const struct panoptic_segment *)b)->id;
    return left < right ? -1 : left > right;
}

/* Closes every slot's runs and hands them to `panoptic`, sorted. */
static enum status finish(struct panoptic *panoptic, struct slot *slots, int64_t n_segments)
{
    enum status status = OK;
    int64_t n_pixels = panoptic->height * panoptic->width;
    panoptic->segments = calloc((size_t)n_segments, sizeof *panoptic->segments);
    if (!panoptic->segments) FAIL(ERR_MEMORY, "no memory for %" PRId64 " segments", n_segments);
    for (int64_t i = 0; i < N_SLOTS; i++) {
        if (!slots[i].used) continue;
        int64_t rest = n_pixels - (int64_t)slots[i].runs.total;
        if (rest > 0) run_list_add(&slots[i].runs, (uint32_t)rest);
        struct panoptic_segment *segment = &panoptic->segments[panoptic->n_segments];
        segment->id = slots[i].id;
        TRY(run_list_finish(&slots[i].runs, &segment->mask, panoptic->height, panoptic->width));
        panoptic->n_segments++;
    }
    qsort(panoptic->segments, (size_t)n_segments, sizeof *panoptic->segments, compare_segments);
out:
    return status;
}

enum status panoptic_decode(struct panoptic *panoptic_out, const void *bytes, size_t size,
                            const char *name)
{
    enum status status = OK;
    struct image image = {0};
    struct panoptic panoptic = {0};
    struct slot *slots = NULL;
    int64_t n_segments = 0;
    TRY(image_decode(&image, bytes, size, name));
    slots = calloc(N_SLOTS, sizeof *slots);
    if (!slots) FAIL(ERR_MEMORY, "%s: no memory for its segments", name);
    panoptic.height = image.height;
    panoptic.width = image.width;
    TRY(collect(slots, &n_segments, &image, name));
    TRY_WHERE(finish(&panoptic, slots, n_segments), "%s", name);
    *panoptic_out = panoptic;
    panoptic = (struct panoptic){0};
out:
    for (int64_t i = 0; slots && i < N_SLOTS; i++) run_list_release(&slots[i].runs);
    free(slots);
    panoptic_release(&panoptic);
    image_release(&image);
    return status;
}

enum status panoptic_read(struct panoptic *panoptic_out, const char *path)
{
    enum status status = OK;
    unsigned char *bytes = NULL;
    size_t size = 0;
    TRY(file_read(&bytes, &size, path, MAX_FILE_SIZE));
    TRY(panoptic_decode(panoptic_out, bytes, size, path));
out:
    free(bytes);
    return status;
}

void panoptic_release(struct panoptic *panoptic)
{
    for (int64_t i = 0; i < panoptic->n_segments; i++) rle_release(&panoptic->segments[i].mask);
    free(panoptic->segments);
    *panoptic = (struct panoptic){0};
}

const struct rle *panoptic_mask(const struct panoptic *panoptic, uint32_t id)
{
    struct panoptic_segment key = {.id = id};
    const struct panoptic_segment *found =
        panoptic->n_segments == 0 ? NULL
                                  : bsearch(&key, panoptic->segments, (size_t)panoptic->n_segments,
                                            sizeof key, compare_segments);
    return found ? &found->mask : NULL;
}
