/* Bins filled one after another: the first thing left, then those of the rest that together come
 * nearest to what the bin holds (minimum bin slack, Gupta and Ho 1999), by a search in depth. What
 * longest-first leaves uneven, where few things share a bin, this often makes even. */
#ifndef ROBIN_TRAIN_PARTITION_FILL_H
#define ROBIN_TRAIN_PARTITION_FILL_H

#include <stdint.h>

/* Things 0 .. n - 1 of cost [n] into n_bins of `capacity`; the last bin takes what is left, however
 * much, and the first thing left goes into the next bin even where it is larger. Usually costs
 * fall; another order gives another result. Writes bin_of [n]; returns the fullest bin's load. */
double partition_fill(int64_t *bin_of, const double *cost, int64_t n, int64_t n_bins,
                      double capacity);

#endif
