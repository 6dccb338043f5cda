/* A corpus on its way: its files gather in DIRECTORY.partial, and one rename makes it whole. So a
 * corpus either is there with all its shards or is not there, whatever kills the run. */
#ifndef ROBIN_CORPUS_CORPUS_STAGE_H
#define ROBIN_CORPUS_CORPUS_STAGE_H

#include <stdint.h>

#include "base/status.h"

struct corpus_stage { /* zeroed is releasable */
    char *directory;  /* where the corpus will be */
    char *partial;    /* where it is until then */
    char *name;
};

/* Names only; touches no file. ERR_ARGUMENT for a name that cannot be one. */
enum status corpus_stage_init(struct corpus_stage *stage, const char *directory, const char *name);
void corpus_stage_release(struct corpus_stage *stage);

/* Makes the partial folder. ERR_ARGUMENT when the directory holds something already, or another or
 * an interrupted build left its partial folder. One process. */
enum status corpus_stage_begin(const struct corpus_stage *stage);

/* Opens shards 0 .. n_shards-1 of the partial folder, checks them and that no two records have one
 * id, writes the index and renames the folder. One process, after all shards are committed. */
enum status corpus_stage_commit(const struct corpus_stage *stage, int64_t n_shards);

/* Removes the partial folder. */
void corpus_stage_abandon(const struct corpus_stage *stage);

#endif
