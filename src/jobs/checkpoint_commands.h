/* robin-dist checkpoint import | export: weights from and to safetensors. */
#ifndef ROBIN_JOBS_CHECKPOINT_COMMANDS_H
#define ROBIN_JOBS_CHECKPOINT_COMMANDS_H

#include "jobs/command.h"

enum status checkpoint_import_command(struct command_call *call);
enum status checkpoint_export_command(struct command_call *call);

#endif
