/* What the two directions of attention share: tiles, packed keys and values, products of tiles. */
#ifndef ROBIN_KERNELS_CPU_ATTENTION_CPU_H
#define ROBIN_KERNELS_CPU_ATTENTION_CPU_H

#include "kernels.h"

/* Queries and keys of one tile: S and dP of a tile fill half of a first-level cache, and a row is
 * four vectors of 16. */
#define ATTENTION_TILE 64

struct attention {
    const float *qkv;
    const int32_t *seq_start;
    int64_t s, t, h, kv, d;
    int64_t row; /* floats from one token of qkv to the next */
    float scale;
    /* Keys (and, for the backward, values) of every head transposed, [KV, D, T] each: BLAS
     * multiplies small tiles half as fast when the second one must be transposed. */
    float *keys_packed, *values_packed;
};

/* A tile of queries, or of keys: rows first .. first+count-1 of the sequence begin .. end-1. */
struct attention_tile {
    int64_t begin, end, first, count;
};

/* ERR_SHAPE if the heads do not form groups. */
enum status attention_init(struct attention *a, const void *qkv, const int32_t *seq_start,
                           int64_t s, int64_t t, int64_t h, int64_t kv, int64_t d, double scale);

/* Fills keys_packed, and values_packed unless it is NULL. */
void attention_pack(struct attention *a, struct stream *stream);

/* The tile of a sequence begin .. end-1 that starts at `first`. */
struct attention_tile attention_tile_at(int64_t begin, int64_t end, int64_t first);

/* scores [queries, ATTENTION_TILE] = scale q k^T of query head `head`; row r has -infinity from the
 * first key it may not see up to the end of its last vector. */
void attention_scores(float *scores, const struct attention *a, int64_t head,
                      struct attention_tile queries, struct attention_tile keys);

#endif
