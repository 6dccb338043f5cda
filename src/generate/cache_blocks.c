/* See cache_blocks.h. */
#include "generate/cache_blocks.h"

#include <stdlib.h>

#include "base/assertion.h"
#include "base/text_buffer.h"

void cache_blocks_init(struct cache_blocks *blocks, int64_t n, int64_t block)
{
    *blocks = (struct cache_blocks){.n = n, .block = block, .n_free = n};
    blocks->references = memory_new((size_t)n, sizeof *blocks->references);
    blocks->free = memory_new((size_t)n, sizeof *blocks->free);
    for (int64_t i = 0; i < n; i++) blocks->free[i] = (int32_t)(n - 1 - i); /* 0 is taken first */
}

void cache_blocks_release(struct cache_blocks *blocks)
{
    free(blocks->references);
    free(blocks->free);
    *blocks = (struct cache_blocks){0};
}

static int32_t take(struct cache_blocks *blocks)
{
    ASSERT(blocks->n_free > 0, "the cache has run out of its %lld blocks", (long long)blocks->n);
    const int32_t block = blocks->free[--blocks->n_free];
    ASSERT(blocks->references[block] == 0, "block %d was free and held", block);
    blocks->references[block] = 1;
    if (blocks->n - blocks->n_free > blocks->most_used)
        blocks->most_used = blocks->n - blocks->n_free;
    return block;
}

static void give(struct cache_blocks *blocks, int32_t block)
{
    ASSERT(blocks->references[block] > 0, "block %d was given back by nobody", block);
    if (--blocks->references[block] == 0) blocks->free[blocks->n_free++] = block;
}

void cache_sequence_release(struct cache_sequence *sequence, struct cache_blocks *blocks)
{
    for (int64_t i = 0; i < sequence->n_blocks; i++) give(blocks, sequence->blocks[i]);
    free(sequence->blocks);
    *sequence = (struct cache_sequence){0};
}

static void append(struct cache_sequence *sequence, int32_t block)
{
    if (sequence->n_blocks == sequence->capacity) {
        sequence->capacity = sequence->capacity > 0 ? 2 * sequence->capacity : 16;
        sequence->blocks =
            memory_resize(sequence->blocks, (size_t)sequence->capacity, sizeof *sequence->blocks);
    }
    sequence->blocks[sequence->n_blocks++] = block;
}

void cache_sequence_fork(struct cache_sequence *fork, const struct cache_sequence *sequence,
                         struct cache_blocks *blocks)
{
    for (int64_t i = 0; i < sequence->n_blocks; i++) {
        append(fork, sequence->blocks[i]);
        blocks->references[sequence->blocks[i]]++;
    }
    fork->length = sequence->length;
}

void cache_copies_release(struct cache_copies *copies)
{
    free(copies->to_from);
    *copies = (struct cache_copies){0};
}

static void add_copy(struct cache_copies *copies, int32_t to, int32_t from)
{
    if (copies->n == copies->capacity) {
        copies->capacity = copies->capacity > 0 ? 2 * copies->capacity : 16;
        copies->to_from =
            memory_resize(copies->to_from, 2 * (size_t)copies->capacity, sizeof *copies->to_from);
    }
    copies->to_from[2 * copies->n] = to;
    copies->to_from[2 * copies->n++ + 1] = from;
}

void cache_sequence_extend(struct cache_sequence *sequence, struct cache_blocks *blocks, int64_t n,
                           int32_t *slots, struct cache_copies *copies)
{
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = sequence->length % blocks->block;
        if (at == 0) {
            append(sequence, take(blocks));
        } else if (i == 0) {
            int32_t *last = &sequence->blocks[sequence->n_blocks - 1];
            if (blocks->references[*last] > 1) {
                const int32_t copy = take(blocks);
                add_copy(copies, copy, *last);
                give(blocks, *last);
                *last = copy;
            }
        }
        slots[i] = (int32_t)(sequence->blocks[sequence->n_blocks - 1] * blocks->block + at);
        sequence->length++;
    }
}
