/* Look-ups in a vocabulary and the merging of one pre-token. Short ones by scanning for the lowest
 * rank, long ones with a heap over a linked list, so that a megabyte of one letter costs n log n
 * and not n squared. */
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/text_buffer.h"
#include "text/vocabulary.h"
#include "text/vocabulary_tables.h"

#define SHORT_WORD 48 /* symbols */
#define NO_RANK    INT32_MAX

static uint64_t mix(uint64_t h)
{
    h *= 0x9E3779B97F4A7C15u;
    return h ^ h >> 29;
}

size_t vocabulary_hash(const char *bytes, size_t size)
{
    uint64_t h = size, word;
    for (; size >= 8; size -= 8, bytes += 8) {
        memcpy(&word, bytes, 8);
        h = mix(h ^ word);
    }
    word = 0;
    for (size_t i = 0; i < size; i++) word = word << 8 | (unsigned char)bytes[i];
    return (size_t)mix(mix(h ^ word));
}

size_t vocabulary_hash_pair(uint64_t pair)
{
    return (size_t)mix(mix(pair));
}

int32_t vocabulary_find(const struct vocabulary *v, const char *bytes, size_t size)
{
    for (size_t slot = vocabulary_hash(bytes, size) & v->slot_mask;;
         slot = (slot + 1) & v->slot_mask) {
        int32_t id = v->slots[slot];
        if (id < 0) return -1;
        if (v->length[id] == size && memcmp(v->bytes + v->start[id], bytes, size) == 0) return id;
    }
}

const struct merge *vocabulary_merge(const struct vocabulary *v, int32_t left, int32_t right)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    for (size_t slot = vocabulary_hash_pair(pair) & v->merge_mask;;
         slot = (slot + 1) & v->merge_mask) {
        const struct merge *merge = &v->merges[slot];
        if (merge->pair == pair) return merge;
        if (merge->pair == MERGE_EMPTY) return NULL;
    }
}

static void merge_short(const struct vocabulary *v, const char *bytes, size_t size,
                        struct token_list *ids)
{
    int32_t symbol[SHORT_WORD];
    const struct merge *merge[SHORT_WORD]; /* of symbol i with the next one */
    size_t n = size;
    for (size_t i = 0; i < n; i++) symbol[i] = v->byte_id[(unsigned char)bytes[i]];
    for (size_t i = 0; i + 1 < n; i++) merge[i] = vocabulary_merge(v, symbol[i], symbol[i + 1]);
    for (;;) {
        size_t best = n;
        int32_t best_rank = NO_RANK;
        for (size_t i = 0; i + 1 < n; i++)
            if (merge[i] && merge[i]->rank < best_rank) {
                best = i;
                best_rank = merge[i]->rank;
            }
        if (best == n) break;
        symbol[best] = merge[best]->id;
        n--;
        for (size_t i = best + 1; i < n; i++) symbol[i] = symbol[i + 1];
        for (size_t i = best + 1; i + 1 < n; i++) merge[i] = merge[i + 1];
        if (best > 0) merge[best - 1] = vocabulary_merge(v, symbol[best - 1], symbol[best]);
        if (best + 1 < n) merge[best] = vocabulary_merge(v, symbol[best], symbol[best + 1]);
    }
    for (size_t i = 0; i < n; i++) token_list_append(ids, symbol[i]);
}

struct symbols { /* a word as a linked list; a symbol that was merged away has id -1 */
    int32_t *id;
    uint32_t *next, *previous;
    uint32_t n;
    uint64_t *heap; /* rank << 32 | position, the least on top: lowest rank, then leftmost */
    size_t n_heap, capacity;
};

static void heap_push(struct symbols *s, uint64_t value)
{
    if (s->n_heap == s->capacity) {
        s->capacity *= 2;
        s->heap = memory_resize(s->heap, s->capacity, sizeof *s->heap);
    }
    size_t at = s->n_heap++;
    for (; at > 0 && s->heap[(at - 1) / 2] > value; at = (at - 1) / 2)
        s->heap[at] = s->heap[(at - 1) / 2];
    s->heap[at] = value;
}

static uint64_t heap_pop(struct symbols *s)
{
    uint64_t top = s->heap[0], value = s->heap[--s->n_heap];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= s->n_heap) break;
        if (child + 1 < s->n_heap && s->heap[child + 1] < s->heap[child]) child++;
        if (s->heap[child] >= value) break;
        s->heap[at] = s->heap[child];
        at = child;
    }
    s->heap[at] = value;
    return top;
}

static const struct merge *merge_at(const struct vocabulary *v, const struct symbols *s,
                                    uint32_t at)
{
    bool alive = at < s->n && s->id[at] >= 0 && s->next[at] < s->n;
    return alive ? vocabulary_merge(v, s->id[at], s->id[s->next[at]]) : NULL;
}

static void push_merge(const struct vocabulary *v, struct symbols *s, uint32_t at)
{
    const struct merge *merge = merge_at(v, s, at);
    if (merge) heap_push(s, (uint64_t)(uint32_t)merge->rank << 32 | at);
}

static void merge_long(const struct vocabulary *v, const char *bytes, size_t size,
                       struct token_list *ids)
{
    struct symbols s = {.n = (uint32_t)size, .capacity = size};
    s.id = memory_new(size, sizeof *s.id);
    s.next = memory_new(size, sizeof *s.next);
    s.previous = memory_new(size, sizeof *s.previous);
    s.heap = memory_new(size, sizeof *s.heap);
    for (uint32_t i = 0; i < s.n; i++) {
        s.id[i] = v->byte_id[(unsigned char)bytes[i]];
        s.next[i] = i + 1;
        s.previous[i] = i - 1; /* of the first: UINT32_MAX, beyond n */
    }
    for (uint32_t i = 0; i < s.n; i++) push_merge(v, &s, i);
    while (s.n_heap > 0) {
        uint64_t top = heap_pop(&s);
        uint32_t at = (uint32_t)top;
        const struct merge *merge = merge_at(v, &s, at);
        if (!merge || (uint64_t)(uint32_t)merge->rank != top >> 32) continue; /* out of date */
        uint32_t gone = s.next[at];
        s.id[at] = merge->id;
        s.id[gone] = -1;
        s.next[at] = s.next[gone];
        if (s.next[at] < s.n) s.previous[s.next[at]] = at;
        push_merge(v, &s, at);
        push_merge(v, &s, s.previous[at]);
    }
    for (uint32_t i = 0; i < s.n; i = s.next[i]) token_list_append(ids, s.id[i]);
    free(s.id);
    free(s.next);
    free(s.previous);
    free(s.heap);
}

void vocabulary_encode_word(const struct vocabulary *v, const char *bytes, size_t size,
                            struct token_list *ids)
{
    ASSERT(size < UINT32_MAX, "a pre-token of %zu bytes", size);
    int32_t id = vocabulary_find(v, bytes, size);
    if (id >= 0 && v->whole[id])
        token_list_append(ids, id);
    else if (size <= SHORT_WORD)
        merge_short(v, bytes, size, ids);
    else
        merge_long(v, bytes, size, ids);
}
