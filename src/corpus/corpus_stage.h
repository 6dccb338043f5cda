/* A corpus on its way: its files gather in DIRECTORY.partial/corpus, and one rename makes it whole.
 * So a corpus either is there with all its shards or is not there, whatever kills the run; and what
 * a killed run has finished, the next one of the same identity need not make again. */
#ifndef ROBIN_CORPUS_CORPUS_STAGE_H
#define ROBIN_CORPUS_CORPUS_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "corpus/corpus_index.h"

struct corpus_stage { /* zeroed is releasable */
    char *directory;  /* where the corpus will be */
    char *working;    /* DIRECTORY.partial: the identity, what is noted of each shard */
    char *partial;    /* DIRECTORY.partial/corpus: what the corpus will hold */
    char *name;
    int lock; /* descriptor + 1 of the identity's file, locked; 0: none */
};

/* Names only; touches no file. ERR_ARGUMENT for a name that cannot be one. */
enum status corpus_stage_init(struct corpus_stage *stage, const char *directory, const char *name);
void corpus_stage_release(struct corpus_stage *stage);

/* Makes the partial folder. `identity` says in one line what the build is made of; a folder that an
 * interrupted build of the same identity left is taken over with its shards (*resumed_out). NULL:
 * no folder is. ERR_ARGUMENT when the directory holds something already, another build is at work,
 * or one of another identity was interrupted. One process. */
enum status corpus_stage_begin(struct corpus_stage *stage, const char *identity, bool *resumed_out);

/* The index of shards 0 .. n_shards-1 of a folder, all opened, their records' checksums and that no
 * two records have one id checked. */
enum status corpus_shards_index(struct corpus_index *index_out, const char *directory,
                                const char *name, int64_t n_shards);

/* Writes the index, of all shards of the partial folder, and renames the folder. */
enum status corpus_stage_commit(struct corpus_stage *stage, const struct corpus_index *index);

/* Removes the partial folder. */
void corpus_stage_abandon(struct corpus_stage *stage);

#endif
