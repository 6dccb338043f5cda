/* Attention over keys and values in blocks. A block of the cache is [KV, D, block] keys and behind
 * them [KV, block, D] values: a vector of scores is a vector of keys times one element of the query
 * after the other, and values are added key by key: no sum crosses lanes, and each has one order
 * whatever else is computed beside it.
 *
 * A query carries its running softmax (Dao 2023, FlashAttention-2, algorithm 1) from piece to piece
 * of 64 keys. Queries of a group walk the pieces they share together, as one matrix product, and
 * each goes on alone from the state it then has: what merging two parts by their log-sum-exp gives,
 * and the same bits as walking alone. */
#include "cpu.h"

#include <math.h>

#include "blocks.h"
#include "vector.h"

#define PIECE         64 /* keys of a step of the softmax */
#define PIECE_VECTORS (PIECE / VECTOR_LANES)
#define QUERY_TILE    6
#define VECTOR_TILE   4     /* 6 x 4 sums and 4 vectors in registers */
#define TILE_QUERIES  48    /* queries that walk together */
#define TILE_FLOATS   12288 /* of their outputs at most */

struct cache_shape {
    int64_t block, h, kv, d;
};

static int64_t block_floats(const struct cache_shape *c)
{
    return 2 * c->kv * c->block * c->d;
}

size_t cpu_cache_bytes(int64_t n_blocks, int64_t block, int64_t kv, int64_t d)
{
    const struct cache_shape c = {.block = block, .kv = kv, .d = d};
    return (size_t)(n_blocks * block_floats(&c)) * sizeof(float);
}

/* ---- writing ---- */

struct store {
    struct cache_shape shape;
    float *cache;
    const float *qkv;
    const int32_t *slot;
    int64_t t;
};

static void store_row(const struct store *s, int64_t row)
{
    const struct cache_shape *c = &s->shape;
    const float *key = s->qkv + (row * (c->h + 2 * c->kv) + c->h) * c->d;
    const float *value = key + c->kv * c->d;
    float *block = s->cache + s->slot[row] / c->block * block_floats(c);
    float *keys = block + s->slot[row] % c->block;
    float *values = block + (c->kv * c->block + s->slot[row] % c->block) * c->d;
    for (int64_t k = 0; k < c->kv * c->d; k++) keys[k * c->block] = key[k];
    for (int64_t head = 0; head < c->kv; head++)
        memcpy(values + head * c->block * c->d, value + head * c->d, (size_t)c->d * sizeof(float));
}

static void store_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct store *s = argument;
    const int64_t rows = light_block_rows(2 * s->shape.kv * s->shape.d);
    const int64_t end = smaller(s->t, (block + 1) * rows);
    for (int64_t row = block * rows; row < end; row++) store_row(s, row);
}

enum status cpu_cache_store(void *cache, const void *qkv, const int32_t *slot, int64_t t, int64_t h,
                            int64_t kv, int64_t d, int64_t block, struct stream *stream)
{
    struct store s = {{block, h, kv, d}, cache, qkv, slot, t};
    run_blocks(stream, t, light_block_rows(2 * kv * d), store_block, &s);
    return OK;
}

enum status cpu_cache_copy(void *cache, const int32_t *to_from, int64_t n, int64_t block,
                           int64_t kv, int64_t d, struct stream *stream)
{
    (void)stream;
    const struct cache_shape c = {.block = block, .kv = kv, .d = d};
    float *blocks = cache;
    for (int64_t i = 0; i < n; i++)
        memcpy(blocks + to_from[2 * i] * block_floats(&c),
               blocks + to_from[2 * i + 1] * block_floats(&c),
               (size_t)block_floats(&c) * sizeof(float));
    return OK;
}

/* ---- attention ---- */

struct attention {
    struct cache_shape shape;
    const float *qkv, *cache;
    float *out;
    const struct cached_rows *rows;
    float scale;
    int64_t tile_queries; /* queries: (row, head of the group of query heads) */
    int64_t n_tiles;
};

