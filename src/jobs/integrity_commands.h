/* data verify, data diff, data repair. */
#ifndef ROBIN_JOBS_INTEGRITY_COMMANDS_H
#define ROBIN_JOBS_INTEGRITY_COMMANDS_H

#include "jobs/command.h"

enum status data_verify_command(struct command_call *call);
enum status data_diff_command(struct command_call *call);
enum status data_repair_command(struct command_call *call);

#endif
