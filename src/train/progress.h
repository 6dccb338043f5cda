/* What a run tells people (a line now and then) and programs (metrics.jsonl, one object a step). */
#ifndef ROBIN_TRAIN_PROGRESS_H
#define ROBIN_TRAIN_PROGRESS_H

#include <stdint.h>

#include "base/status.h"
#include "train/train_step.h"

struct progress;

struct progress_step {
    int64_t step; /* counts from 1: steps done */
    double lr;    /* of the language model */
    int64_t n_tokens, n_targets, n_images, n_samples, n_skipped, n_cut;
    uint64_t order_hash;
    const uint64_t *sample_ids; /* [n_samples]; listed for steps that were skipped */
    const struct train_result *result;
};

/* Rank 0 only. Opens PATH for appending and drops what it holds of steps after `steps_done`: a run
 * that was killed is resumed from before them. */
enum status progress_open(struct progress **progress_out, const char *path, int64_t steps_done,
                          int64_t total_steps, int64_t log_every);
void progress_close(struct progress *progress);

/* Appends the object; prints a line every log_every steps, and for the first and the last. */
enum status progress_report(struct progress *progress, const struct progress_step *step);

#endif
