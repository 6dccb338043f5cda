/* Replicas of a model on all ranks: kept equal because every rank sums the same gradients and takes
 * the same step; here it is checked that they are. */
#ifndef ROBIN_PARALLEL_REPLICA_H
#define ROBIN_PARALLEL_REPLICA_H

#include <stdint.h>

#include "base/status.h"
#include "comm/comm.h"

/* Collective. ERR_DIVERGED, agreed, naming the first rank whose n floats differ from rank 0's in
 * any bit. `what` is for the sentence. */
enum status replica_check(struct comm *comm, const float *values, int64_t n, const char *what);

#endif
