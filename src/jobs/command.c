/* The command line: which words mean which function, and what the shell is told. */
#include "jobs/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "jobs/run_job.h"

/* To free(). */
static char *usage_text(void)
{
    struct text_buffer out = {0};
    text_append(&out, "usage: robin-dist CONFIG.yaml [key=value...]     run a job, alone or under "
                      "mpirun\n       robin-dist COMMAND [argument...]\n\ncommands:\n");
    for (size_t i = 0; i < n_commands; i++)
        text_printf(&out, "  %s %s\n      %s\n", commands[i].name, commands[i].arguments,
                    commands[i].sentence);
    text_append(&out, "  --help\n      this text\n  --version\n      the version of the program\n");
    text_append(&out, "\nexit codes: 0 done, 1 failed, 2 refused before any work was begun, "
                      "3 stopped on request with the work saved\n");
    return text_take(&out);
}

/* How many of the call's first words are this command's name; 0: another command. */
static int words_matched(const struct command *command, const struct command_call *call)
{
    const char *space = strchr(command->name, ' ');
    if (space == NULL) return strcmp(command->name, call->arguments[0]) == 0 ? 1 : 0;
    size_t length = (size_t)(space - command->name);
    if (call->n_arguments < 2 || strlen(call->arguments[0]) != length) return 0;
    if (strncmp(command->name, call->arguments[0], length) != 0) return 0;
    return strcmp(space + 1, call->arguments[1]) == 0 ? 2 : 0;
}

/* "build, import or verify": the second words of the commands that start with `first`; "" if none
 * does. To free(). */
static char *second_words(const char *first)
{
    struct text_buffer out = {0};
    size_t length = strlen(first);
    for (size_t i = 0; i < n_commands; i++) {
        const char *name = commands[i].name;
        if (strncmp(name, first, length) != 0 || name[length] != ' ') continue;
        text_printf(&out, "%s%s", out.length > 0 ? ", " : "", name + length + 1);
    }
    return text_take(&out);
}

static enum status unknown_command(const struct command_call *call)
{
    enum status status = OK;
    char *seconds = second_words(call->arguments[0]);
    if (seconds[0] != '\0') FAIL(ERR_ARGUMENT, "%s needs one of: %s", call->arguments[0], seconds);
    FAIL(ERR_ARGUMENT, "there is no command '%s'; 'robin-dist --help' lists them",
         call->arguments[0]);
out:
    free(seconds);
    return status;
}

static enum status print(const char *text)
{
    enum status status = OK;
    if (fputs(text, stdout) < 0 || fflush(stdout) != 0)
        FAIL(ERR_IO, "cannot write to standard output");
out:
    return status;
}

static bool is_config_path(const char *word)
{
    size_t length = strlen(word);
    return (length > 5 && strcmp(word + length - 5, ".yaml") == 0) ||
           (length > 4 && strcmp(word + length - 4, ".yml") == 0);
}

enum status command_run(struct command_call *call)
{
    enum status status = OK;
    char *usage = usage_text();
    if (call->n_arguments == 0)
        FAIL(ERR_ARGUMENT, "nothing to do: name a configuration or a command\n%s", usage);
    const char *first = call->arguments[0];
    if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0 || strcmp(first, "help") == 0) {
        TRY(print(usage));
        goto out;
    }
    if (strcmp(first, "--version") == 0) {
        free(usage);
        usage = text_format("robin-dist %s\n", call->version);
        TRY(print(usage));
        goto out;
    }
    if (is_config_path(first)) {
        TRY(run_job_command(call));
        goto out;
    }
    for (size_t i = 0; i < n_commands; i++) {
        int words = words_matched(&commands[i], call);
        if (words == 0) continue;
        call->arguments += words;
        call->n_arguments -= words;
        TRY(commands[i].run(call));
        goto out;
    }
    TRY(unknown_command(call));
out:
    free(usage);
    return status;
}

int command_exit_code(const struct command_call *call, enum status status)
{
    if (status == OK) return 0;
    if (status == ERR_STOPPED) return 3;
    return call->started ? 1 : 2;
}
