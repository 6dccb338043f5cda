/* A small state saved as a run of several ranks saves it, rank after rank in one process: for tests
 * of what must hold whatever the disk does. */
#ifndef ROBIN_TESTS_SAVED_STATE_H
#define ROBIN_TESTS_SAVED_STATE_H

#include "checkpoint/checkpoint_commit.h"
#include "checkpoint/run_checkpoint.h"

struct saved_run {
    const struct file_layer *layer; /* NULL: the system's */
    const char *directory;
    int n_ranks; /* 1 to 4 */
    struct checkpoint_keep keep;
    uint64_t file_bytes; /* of a data file, at most; 0: the default */
};

/* As checkpoint_saver does, in its order, with its sentences: "checkpoint of step 2 is not written:
 * ...". */
enum status saved_state_save(const struct saved_run *run, int64_t step);

struct run_progress saved_state_progress(int64_t step);
/* Whether the checkpoint holds exactly what saved_state_save put there for its step. */
int saved_state_is(const struct run_checkpoint *checkpoint, int64_t step);

#endif
