/* See row_cases.h. */
#include "support/row_cases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/text_buffer.h"

static char *with_double_quotes(const char *text)
{
    char *copy = text_copy(text);
    for (char *at = copy; *at != '\0'; at++)
        if (*at == '\'') *at = '"';
    return copy;
}

void row_cases_check(import_open open, const char *folder, const struct row_case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *json = with_double_quotes(cases[i].json);
        import_check(open, folder, json, cases[i].words);
        free(json);
    }
}

void row_cases_write(const char *folder, const char *name, const char *text)
{
    char *quoted = with_double_quotes(text);
    char *path = path_join(folder, name);
    char *parent = path_parent(path);
    assert_int_equal(directory_create(parent), OK);
    assert_int_equal(file_write_atomic(path, quoted, strlen(quoted)), OK);
    free(parent);
    free(path);
    free(quoted);
}
