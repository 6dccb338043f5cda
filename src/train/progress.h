/* What a run tells people (a line now and then, one that lives where stderr is a terminal) and
 * programs (metrics.jsonl, one object a step; event files of TensorBoard if wanted). metrics.md
 * explains the fields. */
#ifndef ROBIN_TRAIN_PROGRESS_H
#define ROBIN_TRAIN_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "model/model_flops.h"
#include "train/straggler.h"
#include "train/task_loss.h"
#include "train/train_step.h"

struct progress;

struct progress_options {
    const char *run_dir;
    int64_t steps_done, total_steps, log_every;
    bool tensorboard;
    bool trainable[N_MODULES];
    double lr[N_MODULES]; /* before the schedule's factor */
    double main_lr;       /* optimizer.lr */
    double peak_flops;    /* per second, of all ranks together; 0: unknown, and no MFU is told */
};

struct progress_step {
    int64_t step; /* counts from 1: steps done */
    int64_t n_tokens, n_targets, n_images, n_regions, n_samples, n_skipped, n_cut;
    int64_t skipped_steps; /* of the run so far */
    uint64_t order_hash;
    const uint64_t *sample_ids; /* [n_samples]; listed for steps that were skipped */
    struct model_flops flops;   /* of all ranks */
    const struct task_loss *task_loss;
    struct straggler_found slowest;
    const struct train_result *result;
    double save_seconds; /* that the run stood still for checkpoints since the step before */
    double wall_seconds; /* since the step before; set by progress_report */
};

/* Rank 0 only. Opens RUN_DIR/metrics.jsonl for appending and drops what it holds of steps after
 * `steps_done`: a run that was killed is resumed from before them. */
enum status progress_open(struct progress **progress_out, const struct progress_options *options);
void progress_close(struct progress *progress);

/* Appends the object; prints a line every log_every steps, and for the first and the last. */
enum status progress_report(struct progress *progress, struct progress_step *step);

#endif
