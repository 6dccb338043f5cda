/* The loop of job: generate on one rank: items taken, advanced, journalled. */
#ifndef ROBIN_SGEDIT_GENERATE_RUN_H
#define ROBIN_SGEDIT_GENERATE_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "comm/comm.h"
#include "comm/shared_counters.h"
#include "sgedit/item_run.h"
#include "sgedit/journal.h"
#include "sgedit/teacher_limits.h"

/* Counters that all ranks share. */
enum generate_counter {
    COUNT_NEXT,    /* position of the next item to deal */
    COUNT_STOP,    /* not 0: no rank begins another item */
    COUNT_LEFT,    /* ranks that are through */
    COUNT_DONE,    /* items, of this start and earlier ones */
    COUNT_FAILED,  /* items */
    COUNT_REFUSED, /* items that the teacher would not edit or judge */
    COUNT_TOKENS,  /* that drafts are made of */
    COUNT_LIMITS,  /* the first of the teacher's */
    N_GENERATE_COUNTERS = COUNT_LIMITS + TEACHER_LIMIT_COUNTERS
};

struct generate_run {
    struct comm *comm;
    struct item_tools tools;
    struct journal *journal;
    struct shared_counters *counters;
    const char *run_dir;
    int64_t n_items;
    /* Whether the system wants the run to end; NULL: it never does. */
    bool (*stop_wanted)(void *context);
    void *stop_context;
};

/* Collective. Every item that is not final is run. ERR_STOPPED when asked to stop: what was begun
 * is finished and kept. ERR_LIMIT when the budget is spent. Rank 0 tells people how far it is and
 * appends to RUN_DIR/metrics.jsonl. */
enum status generate_run(struct generate_run *run);

#endif
