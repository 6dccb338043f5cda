/* robin-dist checkpoint inspect | verify | diff | prune: what a run has saved. */
#ifndef ROBIN_JOBS_CHECKPOINT_STATE_COMMANDS_H
#define ROBIN_JOBS_CHECKPOINT_STATE_COMMANDS_H

#include "jobs/command.h"

enum status checkpoint_inspect_command(struct command_call *call);
enum status checkpoint_verify_command(struct command_call *call);
enum status checkpoint_diff_command(struct command_call *call);
enum status checkpoint_prune_command(struct command_call *call);

#endif
