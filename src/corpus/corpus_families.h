/* The corpora in whose shards the pictures of a corpus may be: itself, and those that its index
 * names. */
#ifndef ROBIN_CORPUS_CORPUS_FAMILIES_H
#define ROBIN_CORPUS_CORPUS_FAMILIES_H

#include "base/status.h"
#include "corpus/corpus_index.h"
#include "corpus/shard_file.h"

struct corpus_families {           /* zeroed is releasable */
    struct shard_family *families; /* [n] 0: the corpus itself */
    struct shard **others;         /* [n] the shards of families 1 .. n-1, owned */
    int64_t n;
};

/* Opens the corpora of index->sources (relative to `directory`) and tells shards own[0 .. n_own-1]
 * of them. The result is moved into *families, which must stay where it is as long as they do.
 * Errors  ERR_IO, ERR_FORMAT where one is not there or has changed since; the sentence names both
 */
enum status corpus_families_open(struct corpus_families *families, const struct corpus_index *index,
                                 const char *directory, struct shard *own, int64_t n_own);

/* For a look at a corpus that may be damaged: opens its shards (of `index`) and families; of a
 * shard that does not open all is zero. Release both. */
enum status corpus_families_open_all(struct corpus_families *families, struct shard **own_out,
                                     const struct corpus_index *index, const char *directory);
void corpus_families_close(struct corpus_families *families);

#endif
