/* The loop of a training run: batches, steps, progress, checkpoints, requests to stop. */
#ifndef ROBIN_TRAIN_TRAIN_RUN_H
#define ROBIN_TRAIN_TRAIN_RUN_H

#include "train/loader.h"
#include "train/progress.h"
#include "train/run_saver.h"
#include "train/run_state.h"
#include "train/stop_signals.h"
#include "train/train_step.h"

struct train_run { /* everything borrowed */
    const struct train_parts *parts;
    struct loader *loader;             /* its first step is progress->step */
    struct stop_signals *signals;      /* NULL: nobody asks */
    struct progress *report;           /* rank 0; NULL: says nothing */
    struct task_loss *task_loss;       /* NULL: not wanted */
    const struct model_options *model; /* what trains, for counting operations */
    const char *run_dir;               /* skipped.txt goes there */
    struct run_saver *saver;
    bool ordered; /* the reduction: micro-batches are leaves of one tree */
    int64_t total_steps;
    int64_t stop_after;  /* steps of this call, then a checkpoint and ERR_STOPPED; 0: no limit */
    int64_t save_every;  /* 0: only at the end */
    double max_skipped;  /* share of samples that may have nothing to learn */
    double spike_factor; /* step_verdict.h */
    int64_t max_skipped_steps; /* of the run; one more ends it */
    int64_t straggler_every;   /* steps between comparisons of the ranks; 0: never */
    int64_t profile_steps;     /* recorded after the first (base/trace.h); 0: none */
};

/* Collective. Goes on from *progress until total_steps, and leaves a checkpoint of its last step.
 * ERR_STOPPED when it was asked to stop: that checkpoint is there as well. Statuses are agreed. */
enum status train_run(const struct train_run *run, struct run_progress *progress);

#endif
