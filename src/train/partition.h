/* Things of unequal cost into bins of equal load: longest first into the least loaded (Graham
 * 1969), then exchanges of one or two things between two bins while that lowers the fuller of them,
 * the fullest first. Where they leave it far from the least possible the same from other beginnings
 * (partition_fill.h), the best of all. A pure function of its arguments. */
#ifndef ROBIN_TRAIN_PARTITION_H
#define ROBIN_TRAIN_PARTITION_H

#include <stdbool.h>
#include <stdint.h>

struct partition {
    const double *cost; /* [n] */
    int64_t n;
    int64_t n_bins;
    int64_t
        *bin_of;  /* [n]: written; on entry -1 for things that stay out, anything else is dealt */
    double *load; /* [n_bins]: written */

    /* Whether thing `in` may join `bin` when thing `out` has left it (-1: none leaves, or none
     * joins). NULL: any. */
    bool (*fits)(void *context, int64_t bin, int64_t in, int64_t out);
    /* Told of every thing that joins a bin (+1) or leaves it (-1); NULL: nobody is. */
    void (*moved)(void *context, int64_t bin, int64_t thing, int sign);
    void *context;
};

/* False if a thing fits in no bin. */
bool partition_make(struct partition *partition);

/* No partition's fullest bin is below this: the mean, the dearest thing, and what must share a bin
 * when there are more dear things than bins. */
double partition_bound(const double *cost, const int64_t *bin_of, int64_t n, int64_t n_bins);

#endif
