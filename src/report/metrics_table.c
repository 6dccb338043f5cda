/* Reading metrics.jsonl. */
#include "report/metrics_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_file.h"
#include "base/text_buffer.h"

#define MAX_METRICS_BYTES ((size_t)1 << 32)

static struct metrics_column *column_of(struct metrics_table *table, const char *name)
{
    for (int64_t c = 0; c < table->n_columns; c++)
        if (strcmp(table->columns[c].name, name) == 0) return &table->columns[c];
    const size_t n = (size_t)table->n_columns + 1;
    table->columns = memory_resize(table->columns, n, sizeof *table->columns);
    struct metrics_column *column = &table->columns[table->n_columns++];
    column->name = text_copy(name);
    column->values = memory_new((size_t)table->capacity, sizeof *column->values);
    for (int64_t row = 0; row < table->capacity; row++) column->values[row] = NAN;
    return column;
}

static void make_room(struct metrics_table *table)
{
    if (table->n_rows < table->capacity) return;
    const int64_t capacity = table->capacity > 0 ? 2 * table->capacity : 256;
    for (int64_t c = 0; c < table->n_columns; c++) {
        struct metrics_column *column = &table->columns[c];
        column->values = memory_resize(column->values, (size_t)capacity, sizeof *column->values);
        for (int64_t row = table->capacity; row < capacity; row++) column->values[row] = NAN;
    }
    table->capacity = capacity;
}

/* Objects inside the line's are one level deep. */
static void take_numbers(struct metrics_table *table, json_t *object, const char *prefix)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(object, key, value)
    {
        char *name = text_format("%s%s", prefix, key);
        char *inner = text_format("%s.", name);
        if (json_is_number(value))
            column_of(table, name)->values[table->n_rows] = json_number_value(value);
        if (json_is_string(value) && strcmp(name, "not_taken") == 0)
            column_of(table, name)->values[table->n_rows] = 1;
        if (json_is_object(value) && prefix[0] == '\0') take_numbers(table, value, inner);
        free(inner);
        free(name);
    }
}

enum status metrics_table_read(struct metrics_table *table_out, const char *path)
{
    enum status status = OK;
    unsigned char *bytes = NULL;
    size_t size = 0, at = 0;
    struct metrics_table table = {0};
    TRY(file_read(&bytes, &size, path, MAX_METRICS_BYTES));
    for (int64_t line = 1; at < size; line++) {
        const char *text = (const char *)bytes + at;
        const char *end = memchr(text, '\n', size - at);
        json_t *object = NULL;
        if (end == NULL) break; /* a run that is writing it, or was killed */
        TRY(json_line_parse(&object, text, (size_t)(end - text), path, line));
        make_room(&table);
        take_numbers(&table, object, "");
        json_decref(object);
        table.n_rows++;
        at += (size_t)(end - text) + 1;
    }
    if (table.n_rows > 0 && metrics_table_find(&table, "step") == NULL)
        FAIL(ERR_FORMAT, "%s: no line has a step; it is no metrics file of a run", path);
    *table_out = table;
    table = (struct metrics_table){0};
out:
    metrics_table_release(&table);
    free(bytes);
    return status;
}

void metrics_table_release(struct metrics_table *table)
{
    for (int64_t c = 0; c < table->n_columns; c++) {
        free(table->columns[c].name);
        free(table->columns[c].values);
    }
    free(table->columns);
    *table = (struct metrics_table){0};
}

const double *metrics_table_find(const struct metrics_table *table, const char *name)
{
    for (int64_t c = 0; c < table->n_columns; c++)
        if (strcmp(table->columns[c].name, name) == 0) return table->columns[c].values;
    return NULL;
}

double metrics_mean(const double *values, int64_t first, int64_t n)
{
    double sum = 0;
    int64_t count = 0;
    for (int64_t row = first; values != NULL && row < n; row++) {
        if (!isfinite(values[row])) continue;
        sum += values[row];
        count++;
    }
    return count > 0 ? sum / (double)count : NAN;
}
