/* Which pictures are stored where already, found by their content: so that records of one picture
 * share its bytes over shards and over corpora. */
#ifndef ROBIN_CORPUS_PICTURE_INDEX_H
#define ROBIN_CORPUS_PICTURE_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "corpus/shard_file.h"

struct picture_index {        /* zeroed is empty and releasable */
    struct row_picture *rows; /* by hash */
    int64_t n;
};
void picture_index_release(struct picture_index *index);

/* Adds the pictures that the shards of a corpus hold themselves, as of corpus `corpus` (1, 2, ...)
 * of a list. */
enum status picture_index_add_corpus(struct picture_index *index, struct shard_family family,
                                     uint32_t corpus);

/* Adds the pictures of an unfinished corpus (number 0): of equal ones the first, at the offset that
 * it has once the others are taken out. spare_out [family.n]: the shard stores one that an earlier
 * shard has. The same before, while and after shards are rewritten so. */
enum status picture_index_add_own(struct picture_index *index, struct shard_family family,
                                  bool *spare_out);

/* The picture in another corpus, or in a shard of this one before `shard`; NULL: there is none. */
const struct row_picture *picture_index_find(const struct picture_index *index,
                                             const struct content_hash *hash, int64_t shard);

#endif
