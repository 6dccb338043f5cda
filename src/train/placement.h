/* Where the ranks of a run are: hosts, processors they may use, threads they start. Too many
 * threads on too few processors, or all ranks bound to one of them, are the commonest reasons for a
 * run that is slow for no reason. */
#ifndef ROBIN_TRAIN_PLACEMENT_H
#define ROBIN_TRAIN_PLACEMENT_H

#include <stdint.h>

#include "base/status.h"
#include "comm/comm.h"

/* Collective. Rank 0 prints a line for each set of ranks with the same host, processors and NUMA
 * nodes, and says where their computing threads are more than the processors. */
enum status placement_print(struct comm *comm, int64_t threads);

/* "0-3,8": the numbers of the set bits of a [n] table of 0 and 1, to free(). */
char *placement_ranges(const unsigned char *set, int n);

#endif
