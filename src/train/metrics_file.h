/* metrics.jsonl: one object for each step. */
#ifndef ROBIN_TRAIN_METRICS_FILE_H
#define ROBIN_TRAIN_METRICS_FILE_H

#include "train/progress.h"

struct metrics_file;

/* Opens for appending, after dropping lines of steps beyond `steps_done` and a last line that a
 * killed run did not finish. ERR_FORMAT naming a line that is no object with a step. */
enum status metrics_file_open(struct metrics_file **file_out, const char *path, int64_t steps_done);
/* Warns where lines are lost. */
void metrics_file_close(struct metrics_file *file);
/* A full disk is warned of once, and 256 lines are kept until it has space: then ERR_IO, as at once
 * for another fault. */
enum status metrics_file_write(struct metrics_file *file, const struct progress_options *options,
                               const struct progress_step *step);

#endif
