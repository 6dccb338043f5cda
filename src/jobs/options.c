/* See options.h. */
#include "jobs/options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/text_buffer.h"

#define MAX_ROWS 32

static bool is_positional(const struct option_row *row)
{
    return row->name[0] != '-';
}

/* What an option is without being given: what its target holds. A sentence may say it itself. */
static void append_default(struct text_buffer *out, const struct option_row *row)
{
    if (row->required || strstr(row->sentence, "default") != NULL) return;
    if (row->type == OPTION_INTEGER)
        text_printf(out, "; default: %" PRId64, *(const int64_t *)row->target);
    if (row->type == OPTION_NUMBER) text_printf(out, "; default: %g", *(const double *)row->target);
    if (row->type == OPTION_TEXT && *(const char *const *)row->target != NULL)
        text_printf(out, "; default: %s", *(const char *const *)row->target);
}

char *options_usage(const struct option_row *rows, size_t n_rows, const char *command)
{
    struct text_buffer out = {0};
    bool has_options = false;
    text_printf(&out, "usage: robin-dist %s", command);
    for (size_t i = 0; i < n_rows; i++) {
        const struct option_row *row = &rows[i];
        has_options = has_options || (!row->required && !is_positional(row));
        const char *open = row->required ? "" : "[";
        const char *close = row->required ? "" : "]";
        if (is_positional(row))
            text_printf(&out, " %s%s%s", open, row->name, close);
        else if (row->required)
            text_printf(&out, " %s %s", row->name, row->value);
    }
    text_append(&out, has_options ? " [option...]\n\n" : "\n\n");
    for (size_t i = 0; i < n_rows; i++) {
        char *head = text_format("%s %s", rows[i].name, rows[i].value == NULL ? "" : rows[i].value);
        text_printf(&out, "  %-24s %s", head, rows[i].sentence);
        append_default(&out, &rows[i]);
        text_append_char(&out, '\n');
        free(head);
    }
    return text_take(&out);
}

static enum status set_integer(const struct option_row *row, const char *text)
{
    enum status status = OK;
    char *end = NULL;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || (double)value < row->min ||
        (double)value > row->max)
        FAIL(ERR_ARGUMENT, "%s is '%s', must be an integer from %.0f to %.0f", row->name, text,
             row->min, row->max);
    *(int64_t *)row->target = value;
out:
    return status;
}

static enum status set_number(const struct option_row *row, const char *text)
{
    enum status status = OK;
    char *end = NULL;
    errno = 0;
    const double value = strtod(text, &end);
    if (errno != 0 || end == text || *end != '\0' || !(value >= row->min && value <= row->max))
        FAIL(ERR_ARGUMENT, "%s is '%s', must be a number from %g to %g", row->name, text, row->min,
             row->max);
    *(double *)row->target = value;
out:
    return status;
}

static void add_text(struct option_texts *texts, char *text)
{
    texts->values = memory_resize(texts->values, (size_t)texts->n + 1, sizeof *texts->values);
    texts->values[texts->n++] = text;
}

static enum status set_value(const struct option_row *row, char *text)
{
    switch (row->type) {
    case OPTION_INTEGER: return set_integer(row, text);
    case OPTION_NUMBER: return set_number(row, text);
    case OPTION_FLAG:
    case OPTION_TEXTS:
    case OPTION_TEXT: break;
    }
    if (text[0] == '\0') return status_fail(ERR_ARGUMENT, "%s is empty", row->name);
    if (row->type == OPTION_TEXTS)
        add_text(row->target, text);
    else
        *(const char **)row->target = text;
    return OK;
}

/* The row of an option's word up to `size`, or of the next positional. NULL: there is none. */
static const struct option_row *find_row(const struct option_row *rows, size_t n_rows,
                                         const char *word, size_t size, const bool *seen)
{
    for (size_t i = 0; i < n_rows; i++) {
        if (word[0] == '-' && strlen(rows[i].name) == size &&
            strncmp(rows[i].name, word, size) == 0)
            return &rows[i];
        if (word[0] != '-' && is_positional(&rows[i]) && !seen[i]) return &rows[i];
    }
    return NULL;
}

enum status options_parse(const struct option_row *rows, size_t n_rows, const char *command,
                          const struct command_call *call, bool *help_out)
{
    enum status status = OK;
    bool seen[MAX_ROWS] = {false};
    ASSERT(n_rows <= MAX_ROWS, "%s has %zu options", command, n_rows);
    *help_out = false;
    for (int i = 0; i < call->n_arguments; i++)
        *help_out = *help_out || strcmp(call->arguments[i], "--help") == 0;
    if (*help_out) return OK;
    for (int i = 0; i < call->n_arguments; i++) {
        char *word = call->arguments[i];
        char *equals = word[0] == '-' ? strchr(word, '=') : NULL;
        const size_t size = equals == NULL ? strlen(word) : (size_t)(equals - word);
        const struct option_row *row = find_row(rows, n_rows, word, size, seen);
        if (row == NULL)
            FAIL(ERR_ARGUMENT, "%s: what is '%s'? 'robin-dist %s --help' lists the options",
                 command, word, command);
        if (seen[row - rows] && row->type != OPTION_TEXTS)
            FAIL(ERR_ARGUMENT, "%s: %s is given twice", command, row->name);
        seen[row - rows] = true;
        if (row->type == OPTION_FLAG) {
            if (equals != NULL) FAIL(ERR_ARGUMENT, "%s: %s takes no value", command, row->name);
            *(bool *)row->target = true;
            continue;
        }
        char *value = is_positional(row) ? word : equals == NULL ? NULL : equals + 1;
        if (value == NULL && i + 1 < call->n_arguments) value = call->arguments[++i];
        if (value == NULL) FAIL(ERR_ARGUMENT, "%s: %s needs a value", command, row->name);
        TRY_WHERE(set_value(row, value), "%s", command);
    }
    for (size_t i = 0; i < n_rows; i++) {
        if (rows[i].required && !seen[i])
            FAIL(ERR_ARGUMENT, "%s: %s is missing; 'robin-dist %s --help' lists the options",
                 command, rows[i].name, command);
    }
out:
    return status;
}

enum status options_read(const struct option_row *rows, size_t n_rows, const char *command,
                         const struct command_call *call, bool *help_out)
{
    enum status status = OK;
    char *usage = NULL;
    TRY(options_parse(rows, n_rows, command, call, help_out));
    if (!*help_out) goto out;
    usage = options_usage(rows, n_rows, command);
    if (fputs(usage, stdout) < 0) FAIL(ERR_IO, "cannot write to standard output");
out:
    free(usage);
    return status;
}
