/* How far a result may be from the specification: one table, by data type and by the number of
 * terms that are summed into one element. */
#ifndef ROBIN_TESTS_SUPPORT_TOLERANCE_H
#define ROBIN_TESTS_SUPPORT_TOLERANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "dims.h"

/* The terms of an element that is only moved, or whose rounding is part of the specification: no
 * difference at all is allowed. */
#define TOLERANCE_EXACT 0

/* The largest allowed difference as a share of the tensor's magnitude (its largest absolute
 * element). `terms` >= 1: terms summed into one element, 1 for operations element by element. */
double tolerance_relative(enum dtype dtype, int64_t terms);

/* What a comparison found. */
struct tolerance_result {
    bool passed;
    int64_t worst; /* index of the largest difference; -1 if there is no element */
    double error;  /* that difference; infinity where exactly one side is NaN */
    double bound;  /* what was allowed */
    double got, want;
};

/* Compares n elements of `got` with `want`: F32, F64, or, of dtype BF16, fp32 that was rounded. The
 * bound is tolerance_relative(dtype, terms) * max(magnitude, max |want|); with TOLERANCE_EXACT it
 * is 0. `magnitude` is for results that cancel: the size of what cancels; else 0. */
struct tolerance_result tolerance_compare(const void *got, const void *want, int64_t n,
                                          enum dtype dtype, int64_t terms, double magnitude);

#endif
