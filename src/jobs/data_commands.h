/* robin-dist data ...: making corpora and looking at them. */
#ifndef ROBIN_JOBS_DATA_COMMANDS_H
#define ROBIN_JOBS_DATA_COMMANDS_H

#include "jobs/command.h"

/* Each starts MPI and is collective over all ranks that were started. */
enum status data_build_command(struct command_call *call);
enum status data_import_command(struct command_call *call);
enum status data_inspect_command(struct command_call *call);

#endif
