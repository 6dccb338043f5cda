/* Attention in bf16 on tensor cores, heads of 64 or 128: FlashAttention-2 with a warp for every 16
 * rows of a tile. Scores, softmax and sums in fp32; probabilities and gradients of scores are
 * rounded to bf16 where they are factors of the next product. Deterministic: dq is summed by the
 * tile of its queries; dk and dv by the tile of their keys, head after head. What it leaves to
 * attention_cuda.cuh: other head sizes, rows that are not at multiples of 16 bytes. */
#ifndef ROBIN_KERNELS_CUDA_ATTENTION_MMA_CUDA_CUH
#define ROBIN_KERNELS_CUDA_ATTENTION_MMA_CUDA_CUH

#include "tensor_core.cuh"

#define MMA_WARPS   4
#define MMA_THREADS (MMA_WARPS * WARP_LANES)
#define MMA_ROWS    (MMA_WARPS * 16) /* queries of a tile, and keys of one for dk and dv */
#define MMA_KEYS    64               /* that a tile of queries takes at a time */
#define MMA_QUERIES 32               /* that a tile of keys takes at a time */
#define MMA_PAD     8                /* elements between rows: ldmatrix then meets all banks */
#define LOG2_E      1.44269504088896340736f
#define LN_2        0.69314718055994530942f

/* tile [rows, D + MMA_PAD] = rows first .. of a head; zeros from `end` on */
template <int D>
static __device__ inline void load_rows(bf16 *tile, const bf16 *from, int64_t row_size,
                                        int64_t first, int64_t end, int rows)
{
    constexpr int packs = D / WIDTH<bf16>;
    for (int i = (int)threadIdx.x; i < rows * packs; i += MMA_THREADS) {
        const int64_t row = first + i / packs;
        pack<bf16, WIDTH<bf16>> p = {};
        if (row < end)
            p = load_pack<WIDTH<bf16>>(from + row * row_size + i % packs * WIDTH<bf16>);
        store_pack(tile + i / packs * (D + MMA_PAD) + i % packs * WIDTH<bf16>, p);
    }
}

/* out[n] [16, 8] = rows of `a` from a_row, times rows 8 n .. 8 n + 7 of b; both [., D] */
template <int D, int N>
static __device__ inline void products(sum_fragment out[N], const bf16 *a, int a_row, const bf16 *b)
{
    constexpr int stride = D + MMA_PAD;
    for (int n = 0; n < N; n++) out[n] = {};
#pragma unroll
    for (int k = 0; k < D; k += 16) {
        const a_fragment left = load_a(a, stride, a_row, k);
#pragma unroll
        for (int n = 0; n < N; n += 2) {
            b_fragment right[2];
            load_b_rows(right, b, stride, n * 8, k);
            multiply_add(&out[n], left, right[0]);
            multiply_add(&out[n + 1], left, right[1]);
        }
    }
}

/* sum[d] [16, 8] += weights [16, 8 N] times b [8 N, D] */
template <int D, int N>
static __device__ inline void add_weighted(sum_fragment sum[D / 8], const sum_fragment weights[N],
                                           const bf16 *b)
{
#pragma unroll
    for (int n = 0; n < N; n += 2) {
        const a_fragment left = as_factor(weights[n], weights[n + 1]);
#pragma unroll
        for (int d = 0; d < D / 8; d += 2) {
            b_fragment right[2];
            load_b_columns(right, b, D + MMA_PAD, d * 8, n * 8);
            multiply_add(&sum[d], left, right[0]);
            multiply_add(&sum[d + 1], left, right[1]);
        }
    }
}

/* Rows g and g + 8 of the warp's 16, of `end` at most, times the factor of each. */
template <int D>
static __device__ inline void store_rows(bf16 *to, int64_t row_size, int64_t first, int64_t end,
                                         const sum_fragment sum[D / 8], const float factor[2])
{
    const int lane = (int)threadIdx.x % WARP_LANES;
    for (int half = 0; half < 2; half++) {
        const int64_t row = first + lane / 4 + half * 8;
        if (row >= end) continue;
        for (int d = 0; d < D / 8; d++)
            *reinterpret_cast<uint32_t *>(to + row * row_size + d * 8 + lane % 4 * 2) = bf16_pair(
                sum[d].at[half * 2] * factor[half], sum[d].at[half * 2 + 1] * factor[half]);
    }
}

/* The four lanes that share a row. */
template <class How> static __device__ inline float row_all(float value)
{
    return warp_all<How, 4>(value);
}

