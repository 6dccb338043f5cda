/* A run's state to and from checkpoints: weights, moments, where the order stands. Rank 0 alone
 * touches files; the others receive what it read. */
#ifndef ROBIN_TRAIN_RUN_STATE_H
#define ROBIN_TRAIN_RUN_STATE_H

#include <stdbool.h>

#include "base/status.h"
#include "checkpoint/run_checkpoint.h"
#include "train/train_step.h"

/* Collective. First compares the replicas, then writes DIRECTORY/step-N.ckpt. */
enum status run_state_save(const struct train_parts *parts, const char *directory, int64_t keep,
                           const struct run_progress *progress);

/* Collective. Takes weights, moments and progress from the newest whole checkpoint of the
 * directory; *found_out false if there is none. ERR_FORMAT when it is of another model. */
enum status run_state_resume(const struct train_parts *parts, const char *directory,
                             struct run_progress *progress_out, bool *found_out);

/* Collective. Takes weights alone, from a checkpoint file, or the newest of a checkpoint folder or
 * run directory. A module that the file has nothing of keeps its weights, and is named; a module
 * that is there in part, or in another shape, is refused. */
enum status run_state_take_weights(const struct train_parts *parts, const char *path);

#endif
