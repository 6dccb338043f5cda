/* The table of keys, printed for people. */
#include "jobs/help_command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config_suggest.h"
#include "config/config_text.h"

enum status help_config_command(struct command_call *call)
{
    enum status status = OK;
    char *text = NULL;
    char *nearest = NULL;
    const char *key = call->n_arguments > 0 ? call->arguments[0] : "";
    if (call->n_arguments > 1)
        FAIL(ERR_ARGUMENT, "help-config takes one key, found %d words", call->n_arguments);
    text = strcmp(key, "--yaml") == 0 ? config_reference() : config_help(key);
    if (text == NULL) {
        nearest = config_suggest(key);
        FAIL(ERR_ARGUMENT, "there is no key %s; %s%s%s", key,
             nearest != NULL ? "did you mean " : "'robin-dist help-config' lists all",
             nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
    }
    if (fputs(text, stdout) < 0 || fflush(stdout) != 0)
        FAIL(ERR_IO, "cannot write to standard output");
out:
    free(nearest);
    free(text);
    return status;
}
