/* How far a generation is: a line for people now and then, an object for programs. */
#ifndef ROBIN_SGEDIT_GENERATE_PROGRESS_H
#define ROBIN_SGEDIT_GENERATE_PROGRESS_H

#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

struct generate_run;

struct generate_counts { /* of one rank, not yet told to all */
    int64_t done, failed, refused, tokens;
};

struct generate_progress { /* zeroed is releasable */
    const struct generate_run *run;
    FILE *metrics; /* rank 0's */
    double begun, told, noted;
    int64_t first; /* items done before this start */
    int64_t last_done, last_tokens;
};

/* Of rank 0 opens RUN_DIR/metrics.jsonl, after cutting a line that a killed run did not end. */
enum status generate_progress_begin(struct generate_progress *progress,
                                    const struct generate_run *run);
void generate_progress_end(struct generate_progress *progress);

/* Adds the counts to what all ranks share and zeroes them; rank 0 speaks where it is time. */
enum status generate_progress_share(struct generate_progress *progress,
                                    struct generate_counts *counts);

#endif