/* Where the sequences of the lane's two rows begin; behind the last row: nowhere. */
static __device__ inline void row_starts(int start[2], const attention_dims &a, int64_t first)
{
    for (int half = 0; half < 2; half++) {
        const int64_t row = first + threadIdx.x % WARP_LANES / 4 + half * 8;
        start[half] = (int)(row < a.t ? a.seq_start[sequence_of(a, row)] : a.t);
    }
}

/* Element i of fragment n of a tile of scores: which row and column it is. */
static __device__ inline int fragment_row(int i)
{
    return (int)threadIdx.x % WARP_LANES / 4 + i / 2 * 8;
}
static __device__ inline int fragment_column(int n, int i)
{
    return n * 8 + (int)threadIdx.x % 4 * 2 + i % 2;
}

/* Grid (query tiles, H). */
template <int D>
static __global__ void __launch_bounds__(MMA_THREADS)
    attention_mma_forward_kernel(bf16 *out, float *lse, const bf16 *qkv, attention_dims a)
{
    DYNAMIC_SHARED(bf16, shared);
    constexpr int n_keys = MMA_KEYS / 8;
    bf16 *q = shared, *k = q + MMA_ROWS * (D + MMA_PAD), *v = k + MMA_KEYS * (D + MMA_PAD);
    const int64_t first = (int64_t)blockIdx.x * MMA_ROWS, head = blockIdx.y;
    const int64_t last = first + MMA_ROWS < a.t ? first + MMA_ROWS : a.t; /* exclusive */
    const int64_t group = head / (a.h / a.kv), row_size = a.row_size();
    const int warp_row = (int)threadIdx.x / WARP_LANES * 16;
    const float scale = a.scale * LOG2_E;
    int start[2];
    float top[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};
    sum_fragment own[D / 8] = {};
    const int first_row = (int)first + warp_row;
    row_starts(start, a, first_row);
    load_rows<D>(q, qkv + head * D, row_size, first, a.t, MMA_ROWS);
    for (int64_t key = a.seq_start[sequence_of(a, first)]; key < last; key += MMA_KEYS) {
        sum_fragment p[n_keys];
        __syncthreads();
        load_rows<D>(k, qkv + (a.h + group) * D, row_size, key, last, MMA_KEYS);
        load_rows<D>(v, qkv + (a.h + a.kv + group) * D, row_size, key, last, MMA_KEYS);
        __syncthreads();
        products<D, n_keys>(p, q, warp_row, k);
        float new_top[2] = {top[0], top[1]};
        for (int n = 0; n < n_keys; n++)
            for (int i = 0; i < 4; i++) {
                const int j = (int)key + fragment_column(n, i);
                const bool seen = j >= start[i / 2] && j <= first_row + fragment_row(i);
                p[n].at[i] = seen ? p[n].at[i] * scale : -INFINITY;
                new_top[i / 2] = fmaxf(new_top[i / 2], p[n].at[i]);
            }
        for (int half = 0; half < 2; half++) {
            new_top[half] = row_all<max_of>(new_top[half]);
            const float shrink = new_top[half] > -INFINITY ? exp2f(top[half] - new_top[half]) : 1;
            float part = 0;
            for (int n = 0; n < n_keys; n++)
                for (int i = half * 2; i < half * 2 + 2; i++) {
                    p[n].at[i] =
                        new_top[half] > -INFINITY ? exp2f(p[n].at[i] - new_top[half]) : 0.0f;
                    part += p[n].at[i];
                }
            sum[half] = sum[half] * shrink + row_all<sum_of>(part);
            top[half] = new_top[half];
            for (int d = 0; d < D / 8; d++) {
                own[d].at[half * 2] *= shrink;
                own[d].at[half * 2 + 1] *= shrink;
            }
        }
        add_weighted<D, n_keys>(own, p, v);
    }
    const float factor[2] = {1 / sum[0], 1 / sum[1]};
    store_rows<D>(out + head * D, a.h * D, first + warp_row, a.t, own, factor);
    for (int half = 0; half < 2; half++) {
        const int64_t row = first + warp_row + fragment_row(half * 2);
        if (row < a.t && threadIdx.x % 4 == 0)
            lse[head * a.t + row] = (top[half] + log2f(sum[half])) * LN_2;
    }
}

