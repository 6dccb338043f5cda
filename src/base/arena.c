/* A bump allocator that can also only count. See arena.h. */
#include "base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/assertion.h"

#define LARGE ((uintptr_t)4 << 20)

/* Rows of a matrix that lie pages apart cost a miss of the address tables each: large memory asks
 * for large pages. The system may decline; then it is as it was. */
static void want_large_pages(unsigned char *base, size_t bytes)
{
#ifdef MADV_HUGEPAGE
    const uintptr_t page = 4096, begin = ((uintptr_t)base + page - 1) / page * page;
    const uintptr_t end = ((uintptr_t)base + bytes) / page * page;
    if (end > begin + LARGE) (void)madvise((void *)begin, end - begin, MADV_HUGEPAGE);
#endif
}

void arena_init_measuring(struct arena *arena)
{
    *arena = (struct arena){.measuring = true};
}

enum status arena_init(struct arena *arena, size_t capacity)
{
    enum status status = OK;
    *arena = (struct arena){0};
    if (capacity > SIZE_MAX - ARENA_ALIGNMENT)
        FAIL(ERR_MEMORY, "an arena of %zu bytes is beyond the address space", capacity);
    size_t rounded = (capacity + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
    unsigned char *base = aligned_alloc(ARENA_ALIGNMENT, rounded ? rounded : ARENA_ALIGNMENT);
    if (base == NULL)
        FAIL(ERR_MEMORY,
             "cannot take %zu bytes (%.2f GiB) of memory; free some or make the job smaller",
             capacity, (double)capacity / (1024.0 * 1024.0 * 1024.0));
    want_large_pages(base, rounded);
    *arena = (struct arena){.base = base, .capacity = rounded, .owned = true};
out:
    return status;
}

void arena_init_over(struct arena *arena, void *base, size_t capacity)
{
    ASSERT((uintptr_t)base % ARENA_ALIGNMENT == 0, "arena memory at %p is not aligned to %d", base,
           ARENA_ALIGNMENT);
    *arena = (struct arena){.base = base, .capacity = capacity};
}

void arena_release(struct arena *arena)
{
    if (arena->owned) free(arena->base);
    *arena = (struct arena){0};
}

void *arena_take(struct arena *arena, size_t bytes)
{
    ASSERT(bytes <= SIZE_MAX - ARENA_ALIGNMENT - arena->used, "%zu + %zu bytes overflow",
           arena->used, bytes);
    size_t start = arena->used;
    size_t rounded = (bytes + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
    size_t end = start + rounded;
    ASSERT(arena->measuring || end <= arena->capacity,
           "the arena of %zu bytes has %zu in use and %zu more were asked for", arena->capacity,
           start, bytes);
    arena->used = end;
    if (end > arena->peak) arena->peak = end;
    return arena->measuring ? NULL : arena->base + start;
}

size_t arena_mark(const struct arena *arena)
{
    return arena->used;
}

void arena_rewind(struct arena *arena, size_t mark)
{
    ASSERT(mark <= arena->used, "mark %zu is above the %zu bytes in use", mark, arena->used);
    arena->used = mark;
}

size_t size_multiply(size_t n, size_t size)
{
    size_t product;
    ASSERT(!__builtin_mul_overflow(n, size, &product), "%zu * %zu bytes overflow", n, size);
    return product;
}