/* Queries of one key head that walk together: rows of a group, heads of each row side by side. */
struct walk {
    const struct attention *a;
    int64_t head;  /* of keys */
    int64_t group; /* query heads of it: H / KV */
    int64_t first; /* number of the first query, counted from row 0 */
    int64_t n;
    float max[TILE_QUERIES], sum[TILE_QUERIES];
    float *out; /* [n, D], not yet divided by the sum */
};

/* A piece of keys in the cache. */
struct piece {
    int64_t first, n; /* keys first .. first + n - 1 of the sequence */
    const float *keys[PIECE_VECTORS];
    const float *values[PIECE]; /* row of each key */
};

static int64_t row_of(const struct walk *w, int64_t query)
{
    return (w->first + query) / w->group;
}

static const float *query_at(const struct walk *w, int64_t query)
{
    const struct cache_shape *c = &w->a->shape;
    const int64_t head = w->head * w->group + (w->first + query) % w->group;
    return w->a->qkv + (row_of(w, query) * (c->h + 2 * c->kv) + head) * c->d;
}

static void find_piece(struct piece *piece, const struct walk *w, int64_t sequence, int64_t first,
                       int64_t end)
{
    const struct cache_shape *c = &w->a->shape;
    const int32_t *table = w->a->rows->table + sequence * w->a->rows->table_width;
    piece->first = first;
    piece->n = smaller(PIECE, end - first);
    for (int64_t j = 0; j < piece->n; j++) {
        const int64_t key = first + j;
        const float *block = w->a->cache + table[key / c->block] * block_floats(c);
        piece->values[j] = block + (c->kv * c->block + w->head * c->block + key % c->block) * c->d;
        if (j % VECTOR_LANES == 0)
            piece->keys[j / VECTOR_LANES] = block + w->head * c->d * c->block + key % c->block;
    }
    for (int64_t v = ceil_divide(piece->n, VECTOR_LANES); v < PIECE_VECTORS; v++)
        piece->keys[v] = piece->keys[0];
}

/* scores [n, PIECE] of n queries and the piece's vectors first .. first + VECTOR_TILE - 1; `n` is a
 * constant where this is called. */
VECTOR_INLINE void score_tile(float *scores, const float *const *query, const struct piece *piece,
                              int64_t first, int64_t d, int64_t block, const int n)
{
    vector_f32 sum[QUERY_TILE * VECTOR_TILE] = {{0}};
    const float *const *keys = piece->keys + first;
    for (int64_t k = 0; k < d; k++) {
        vector_f32 key[VECTOR_TILE];
        for (int v = 0; v < VECTOR_TILE; v++) key[v] = vector_load(keys[v] + k * block);
        for (int q = 0; q < n; q++) {
            const vector_f32 value = vector_set(query[q][k]);
            for (int v = 0; v < VECTOR_TILE; v++)
                sum[q * VECTOR_TILE + v] = vector_fma(value, key[v], sum[q * VECTOR_TILE + v]);
        }
    }
    for (int q = 0; q < n; q++)
        for (int v = 0; v < VECTOR_TILE; v++)
            vector_store(scores + q * PIECE + (first + v) * VECTOR_LANES, sum[q * VECTOR_TILE + v]);
}

/* out [n, D], columns of VECTOR_TILE vectors from `column` on, += p [n, PIECE] values; the last
 * vector may be a part. */
VECTOR_INLINE void value_tile(float *out, const float *p, const struct piece *piece, int64_t column,
                              int64_t d, const int n)
{
    vector_f32 sum[QUERY_TILE * VECTOR_TILE];
    int64_t part[VECTOR_TILE];
    for (int v = 0; v < VECTOR_TILE; v++)
        part[v] = larger(0, smaller(VECTOR_LANES, d - column - v * VECTOR_LANES));
#pragma GCC unroll 6 /* else the sums stay in memory */
    for (int q = 0; q < n; q++)
        for (int v = 0; v < VECTOR_TILE; v++)
            sum[q * VECTOR_TILE + v] =
                vector_load_partial(out + q * d + column + v * VECTOR_LANES, part[v], 0.0f);
    for (int64_t j = 0; j < piece->n; j++) {
        vector_f32 value[VECTOR_TILE];
        for (int v = 0; v < VECTOR_TILE; v++)
            value[v] =
                vector_load_partial(piece->values[j] + column + v * VECTOR_LANES, part[v], 0.0f);
#pragma GCC unroll 6
        for (int q = 0; q < n; q++) {
            const vector_f32 weight = vector_set(p[q * PIECE + j]);
            for (int v = 0; v < VECTOR_TILE; v++)
                sum[q * VECTOR_TILE + v] = vector_fma(weight, value[v], sum[q * VECTOR_TILE + v]);
        }
    }
#pragma GCC unroll 6
    for (int q = 0; q < n; q++)
        for (int v = 0; v < VECTOR_TILE; v++)
            vector_store_partial(out + q * d + column + v * VECTOR_LANES, sum[q * VECTOR_TILE + v],
                                 part[v]);
}

