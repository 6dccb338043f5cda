/* From a configuration to the job that it describes. */
#include "jobs/run_job.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "jobs/curriculum_job.h"
#include "jobs/evaluate_job.h"
#include "jobs/generate_job.h"
#include "jobs/train_job.h"

enum status run_single_job(struct comm *comm, const struct run_config *config,
                           struct command_call *call)
{
    switch ((enum config_job)config->job) {
    case CONFIG_JOB_TRAIN: return train_job_run(comm, config, call);
    case CONFIG_JOB_EVALUATE: return evaluate_job(comm, config, &call->started);
    case CONFIG_JOB_GENERATE: return generate_job_run(comm, config, call);
    case CONFIG_JOB_CURRICULUM: break;
    }
    return status_fail(ERR_ARGUMENT, "job curriculum cannot be part of another job");
}

/* The arguments behind the configuration, "--profile N" (or "--profile=N") as the key it stands
 * for; to free() with its texts. */
static char **overrides_of(const struct command_call *call, int *n_out)
{
    static const char option[] = "--profile";
    const size_t length = sizeof option - 1;
    char **overrides = memory_new((size_t)call->n_arguments + 1, sizeof *overrides);
    int n = 0;
    for (int i = 1; i < call->n_arguments; i++) {
        const char *text = call->arguments[i], *steps = NULL;
        if (strncmp(text, option, length) == 0 && text[length] == '=') steps = text + length + 1;
        if (strcmp(text, option) == 0)
            steps = i + 1 < call->n_arguments ? call->arguments[++i] : "";
        overrides[n++] =
            steps != NULL ? text_format("metrics.profile_steps=%s", steps) : text_copy(text);
    }
    *n_out = n;
    return overrides;
}

/* For who started the ranks: launchers have been seen to return 0 after ranks that never began. */
static enum status leave_end_mark(const struct comm *comm)
{
    const char *path = getenv("ROBIN_END_MARK");
    if (path == NULL || path[0] == '\0' || comm_rank(comm) > 0) return OK;
    return file_write_atomic(path, "done\n", 5);
}

enum status run_job_command(struct command_call *call)
{
    enum status status = OK;
    struct comm *comm = NULL;
    struct run_config config = {0};
    int n_overrides = 0;
    char **overrides = overrides_of(call, &n_overrides);
    TRY(comm_create(&comm, NULL));
    status =
        run_config_load(&config, call->arguments[0], (const char *const *)overrides, n_overrides);
    TRY(comm_agree(comm, status));
    comm_set_timeout(comm, config.faults.watchdog_s);
    if (config.log_debug) log_set_level(LOG_DEBUG);
    if (config.job == CONFIG_JOB_CURRICULUM)
        TRY(curriculum_job_run(comm, &config, call));
    else
        TRY(run_single_job(comm, &config, call));
    TRY(leave_end_mark(comm));
out:
    names_free(overrides, (size_t)n_overrides);
    run_config_release(&config);
    comm_end(comm, status);
    return status;
}
