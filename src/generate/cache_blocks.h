/* Which block of the cache belongs to whom: blocks with counts of references, and sequences that
 * share them. Knows numbers of blocks, not what is in them. */
#ifndef ROBIN_GENERATE_CACHE_BLOCKS_H
#define ROBIN_GENERATE_CACHE_BLOCKS_H

#include <stdint.h>

struct cache_blocks { /* zeroed is releasable */
    int64_t n, block; /* blocks, and tokens of one */
    int32_t *references;
    int32_t *free; /* the first n_free are nobody's */
    int64_t n_free;
    int64_t most_used;
};
void cache_blocks_init(struct cache_blocks *blocks, int64_t n, int64_t block);
void cache_blocks_release(struct cache_blocks *blocks);

struct cache_sequence { /* zeroed is empty */
    int32_t *blocks;    /* [n_blocks], in order */
    int64_t n_blocks, capacity;
    int64_t length; /* tokens stored */
};
/* Gives back every block that nobody else holds. */
void cache_sequence_release(struct cache_sequence *sequence, struct cache_blocks *blocks);

/* An empty sequence becomes another one, over the same blocks. */
void cache_sequence_fork(struct cache_sequence *fork, const struct cache_sequence *sequence,
                         struct cache_blocks *blocks);

/* Block `to` must become a copy of `from` before it is written. */
struct cache_copies { /* zeroed is empty and releasable */
    int32_t *to_from; /* [2 n] */
    int64_t n, capacity;
};
void cache_copies_release(struct cache_copies *copies);

/* Makes room for n more tokens behind the sequence's last; a broken last block that others hold as
 * well is replaced by a copy. The slots of the new tokens are written to slots [n]. That there are
 * blocks enough is the caller's to see to. */
void cache_sequence_extend(struct cache_sequence *sequence, struct cache_blocks *blocks, int64_t n,
                           int32_t *slots, struct cache_copies *copies);

#endif
