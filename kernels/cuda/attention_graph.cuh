/* Attention as an operation graph of cuDNN: packed causal sequences, grouped queries, bf16. Composed
 * of products, masks and the softmax, as cuDNN 9.19's single operation has no causal mask.
 *
 * In cuDNN's dims: B sequences, H heads, S rows of the longest, D. Tensors of tokens [T, H, D] are
 * "ragged": sequence b begins at an offset in elements, B + 1 of them in a tensor beside. K is given
 * transposed, V in the backward alone. Two rules that cuDNN does not check, found by trying (a plan
 * is built, and its numbers are wrong):
 *   (a) the fp32 sum of dQ is added up at the offsets of Q and converted at those of dQ: Q, dQ and
 *       the sum need equal rows;
 *   (b) dK and dV of all query heads are addressed at the offsets of dK and dV times H / KV: their
 *       rows are as many times as wide. */
#ifndef ROBIN_KERNELS_CUDA_ATTENTION_GRAPH_CUH
#define ROBIN_KERNELS_CUDA_ATTENTION_GRAPH_CUH

extern "C" {
#include "base/assertion.h"
}

#include "cudnn_graph.cuh"

enum tensor_id {
    ID_Q = 1, ID_K, ID_V, ID_OUT, ID_STATS, ID_LENGTH, ID_AT_Q, ID_AT_KV, ID_AT_OUT, ID_AT_STATS,
    ID_SCALE, ID_MINUS_INFINITY, /* so far the forward's */
    ID_DOUT, ID_DQ, ID_DK, ID_DV, ID_DELTA, ID_AT_DQ, ID_AT_DKV, ID_ONE,
    ID_DQ_SUM,             /* where the order is any */
    ID_DK_FULL, ID_DV_FULL /* where H > KV */
};

/* What a plan is made for. */
struct graph_shape {
    int64_t batch, longest; /* B, S */
    int64_t h, kv, d;
    int64_t row_q, row_dq, row_dkv; /* elements from token to token of q, k and v; of dq; of dk, dv */
    bool any_order; /* the backward sums dq by atomics */
};

static inline int64_t row_full(const graph_shape &a)
{
    return a.row_dkv * (a.h / a.kv);
}

/* [B, H, S, D] over rows of tokens */
static shape4 packed(const graph_shape &a, int64_t heads, int64_t row)
{
    return {{a.batch, heads, a.longest, a.d}, {a.longest * row, a.d, row, 1}};
}

static shape4 transposed(const shape4 &s)
{
    return {{s.dim[0], s.dim[1], s.dim[3], s.dim[2]},
            {s.stride[0], s.stride[1], s.stride[3], s.stride[2]}};
}

static descriptor offsets(graph *g, const graph_shape &a, int64_t id)
{
    return tensor(g, id, CUDNN_DATA_INT64, {{a.batch + 1, 1, 1, 1}, {1, 1, 1, 1}}, REAL, nullptr);
}

/* Within the kernel: [B, H, S, S] and [B, H, S, 1]. */
static descriptor score(graph *g, const graph_shape &a, cudnnDataType_t type)
{
    const int64_t s = a.longest;
    return tensor(g, 0, type, {{a.batch, a.h, s, s}, {a.h * s * s, s * s, s, 1}}, VIRTUAL, nullptr);
}
static descriptor column(graph *g, const graph_shape &a)
{
    const int64_t s = a.longest;
    return tensor(g, 0, CUDNN_DATA_FLOAT, {{a.batch, a.h, s, 1}, {a.h * s, s, 1, 1}}, VIRTUAL,
                  nullptr);
}

/* Numbers of rows and heads: [T, H] f32 */
static shape4 per_row(const graph_shape &a)
{
    return {{a.batch, a.h, a.longest, 1}, {a.longest * a.h, 1, a.h, 1}};
}

