/* robin-dist CONFIG.yaml [key=value...]: the main job, on every rank. */
#ifndef ROBIN_JOBS_RUN_JOB_H
#define ROBIN_JOBS_RUN_JOB_H

#include "comm/comm.h"
#include "config/run_config.h"
#include "jobs/command.h"

/* Starts MPI, reads the configuration and runs what its `job` says. The first argument is the path
 * of the configuration. Collective over all ranks that were started. */
enum status run_job_command(struct command_call *call);

/* Collective. Runs what the configuration says, but for a curriculum: that is made of such. */
enum status run_single_job(struct comm *comm, const struct run_config *config,
                           struct command_call *call);

#endif
