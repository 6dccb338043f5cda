/* job: evaluate */
#ifndef ROBIN_JOBS_EVALUATE_JOB_H
#define ROBIN_JOBS_EVALUATE_JOB_H

#include "comm/comm.h"
#include "config/run_config.h"

/* Asks the model of train.init about the scenes of evaluate.corpus, prints the table on rank 0 and
 * writes RUN_DIR/evaluation.json. Collective. ERR_DIVERGED naming the first margin that is missed.
 * *started_out: set when a failure is no longer a refusal. */
enum status evaluate_job(struct comm *comm, const struct run_config *config, bool *started_out);

#endif