static descriptor step(graph *g, const graph_shape &a, cudnnPointwiseMode_t mode, descriptor x,
                       descriptor b)
{
    descriptor y = score(g, a, CUDNN_DATA_FLOAT);
    pointwise(g, mode, CUDNN_DATA_FLOAT, x, b, nullptr, y);
    return y;
}

/* What both directions begin with. */
struct common_tensors {
    descriptor length, infinity, scale, at_q, at_kv, at_out, at_stats, q, k_turned;
};

static common_tensors common(graph *g, const graph_shape &a)
{
    common_tensors c;
    c.length = tensor(g, ID_LENGTH, CUDNN_DATA_INT32, {{a.batch, 1, 1, 1}, {1, 1, 1, 1}}, REAL,
                      nullptr);
    c.infinity = scalar(g, ID_MINUS_INFINITY);
    c.scale = scalar(g, ID_SCALE);
    c.at_q = offsets(g, a, ID_AT_Q);
    c.at_kv = offsets(g, a, ID_AT_KV);
    c.at_out = offsets(g, a, ID_AT_OUT);
    c.at_stats = offsets(g, a, ID_AT_STATS);
    c.q = tensor(g, ID_Q, CUDNN_DATA_BFLOAT16, packed(a, a.h, a.row_q), REAL, c.at_q);
    c.k_turned = tensor(g, ID_K, CUDNN_DATA_BFLOAT16, transposed(packed(a, a.kv, a.row_q)), REAL,
                        c.at_kv);
    return c;
}

/* x where row and column are inside the sequence, else -inf */
static descriptor mask_padding(graph *g, const graph_shape &a, descriptor x,
                               const common_tensors &c)
{
    descriptor row = score(g, a, CUDNN_DATA_INT32), column = score(g, a, CUDNN_DATA_INT32);
    descriptor row_in = score(g, a, CUDNN_DATA_BOOLEAN), in = score(g, a, CUDNN_DATA_BOOLEAN);
    descriptor column_in = score(g, a, CUDNN_DATA_BOOLEAN), y = score(g, a, CUDNN_DATA_FLOAT);
    pointwise(g, CUDNN_POINTWISE_GEN_INDEX, CUDNN_DATA_INT32, x, nullptr, nullptr, row, 2);
    pointwise(g, CUDNN_POINTWISE_GEN_INDEX, CUDNN_DATA_INT32, x, nullptr, nullptr, column, 3);
    pointwise(g, CUDNN_POINTWISE_CMP_LT, CUDNN_DATA_BOOLEAN, row, c.length, nullptr, row_in);
    pointwise(g, CUDNN_POINTWISE_CMP_LT, CUDNN_DATA_BOOLEAN, column, c.length, nullptr, column_in);
    pointwise(g, CUDNN_POINTWISE_LOGICAL_AND, CUDNN_DATA_BOOLEAN, row_in, column_in, nullptr, in);
    pointwise(g, CUDNN_POINTWISE_BINARY_SELECT, CUDNN_DATA_FLOAT, x, c.infinity, in, y);
    return y;
}

/* x where row >= column, else -inf */
static descriptor mask_future(graph *g, const graph_shape &a, descriptor x,
                              const common_tensors &c)
{
    descriptor row = score(g, a, CUDNN_DATA_INT32), column = score(g, a, CUDNN_DATA_INT32);
    descriptor past = score(g, a, CUDNN_DATA_BOOLEAN), y = score(g, a, CUDNN_DATA_FLOAT);
    pointwise(g, CUDNN_POINTWISE_GEN_INDEX, CUDNN_DATA_FLOAT, x, nullptr, nullptr, row, 2);
    pointwise(g, CUDNN_POINTWISE_GEN_INDEX, CUDNN_DATA_FLOAT, x, nullptr, nullptr, column, 3);
    pointwise(g, CUDNN_POINTWISE_CMP_GE, CUDNN_DATA_BOOLEAN, row, column, nullptr, past);
    pointwise(g, CUDNN_POINTWISE_BINARY_SELECT, CUDNN_DATA_FLOAT, x, c.infinity, past, y);
    return y;
}

