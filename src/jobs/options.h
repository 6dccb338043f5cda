/* Options of a command: one table is what the parser reads and what --help prints. */
#ifndef ROBIN_JOBS_OPTIONS_H
#define ROBIN_JOBS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "jobs/command.h"

enum option_type {
    OPTION_TEXT,
    OPTION_TEXTS, /* may be given several times */
    OPTION_INTEGER,
    OPTION_NUMBER,
    OPTION_FLAG /* takes no value: set when given */
};

struct option_texts { /* zeroed is empty; release with free(values) */
    char **values;    /* borrowed from the command line */
    int64_t n;
};

struct option_row {
    const char *name;  /* "--count"; without dashes it is positional: the words in order */
    const char *value; /* what stands for it in the usage: "N"; of a positional NULL */
    enum option_type type;
    bool required;
    double min, max; /* of integers and numbers */
    void *target;    /* const char *, struct option_texts, int64_t, double or bool; what it holds
                             before is the default */
    const char *sentence; /* the usage adds the default unless this has the word */
};

/* Fills the targets from the call's arguments ("--name value" or "--name=value"). `help_out` is set
 * when --help is among them: then nothing else is checked.
 * Errors  ERR_ARGUMENT: unknown, missing or twice, or not a value of its type and range */
enum status options_parse(const struct option_row *rows, size_t n_rows, const char *command,
                          const struct command_call *call, bool *help_out);

/* options_parse; with --help the usage is printed on standard output, and *help_out says so. */
enum status options_read(const struct option_row *rows, size_t n_rows, const char *command,
                         const struct command_call *call, bool *help_out);

/* The usage text, to free(). */
char *options_usage(const struct option_row *rows, size_t n_rows, const char *command);

#endif