#define TILES(N)                                                                                   \
    static void scores_##N(float *scores, const float *const *query, const struct piece *piece,    \
                           int64_t first, int64_t d, int64_t block)                                \
    {                                                                                              \
        score_tile(scores, query, piece, first, d, block, N);                                      \
    }                                                                                              \
    static void values_##N(float *out, const float *p, const struct piece *piece, int64_t column,  \
                           int64_t d)                                                              \
    {                                                                                              \
        value_tile(out, p, piece, column, d, N);                                                   \
    }
TILES(1)
TILES(2)
TILES(3)
TILES(4)
TILES(5)
TILES(6)
static void (*const score_tiles[])(float *, const float *const *, const struct piece *, int64_t,
                                   int64_t, int64_t) = {scores_1, scores_2, scores_3,
                                                        scores_4, scores_5, scores_6};
static void (*const value_tiles[])(float *, const float *, const struct piece *, int64_t,
                                   int64_t) = {values_1, values_2, values_3,
                                               values_4, values_5, values_6};

/* Scores of one query become p = exp(score - max) of its running softmax; what it has summed so far
 * is corrected to the new maximum. Keys it does not see, and those behind the piece, get 0. */
static void soften(struct walk *w, int64_t query, float *scores, const struct piece *piece)
{
    const int64_t d = w->a->shape.d;
    const int64_t sees = w->a->rows->position[row_of(w, query)] + 1 - piece->first;
    const vector_f32 scale = vector_set(w->a->scale);
    for (int64_t j = larger(0, smaller(sees, piece->n)); j < PIECE; j++) scores[j] = -INFINITY;
    vector_f32 largest = vector_set(w->max[query]);
    for (int64_t j = 0; j < PIECE; j += VECTOR_LANES) {
        const vector_f32 score = vector_load(scores + j) * scale;
        vector_store(scores + j, score);
        largest = vector_max(largest, score);
    }
    const float max = vector_largest(largest);
    float lanes[VECTOR_LANES];
    vector_store(lanes, vector_exp(vector_set(w->max[query] - max)));
    const float correction = lanes[0];
    vector_f32 sum = {0};
    for (int64_t j = 0; j < PIECE; j += VECTOR_LANES) {
        const vector_f32 p = vector_exp(vector_load(scores + j) - max);
        vector_store(scores + j, p);
        sum += p;
    }
    w->max[query] = max;
    w->sum[query] = w->sum[query] * correction + vector_sum(sum);
    float *out = w->out + query * d;
    if (correction != 1.0f)
        for (int64_t k = 0; k < d; k++) out[k] *= correction;
}

/* Queries first .. first + n - 1 of the walk take a step over a piece. */
static void step(struct walk *w, int64_t first, int64_t n, const struct piece *piece)
{
    const struct cache_shape *c = &w->a->shape;
    const float *query[QUERY_TILE];
    _Alignas(64) float scores[QUERY_TILE * PIECE];
    for (int64_t at = first; at < first + n; at += QUERY_TILE) {
        const int64_t tile = smaller(QUERY_TILE, first + n - at);
        for (int64_t q = 0; q < tile; q++) query[q] = query_at(w, at + q);
        for (int64_t v = 0; v * VECTOR_LANES < piece->n; v += VECTOR_TILE)
            score_tiles[tile - 1](scores, query, piece, v, c->d, c->block);
        for (int64_t q = 0; q < tile; q++) soften(w, at + q, scores + q * PIECE, piece);
        for (int64_t column = 0; column < c->d; column += VECTOR_TILE * VECTOR_LANES)
            value_tiles[tile - 1](w->out + at * c->d, scores, piece, column, c->d);
    }
}

