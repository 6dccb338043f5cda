#include "base/heartbeat.h"

#include <stdatomic.h>

static atomic_uint_least64_t beats;

void heartbeat_beat(void)
{
    atomic_fetch_add_explicit(&beats, 1, memory_order_relaxed);
}

uint64_t heartbeat_count(void)
{
    return atomic_load_explicit(&beats, memory_order_relaxed);
}
