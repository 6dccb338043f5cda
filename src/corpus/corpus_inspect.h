/* A corpus for people: what is in it, one record in words, and which records are damaged. */
#ifndef ROBIN_CORPUS_CORPUS_INSPECT_H
#define ROBIN_CORPUS_CORPUS_INSPECT_H

#include <stdint.h>

#include "base/status.h"
#include "base/text_buffer.h"
#include "corpus/record.h"
#include "corpus/shard.h"

/* Counts and the commonest predicates, names and tasks. Reads every record. */
enum status corpus_summarise(struct text_buffer *out, const struct corpus *corpus);

/* The record in lines; bytes that would move a terminal's cursor are shown as '?'. */
void record_describe(struct text_buffer *out, const struct record *record);

struct verify_result {
    int64_t n_records;        /* looked at */
    int64_t n_damaged;        /* records, and whole shards that could not be opened */
    struct text_buffer lines; /* one a damaged record or shard */
};

/* Reads every record of the shards rank, rank + n_ranks, ... and goes on behind a damaged one.
 * Errors  the index cannot be read */
enum status corpus_verify(struct verify_result *result, const char *directory, int rank,
                          int n_ranks);

#endif
