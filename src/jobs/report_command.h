/* robin-dist report: what a run came to. */
#ifndef ROBIN_JOBS_REPORT_COMMAND_H
#define ROBIN_JOBS_REPORT_COMMAND_H

#include "jobs/command.h"

/* Prints the summary, writes RUN/report.html or the file of --html. */
enum status report_command(struct command_call *call);

#endif
