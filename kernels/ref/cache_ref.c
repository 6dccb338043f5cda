/* Keys and values in blocks, and attention over them, as the definition reads. A block holds
 * [2, KV, block, D]: keys, then values. */
#include "ref.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct layout {
    int64_t block, h, kv, d;
};

static int64_t block_size(struct layout l)
{
    return 2 * l.kv * l.block * l.d;
}

size_t ref_cache_bytes(int64_t n_blocks, int64_t block, int64_t kv, int64_t d)
{
    const struct layout l = {.block = block, .kv = kv, .d = d};
    return (size_t)(n_blocks * block_size(l)) * sizeof(float);
}

/* The key (`value` 0) or value (1) of a head in a slot. */
static int64_t place(struct layout l, int64_t slot, int64_t head, int64_t value)
{
    const int64_t row = (value * l.kv + head) * l.block + slot % l.block;
    return slot / l.block * block_size(l) + row * l.d;
}

enum status ref_cache_store(void *cache, const void *qkv, const int32_t *slot, int64_t t, int64_t h,
                            int64_t kv, int64_t d, int64_t block, struct stream *stream)
{
    (void)stream;
    const struct layout l = {block, h, kv, d};
    float *to = cache;
    const float *rows = qkv;
    for (int64_t row = 0; row < t; row++)
        for (int64_t value = 0; value < 2; value++)
            for (int64_t head = 0; head < kv; head++)
                memcpy(to + place(l, slot[row], head, value),
                       rows + (row * (h + 2 * kv) + h + value * kv + head) * d,
                       (size_t)d * sizeof(float));
    return OK;
}

enum status ref_cache_copy(void *cache, const int32_t *to_from, int64_t n, int64_t block,
                           int64_t kv, int64_t d, struct stream *stream)
{
    (void)stream;
    const struct layout l = {.block = block, .kv = kv, .d = d};
    float *blocks = cache;
    for (int64_t i = 0; i < n; i++)
        memcpy(blocks + to_from[2 * i] * block_size(l), blocks + to_from[2 * i + 1] * block_size(l),
               (size_t)block_size(l) * sizeof(float));
    return OK;
}

/* One query head over the keys at `slot` [n]: as in attention_ref.c. */
static void attend(float *out, const float *q, const float *cache, struct layout l, int64_t head,
                   const int64_t *slot, int64_t n, double scale, double *score)
{
    double max = -INFINITY, sum = 0;
    for (int64_t j = 0; j < n; j++) {
        const float *key = cache + place(l, slot[j], head, 0);
        score[j] = 0;
        for (int64_t k = 0; k < l.d; k++) score[j] += (double)q[k] * (double)key[k];
        score[j] *= scale;
        max = fmax(max, score[j]);
    }
    for (int64_t j = 0; j < n; j++) sum += exp(score[j] - max);
    for (int64_t k = 0; k < l.d; k++) {
        double value = 0;
        for (int64_t j = 0; j < n; j++)
            value += exp(score[j] - max) / sum * (double)cache[place(l, slot[j], head, 1) + k];
        out[k] = (float)value;
    }
}

enum status ref_attention_cached(void *out, const void *qkv, const void *cache,
                                 const struct cached_rows *rows, int64_t t, int64_t h, int64_t kv,
                                 int64_t d, double scale, struct stream *stream)
{
    enum status status = OK;
    const struct layout l = {rows->block, h, kv, d};
    const int64_t most = rows->table_width * rows->block;
    int64_t *slot = calloc((size_t)most + 1, sizeof *slot);
    double *score = calloc((size_t)most + 1, sizeof *score);
    float *to = out;
    const float *from = qkv;
    (void)stream;
    (void)t;
    if (slot == NULL || score == NULL) FAIL(ERR_MEMORY, "no memory for the scores of a sequence");
    for (int64_t s = 0; s < rows->n_sequences; s++) {
        for (int64_t row = rows->row_start[s]; row < rows->row_start[s + 1]; row++) {
            const int64_t n = rows->position[row] + 1;
            for (int64_t j = 0; j < n; j++)
                slot[j] = rows->table[s * rows->table_width + j / l.block] * l.block + j % l.block;
            for (int64_t head = 0; head < h; head++)
                attend(to + (row * h + head) * d, from + (row * (h + 2 * kv) + head) * d, cache, l,
                       head / (h / kv), slot, n, scale, score);
        }
    }
out:
    free(score);
    free(slot);
    return status;
}
