/* robin-dist CONFIG.yaml [key=value...]: the main job, on every rank. */
#ifndef ROBIN_JOBS_RUN_JOB_H
#define ROBIN_JOBS_RUN_JOB_H

#include "jobs/command.h"

/* Starts MPI, reads the configuration and runs what its `job` says. The first argument is the path
 * of the configuration. Collective over all ranks that were started. */
enum status run_job_command(struct command_call *call);

#endif
