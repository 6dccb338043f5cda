/* robin-dist data mixture: what the sources of a configuration amount to. */
#ifndef ROBIN_JOBS_MIXTURE_COMMAND_H
#define ROBIN_JOBS_MIXTURE_COMMAND_H

#include "config/run_config.h"
#include "jobs/options.h"

/* Builds every sample of one epoch, as training would, without decoding a picture. One process. */
enum status data_mixture_command(struct command_call *call);

/* The configuration that a file is, or that a mixture file makes of the default, with keys set. */
enum status mixture_load(struct run_config *config, const char *path,
                         const struct option_texts *set);

#endif
