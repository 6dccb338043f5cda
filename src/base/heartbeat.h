/* A count that moves while this process does anything: whoever watches it knows work from a hang.
 */
#ifndef ROBIN_BASE_HEARTBEAT_H
#define ROBIN_BASE_HEARTBEAT_H

#include <stdint.h>

/* Called by what may last long: each loop of a thread pool, each piece of a file. Any thread. */
void heartbeat_beat(void);
/* Beats so far. */
uint64_t heartbeat_count(void);

#endif