/* scale q k^T, -inf outside the sequence */
static descriptor scores(graph *g, const graph_shape &a, const common_tensors &c)
{
    descriptor s = score(g, a, CUDNN_DATA_FLOAT);
    matmul(g, c.q, c.k_turned, s, c.length, c.length, nullptr);
    s = step(g, a, CUDNN_POINTWISE_MUL, s, c.scale);
    return mask_padding(g, a, s, c);
}

/* out = softmax(mask(scale q k^T)) v; stats = log-sum-exp */
static void build_forward(graph *g, const graph_shape &a)
{
    const cudnnDataType_t f32 = CUDNN_DATA_FLOAT, bf16 = CUDNN_DATA_BFLOAT16;
    const common_tensors c = common(g, a);
    descriptor v = tensor(g, ID_V, bf16, packed(a, a.kv, a.row_q), REAL, c.at_kv);
    descriptor out = tensor(g, ID_OUT, bf16, packed(a, a.h, a.h * a.d), REAL, c.at_out);
    descriptor stats = tensor(g, ID_STATS, f32, per_row(a), REAL, c.at_stats);
    descriptor p = score(g, a, bf16), top = column(g, a), sum = column(g, a);
    descriptor log_sum = column(g, a);
    descriptor s = mask_future(g, a, scores(g, a, c), c);
    reduce(g, CUDNN_REDUCE_TENSOR_MAX, s, top);
    s = step(g, a, CUDNN_POINTWISE_SUB, s, top);
    s = step(g, a, CUDNN_POINTWISE_EXP, s, nullptr);
    reduce(g, CUDNN_REDUCE_TENSOR_ADD, s, sum);
    pointwise(g, CUDNN_POINTWISE_LOG, f32, sum, nullptr, nullptr, log_sum);
    pointwise(g, CUDNN_POINTWISE_ADD, f32, top, log_sum, nullptr, stats);
    pointwise(g, CUDNN_POINTWISE_DIV, f32, s, sum, nullptr, p);
    matmul(g, p, v, out, c.length, nullptr, c.length);
}

/* [B, H, Sq, Skv] as bf16 [B, H, Skv, Sq] */
static descriptor flip(graph *g, const graph_shape &a, descriptor x)
{
    const int64_t s = a.longest;
    descriptor y = tensor(g, 0, CUDNN_DATA_BFLOAT16,
                          {{a.batch, a.h, s, s}, {a.h * s * s, s * s, 1, s}}, VIRTUAL, nullptr);
    reshape(g, x, y);
    return y;
}

/* dk or dv: [Skv, Sq] times [Sq, D] of every query head, then summed over those of a group. */
static void shared_gradient(graph *g, const graph_shape &a, descriptor left, descriptor right,
                            descriptor length, descriptor at_dkv, int64_t full_id, int64_t out_id)
{
    const cudnnDataType_t bf16 = CUDNN_DATA_BFLOAT16;
    descriptor out = tensor(g, out_id, bf16, packed(a, a.kv, a.row_dkv), REAL, at_dkv);
    if (a.h == a.kv) {
        matmul(g, left, right, out, length, nullptr, length);
        return;
    }
    descriptor full = tensor(g, full_id, bf16, packed(a, a.h, row_full(a)), REAL, at_dkv);
    matmul(g, left, right, full, length, nullptr, length);
    reduce(g, CUDNN_REDUCE_TENSOR_ADD, full, out);
}

