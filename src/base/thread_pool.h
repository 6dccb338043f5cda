/* A fixed set of threads for data-parallel loops. The split of a loop never depends on the number
 * of threads where a result could: callers cut work into fixed blocks and the pool only decides who
 * does which. */
#ifndef ROBIN_BASE_THREAD_POOL_H
#define ROBIN_BASE_THREAD_POOL_H

#include <stdint.h>

#include "base/status.h"

struct thread_pool;

/* `n_threads` >= 1 counts the caller, who works too: 1 starts no thread. */
enum status thread_pool_create(struct thread_pool **pool_out, int n_threads);
void thread_pool_destroy(struct thread_pool *pool);
int thread_pool_size(const struct thread_pool *pool);

/* Calls body(argument, block, worker) once for every block 0 .. n_blocks-1, worker in 0 .. size-1
 * being the thread that runs it; returns when all are done. One loop at a time per pool; not to be
 * called from a body. A NULL pool runs everything on the caller. */
void thread_pool_run(struct thread_pool *pool, int64_t n_blocks,
                     void (*body)(void *argument, int64_t block, int worker), void *argument);

#endif
