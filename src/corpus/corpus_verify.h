/* Which records of a corpus are damaged. */
#ifndef ROBIN_CORPUS_CORPUS_VERIFY_H
#define ROBIN_CORPUS_CORPUS_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text_buffer.h"

struct verify_options {
    int rank, n_ranks; /* this one takes the shards rank, rank + n_ranks, ... of those to do */
    int n_threads;     /* >= 1 */
    bool pictures;     /* decode every picture too */
    /* NULL, or where a rank notes the shards it has done, in JOURNAL.RANK: another run, of any
     * number of ranks, skips those whose file has the same size and time of change. */
    const char *journal;
};

struct verify_journal { /* zeroed is empty and releasable */
    bool *done;         /* [n_shards] */
    int64_t n_shards, n_done;
    int64_t n_records, n_damaged; /* of those that are done */
    struct text_buffer lines;     /* of those that are done */
};

struct verify_result {
    int64_t n_records;        /* looked at */
    int64_t n_damaged;        /* records, and whole shards that could not be opened */
    struct text_buffer lines; /* one a damaged record or shard */
};

/* What journals of earlier runs say of the corpus as it is now. All ranks read before one writes:
 * the caller has them agree in between. Half a line, where a run was killed, is passed over. */
enum status verify_journal_read(struct verify_journal *journal_out, const char *directory,
                                const char *journal);
/* Removes JOURNAL.RANK of every rank. */
enum status verify_journal_remove(const char *journal);
void verify_journal_release(struct verify_journal *journal);

/* Reads every record of the rank's shards and goes on behind a damaged one. `journal`: NULL, or the
 * shards that are done.
 * Errors  the index cannot be read, the journal not written */
enum status corpus_verify(struct verify_result *result, const char *directory,
                          const struct verify_options *options,
                          const struct verify_journal *journal);

#endif
