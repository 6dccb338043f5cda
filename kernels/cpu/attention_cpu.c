/* Causal grouped-query attention, forward: FlashAttention-2's online softmax, tile by tile, with
 * BLAS for the products inside a tile. A block of work is one tile of queries of one head. */
#include "attention_cpu.h"

#include <cblas.h>
#include <math.h>

#include "blocks.h"
#include "cpu.h"
#include "vector.h"

#define TILE ATTENTION_TILE

/* ---- shared by both directions ---- */

enum status attention_init(struct attention *a, const void *qkv, const int32_t *seq_start,
                           int64_t s, int64_t t, int64_t h, int64_t kv, int64_t d, double scale)
{
    enum status status = OK;
    if (kv < 1 || h % kv != 0)
        FAIL(ERR_SHAPE,
             "attention with %lld query heads needs a divisor of that as key/value heads, not %lld",
             (long long)h, (long long)kv);
    *a = (struct attention){.qkv = qkv,
                            .seq_start = seq_start,
                            .s = s,
                            .t = t,
                            .h = h,
                            .kv = kv,
                            .d = d,
                            .row = (h + 2 * kv) * d,
                            .scale = (float)scale};
    /* The pool's threads are the only ones: BLAS starts none of its own. */
    if (openblas_get_num_threads() != 1) openblas_set_num_threads(1);
out:
    return status;
}

static void pack_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct attention *a = argument;
    int64_t n_row_tiles = ceil_divide(a->t, TILE);
    int64_t head = block / n_row_tiles, first = block % n_row_tiles * TILE;
    int64_t count = smaller(TILE, a->t - first);
    /* Heads KV .. 2 KV - 1 are the values. */
    float *packed = head < a->kv ? a->keys_packed : a->values_packed - a->kv * a->d * a->t;
    const float *from = a->qkv + first * a->row + (a->h + head) * a->d;
    for (int64_t k = 0; k < a->d; k++) {
        float *restrict to = packed + (head * a->d + k) * a->t + first;
        for (int64_t j = 0; j < count; j++) to[j] = from[j * a->row + k];
    }
}

void attention_pack(struct attention *a, struct stream *stream)
{
    int64_t n_heads = a->values_packed != NULL ? 2 * a->kv : a->kv;
    thread_pool_run(stream->pool, n_heads * ceil_divide(a->t, TILE), pack_block, a);
}

struct attention_tile attention_tile_at(int64_t begin, int64_t end, int64_t first)
{
    return (struct attention_tile){begin, end, first, smaller(TILE, end - first)};
}

/* Columns of a tile of scores that are computed with: its keys, rounded up to whole vectors. */
static int64_t score_width(struct attention_tile keys)
{
    return ceil_divide(keys.count, VECTOR_LANES) * VECTOR_LANES;
}

void attention_scores(float *scores, const struct attention *a, int64_t head,
                      struct attention_tile queries, struct attention_tile keys)
{
    const float *q = a->qkv + queries.first * a->row + head * a->d;
    const float *k = a->keys_packed + head / (a->h / a->kv) * a->d * a->t + keys.first;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)queries.count, (int)keys.count,
                (int)a->d, a->scale, q, (int)a->row, k, (int)a->t, 0.0f, scores, TILE);
    int64_t width = score_width(keys);
    for (int64_t r = 0; r < queries.count; r++) {
        int64_t visible = smaller(keys.count, queries.first + r - keys.first + 1);
        for (int64_t j = visible; j < width; j++) scores[r * TILE + j] = -INFINITY;
    }
}

/* ---- forward ---- */

struct forward {
    struct attention a;
    float *out, *lse;
    int64_t n_tiles;
};

static int64_t count_tiles(const struct attention *a)
{
    int64_t n = 0;
    for (int64_t s = 0; s < a->s; s++)
        n += ceil_divide(a->seq_start[s + 1] - a->seq_start[s], TILE);
    return n;
}

static struct attention_tile find_tile(const struct attention *a, int64_t tile)
{
    int64_t s = 0;
    for (;; s++) {
        int64_t n = ceil_divide(a->seq_start[s + 1] - a->seq_start[s], TILE);
        if (tile < n) break;
        tile -= n;
    }
    return attention_tile_at(a->seq_start[s], a->seq_start[s + 1], a->seq_start[s] + tile * TILE);
}

