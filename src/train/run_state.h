/* A run's state from checkpoints: weights, moments, where the order stands. Every rank reads what
 * it holds, whatever ranks wrote it. run_saver.h writes. */
#ifndef ROBIN_TRAIN_RUN_STATE_H
#define ROBIN_TRAIN_RUN_STATE_H

#include <stdbool.h>

#include "base/status.h"
#include "checkpoint/run_checkpoint.h"
#include "train/train_step.h"

/* Collective. Takes weights, moments and progress from the newest whole checkpoint of the
 * directory, and says why it passed over newer ones; *found_out false if there is none. ERR_FORMAT
 * when it is of another model, ERR_UNSUPPORTED when of a newer program. */
enum status run_state_resume(const struct train_parts *parts, const char *directory,
                             struct run_progress *progress_out, bool *found_out);

/* Collective. ERR_FORMAT naming the first weight that is not finite, and its rank. `where` says
 * what holds it. */
enum status run_state_check_weights(const struct train_parts *parts, const char *where);
/* Collective. The same without a sentence. */
enum status run_state_weights_finite(const struct train_parts *parts, bool *finite_out);

struct run_start {
    const char *path;        /* a checkpoint, or the newest of a folder or run directory */
    bool modules[N_MODULES]; /* taken from it; the others are left alone */
    bool missing_stays;      /* parameters that it lacks are left alone; else they are refused */
    bool *taken;             /* of each of the model's parameters: set where it was taken */
};

/* Collective. Takes weights alone. A parameter of another shape is refused by name. */
enum status run_state_take_weights(const struct train_parts *parts, const struct run_start *start);

#endif
