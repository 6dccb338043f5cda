/* A table of kernels with its device, for tests that call operations themselves: buffers are in the
 * kernels' memory, tensors in the table's type. Everything is asserted. */
#ifndef ROBIN_TESTS_TABLE_RUN_H
#define ROBIN_TESTS_TABLE_RUN_H

#include <stdbool.h>

#include "kernels.h"

#define TABLE_RUN_BUFFERS 256

struct table_run {
    const struct kernels *kernels;
    struct device *device;
    struct stream *stream;
    void *buffers[TABLE_RUN_BUFFERS]; /* [n], given back at the end */
    int n;
};

/* False where this build has no table of that name. */
bool table_run_init(struct table_run *run, const char *name, int n_threads);
void table_run_release(struct table_run *run);

/* Buffers: uninitialised; a copy of `bytes`; of n floats, rounded to the table's type. */
void *table_take(struct table_run *run, size_t bytes);
void *table_send(struct table_run *run, const void *from, size_t bytes);
void *table_send_tensor(struct table_run *run, const float *from, int64_t n);
/* To the host, after waiting. */
void table_read(struct table_run *run, void *to, const void *from, size_t bytes);
/* All buffers taken after the first `n` are given back. */
void table_rewind(struct table_run *run, int n);

#endif
