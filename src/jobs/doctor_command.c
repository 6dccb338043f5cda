/* From options to checks, from checks to lines. */
#include "jobs/doctor_command.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/run_config.h"
#include "jobs/options.h"
#include "plan/preflight.h"
#include "train/placement.h"

/* Without a configuration: those of the table. */
#define DEFAULT_CLOCK_S   5
#define DEFAULT_SLOW_LINK 0.1
#define COUNT(array)      (sizeof(array) / sizeof((array)[0]))

/* Collective. */
static enum status examine(struct comm *comm, const struct run_config *config)
{
    enum status status = OK;
    const struct preflight_options options = {
        .comm = comm,
        .config = config,
        .clock_s = config != NULL ? config->faults.clock_s : DEFAULT_CLOCK_S,
        .slow_link = config != NULL ? config->faults.slow_link : DEFAULT_SLOW_LINK};
    struct preflight preflight = {0};
    TRY(placement_print(comm, config != NULL ? config->threads : 1));
    TRY(preflight_make(&preflight, &options));
    if (comm_rank(comm) == 0) {
        fputs(text_of(&preflight.lines), stdout);
        fflush(stdout);
    }
    if (preflight.n_faults > 0)
        status = status_fail(ERR_LIMIT, "%" PRId64 " fault%s found", preflight.n_faults,
                             preflight.n_faults > 1 ? "s" : "");
    TRY(comm_agree(comm, status));
out:
    preflight_release(&preflight);
    return status;
}

enum status doctor_command(struct command_call *call)
{
    enum status status = OK;
    struct comm *comm = NULL;
    struct run_config config = {0};
    struct option_texts set = {0};
    const char *path = "";
    bool helped = false;
    const struct option_row rows[] = {
        {"CONFIG.yaml", NULL, OPTION_TEXT, false, 0, 0, &path,
         "the run whose needs are looked at too: its folder, disk space, memory"},
        {"--set", "KEY=VALUE", OPTION_TEXTS, false, 0, 0, &set,
         "over the configuration's; may be given several times"},
    };
    TRY(options_read(rows, COUNT(rows), "doctor", call, &helped));
    if (helped) goto out;
    TRY(comm_create(&comm, NULL));
    const bool has_run = path[0] != '\0';
    if (has_run)
        status = run_config_load(&config, path, (const char *const *)set.values, (int)set.n);
    TRY(comm_agree(comm, status));
    TRY(examine(comm, has_run ? &config : NULL));
out:
    free(set.values);
    run_config_release(&config);
    comm_end(comm, status);
    return status;
}
