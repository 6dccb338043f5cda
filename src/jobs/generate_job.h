/* job: generate. */
#ifndef ROBIN_JOBS_GENERATE_JOB_H
#define ROBIN_JOBS_GENERATE_JOB_H

#include <stdbool.h>

#include "comm/comm.h"
#include "config/run_config.h"
#include "jobs/command.h"

/* Keys that need each other. ERR_ARGUMENT. */
enum status generate_job_check(const struct run_config *config);
/* Whether the model of train.init drafts or judges. */
bool generate_job_needs_model(const struct run_config *config);

/* Collective. Drafts, edits and filters a graph for every record of generate.corpus and writes the
 * new corpus; goes on with what the run directory's journal has. ERR_STOPPED when asked to stop. */
enum status generate_job_run(struct comm *comm, const struct run_config *config,
                             struct command_call *call);

#endif
