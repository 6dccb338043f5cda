/* A growing list of runs, shared by everything here that makes a mask: not for other folders. */
#ifndef ROBIN_IMAGE_RLE_INTERNAL_H
#define ROBIN_IMAGE_RLE_INTERNAL_H

#include <stdbool.h>

#include "image/rle.h"

struct run_list { /* zeroed is empty and releasable */
    uint32_t *runs;
    int64_t n, capacity;
    uint64_t total; /* pixels covered so far */
    bool out_of_memory;
};
void run_list_add(struct run_list *list, uint32_t run);
void run_list_release(struct run_list *list);
/* Hands the runs over as a mask of that size, or says what is wrong with them; the list is empty
 * afterwards. */
enum status run_list_finish(struct run_list *list, struct rle *rle_out, int64_t height,
                            int64_t width);

/* Refuses negative sizes and those beyond RLE_MAX_PIXELS. */
enum status rle_check_size(int64_t height, int64_t width);

#endif