/* dq of one tile of queries and one head. Grid (query tiles, H). */
template <int D>
static __global__ void __launch_bounds__(MMA_THREADS)
    attention_mma_dq_kernel(bf16 *dqkv, const bf16 *dout, const float *lse, const float *delta,
                            const bf16 *qkv, attention_dims a)
{
    DYNAMIC_SHARED(bf16, shared);
    constexpr int n_keys = MMA_KEYS / 8;
    bf16 *q = shared, *dy = q + MMA_ROWS * (D + MMA_PAD), *k = dy + MMA_ROWS * (D + MMA_PAD);
    bf16 *v = k + MMA_KEYS * (D + MMA_PAD);
    const int64_t first = (int64_t)blockIdx.x * MMA_ROWS, head = blockIdx.y;
    const int64_t last = first + MMA_ROWS < a.t ? first + MMA_ROWS : a.t;
    const int64_t group = head / (a.h / a.kv), row_size = a.row_size();
    const int warp_row = (int)threadIdx.x / WARP_LANES * 16;
    int start[2];
    float row_lse[2], row_delta[2];
    sum_fragment own[D / 8] = {};
    const int first_row = (int)first + warp_row;
    row_starts(start, a, first_row);
    for (int half = 0; half < 2; half++) {
        const int64_t row = first + warp_row + fragment_row(half * 2);
        row_lse[half] = row < a.t ? lse[head * a.t + row] * LOG2_E : 0.0f;
        row_delta[half] = row < a.t ? delta[head * a.t + row] : 0.0f;
    }
    load_rows<D>(q, qkv + head * D, row_size, first, a.t, MMA_ROWS);
    load_rows<D>(dy, dout + head * D, a.h * D, first, a.t, MMA_ROWS);
    for (int64_t key = a.seq_start[sequence_of(a, first)]; key < last; key += MMA_KEYS) {
        sum_fragment p[n_keys], ds[n_keys];
        __syncthreads();
        load_rows<D>(k, qkv + (a.h + group) * D, row_size, key, last, MMA_KEYS);
        load_rows<D>(v, qkv + (a.h + a.kv + group) * D, row_size, key, last, MMA_KEYS);
        __syncthreads();
        products<D, n_keys>(p, q, warp_row, k);
        products<D, n_keys>(ds, dy, warp_row, v);
        for (int n = 0; n < n_keys; n++)
            for (int i = 0; i < 4; i++) {
                const int j = (int)key + fragment_column(n, i);
                const bool seen = j >= start[i / 2] && j <= first_row + fragment_row(i);
                const float score = p[n].at[i] * (a.scale * LOG2_E) - row_lse[i / 2];
                const float change = (ds[n].at[i] - row_delta[i / 2]) * a.scale;
                ds[n].at[i] = seen ? exp2f(score) * change : 0.0f;
            }
        add_weighted<D, n_keys>(own, ds, k);
    }
    const float factor[2] = {1, 1};
    store_rows<D>(dqkv + head * D, row_size, first + warp_row, a.t, own, factor);
}

/* dk and dv of one tile of keys and one key/value head, from all queries that see them, head by
 * head of its group. Rows of the tiles of scores are keys. Grid (key tiles, KV). */
