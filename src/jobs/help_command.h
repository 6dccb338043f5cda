/* robin-dist help-config */
#ifndef ROBIN_JOBS_HELP_COMMAND_H
#define ROBIN_JOBS_HELP_COMMAND_H

#include "jobs/command.h"

/* Prints the keys, or one key or group, or with --yaml the reference file. */
enum status help_config_command(struct command_call *call);

#endif
