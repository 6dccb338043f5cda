/* robin-dist predict */
#ifndef ROBIN_JOBS_PREDICT_COMMAND_H
#define ROBIN_JOBS_PREDICT_COMMAND_H

#include "jobs/command.h"

/* One picture, one answer. */
enum status predict_command(struct command_call *call);

#endif