/* delta [T, H] = sum over D of dout out */
static descriptor build_delta(graph *g, const graph_shape &a, const common_tensors &c,
                              descriptor dout, descriptor out, descriptor one)
{
    const cudnnDataType_t f32 = CUDNN_DATA_FLOAT;
    const int64_t s = a.longest, row = a.h * a.d;
    descriptor delta = tensor(g, ID_DELTA, f32, per_row(a), REAL, c.at_stats);
    descriptor product = tensor(g, 0, f32, {{a.batch, a.h, s, a.d}, {s * row, s * a.d, row, 1}},
                                VIRTUAL, nullptr);
    descriptor sum = column(g, a);
    pointwise(g, CUDNN_POINTWISE_MUL, f32, dout, out, nullptr, product);
    reduce(g, CUDNN_REDUCE_TENSOR_ADD, product, sum);
    pointwise(g, CUDNN_POINTWISE_MUL, f32, sum, one, nullptr, delta);
    return delta;
}

/* dq = ds k: at once, or in fp32 by atomics, then rounded */
static void build_dq(graph *g, const graph_shape &a, const common_tensors &c, descriptor ds)
{
    const shape4 rows = packed(a, a.h, a.row_dq);
    descriptor at_dq = offsets(g, a, ID_AT_DQ);
    descriptor k = tensor(g, 0, CUDNN_DATA_BFLOAT16, packed(a, a.kv, a.row_q), VIRTUAL, c.at_kv);
    descriptor dq = tensor(g, ID_DQ, CUDNN_DATA_BFLOAT16, rows, REAL, at_dq);
    reshape(g, c.k_turned, k);
    if (!a.any_order) {
        matmul(g, ds, k, dq, c.length, nullptr, c.length);
        return;
    }
    descriptor sum = tensor(g, ID_DQ_SUM, CUDNN_DATA_FLOAT, rows, REAL, at_dq);
    matmul(g, ds, k, sum, c.length, nullptr, c.length);
    pointwise(g, CUDNN_POINTWISE_IDENTITY, CUDNN_DATA_FLOAT, sum, nullptr, nullptr, dq);
}

/* p = exp(mask(scale q k^T) - stats); dv = p^T dout; ds = scale p (dout v^T - delta); dk = ds^T q;
 * dq = ds k */
static void build_backward(graph *g, const graph_shape &a)
{
    const cudnnDataType_t bf16 = CUDNN_DATA_BFLOAT16;
    ASSERT(!a.any_order || a.row_q == a.row_dq, "rows of dq are %lld elements, of q %lld: (a)",
           (long long)a.row_dq, (long long)a.row_q);
    const common_tensors c = common(g, a);
    const shape4 out_rows = packed(a, a.h, a.h * a.d);
    descriptor one = scalar(g, ID_ONE), at_dkv = offsets(g, a, ID_AT_DKV);
    descriptor v_turned = tensor(g, ID_V, bf16, transposed(packed(a, a.kv, a.row_q)), REAL,
                                 c.at_kv);
    descriptor out = tensor(g, ID_OUT, bf16, out_rows, REAL, c.at_out);
    descriptor dout = tensor(g, ID_DOUT, bf16, out_rows, REAL, c.at_out);
    descriptor stats = tensor(g, ID_STATS, CUDNN_DATA_FLOAT, per_row(a), REAL, c.at_stats);
    descriptor delta = build_delta(g, a, c, dout, out, one);
    descriptor s = step(g, a, CUDNN_POINTWISE_SUB, scores(g, a, c), stats);
    descriptor p = step(g, a, CUDNN_POINTWISE_EXP, mask_future(g, a, s, c), nullptr);
    shared_gradient(g, a, flip(g, a, p), dout, c.length, at_dkv, ID_DV_FULL, ID_DV);
    descriptor ds = score(g, a, CUDNN_DATA_FLOAT);
    matmul(g, dout, v_turned, ds, c.length, c.length, nullptr);
    ds = step(g, a, CUDNN_POINTWISE_SUB, ds, delta);
    ds = step(g, a, CUDNN_POINTWISE_MUL, ds, p);
    ds = step(g, a, CUDNN_POINTWISE_MUL, ds, c.scale);
    shared_gradient(g, a, flip(g, a, ds), c.q, c.length, at_dkv, ID_DK_FULL, ID_DK);
    build_dq(g, a, c, ds);
}

#endif
