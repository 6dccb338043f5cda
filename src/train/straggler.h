/* A rank that holds all others up: a synchronous step is as fast as its slowest rank, and nobody
 * sees which that is, since the others only wait. So the ranks' own times are compared now and
 * then. */
#ifndef ROBIN_TRAIN_STRAGGLER_H
#define ROBIN_TRAIN_STRAGGLER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "comm/comm.h"
#include "train/train_step.h"

/* So many times the median makes a straggler. */
#define STRAGGLER_FACTOR 1.2

struct straggler_times {      /* zeroed is empty */
    double seconds[N_PHASES]; /* of this rank, since the last comparison */
    int64_t n_steps;
};

void straggler_add(struct straggler_times *times, const double seconds[N_PHASES]);

struct straggler_found {
    bool compared;            /* false: nothing below is known */
    int rank;                 /* the slowest */
    double busy, median;      /* seconds a step: all phases but the one that waits for others */
    double seconds[N_PHASES]; /* of the slowest, a step */
};

/* Collective. Compares, warns on rank 0 if the slowest is above STRAGGLER_FACTOR times the median
 * (rank, host, where its time goes), and begins anew. A rank alone compares nothing. */
enum status straggler_compare(struct straggler_times *times, struct straggler_found *found_out,
                              struct comm *comm);

#endif
