/* Whether the machines of a run have what it will take, asked of all of them before its first step:
 * the same program and configuration, a run directory that all can write to and see, room for the
 * checkpoints, memory, clocks, the bandwidth of every rank. A fault names ranks and machine. */
#ifndef ROBIN_PLAN_PREFLIGHT_H
#define ROBIN_PLAN_PREFLIGHT_H

#include "base/text_buffer.h"
#include "comm/comm.h"
#include "config/run_config.h"

struct preflight_options {
    struct comm *comm;
    const struct run_config *config; /* NULL: only what needs none */
    double clock_s, slow_link;       /* faults.* of the configuration */
};

struct preflight {             /* zeroed is releasable */
    struct text_buffer lines;  /* rank 0: a line for each check, what was found or what is wrong */
    struct text_buffer faults; /* all ranks: what is wrong in one sentence; empty: nothing */
    int64_t n_faults;
};

/* Collective. Creates run_dir, leaves nothing in it. */
enum status preflight_make(struct preflight *preflight, const struct preflight_options *options);
void preflight_release(struct preflight *preflight);

/* Collective. What a job does of it: as faults.preflight says. */
enum status preflight_check(struct comm *comm, const struct run_config *config);

#endif
