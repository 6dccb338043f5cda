/* metrics.jsonl as columns: every number of every line under the path of its key. */
#ifndef ROBIN_REPORT_METRICS_TABLE_H
#define ROBIN_REPORT_METRICS_TABLE_H

#include <stdint.h>

#include "base/status.h"

struct metrics_column {
    char *name;     /* "loss", "task_loss.sg", "seconds.data" */
    double *values; /* [n_rows]: NaN where a line has none, or null */
};

struct metrics_table { /* zeroed is releasable */
    struct metrics_column *columns;
    int64_t n_columns, n_rows, capacity;
};

/* The last line may be half written. ERR_IO, ERR_FORMAT naming file and line. */
enum status metrics_table_read(struct metrics_table *table_out, const char *path);
void metrics_table_release(struct metrics_table *table);

/* The column of that name; NULL if no line has it. */
const double *metrics_table_find(const struct metrics_table *table, const char *name);

/* Over the rows from first to the last: NaNs are passed over; NaN if nothing is left. */
double metrics_mean(const double *values, int64_t first, int64_t n);

#endif
