/* Region augmentation of the reference: which regions of a picture are shown, in which order. */
#ifndef ROBIN_CORPUS_REGION_ORDER_H
#define ROBIN_CORPUS_REGION_ORDER_H

#include <stdint.h>

enum region_order {
    REGION_ORDER_NONE,
    REGION_ORDER_SHUFFLE,
    REGION_ORDER_TRUNCATE, /* the first ones: at least a share of them */
    REGION_ORDER_SHUFFLE_AND_TRUNCATE,
    REGION_ORDER_BY_SIZE /* the largest box first */
};

/* Fewest of n regions that stay: max(1, (int)(share * n)). */
int64_t region_order_fewest(int64_t n, double share);

/* Fills order [n] with indices and returns how many stay. `areas` [n] in any unit; `shuffled` [n]
 * is a drawn order of 0 .. n-1, n_kept a drawn number fewest .. n; each is read where `kind` needs
 * it. */
int64_t region_order(int64_t *order, enum region_order kind, const double *areas, int64_t n,
                     const int64_t *shuffled, int64_t n_kept);

#endif
