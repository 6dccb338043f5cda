/* From a configuration to the job that it describes. */
#include "jobs/run_job.h"

#include "comm/comm.h"
#include "config/run_config.h"
#include "jobs/evaluate_job.h"
#include "jobs/train_job.h"

enum status run_job_command(struct command_call *call)
{
    enum status status = OK;
    struct comm *comm = NULL;
    struct run_config config = {0};
    TRY(comm_create(&comm, NULL));
    const char *const *overrides = (const char *const *)call->arguments + 1;
    status = run_config_load(&config, call->arguments[0], overrides, call->n_arguments - 1);
    TRY(comm_agree(comm, status));
    switch ((enum config_job)config.job) {
    case CONFIG_JOB_TRAIN: TRY(train_job_run(comm, &config, call)); break;
    case CONFIG_JOB_EVALUATE: TRY(evaluate_job(comm, &config, &call->started)); break;
    }
out:
    run_config_release(&config);
    comm_destroy(comm);
    return status;
}
