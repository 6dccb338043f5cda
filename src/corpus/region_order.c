/* See region_order.h. */
#include "corpus/region_order.h"

#include <stdbool.h>

int64_t region_order_fewest(int64_t n, double share)
{
    const int64_t fewest = (int64_t)(share * (double)n);
    return fewest < 1 ? 1 : fewest;
}

int64_t region_order(int64_t *order, enum region_order kind, const double *areas, int64_t n,
                     const int64_t *shuffled, int64_t n_kept)
{
    const bool shuffles = kind == REGION_ORDER_SHUFFLE || kind == REGION_ORDER_SHUFFLE_AND_TRUNCATE;
    for (int64_t i = 0; i < n; i++) {
        int64_t at = i;
        /* insertion keeps the order of equals */
        for (; kind == REGION_ORDER_BY_SIZE && at > 0 && areas[order[at - 1]] < areas[i]; at--)
            order[at] = order[at - 1];
        order[at] = shuffles ? shuffled[i] : i;
    }
    const bool cuts = kind == REGION_ORDER_TRUNCATE || kind == REGION_ORDER_SHUFFLE_AND_TRUNCATE;
    return cuts && n_kept < n ? n_kept : n;
}
