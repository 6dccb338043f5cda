/* Causal grouped-query attention over packed sequences for any head size to 256 and either type:
 * FlashAttention-2's tiles with plain fp32 arithmetic. It is what fp32 runs use; bf16 of the usual
 * head sizes goes to attention_mma_cuda.cuh. Deterministic: dq is summed by the tile of its queries, dk and dv by the
 * tile of their keys.
 *
 * Tiles are of rows of the packed batch wherever sequences begin and end: a query sees key j if
 * start of its sequence <= j <= its own row. */
#ifndef ROBIN_KERNELS_CUDA_ATTENTION_CUDA_CUH
#define ROBIN_KERNELS_CUDA_ATTENTION_CUDA_CUH

#include "device_code.cuh"

extern "C" {
#include "cuda/attention_cudnn.h"
}

#define TILE_QUERIES      16
#define TILE_KEYS         32
#define ROW_LANES         16 /* threads that share a query (or a key, for dk and dv) */
#define ATTENTION_THREADS (TILE_QUERIES * ROW_LANES)
#define MAX_HEAD_SIZE     256
#define LANE_DIMS         (MAX_HEAD_SIZE / ROW_LANES)

struct attention_dims {
    const int32_t *seq_start;
    int64_t s, t, h, kv, d;
    float scale;
    __device__ int64_t row_size() const
    {
        return (h + 2 * kv) * d;
    }
};

