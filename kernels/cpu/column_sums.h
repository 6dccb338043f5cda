/* The second half of a deterministic weight gradient: rows were summed per fixed block into partial
 * sums, which are now added up block after block, in double, each column by one thread. */
#ifndef ROBIN_KERNELS_CPU_COLUMN_SUMS_H
#define ROBIN_KERNELS_CPU_COLUMN_SUMS_H

#include <stdint.h>

struct stream;

struct column_sums {
    float *out;           /* [columns], added to */
    const float *partial; /* block b's sums are partial[b * stride + 0 .. columns-1] */
    int64_t blocks, stride, columns;
};

void column_sums_add(struct column_sums *sums, struct stream *stream);

#endif
