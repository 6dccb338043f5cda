/* robin-dist doctor: the checks that a job makes before its first step, for people. */
#ifndef ROBIN_JOBS_DOCTOR_COMMAND_H
#define ROBIN_JOBS_DOCTOR_COMMAND_H

#include "jobs/command.h"

/* Alone or under mpirun. Prints a line for each check; ERR_LIMIT where one found a fault. */
enum status doctor_command(struct command_call *call);

#endif
