/* A damaged corpus as far as it is whole. */
#ifndef ROBIN_CORPUS_CORPUS_REPAIR_H
#define ROBIN_CORPUS_CORPUS_REPAIR_H

#include <stdint.h>

#include "base/status.h"

struct repair_result { /* zeroed is empty; release `name` */
    char *name;        /* of the corpus */
    int64_t n_shards;  /* files found */
    int64_t n_records; /* whole */
    int64_t n_dropped; /* damaged records, and shards that do not open */
};

/* Writes index.json of `directory` anew from its shard files. Nothing else is touched.
 * Errors  ERR_FORMAT with the first damage when one file or record is not whole, or a number is
 * missing: then corpus_repair_copy says what is left */
enum status corpus_repair_index(struct repair_result *result, const char *directory);

/* Copies every whole record of the shard files into the new corpus `out`, in their order, and lists
 * what was left behind in OUT.dropped.jsonl: {"shard", "record", "sentence"} a line, record -1 for
 * a whole file. `directory` is only read.
 * Errors  nothing whole is there; `out` is there already */
enum status corpus_repair_copy(struct repair_result *result, const char *directory,
                               const char *out);

#endif
