/* robin-dist serve */
#ifndef ROBIN_JOBS_SERVE_COMMAND_H
#define ROBIN_JOBS_SERVE_COMMAND_H

#include "jobs/command.h"

/* Answers HTTP requests until SIGINT or SIGTERM, then those that have come. */
enum status serve_command(struct command_call *call);

#endif
