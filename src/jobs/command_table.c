/* One row per command; main's help lists them in this order. */
#include "jobs/command.h"
#include "jobs/help_command.h"

const struct command commands[] = {
    {"help-config", "[--yaml | key]", "explain the keys of configurations", help_config_command},
};

const size_t n_commands = sizeof commands / sizeof commands[0];
