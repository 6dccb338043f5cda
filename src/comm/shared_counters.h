/* Whole numbers that all ranks share: rank 0 holds them, any rank changes them at any time, and no
 * other rank takes part (MPI's one-sided operations). For what must not wait for the slowest: which
 * item is next, how much of a budget is spent. Where the MPI library moves one-sided operations
 * only inside its own calls, rank 0 must call it now and then: an own read does. */
#ifndef ROBIN_COMM_SHARED_COUNTERS_H
#define ROBIN_COMM_SHARED_COUNTERS_H

#include <stdint.h>

#include "base/status.h"
#include "comm/comm.h"

struct shared_counters;

/* Collective. n counters, all 0. */
enum status shared_counters_create(struct shared_counters **counters_out, struct comm *comm, int n);
/* Collective: no rank's counters end while another one still uses them. NULL is fine. */
void shared_counters_destroy(struct shared_counters *counters);

/* Not collective, not from two threads at once. *before_out (may be NULL): the value before.
 * Adding 0 reads. */
enum status shared_counters_add(struct shared_counters *counters, int which, int64_t amount,
                                int64_t *before_out);
/* Sets the counter to `wanted` if it is `expected`; *before_out is what it was. */
enum status shared_counters_swap(struct shared_counters *counters, int which, int64_t expected,
                                 int64_t wanted, int64_t *before_out);

#endif
