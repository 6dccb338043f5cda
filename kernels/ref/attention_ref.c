/* Causal grouped-query attention over packed sequences, as the definition reads. Rows are tokens of
 * qkv [T, H + 2 KV, D]; query i of a sequence sees keys j <= i of the same sequence. */
#include "ref.h"

#include <math.h>

struct heads {
    int64_t h, kv, d;
    double scale;
};

static const float *qkv_row(const float *qkv, struct heads s, int64_t row, int64_t head)
{
    return qkv + (row * (s.h + 2 * s.kv) + head) * s.d;
}

static double dot(const float *a, const float *b, int64_t d)
{
    double sum = 0;
    for (int64_t k = 0; k < d; k++) sum += (double)a[k] * (double)b[k];
    return sum;
}

/* s_ij = scale q_i . k_j;  lse_i = log sum_j exp s_ij;  out_i = sum_j exp(s_ij - lse_i) v_j
 * for query row i of head `head` in a sequence that starts at row `begin`. */
static void forward_row(float *out, float *lse, const float *qkv, struct heads s, int64_t begin,
                        int64_t i, int64_t head, double *score)
{
    int64_t key_head = s.h + head / (s.h / s.kv), value_head = key_head + s.kv;
    double max = -INFINITY, sum = 0;
    for (int64_t j = begin; j <= i; j++) {
        score[j - begin] =
            s.scale * dot(qkv_row(qkv, s, i, head), qkv_row(qkv, s, j, key_head), s.d);
        max = fmax(max, score[j - begin]);
    }
    for (int64_t j = begin; j <= i; j++) sum += exp(score[j - begin] - max);
    *lse = (float)(max + log(sum));
    for (int64_t k = 0; k < s.d; k++) {
        double value = 0;
        for (int64_t j = begin; j <= i; j++)
            value += exp(score[j - begin] - max) / sum * (double)qkv_row(qkv, s, j, value_head)[k];
        out[k] = (float)value;
    }
}

enum status ref_attention_forward(void *out, float *lse, const void *qkv, const int32_t *seq_start,
                                  int64_t s, int64_t t, int64_t h, int64_t kv, int64_t d,
                                  double scale, void *workspace, struct stream *stream)
{
    (void)stream;
    enum status status = OK;
    struct heads heads = {h, kv, d, scale};
    if (kv < 1 || h % kv != 0)
        FAIL(ERR_SHAPE,
             "attention with %lld query heads needs a divisor of that as key/value heads, "
             "not %lld",
             (long long)h, (long long)kv);
    for (int64_t sequence = 0; sequence < s; sequence++)
        for (int64_t i = seq_start[sequence]; i < seq_start[sequence + 1]; i++)
            for (int64_t head = 0; head < h; head++)
                forward_row((float *)out + (i * h + head) * d, lse + head * t + i, qkv, heads,
                            seq_start[sequence], i, head, workspace);
out:
    return status;
}

/* What the gradients of one query row share: its statistics and delta_i = dout_i . out_i. */
struct query {
    const float *q, *dout;
    double lse, delta;
};

/* p_ij = exp(s_ij - lse_i);  ds_ij = p_ij (dout_i . v_j - delta_i) */
static double score_gradient(struct query query, const float *k, const float *v, struct heads s,
                             double *p)
{
    *p = exp(s.scale * dot(query.q, k, s.d) - query.lse);
    return *p * (dot(query.dout, v, s.d) - query.delta);
}

struct backward {
    const float *qkv, *dout, *out, *lse;
    struct heads s;
    int64_t t;
};

static struct query query_of(const struct backward *b, int64_t i, int64_t head)
{
    const float *dout = b->dout + (i * b->s.h + head) * b->s.d;
    const float *out = b->out + (i * b->s.h + head) * b->s.d;
    return (struct query){qkv_row(b->qkv, b->s, i, head), dout, (double)b->lse[head * b->t + i],
                          dot(dout, out, b->s.d)};
}

/* dq_i = scale sum_j ds_ij k_j */
static void backward_query(float *dq, const struct backward *b, int64_t begin, int64_t i,
                           int64_t head, double *sum)
{
    int64_t d = b->s.d, key_head = b->s.h + head / (b->s.h / b->s.kv);
    struct query query = query_of(b, i, head);
    for (int64_t k = 0; k < d; k++) sum[k] = 0;
    for (int64_t j = begin; j <= i; j++) {
        const float *key = qkv_row(b->qkv, b->s, j, key_head);
        const float *value = qkv_row(b->qkv, b->s, j, key_head + b->s.kv);
        double p, ds = score_gradient(query, key, value, b->s, &p);
        for (int64_t k = 0; k < d; k++) sum[k] += b->s.scale * ds * (double)key[k];
    }
    for (int64_t k = 0; k < d; k++) dq[k] = (float)sum[k];
}

/* dk_j = scale sum_{head of group} sum_{i >= j} ds_ij q_i;  dv_j = the same sum of p_ij dout_i */
static void backward_key(float *dk, float *dv, const struct backward *b, int64_t end, int64_t j,
                         int64_t kv_head, double *sum)
{
    int64_t d = b->s.d, group = b->s.h / b->s.kv;
    const float *key = qkv_row(b->qkv, b->s, j, b->s.h + kv_head);
    const float *value = qkv_row(b->qkv, b->s, j, b->s.h + b->s.kv + kv_head);
    for (int64_t k = 0; k < 2 * d; k++) sum[k] = 0;
    for (int64_t head = kv_head * group; head < (kv_head + 1) * group; head++)
        for (int64_t i = j; i < end; i++) {
            struct query query = query_of(b, i, head);
            double p, ds = score_gradient(query, key, value, b->s, &p);
            for (int64_t k = 0; k < d; k++) {
                sum[k] += b->s.scale * ds * (double)query.q[k];
                sum[d + k] += p * (double)query.dout[k];
            }
        }
    for (int64_t k = 0; k < d; k++) {
        dk[k] = (float)sum[k];
        dv[k] = (float)sum[d + k];
    }
}

enum status ref_attention_backward(void *dqkv, const void *dout, const void *out, const float *lse,
                                   const void *qkv, const int32_t *seq_start, int64_t s, int64_t t,
                                   int64_t h, int64_t kv, int64_t d, double scale, void *workspace,
                                   struct stream *stream)
{
    (void)stream;
    enum status status = OK;
    struct backward b = {qkv, dout, out, lse, {h, kv, d, scale}, t};
    if (kv < 1 || h % kv != 0)
        FAIL(ERR_SHAPE,
             "attention with %lld query heads needs a divisor of that as key/value heads, "
             "not %lld",
             (long long)h, (long long)kv);
    for (int64_t sequence = 0; sequence < s; sequence++) {
        int64_t begin = seq_start[sequence], end = seq_start[sequence + 1];
        for (int64_t row = begin; row < end; row++) {
            float *drow = (float *)dqkv + row * (h + 2 * kv) * d;
            for (int64_t head = 0; head < h; head++)
                backward_query(drow + head * d, &b, begin, row, head, workspace);
            for (int64_t head = 0; head < kv; head++)
                backward_key(drow + (h + head) * d, drow + (h + kv + head) * d, &b, end, row, head,
                             workspace);
        }
    }
out:
    return status;
}

/* The scores of one query, or the gradients of one key and value. */
size_t ref_attention_workspace(int64_t t, int64_t h, int64_t kv, int64_t d)
{
    (void)h;
    (void)kv;
    return (size_t)(t > 2 * d ? t : 2 * d) * sizeof(double);
}
