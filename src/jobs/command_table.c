/* One row per command; main's help lists them in this order. */
#include "jobs/command.h"
#include "jobs/data_commands.h"
#include "jobs/help_command.h"

const struct command commands[] = {
    {"data import", "gqa|psg FILE --images DIR --out DIR [option...]",
     "make a corpus of public annotations; --help lists the options", data_import_command},
    {"data inspect", "DIR [--record N]", "show what a corpus holds, or one record of it",
     data_inspect_command},
    {"data verify", "DIR", "read and check every record of a corpus", data_verify_command},
    {"help-config", "[--yaml | key]", "explain the keys of configurations", help_config_command},
};

const size_t n_commands = sizeof commands / sizeof commands[0];
