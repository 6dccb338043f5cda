/* job: train. */
#ifndef ROBIN_JOBS_TRAIN_JOB_H
#define ROBIN_JOBS_TRAIN_JOB_H

#include "comm/comm.h"
#include "config/run_config.h"
#include "jobs/command.h"

/* Collective. Trains as the configuration says, going on from the run directory's newest checkpoint
 * if there is one. ERR_STOPPED when asked to stop; the checkpoint is then written. */
enum status train_job_run(struct comm *comm, const struct run_config *config,
                          struct command_call *call);

#endif
