/* job: curriculum: stages one after the other as one job that can be stopped anywhere. */
#ifndef ROBIN_JOBS_CURRICULUM_JOB_H
#define ROBIN_JOBS_CURRICULUM_JOB_H

#include "comm/comm.h"
#include "config/run_config.h"
#include "jobs/command.h"

/* Collective. Reads and checks all stages first: what can be refused is refused before any of them
 * runs, also a stage whose weights or corpora no stage before it can give. Stage NAME works in
 * RUN_DIR/NAME and begins with the newest weights of the training stage before it;
 * RUN_DIR/curriculum.json says which are done. Those are passed over when the same command is given
 * again, and a stage that was stopped or killed goes on from its checkpoint or its journal.
 * ERR_STOPPED as the stage that was stopped. */
enum status curriculum_job_run(struct comm *comm, const struct run_config *config,
                               struct command_call *call);

#endif
