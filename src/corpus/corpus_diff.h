/* What two corpora do not have in common. */
#ifndef ROBIN_CORPUS_CORPUS_DIFF_H
#define ROBIN_CORPUS_CORPUS_DIFF_H

#include <stdint.h>

#include "base/status.h"
#include "base/text_buffer.h"

struct diff_result { /* zeroed is empty; release `lines` */
    int64_t n_same, n_changed, n_removed, n_added;
    int64_t n_moved; /* the same, but in another order among those that both have */
    /* "- ID" only in the first, "+ ID" only in the second, "! ID: FIELD: OLD -> NEW", in the order
     * of the ids */
    struct text_buffer lines;
};

/* Compares records by id. Reads every record of both.
 * Errors  either cannot be opened or holds a damaged record */
enum status corpus_diff(struct diff_result *result, const char *directory_a,
                        const char *directory_b, int n_threads);

#endif
