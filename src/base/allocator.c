#include "base/allocator.h"

#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#define LARGEST_KEPT (32 << 20) /* glibc accepts no higher threshold for mapping */

void allocator_keep_blocks(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT);
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
#endif
}

/* Smaller blocks are the C library's. */
#define SMALLEST_KEPT ((size_t)1 << 20)
/* Blocks that are kept at most: the micro-batches under way have several each. Under a sanitizer
 * none, or it would not see who uses a block that was given back. */
#ifdef __SANITIZE_ADDRESS__
enum { MAX_KEPT = 0 };
#else
enum { MAX_KEPT = 24 };
#endif

/* Before each block. */
struct header {
    _Alignas(64) struct header *next; /* of those that are kept: the one given back before it */
    size_t size;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct header *kept; /* last given first */
static int n_kept;

/* The smallest kept block that holds `size` and is not twice as large, taken out; NULL if none. */
static struct header *take_kept(size_t size)
{
    struct header **best = NULL;
    pthread_mutex_lock(&lock);
    for (struct header **at = &kept; *at != NULL; at = &(*at)->next)
        if ((*at)->size >= size && (*at)->size / 2 <= size &&
            (best == NULL || (*at)->size < (*best)->size))
            best = at;
    struct header *found = best != NULL ? *best : NULL;
    if (found != NULL) {
        *best = found->next;
        n_kept--;
    }
    pthread_mutex_unlock(&lock);
    return found;
}

void *block_take(size_t size)
{
    if (size > SIZE_MAX - 2 * sizeof(struct header)) return NULL;
    const size_t whole = (size + sizeof(struct header) - 1) / sizeof(struct header);
    struct header *header = size >= SMALLEST_KEPT ? take_kept(size) : NULL;
    if (header == NULL) {
        header = aligned_alloc(sizeof *header, (whole + 1) * sizeof *header);
        if (header == NULL) return NULL;
        header->size = size;
    }
    return header + 1;
}

void block_give(void *block)
{
    if (block == NULL) return;
    struct header *header = (struct header *)block - 1, *out = header;
    if (header->size >= SMALLEST_KEPT && MAX_KEPT > 0) {
        pthread_mutex_lock(&lock);
        header->next = kept;
        kept = header;
        out = NULL;
        if (++n_kept > MAX_KEPT) { /* the one given first goes */
            struct header **last = &kept;
            while ((*last)->next != NULL) last = &(*last)->next;
            out = *last;
            *last = NULL;
            n_kept--;
        }
        pthread_mutex_unlock(&lock);
    }
    free(out);
}