template <int D>
static __global__ void __launch_bounds__(MMA_THREADS)
    attention_mma_dkv_kernel(bf16 *dqkv, const bf16 *dout, const float *lse, const float *delta,
                             const bf16 *qkv, attention_dims a)
{
    DYNAMIC_SHARED(bf16, shared);
    constexpr int n_queries = MMA_QUERIES / 8;
    bf16 *k = shared, *v = k + MMA_ROWS * (D + MMA_PAD), *q = v + MMA_ROWS * (D + MMA_PAD);
    bf16 *dy = q + MMA_QUERIES * (D + MMA_PAD);
    float *of_rows = reinterpret_cast<float *>(dy + MMA_QUERIES * (D + MMA_PAD));
    const int64_t first = (int64_t)blockIdx.x * MMA_ROWS, group = blockIdx.y;
    const int64_t last = first + MMA_ROWS < a.t ? first + MMA_ROWS : a.t;
    const int64_t row_size = a.row_size(), heads = a.h / a.kv;
    const int64_t end = a.seq_start[sequence_of(a, last - 1) + 1]; /* of the last key's sequence */
    const int warp_row = (int)threadIdx.x / WARP_LANES * 16;
    const int first_key = (int)first + warp_row;
    int own_end[2];
    sum_fragment own_k[D / 8] = {}, own_v[D / 8] = {};
    for (int half = 0; half < 2; half++) {
        const int64_t key = first + warp_row + fragment_row(half * 2);
        own_end[half] = key < a.t ? a.seq_start[sequence_of(a, key) + 1] : 0;
    }
    load_rows<D>(k, qkv + (a.h + group) * D, row_size, first, a.t, MMA_ROWS);
    load_rows<D>(v, qkv + (a.h + a.kv + group) * D, row_size, first, a.t, MMA_ROWS);
    for (int64_t head = group * heads; head < (group + 1) * heads; head++)
        for (int64_t row = first; row < end; row += MMA_QUERIES) {
            sum_fragment p[n_queries], ds[n_queries];
            __syncthreads();
            load_rows<D>(q, qkv + head * D, row_size, row, end, MMA_QUERIES);
            load_rows<D>(dy, dout + head * D, a.h * D, row, end, MMA_QUERIES);
            if (threadIdx.x < 2 * MMA_QUERIES) {
                const int64_t query = row + threadIdx.x % MMA_QUERIES;
                const float *from = threadIdx.x < MMA_QUERIES ? lse : delta;
                of_rows[threadIdx.x] = query < end ? from[head * a.t + query] : 0.0f;
            }
            __syncthreads();
            products<D, n_queries>(p, k, warp_row, q);
            products<D, n_queries>(ds, v, warp_row, dy);
            for (int n = 0; n < n_queries; n++)
                for (int i = 0; i < 4; i++) {
                    const int j = fragment_column(n, i);
                    const int query = (int)row + j;
                    const bool seen =
                        query >= first_key + fragment_row(i) && query < own_end[i / 2];
                    const float score = a.scale * p[n].at[i] - of_rows[j];
                    const float change = (ds[n].at[i] - of_rows[MMA_QUERIES + j]) * a.scale;
                    p[n].at[i] = seen ? exp2f(score * LOG2_E) : 0.0f;
                    ds[n].at[i] = p[n].at[i] * change;
                }
            add_weighted<D, n_queries>(own_v, p, dy);
            add_weighted<D, n_queries>(own_k, ds, q);
        }
    const float factor[2] = {1, 1};
    bf16 *to = dqkv + group * D;
    store_rows<D>(to + a.h * D, row_size, first + warp_row, a.t, own_k, factor);
    store_rows<D>(to + (a.h + a.kv) * D, row_size, first + warp_row, a.t, own_v, factor);
}

/* ---- launching ---- */

static bool mma_takes(const attention_dims &a, const void *one, const void *other, const void *last)
{
    const uintptr_t all = (uintptr_t)one | (uintptr_t)other | (uintptr_t)last;
    return (a.d == 64 || a.d == 128) && all % 16 == 0;
}

template <int D>
static void mma_forward(bf16 *out, float *lse, const bf16 *qkv, const attention_dims &a,
                        struct stream *stream)
{
    const size_t shared = sizeof(bf16) * (MMA_ROWS + 2 * MMA_KEYS) * (D + MMA_PAD);
    auto kernel = attention_mma_forward_kernel<D>;
    allow_shared(kernel, shared);
    LAUNCH(kernel, dim3(blocks_of(a.t, MMA_ROWS), (unsigned)a.h), dim3(MMA_THREADS), shared, stream,
           out, lse, qkv, a);
}

template <int D>
static void mma_backward(bf16 *dqkv, const bf16 *dout, const float *lse, const float *delta,
                         const bf16 *qkv, const attention_dims &a, struct stream *stream)
{
    const size_t for_dq = sizeof(bf16) * (2 * MMA_ROWS + 2 * MMA_KEYS) * (D + MMA_PAD);
    const size_t for_dkv = sizeof(bf16) * (2 * MMA_ROWS + 2 * MMA_QUERIES) * (D + MMA_PAD) +
                           sizeof(float) * 2 * MMA_QUERIES;
    auto dq_kernel = attention_mma_dq_kernel<D>;
    auto dkv_kernel = attention_mma_dkv_kernel<D>;
    allow_shared(dq_kernel, for_dq);
    LAUNCH(dq_kernel, dim3(blocks_of(a.t, MMA_ROWS), (unsigned)a.h), dim3(MMA_THREADS), for_dq,
           stream, dqkv, dout, lse, delta, qkv, a);
    allow_shared(dkv_kernel, for_dkv);
    LAUNCH(dkv_kernel, dim3(blocks_of(a.t, MMA_ROWS), (unsigned)a.kv), dim3(MMA_THREADS), for_dkv,
           stream, dqkv, dout, lse, delta, qkv, a);
}

#endif
