/* Causal grouped-query attention, backward. A block of work is one query head of one sequence: it
 * owns its rows of dq, and its share of dk and dv goes to the workspace, summed over the heads of a
 * group afterwards, in order: the same bits for any number of threads, without atomics. */
#include <cblas.h>
#include <math.h>

#include "attention_cpu.h"
#include "blocks.h"
#include "cpu.h"
#include "vector.h"

#define TILE ATTENTION_TILE

struct backward {
    struct attention a;
    float *dqkv;
    const float *dout, *out, *lse;
    float *delta;   /* [H, T]: dout_i . out_i */
    float *partial; /* [H, T, 2, D]: dk, dv of one query head; unused when each has its own KV */
};

/* Where dk of row 0 of a head goes; dv stands `dv_offset` floats behind it. */
struct key_gradient {
    float *dk;
    int64_t row, dv_offset;
};

static struct key_gradient key_gradient_of(const struct backward *b, int64_t head)
{
    const struct attention *a = &b->a;
    if (a->h == a->kv)
        return (struct key_gradient){b->dqkv + (a->h + head) * a->d, a->row, a->kv * a->d};
    return (struct key_gradient){b->partial + head * a->t * 2 * a->d, 2 * a->d, a->d};
}

static float dot(const float *x, const float *y, int64_t d)
{
    vector_f32 sum = {0};
    int64_t k = 0;
    for (; k + VECTOR_LANES <= d; k += VECTOR_LANES)
        sum = vector_fma(vector_load(x + k), vector_load(y + k), sum);
    if (k < d)
        sum = vector_fma(vector_load_partial(x + k, d - k, 0.0f),
                         vector_load_partial(y + k, d - k, 0.0f), sum);
    return vector_sum(sum);
}

/* Scores become p = exp(s - lse); dp becomes ds = scale p (dp - delta). The columns from n_keys to
 * the end of the last vector hold no product; they are made finite. */
static void softmax_gradient(float *scores, float *dp, const float *lse, const float *delta,
                             float scale, int64_t n_queries, int64_t n_keys)
{
    for (int64_t r = 0; r < n_queries; r++) {
        for (int64_t j = n_keys; j % VECTOR_LANES != 0; j++) dp[r * TILE + j] = 0.0f;
        for (int64_t j = 0; j < n_keys; j += VECTOR_LANES) {
            float *s = scores + r * TILE + j, *g = dp + r * TILE + j;
            vector_f32 p = vector_exp(vector_load(s) - lse[r]);
            vector_store(g, p * (vector_load(g) - delta[r]) * scale);
            vector_store(s, p);
        }
    }
}

/* One tile of queries against one tile of keys: adds its share to dq, dk and dv, or starts them. */
static void backward_tile(const struct backward *b, int64_t head, struct attention_tile queries,
                          struct attention_tile keys)
{
    const struct attention *a = &b->a;
    int64_t d = a->d, kv_head = head / (a->h / a->kv), statistics = head * a->t + queries.first;
    float p[TILE * TILE], ds[TILE * TILE];
    int m = (int)queries.count, n = (int)keys.count;
    const float *dout = b->dout + (queries.first * a->h + head) * d;
    int dout_row = (int)(a->h * d), qkv_row = (int)a->row;
    const float *values = a->values_packed + kv_head * d * a->t + keys.first;
    attention_scores(p, a, head, queries, keys);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, (int)d, 1.0f, dout, dout_row,
                values, (int)a->t, 0.0f, ds, TILE);
    softmax_gradient(p, ds, b->lse + statistics, b->delta + statistics, a->scale, m, n);

    struct key_gradient to = key_gradient_of(b, head);
    float *dk = to.dk + keys.first * to.row;
    float started = queries.first == keys.first ? 0.0f : 1.0f;
    const float *q = a->qkv + queries.first * a->row + head * d;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, n, (int)d, m, 1.0f, p, TILE, dout,
                dout_row, started, dk + to.dv_offset, (int)to.row);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, n, (int)d, m, 1.0f, ds, TILE, q, qkv_row,
                started, dk, (int)to.row);
    const float *k = a->qkv + keys.first * a->row + (a->h + kv_head) * d;
    float *dq = b->dqkv + queries.first * a->row + head * d;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, (int)d, n, 1.0f, ds, TILE, k, qkv_row,
                keys.first == keys.begin ? 0.0f : 1.0f, dq, qkv_row);
}

static void backward_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct backward *b = argument;
    const struct attention *a = &b->a;
    int64_t sequence = block / a->h, head = block % a->h;
    int64_t begin = a->seq_start[sequence], end = a->seq_start[sequence + 1];
    for (int64_t i = begin; i < end; i++) {
        int64_t row = (i * a->h + head) * a->d;
        b->delta[head * a->t + i] = dot(b->dout + row, b->out + row, a->d);
    }
    for (int64_t j = begin; j < end; j += TILE)
        for (int64_t i = j; i < end; i += TILE)
            backward_tile(b, head, attention_tile_at(begin, end, i),
                          attention_tile_at(begin, end, j));
}

/* Sums dk and dv of a tile of rows over the heads of each group. */
static void reduce_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct backward *b = argument;
    const struct attention *a = &b->a;
    int64_t group = a->h / a->kv, first = a->seq_start[0] + block * TILE;
    int64_t end = smaller(first + TILE, a->seq_start[a->s]), d = a->d;
    for (int64_t j = first; j < end; j++)
        for (int64_t kv_head = 0; kv_head < a->kv; kv_head++) {
            float *restrict dk = b->dqkv + j * a->row + (a->h + kv_head) * d;
            float *restrict dv = dk + a->kv * d;
            for (int64_t member = 0; member < group; member++) {
                const float *restrict share =
                    b->partial + ((kv_head * group + member) * a->t + j) * 2 * d;
                for (int64_t k = 0; k < d; k++) dk[k] = share[k] + (member ? dk[k] : 0.0f);
                for (int64_t k = 0; k < d; k++) dv[k] = share[d + k] + (member ? dv[k] : 0.0f);
            }
        }
}

enum status cpu_attention_backward(void *dqkv, const void *dout, const void *out, const float *lse,
                                   const void *qkv, const int32_t *seq_start, int64_t s, int64_t t,
                                   int64_t h, int64_t kv, int64_t d, double scale, void *workspace,
                                   struct stream *stream)
{
    enum status status = OK;
    struct backward b = {.dqkv = dqkv, .dout = dout, .out = out, .lse = lse};
    TRY(attention_init(&b.a, qkv, seq_start, s, t, h, kv, d, scale));
    b.a.keys_packed = workspace;
    b.a.values_packed = b.a.keys_packed + kv * d * t;
    b.delta = b.a.values_packed + kv * d * t;
    b.partial = b.delta + h * t;
    attention_pack(&b.a, stream);
    thread_pool_run(stream->pool, s * h, backward_block, &b);
    if (h != kv && s > 0) run_blocks(stream, seq_start[s] - seq_start[0], TILE, reduce_block, &b);
out:
    return status;
}

/* Packed keys and values, delta, and dk and dv of every query head where they share. */
size_t cpu_attention_workspace(int64_t t, int64_t h, int64_t kv, int64_t d)
{
    int64_t partial = h != kv ? h * t * 2 * d : 0;
    return (size_t)(2 * kv * d * t + h * t + partial) * sizeof(float);
}
