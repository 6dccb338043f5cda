/* robin-dist data tokenizer: a small vocabulary out of a corpus. */
#ifndef ROBIN_JOBS_TOKENIZER_COMMAND_H
#define ROBIN_JOBS_TOKENIZER_COMMAND_H

#include "jobs/command.h"

/* Starts MPI; rank 0 does the work. */
enum status data_tokenizer_command(struct command_call *call);

#endif
