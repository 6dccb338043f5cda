/* How the C library treats freed memory: a program's choice, made once in main. */
#ifndef ROBIN_BASE_ALLOCATOR_H
#define ROBIN_BASE_ALLOCATOR_H

/* Micro-batches of tens of megabytes come and go with every step. By default each is mapped anew,
 * and every page of it costs a fault; from here on freed blocks are kept for the next one. */
void allocator_keep_blocks(void);

#endif
