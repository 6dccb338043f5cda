/* Cutting a loop into blocks whose sizes depend on dims alone, so that results cannot depend on who
 * runs which. */
#ifndef ROBIN_KERNELS_CPU_BLOCKS_H
#define ROBIN_KERNELS_CPU_BLOCKS_H

#include <stdint.h>

#include "base/thread_pool.h"
#include "device/stream.h"

/* Elements of one block: some 5 microseconds of work, what waking a thread costs. Loops of one
 * block run on the caller alone. */
#define BLOCK_ELEMENTS       16384 /* with an exp, a root or a division for each */
#define LIGHT_BLOCK_ELEMENTS 65536 /* moved, added, multiplied */

static inline int64_t ceil_divide(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Rows of `c` elements that make a block. */
static inline int64_t block_rows(int64_t c)
{
    return larger(1, BLOCK_ELEMENTS / larger(1, c));
}

static inline int64_t light_block_rows(int64_t c)
{
    return larger(1, LIGHT_BLOCK_ELEMENTS / larger(1, c));
}

/* For loops whose blocks are smaller than that because their sums need it: the pool, or NULL (the
 * caller alone) when all `elements` together are no more than one light block. */
static inline struct thread_pool *pool_for(struct stream *stream, int64_t elements)
{
    return elements > LIGHT_BLOCK_ELEMENTS ? stream->pool : NULL;
}

/* Calls body for each block of `size` out of `n` items. */
static inline void run_blocks(struct stream *stream, int64_t n, int64_t size,
                              void (*body)(void *argument, int64_t block, int worker),
                              void *argument)
{
    thread_pool_run(stream->pool, ceil_divide(n, size), body, argument);
}

#endif
