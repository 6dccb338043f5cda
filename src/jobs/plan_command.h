/* robin-dist plan: what a training run will take. */
#ifndef ROBIN_JOBS_PLAN_COMMAND_H
#define ROBIN_JOBS_PLAN_COMMAND_H

#include "jobs/command.h"

/* Prints the plan; starts MPI only to calibrate. */
enum status plan_command(struct command_call *call);

#endif
