/* Micro-batches of tens of megabytes come and go with every step. By default each is mapped anew,
 * and every page of it costs a fault; here freed memory is kept for the next one. */
#ifndef ROBIN_BASE_ALLOCATOR_H
#define ROBIN_BASE_ALLOCATOR_H

#include <stddef.h>

/* The C library keeps what is freed: a program's choice, made once in main. It cannot do so for
 * blocks of more than 32 MB, nor for all that other threads than the first one free. */
void allocator_keep_blocks(void);

/* A block of at least `size` bytes at a multiple of 64, not zeroed; NULL where there is no memory.
 * Large ones are those that were given back before, if one of them is not much larger. Any thread
 * may take and give; NULL may be given. */
void *block_take(size_t size);
void block_give(void *block);

#endif