/* The running softmax of a tile of queries: largest score so far and sum of exp(score - it). */
struct online_softmax {
    float max[TILE], sum[TILE], correction[TILE];
};

/* Scores become p = exp(score - new max); correction = exp(old max - new max) is what earlier
 * sums and outputs must be multiplied by. Every row sees at least one key of each tile. */
static void softmax_tile(struct online_softmax *o, float *scores, int64_t n_queries, int64_t width)
{
    for (int64_t r = 0; r < n_queries; r++) {
        vector_f32 largest = vector_set(o->max[r]);
        for (int64_t j = 0; j < width; j += VECTOR_LANES)
            largest = vector_max(largest, vector_load(scores + r * TILE + j));
        float max = vector_largest(largest);
        o->correction[r] = o->max[r] - max;
        o->max[r] = max;
    }
    for (int64_t r = 0; r < TILE; r += VECTOR_LANES)
        vector_store(o->correction + r, vector_exp(vector_load(o->correction + r)));
    for (int64_t r = 0; r < n_queries; r++) {
        vector_f32 sum = {0}, max = vector_set(o->max[r]);
        for (int64_t j = 0; j < width; j += VECTOR_LANES) {
            vector_f32 p = vector_exp(vector_load(scores + r * TILE + j) - max);
            vector_store(scores + r * TILE + j, p);
            sum += p;
        }
        o->sum[r] = o->sum[r] * o->correction[r] + vector_sum(sum);
    }
}

static void scale_row(float *row, int64_t d, float factor)
{
    for (int64_t k = 0; k < d; k++) row[k] *= factor;
}

static void forward_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct forward *f = argument;
    const struct attention *a = &f->a;
    int64_t head = block % a->h, out_row = a->h * a->d;
    /* Last tiles first: they see the most keys, and the short ones fill the gaps at the end. */
    struct attention_tile queries = find_tile(a, f->n_tiles - 1 - block / a->h);
    float scores[TILE * TILE];
    struct online_softmax o = {.correction = {0}};
    for (int64_t r = 0; r < TILE; r++) o.max[r] = -INFINITY;
    float *out = f->out + queries.first * out_row + head * a->d;
    int64_t value_head = a->h + a->kv + head / (a->h / a->kv);
    for (int64_t first = queries.begin; first <= queries.first; first += TILE) {
        struct attention_tile keys =
            attention_tile_at(queries.begin, queries.first + queries.count, first);
        attention_scores(scores, a, head, queries, keys);
        softmax_tile(&o, scores, queries.count, score_width(keys));
        if (first != queries.begin)
            for (int64_t r = 0; r < queries.count; r++)
                if (o.correction[r] != 1.0f) scale_row(out + r * out_row, a->d, o.correction[r]);
        const float *v = a->qkv + first * a->row + value_head * a->d;
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)queries.count, (int)a->d,
                    (int)keys.count, 1.0f, scores, TILE, v, (int)a->row,
                    first == queries.begin ? 0.0f : 1.0f, out, (int)out_row);
    }
    for (int64_t r = 0; r < queries.count; r++) {
        scale_row(out + r * out_row, a->d, 1.0f / o.sum[r]);
        f->lse[head * a->t + queries.first + r] = (float)((double)o.max[r] + log((double)o.sum[r]));
    }
}

enum status cpu_attention_forward(void *out, float *lse, const void *qkv, const int32_t *seq_start,
                                  int64_t s, int64_t t, int64_t h, int64_t kv, int64_t d,
                                  double scale, void *workspace, struct stream *stream)
{
    enum status status = OK;
    struct forward f = {.out = out, .lse = lse};
    TRY(attention_init(&f.a, qkv, seq_start, s, t, h, kv, d, scale));
    f.a.keys_packed = workspace;
    f.n_tiles = count_tiles(&f.a);
    attention_pack(&f.a, stream);
    thread_pool_run(stream->pool, f.n_tiles * h, forward_block, &f);
out:
    return status;
}