/* The sequence that a row is of. */
static __device__ inline int64_t sequence_of(const attention_dims &a, int64_t row)
{
    int64_t low = 0, high = a.s; /* seq_start[low] <= row < seq_start[high] */
    while (high - low > 1) {
        const int64_t middle = (low + high) / 2;
        if (a.seq_start[middle] <= row)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* tile [rows, d + 1] f32 = rows first .. of a head; zeros from `end` on */
static __device__ inline void load_tile(float *tile, const real *from, int64_t row_size,
                                        int64_t first, int64_t end, int rows, int64_t d)
{
    for (int64_t i = threadIdx.x; i < rows * d; i += ATTENTION_THREADS) {
        const int64_t row = first + i / d;
        tile[i / d * (d + 1) + i % d] = row < end ? to_float(from[row * row_size + i % d]) : 0.0f;
    }
}

static __device__ inline float tile_dot(const float *a, const float *b, int64_t d)
{
    float sum = 0;
    for (int64_t k = 0; k < d; k++) sum = fmaf(a[k], b[k], sum);
    return sum;
}

/* Grid (query tiles, H). */
static __global__ void attention_forward_kernel(real *out, float *lse, const real *qkv,
                                                attention_dims a)
{
    DYNAMIC_SHARED(float, shared);
    float *q = shared, *k = q + TILE_QUERIES * (a.d + 1), *v = k + TILE_KEYS * (a.d + 1);
    float *p = v + TILE_KEYS * (a.d + 1); /* [queries, keys] */
    const int64_t first = (int64_t)blockIdx.x * TILE_QUERIES, head = blockIdx.y;
    const int64_t last = first + TILE_QUERIES < a.t ? first + TILE_QUERIES : a.t; /* exclusive */
    const int64_t group = head / (a.h / a.kv), row_size = a.row_size();
    const int mine = (int)threadIdx.x / ROW_LANES, lane = (int)threadIdx.x % ROW_LANES;
    const int64_t row = first + mine;
    const int64_t start = row < a.t ? a.seq_start[sequence_of(a, row)] : a.t;
    float top = -INFINITY, sum = 0, own[LANE_DIMS] = {0};
    load_tile(q, qkv + head * a.d, row_size, first, a.t, TILE_QUERIES, a.d);
    for (int64_t key = a.seq_start[sequence_of(a, first)]; key < last; key += TILE_KEYS) {
        __syncthreads();
        load_tile(k, qkv + (a.h + group) * a.d, row_size, key, last, TILE_KEYS, a.d);
        load_tile(v, qkv + (a.h + a.kv + group) * a.d, row_size, key, last, TILE_KEYS, a.d);
        __syncthreads();
        float scores[TILE_KEYS / ROW_LANES], new_top = top;
        for (int i = 0; i < TILE_KEYS / ROW_LANES; i++) {
            const int64_t j = lane + i * ROW_LANES;
            const bool seen = row < a.t && key + j >= start && key + j <= row;
            scores[i] = seen ? a.scale * tile_dot(q + mine * (a.d + 1), k + j * (a.d + 1), a.d)
                             : -INFINITY;
            new_top = fmaxf(new_top, scores[i]);
        }
        new_top = warp_all<max_of, ROW_LANES>(new_top);
        const float shrink = new_top > -INFINITY ? expf(top - new_top) : 1.0f;
        float part = 0;
        for (int i = 0; i < TILE_KEYS / ROW_LANES; i++) {
            const float weight = new_top > -INFINITY ? expf(scores[i] - new_top) : 0.0f;
            p[mine * TILE_KEYS + lane + i * ROW_LANES] = weight;
            part += weight;
        }
        sum = sum * shrink + warp_all<sum_of, ROW_LANES>(part);
        top = new_top;
        __syncwarp();
        for (int i = 0; i < LANE_DIMS && lane + i * ROW_LANES < a.d; i++) {
            own[i] *= shrink;
            for (int j = 0; j < TILE_KEYS; j++)
                own[i] = fmaf(p[mine * TILE_KEYS + j], v[j * (a.d + 1) + lane + i * ROW_LANES],
                              own[i]);
        }
    }
    if (row >= a.t) return;
    for (int i = 0; i < LANE_DIMS && lane + i * ROW_LANES < a.d; i++)
        out[(row * a.h + head) * a.d + lane + i * ROW_LANES] = from_float<real>(own[i] / sum);
    if (lane == 0) lse[head * a.t + row] = top + logf(sum);
}

/* delta [H, T] = sum over d of dout * out */
static __global__ void attention_delta_kernel(float *delta, const real *dout, const real *out,
                                              int64_t t, int64_t h, int64_t d)
{
    const int64_t i = (int64_t)blockIdx.x * (ATTENTION_THREADS / WARP_LANES) +
                      threadIdx.x / WARP_LANES; /* token * H + head */
    float sum = 0;
    if (i >= t * h) return;
    for (int64_t k = threadIdx.x % WARP_LANES; k < d; k += WARP_LANES)
        sum = fmaf(to_float(dout[i * d + k]), to_float(out[i * d + k]), sum);
    sum = warp_all<sum_of>(sum);
    if (threadIdx.x % WARP_LANES == 0) delta[i % h * t + i / h] = sum;
}

/* dq of one tile of queries and one head. Grid (query tiles, H). */
static __global__ void attention_dq_kernel(real *dqkv, const real *dout, const float *lse,
                                           const float *delta, const real *qkv, attention_dims a)
{
    DYNAMIC_SHARED(float, shared);
    float *q = shared, *dy = q + TILE_QUERIES * (a.d + 1), *k = dy + TILE_QUERIES * (a.d + 1);
    float *v = k + TILE_KEYS * (a.d + 1), *ds = v + TILE_KEYS * (a.d + 1);
    const int64_t first = (int64_t)blockIdx.x * TILE_QUERIES, head = blockIdx.y;
    const int64_t last = first + TILE_QUERIES < a.t ? first + TILE_QUERIES : a.t;
    const int64_t group = head / (a.h / a.kv), row_size = a.row_size();
    const int mine = (int)threadIdx.x / ROW_LANES, lane = (int)threadIdx.x % ROW_LANES;
    const int64_t row = first + mine;
    const int64_t start = row < a.t ? a.seq_start[sequence_of(a, row)] : a.t;
    const float row_lse = row < a.t ? lse[head * a.t + row] : 0.0f;
    const float row_delta = row < a.t ? delta[head * a.t + row] : 0.0f;
    float own[LANE_DIMS] = {0};
    load_tile(q, qkv + head * a.d, row_size, first, a.t, TILE_QUERIES, a.d);
    load_tile(dy, dout + head * a.d, a.h * a.d, first, a.t, TILE_QUERIES, a.d);
    for (int64_t key = a.seq_start[sequence_of(a, first)]; key < last; key += TILE_KEYS) {
        __syncthreads();
        load_tile(k, qkv + (a.h + group) * a.d, row_size, key, last, TILE_KEYS, a.d);
        load_tile(v, qkv + (a.h + a.kv + group) * a.d, row_size, key, last, TILE_KEYS, a.d);
        __syncthreads();
        for (int i = 0; i < TILE_KEYS / ROW_LANES; i++) {
            const int64_t j = lane + i * ROW_LANES;
            float value = 0;
            if (row < a.t && key + j >= start && key + j <= row) {
                const float score = tile_dot(q + mine * (a.d + 1), k + j * (a.d + 1), a.d);
                const float dp = tile_dot(dy + mine * (a.d + 1), v + j * (a.d + 1), a.d);
                value = expf(a.scale * score - row_lse) * (dp - row_delta) * a.scale;
            }
            ds[mine * TILE_KEYS + j] = value;
        }
        __syncwarp();
        for (int i = 0; i < LANE_DIMS && lane + i * ROW_LANES < a.d; i++)
            for (int j = 0; j < TILE_KEYS; j++)
                own[i] = fmaf(ds[mine * TILE_KEYS + j], k[j * (a.d + 1) + lane + i * ROW_LANES],
                              own[i]);
    }
    if (row >= a.t) return;
    for (int i = 0; i < LANE_DIMS && lane + i * ROW_LANES < a.d; i++)
        dqkv[row * row_size + head * a.d + lane + i * ROW_LANES] = from_float<real>(own[i]);
}

/* dk and dv of one tile of 16 keys and one key/value head, from all queries that see them, head by
 * head of its group. Grid (key tiles, KV). */
static __global__ void attention_dkv_kernel(real *dqkv, const real *dout, const float *lse,
                                            const float *delta, const real *qkv, attention_dims a)
{
    DYNAMIC_SHARED(float, shared);
    float *k = shared, *v = k + TILE_QUERIES * (a.d + 1), *q = v + TILE_QUERIES * (a.d + 1);
    float *dy = q + TILE_KEYS * (a.d + 1), *p = dy + TILE_KEYS * (a.d + 1); /* [keys, queries] */
    float *ds = p + TILE_QUERIES * TILE_KEYS;
    const int64_t first = (int64_t)blockIdx.x * TILE_QUERIES, group = blockIdx.y;
    const int64_t last = first + TILE_QUERIES < a.t ? first + TILE_QUERIES : a.t;
    const int64_t row_size = a.row_size(), heads = a.h / a.kv;
    const int64_t end = a.seq_start[sequence_of(a, last - 1) + 1]; /* of the last key's sequence */
    const int mine = (int)threadIdx.x / ROW_LANES, lane = (int)threadIdx.x % ROW_LANES;
    const int64_t key = first + mine;
    const int64_t own_end = key < a.t ? a.seq_start[sequence_of(a, key) + 1] : 0;
    float own_k[LANE_DIMS] = {0}, own_v[LANE_DIMS] = {0};
    load_tile(k, qkv + (a.h + group) * a.d, row_size, first, a.t, TILE_QUERIES, a.d);
    load_tile(v, qkv + (a.h + a.kv + group) * a.d, row_size, first, a.t, TILE_QUERIES, a.d);
    for (int64_t head = group * heads; head < (group + 1) * heads; head++)
        for (int64_t row = first; row < end; row += TILE_KEYS) {
            __syncthreads();
            load_tile(q, qkv + head * a.d, row_size, row, end, TILE_KEYS, a.d);
            load_tile(dy, dout + head * a.d, a.h * a.d, row, end, TILE_KEYS, a.d);
            __syncthreads();
            for (int i = 0; i < TILE_KEYS / ROW_LANES; i++) {
                const int64_t j = lane + i * ROW_LANES, query = row + j;
                float weight = 0, value = 0;
                if (key < a.t && query >= key && query < own_end) {
                    const float score = tile_dot(q + j * (a.d + 1), k + mine * (a.d + 1), a.d);
                    const float dp = tile_dot(dy + j * (a.d + 1), v + mine * (a.d + 1), a.d);
                    weight = expf(a.scale * score - lse[head * a.t + query]);
                    value = weight * (dp - delta[head * a.t + query]) * a.scale;
                }
                p[mine * TILE_KEYS + j] = weight;
                ds[mine * TILE_KEYS + j] = value;
            }
            __syncwarp();
            for (int i = 0; i < LANE_DIMS && lane + i * ROW_LANES < a.d; i++)
                for (int j = 0; j < TILE_KEYS; j++) {
                    const int64_t at = j * (a.d + 1) + lane + i * ROW_LANES;
                    own_k[i] = fmaf(ds[mine * TILE_KEYS + j], q[at], own_k[i]);
                    own_v[i] = fmaf(p[mine * TILE_KEYS + j], dy[at], own_v[i]);
                }
        }
    if (key >= a.t) return;
    for (int i = 0; i < LANE_DIMS && lane + i * ROW_LANES < a.d; i++) {
        real *to = dqkv + key * row_size + group * a.d + lane + i * ROW_LANES;
        to[a.h * a.d] = from_float<real>(own_k[i]);
        to[(a.h + a.kv) * a.d] = from_float<real>(own_v[i]);
    }
}

#ifdef REAL_ON_TENSOR_CORES
#include "attention_mma_cuda.cuh"
#endif

static enum status check_heads(int64_t h, int64_t kv, int64_t d)
{
    if (kv < 1 || h % kv != 0)
        return status_fail(ERR_SHAPE, "%lld query heads do not form groups of %lld key/value heads",
                           (long long)h, (long long)kv);
    if (d > MAX_HEAD_SIZE)
        return status_fail(ERR_SHAPE, "a head of %lld, the GPU's attention takes up to %d",
                           (long long)d, MAX_HEAD_SIZE);
    return OK;
}

static attention_dims dims_of(const struct attention_call *c)
{
    return {c->seq_start, c->s, c->t, c->h, c->kv, c->d, (float)c->scale};
}

static enum status own_forward(void *out, float *lse, const void *qkv,
                               const struct attention_call *call, struct stream *stream)
{
    const attention_dims a = dims_of(call);
    const size_t shared = sizeof(float) * (size_t)((TILE_QUERIES + 2 * TILE_KEYS) * (a.d + 1) +
                                                   TILE_QUERIES * TILE_KEYS);
#ifdef REAL_ON_TENSOR_CORES
    if (mma_takes(a, out, qkv, qkv)) {
        if (a.d == 64)
            mma_forward<64>((bf16 *)out, lse, (const bf16 *)qkv, a, stream);
        else
            mma_forward<128>((bf16 *)out, lse, (const bf16 *)qkv, a, stream);
        return launched("attention_forward");
    }
#endif
    allow_shared(attention_forward_kernel, shared);
    LAUNCH(attention_forward_kernel, dim3(blocks_of(a.t, TILE_QUERIES), (unsigned)a.h),
           dim3(ATTENTION_THREADS), shared, stream, (real *)out, lse, (const real *)qkv, a);
    return launched("attention_forward");
}

static enum status own_backward(void *dqkv, const void *dout, const void *out, const float *lse,
                                const void *qkv, const struct attention_call *call, void *workspace,
                                struct stream *stream)
{
    const attention_dims a = dims_of(call);
    const int64_t tiles = 2 * (TILE_QUERIES + TILE_KEYS) * (a.d + 1);
    const size_t shared = sizeof(float) * (size_t)(tiles + 2 * TILE_QUERIES * TILE_KEYS);
    float *delta = (float *)workspace;
    LAUNCH(attention_delta_kernel, dim3(blocks_of(a.t * a.h, ATTENTION_THREADS / WARP_LANES)),
           dim3(ATTENTION_THREADS), 0, stream, delta, (const real *)dout, (const real *)out, a.t,
           a.h, a.d);
#ifdef REAL_ON_TENSOR_CORES
    if (mma_takes(a, dqkv, dout, qkv)) {
        const bf16 *dy = (const bf16 *)dout, *all = (const bf16 *)qkv;
        if (a.d == 64)
            mma_backward<64>((bf16 *)dqkv, dy, lse, delta, all, a, stream);
        else
            mma_backward<128>((bf16 *)dqkv, dy, lse, delta, all, a, stream);
        return launched("attention_backward");
    }
#endif
    allow_shared(attention_dq_kernel, shared);
    LAUNCH(attention_dq_kernel, dim3(blocks_of(a.t, TILE_QUERIES), (unsigned)a.h),
           dim3(ATTENTION_THREADS), shared, stream, (real *)dqkv, (const real *)dout, lse, delta,
           (const real *)qkv, a);
    allow_shared(attention_dkv_kernel, shared);
    LAUNCH(attention_dkv_kernel, dim3(blocks_of(a.t, TILE_QUERIES), (unsigned)a.kv),
           dim3(ATTENTION_THREADS), shared, stream, (real *)dqkv, (const real *)dout, lse, delta,
           (const real *)qkv, a);
    return launched("attention_backward");
}

/* ---- the table's ---- */

#ifdef REAL_ON_TENSOR_CORES
static bool cudnn_takes(const struct stream *stream, const struct attention_call *call,
                        bool backward, const void *one, const void *other, const void *last)
{
    return mma_takes(dims_of(call), one, other, last) &&
           attention_cudnn_takes(stream, call, backward);
}
#endif

static enum status attention_forward(void *out, float *lse, const void *qkv,
                                     const int32_t *seq_start, int64_t s, int64_t t, int64_t h,
                                     int64_t kv, int64_t d, double scale, void *workspace,
                                     struct stream *stream)
{
    (void)workspace;
    const struct attention_call call = {seq_start, s, t, h, kv, d, scale};
    const enum status status = check_heads(h, kv, d);
    if (status != OK || t == 0) return status;
#ifdef REAL_ON_TENSOR_CORES
    if (cudnn_takes(stream, &call, false, out, qkv, qkv))
        return attention_cudnn_forward(out, lse, qkv, &call, stream);
#endif
    return own_forward(out, lse, qkv, &call, stream);
}

static enum status attention_backward(void *dqkv, const void *dout, const void *out,
                                      const float *lse, const void *qkv, const int32_t *seq_start,
                                      int64_t s, int64_t t, int64_t h, int64_t kv, int64_t d,
                                      double scale, void *workspace, struct stream *stream)
{
    const struct attention_call call = {seq_start, s, t, h, kv, d, scale};
    const enum status status = check_heads(h, kv, d);
    if (status != OK || t == 0) return status;
#ifdef REAL_ON_TENSOR_CORES
    const void *both = (const void *)((uintptr_t)dout | (uintptr_t)out);
    if (cudnn_takes(stream, &call, true, dqkv, both, qkv))
        return attention_cudnn_backward(dqkv, dout, out, lse, qkv, &call, stream);
#endif
    return own_backward(dqkv, dout, out, lse, qkv, &call, workspace, stream);
}

static size_t attention_workspace(int64_t t, int64_t h, int64_t kv, int64_t d)
{
    (void)kv;
    (void)d;
    return (size_t)(t * h) * sizeof(float);
}

static enum status attention_prepare(struct attention_ways *ways, int64_t t, int64_t longest,
                                     int64_t h, int64_t kv, int64_t d, struct stream *stream)
{
    enum status status = check_heads(h, kv, d);
    if (status != OK) return status;
#ifdef REAL_ON_TENSOR_CORES
    const struct attention_own own = {own_forward, own_backward};
    const struct attention_call heads = {nullptr, 0, t, h, kv, d, 0};
    if (d == 64 || d == 128)
        return attention_cudnn_prepare(ways, &own, t, longest, &heads, stream);
#endif
    (void)t, (void)longest, (void)stream;
    if (ways->forward == ATTENTION_CUDNN || ways->backward == ATTENTION_CUDNN)
        return status_fail(ERR_UNSUPPORTED,
                           "attention is to be cuDNN's, which here computes bf16 and heads of 64 or "
                           "128, not %s and heads of %lld; set train.attention: auto",
                           REAL_DTYPE == DTYPE_BF16 ? "bf16" : "fp32", (long long)d);
    ways->forward = ways->backward = ATTENTION_OWN;
    return OK;
}

#endif
