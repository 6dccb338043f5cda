/* From a configuration to the job that it describes. */
#include "jobs/run_job.h"

#include "jobs/curriculum_job.h"
#include "jobs/evaluate_job.h"
#include "jobs/train_job.h"

enum status run_single_job(struct comm *comm, const struct run_config *config,
                           struct command_call *call)
{
    switch ((enum config_job)config->job) {
    case CONFIG_JOB_TRAIN: return train_job_run(comm, config, call);
    case CONFIG_JOB_EVALUATE: return evaluate_job(comm, config, &call->started);
    case CONFIG_JOB_CURRICULUM: break;
    }
    return status_fail(ERR_ARGUMENT, "job curriculum cannot be part of another job");
}

enum status run_job_command(struct command_call *call)
{
    enum status status = OK;
    struct comm *comm = NULL;
    struct run_config config = {0};
    TRY(comm_create(&comm, NULL));
    const char *const *overrides = (const char *const *)call->arguments + 1;
    status = run_config_load(&config, call->arguments[0], overrides, call->n_arguments - 1);
    TRY(comm_agree(comm, status));
    comm_set_timeout(comm, config.faults.watchdog_s);
    if (config.job == CONFIG_JOB_CURRICULUM)
        TRY(curriculum_job_run(comm, &config, call));
    else
        TRY(run_single_job(comm, &config, call));
out:
    run_config_release(&config);
    comm_end(comm, status);
    return status;
}
