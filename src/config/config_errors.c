/* See config_errors.h. */
#include "config/config_errors.h"

#include <stdlib.h>
#include <string.h>

#define MAX_SHOWN 25 /* a file of another kind has an error on every line */

void config_errors_add(struct config_errors *errors, struct config_place place, const char *format,
                       ...)
{
    struct text_buffer message = {0};
    va_list arguments;
    va_start(arguments, format);
    text_vprintf(&message, format, arguments);
    va_end(arguments);
    errors->errors = memory_resize(errors->errors, errors->n + 1, sizeof *errors->errors);
    errors->errors[errors->n++] =
        (struct config_error){.place = place, .message = text_take(&message)};
}

/* Whether `a` belongs behind `b`: both of one file, and further down. */
static int is_behind(const struct config_error *a, const struct config_error *b)
{
    if (a->place.file == NULL || b->place.file == NULL) return 0;
    if (strcmp(a->place.file, b->place.file) != 0) return 0;
    /* What concerns the whole file, a missing key say, stands below what has a line. */
    if (a->place.line == 0 || b->place.line == 0) return a->place.line == 0 && b->place.line != 0;
    if (a->place.line != b->place.line) return a->place.line > b->place.line;
    return a->place.column > b->place.column;
}

/* Insertion sort: stable, and errors of different files keep their order. */
static void sort_by_place(struct config_errors *errors)
{
    for (size_t i = 1; i < errors->n; i++) {
        struct config_error moving = errors->errors[i];
        size_t to = i;
        while (to > 0 && is_behind(&errors->errors[to - 1], &moving)) {
            errors->errors[to] = errors->errors[to - 1];
            to--;
        }
        errors->errors[to] = moving;
    }
}

void config_errors_print(struct text_buffer *out, const struct config_errors *errors)
{
    struct config_errors sorted = *errors;
    sort_by_place(&sorted);
    for (size_t i = 0; i < sorted.n && i < MAX_SHOWN; i++) {
        const struct config_error *error = &sorted.errors[i];
        if (i > 0) text_append_char(out, '\n');
        if (error->place.file != NULL) text_append(out, error->place.file);
        if (error->place.line > 0)
            text_printf(out, ":%d:%d", error->place.line, error->place.column);
        text_printf(out, "%serror: %s", error->place.file != NULL ? ": " : "", error->message);
    }
    if (sorted.n > MAX_SHOWN) text_printf(out, "\nand %zu more errors", sorted.n - MAX_SHOWN);
}

void config_errors_release(struct config_errors *errors)
{
    for (size_t i = 0; i < errors->n; i++) free(errors->errors[i].message);
    free(errors->errors);
    *errors = (struct config_errors){0};
}
