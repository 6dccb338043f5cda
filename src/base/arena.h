/* Memory taken once and handed out in order. The same layout code runs twice: over a measuring
 * arena (base NULL, nothing is handed out, the peak is counted) and over a real one of that size:
 * so the plan and the use cannot differ. */
#ifndef ROBIN_BASE_ARENA_H
#define ROBIN_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

#define ARENA_ALIGNMENT 64

struct arena {
    unsigned char *base; /* NULL while measuring */
    size_t capacity;     /* 0 while measuring */
    size_t used;
    size_t peak;
    bool measuring;
    bool owned; /* base is ours to free */
};

/* An arena that only counts. */
void arena_init_measuring(struct arena *arena);

/* Takes `capacity` bytes, aligned to ARENA_ALIGNMENT, not zeroed. ERR_MEMORY with the size in the
 * sentence. */
enum status arena_init(struct arena *arena, size_t capacity);

/* Uses memory of the caller (device memory, say), aligned to ARENA_ALIGNMENT; arena_release leaves
 * it alone. */
void arena_init_over(struct arena *arena, void *base, size_t capacity);

void arena_release(struct arena *arena);

/* `bytes` aligned to ARENA_ALIGNMENT. Measuring: returns NULL and counts. Else never NULL: running
 * out is our error (the plan was wrong) and asserts. */
void *arena_take(struct arena *arena, size_t bytes);

/* Stack discipline: everything taken since the mark is given back. */
size_t arena_mark(const struct arena *arena);
void arena_rewind(struct arena *arena, size_t mark);

/* n * size, asserting that it does not overflow. */
size_t size_multiply(size_t n, size_t size);

#endif
