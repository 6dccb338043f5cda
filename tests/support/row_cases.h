/* Many annotation files in few lines: JSON with single quotes, and words of the first item. */
#ifndef ROBIN_TESTS_ROW_CASES_H
#define ROBIN_TESTS_ROW_CASES_H

#include <stddef.h>

#include "support/import_check.h"

struct row_case {
    const char *json, *words;
};
/* import_check of every case. */
void row_cases_check(import_open open, const char *folder, const struct row_case *cases, size_t n);

/* Writes FOLDER/NAME with the same quotes. */
void row_cases_write(const char *folder, const char *name, const char *text);

#define N_CASES(cases) (sizeof(cases) / sizeof(cases)[0])

#endif
