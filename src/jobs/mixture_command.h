/* robin-dist data mixture: what the sources of a configuration amount to. */
#ifndef ROBIN_JOBS_MIXTURE_COMMAND_H
#define ROBIN_JOBS_MIXTURE_COMMAND_H

#include "jobs/command.h"

/* Builds every sample of one epoch, as training would, without decoding a picture. One process. */
enum status data_mixture_command(struct command_call *call);

#endif
