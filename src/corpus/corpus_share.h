/* Pictures stored once: a corpus being built finds those that other corpora hold, and, when its
 * shards are made, those that several of its own hold. */
#ifndef ROBIN_CORPUS_CORPUS_SHARE_H
#define ROBIN_CORPUS_CORPUS_SHARE_H

#include "base/status.h"
#include "comm/comm.h"
#include "corpus/corpus_index.h"
#include "corpus/corpus_stage.h"
#include "corpus/picture_index.h"

struct corpus_share {            /* zeroed is releasable */
    struct corpus_index sources; /* only its sources: the other corpora, relative to `parent` */
    char *parent;                /* the folder in which the corpus will be */
    struct picture_index known;  /* what they hold */
};
void corpus_share_release(struct corpus_share *share);

/* Opens the corpora in the given folders and lists what they hold themselves. One that must not
 * change afterwards: the new corpus names it by its path from its own folder.
 * Errors  those of opening a corpus */
enum status corpus_share_open(struct corpus_share *share, const struct corpus_stage *stage,
                              const char *const *folders, int64_t n);

/* Rewrites those shards of the partial folder that store a picture which an earlier one stores:
 * each picture is kept where it comes first. May be interrupted and done again. Collective. */
enum status corpus_share_own(struct comm *comm, struct corpus_share *share,
                             const struct corpus_stage *stage, int64_t n_shards);

#endif