/* Queries of one sequence from key `begin` on. */
static void walk_alone(struct walk *w, int64_t sequence, int64_t first, int64_t n, int64_t begin)
{
    struct piece piece;
    const int64_t end = w->a->rows->position[row_of(w, first + n - 1)] + 1;
    for (int64_t key = begin; key < end; key += PIECE) {
        find_piece(&piece, w, sequence, key, end);
        step(w, first, n, &piece);
    }
}

static void finish(struct walk *w)
{
    const struct cache_shape *c = &w->a->shape;
    for (int64_t q = 0; q < w->n; q++) {
        const int64_t head = w->head * w->group + (w->first + q) % w->group;
        float *out = w->a->out + (row_of(w, q) * c->h + head) * c->d;
        const float factor = 1.0f / w->sum[q];
        for (int64_t k = 0; k < c->d; k++) out[k] = w->out[q * c->d + k] * factor;
    }
}

/* Number of tiles of a group. */
static int64_t tiles_of(const struct attention *a, int64_t group)
{
    const struct cached_rows *rows = a->rows;
    const int64_t n =
        rows->row_start[rows->group_start[group + 1]] - rows->row_start[rows->group_start[group]];
    return ceil_divide(n * (a->shape.h / a->shape.kv), a->tile_queries);
}

static void attention_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct attention *a = argument;
    const struct cached_rows *rows = a->rows;
    float out[TILE_FLOATS];
    struct walk w = {.a = a, .head = block % a->shape.kv, .out = out};
    struct piece piece;
    int64_t tile = block / a->shape.kv, group = 0;
    w.group = a->shape.h / a->shape.kv;
    for (; tile >= tiles_of(a, group); group++) tile -= tiles_of(a, group);
    int64_t sequence = rows->group_start[group];
    const int64_t begin = rows->row_start[sequence] * w.group;
    const int64_t end = rows->row_start[rows->group_start[group + 1]] * w.group;
    w.first = begin + tile * a->tile_queries;
    w.n = smaller(a->tile_queries, end - w.first);
    memset(out, 0, (size_t)(w.n * a->shape.d) * sizeof *out);
    for (int64_t q = 0; q < w.n; q++) {
        w.max[q] = -INFINITY;
        w.sum[q] = 0;
    }
    const int64_t shared = rows->shared[group] / PIECE * PIECE;
    for (int64_t key = 0; key < shared; key += PIECE) {
        find_piece(&piece, &w, sequence, key, shared);
        step(&w, 0, w.n, &piece);
    }
    for (int64_t q = 0, n; q < w.n; q += n) {
        while (rows->row_start[sequence + 1] <= row_of(&w, q)) sequence++;
        n = smaller(w.n - q, rows->row_start[sequence + 1] * w.group - (w.first + q));
        walk_alone(&w, sequence, q, n, shared);
    }
    finish(&w);
}

enum status cpu_attention_cached(void *out, const void *qkv, const void *cache,
                                 const struct cached_rows *rows, int64_t t, int64_t h, int64_t kv,
                                 int64_t d, double scale, struct stream *stream)
{
    enum status status = OK;
    struct attention a = {.shape = {rows->block, h, kv, d},
                          .qkv = qkv,
                          .cache = cache,
                          .out = out,
                          .rows = rows,
                          .scale = (float)scale,
                          .tile_queries = smaller(TILE_QUERIES, TILE_FLOATS / d)};
    if (kv < 1 || h % kv != 0 || d > TILE_FLOATS || rows->block % 16 != 0 ||
        PIECE % rows->block != 0)
        FAIL(ERR_SHAPE,
             "attention over a cache with %lld query heads, %lld key heads of %lld and blocks of "
             "%lld tokens; blocks hold 16, 32 or 64",
             (long long)h, (long long)kv, (long long)d, (long long)rows->block);
    if (t == 0) goto out;
    for (int64_t g = 0; g < rows->n_groups; g++) a.n_tiles += tiles_of(&a, g);
    thread_pool_run(stream->pool, a.n_tiles * kv, attention_block, &a);
out:
    return status;
}
