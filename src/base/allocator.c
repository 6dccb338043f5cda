#include "base/allocator.h"

#include <limits.h>
#include <malloc.h>

#define LARGEST_KEPT (32 << 20) /* glibc accepts no higher threshold for mapping */

void allocator_keep_blocks(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT);
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
#endif
}
