/* The stages of a curriculum, read and checked as a whole: what each begins with, and where it
 * finds what the stages before it write. */
#ifndef ROBIN_JOBS_CURRICULUM_STAGES_H
#define ROBIN_JOBS_CURRICULUM_STAGES_H

#include <stdint.h>

#include "base/status.h"
#include "config/run_config.h"

struct stage {
    char *name;
    struct run_config config; /* its run_dir, train.init and the corpora of other stages are set */
    const struct config_stage *row;
    const struct stage *teacher; /* the training stage whose weights it begins with; NULL */
    char *said_run_dir;          /* where it would write if it ran alone */
    char hash[17];
    int64_t done;
    double seconds; /* of the call that ended it */
};

struct curriculum_stages { /* zeroed is releasable */
    struct stage *stages;
    int64_t n;
};

/* Reads the stages that `config`, read from `path`, lists, and checks what can be before any runs:
 * names, keys, weights against those of the stage before. A path by which a stage's file names what
 * another stage of this curriculum would write alone (its checkpoints, its corpus, its evaluation)
 * becomes where that stage writes here. ERR_ARGUMENT names stage and key. */
enum status curriculum_stages_read(struct curriculum_stages *all, const struct run_config *config,
                                   const char *path);
/* Of the stages that are not done: corpora and evaluations that they read are there, or an earlier
 * stage writes them. ERR_ARGUMENT names stage and key. */
enum status curriculum_stages_check_inputs(const struct curriculum_stages *all);
void curriculum_stages_release(struct curriculum_stages *all);

#endif
