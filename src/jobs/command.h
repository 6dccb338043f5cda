/* What the program can be asked to do. A new command is a function and a row in command_table.c. */
#ifndef ROBIN_JOBS_COMMAND_H
#define ROBIN_JOBS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct stop_signals;

struct command_call {
    int n_arguments; /* behind the command's name */
    char **arguments;
    const char *version;          /* of the program, for run directories */
    struct stop_signals *signals; /* of the job that this one is a part of; NULL: of its own */
    const char *weights; /* of a curriculum's stage: the stage of its train.init; NULL: none */
    bool started; /* set by a command once a failure is no longer a refusal: from step 1 on */
};

struct command {
    const char *name;      /* one or two words: "help-config", "data build" */
    const char *arguments; /* as in a usage line: "[key]" */
    const char *sentence;
    enum status (*run)(struct command_call *call);
};

extern const struct command commands[];
extern const size_t n_commands;

/* Finds and runs what the command line asks for. The call holds main's arguments without the
 * program's name.
 * ERR_ARGUMENT with a sentence where there is no such command. */
enum status command_run(struct command_call *call);

/* Exit codes: 0 done, 2 refused before any work was begun, 3 stopped on request with the
 * work saved, 1 failed. */
int command_exit_code(const struct command_call *call, enum status status);

#endif
