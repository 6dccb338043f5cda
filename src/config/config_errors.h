/* Every error of a configuration, kept with its place until all are known. */
#ifndef ROBIN_CONFIG_CONFIG_ERRORS_H
#define ROBIN_CONFIG_CONFIG_ERRORS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text_buffer.h"

struct config_place {
    const char *file; /* or "command line: KEY=VALUE"; NULL: nowhere, a default. Borrowed */
    int line, column; /* from 1; line 0: the whole file or argument */
    bool broken;      /* of a key: what stands there was refused */
};

struct config_error {
    struct config_place place;
    char *message;
};

struct config_errors { /* zeroed is empty and releasable */
    struct config_error *errors;
    size_t n;
};

void config_errors_add(struct config_errors *errors, struct config_place place, const char *format,
                       ...) __attribute__((format(printf, 3, 4)));
/* "FILE:LINE:COLUMN: error: message" lines in the order of the places within each file; of very
 * many the first ones and a count. */
void config_errors_print(struct text_buffer *out, const struct config_errors *errors);
void config_errors_release(struct config_errors *errors);

#endif
