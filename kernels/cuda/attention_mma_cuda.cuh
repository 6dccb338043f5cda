/* Attention in bf16 on tensor cores, heads of 64 or 128: FlashAttention-2 with a warp for every 16
 * rows of a tile. Scores, softmax and sums in fp32; probabilities and gradients of scores are
 * rounded to bf16 where they are factors of the next product. Deterministic: dq is summed by the
 * tile of its queries; dk and dv by the tile of their keys, head after head. What it leaves to
 * attention_cuda.cuh: other head sizes, rows that are not at multiples of 16 bytes.
 *
 * Of the tiles that a block walks through there are two places: the next one is copied to the other
 * place while this one is computed with. One barrier a tile: behind it this tile's copies are there
 * for all, and nobody computes any more with what the other place held. */
#ifndef ROBIN_KERNELS_CUDA_ATTENTION_MMA_CUDA_CUH
#define ROBIN_KERNELS_CUDA_ATTENTION_MMA_CUDA_CUH

#include "async_copy.cuh"
#include "tensor_core.cuh"

#define MMA_WARPS   4
#define MMA_THREADS (MMA_WARPS * WARP_LANES)
#define MMA_ROWS    (MMA_WARPS * 16) /* queries of a tile, and keys of one for dk and dv */
#define MMA_KEYS    64               /* of a cache, that rows of queries take at a time */
#define MMA_QUERIES 32               /* that a tile of keys takes at a time */
#define MMA_PAD     8                /* elements between rows: ldmatrix then meets all banks */
#define LOG2_E      1.44269504088896340736f
#define LN_2        0.69314718055994530942f

/* Keys that a tile of queries takes at a time: as many as leave room for three blocks of 128 threads
 * (an H100's shared memory; two on an A100). */
template <int D> constexpr int STEP_KEYS = D > 64 ? 32 : 64;

/* tile [rows, D + MMA_PAD] = rows first .. of a head; zeros from `end` on. In the thread's group of
 * copies. */
template <int D>
static __device__ inline void copy_rows(bf16 *tile, const bf16 *from, int64_t row_size,
                                        int64_t first, int64_t end, int rows)
{
    constexpr int packs = D / WIDTH<bf16>;
    for (int i = (int)threadIdx.x; i < rows * packs; i += MMA_THREADS) {
        const int64_t row = first + i / packs;
        const int column = i % packs * WIDTH<bf16>;
        copy_async<16>(tile + i / packs * (D + MMA_PAD) + column,
                       row < end ? from + row * row_size + column : from, row < end);
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

template <int D, int ROWS> constexpr int TILE_ELEMENTS = ROWS * (D + MMA_PAD);

/* Keys and values of a tile of keys, one after the other, as a group of copies. `k` is a head's. */
template <int D>
static __device__ inline void copy_keys(bf16 *place, const bf16 *k, const attention_dims &a,
                                        int64_t key, int64_t last)
{
    copy_rows<D>(place, k, a.row_size(), key, last, STEP_KEYS<D>);
    copy_rows<D>(place + TILE_ELEMENTS<D, STEP_KEYS<D>>, k + a.kv * D, a.row_size(), key, last,
                 STEP_KEYS<D>);
    copies_commit();
}

/* This tile is there for all, and the place of the one before it is free. */
static __device__ inline void next_tile()
{
    copies_wait<0>();
    __syncthreads();
}

/* Grid (query tiles, H). */
template <int D>
static __global__ void __launch_bounds__(MMA_THREADS)
    attention_mma_forward_kernel(bf16 *out, float *lse, const bf16 *qkv, attention_dims a)
{
    DYNAMIC_SHARED(bf16, shared);
    constexpr int n_keys = STEP_KEYS<D> / 8, pair = 2 * TILE_ELEMENTS<D, STEP_KEYS<D>>;
    bf16 *q = shared, *places = q + TILE_ELEMENTS<D, MMA_ROWS>; /* two, of k and v */
    const int64_t first = (int64_t)blockIdx.x * MMA_ROWS, head = blockIdx.y;
    const int64_t last = first + MMA_ROWS < a.t ? first + MMA_ROWS : a.t; /* exclusive */
    const int64_t group = head / (a.h / a.kv), begin = a.seq_start[sequence_of(a, first)];
    const bf16 *all_keys = qkv + (a.h + group) * D;
    const int warp_row = (int)threadIdx.x / WARP_LANES * 16;
    const float scale = a.scale * LOG2_E;
    int start[2];
    float top[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};
    sum_fragment own[D / 8] = {};
    const int first_row = (int)first + warp_row;
    row_starts(start, a, first_row);
    copy_rows<D>(q, qkv + head * D, a.row_size(), first, a.t, MMA_ROWS);
    copy_keys<D>(places, all_keys, a, begin, last);
    for (int64_t key = begin, which = 0; key < last; key += STEP_KEYS<D>, which = 1 - which) {
        sum_fragment p[n_keys];
        const bf16 *k = places + which * pair, *v = k + pair / 2;
        next_tile();
        if (key + STEP_KEYS<D> < last)
            copy_keys<D>(places + (1 - which) * pair, all_keys, a, key + STEP_KEYS<D>, last);
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
    constexpr int n_keys = STEP_KEYS<D> / 8, pair = 2 * TILE_ELEMENTS<D, STEP_KEYS<D>>;
    bf16 *q = shared, *dy = q + TILE_ELEMENTS<D, MMA_ROWS>;
    bf16 *places = dy + TILE_ELEMENTS<D, MMA_ROWS>; /* two, of k and v */
    const int64_t first = (int64_t)blockIdx.x * MMA_ROWS, head = blockIdx.y;
    const int64_t last = first + MMA_ROWS < a.t ? first + MMA_ROWS : a.t;
    const int64_t group = head / (a.h / a.kv), begin = a.seq_start[sequence_of(a, first)];
    const bf16 *all_keys = qkv + (a.h + group) * D;
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
    copy_rows<D>(q, qkv + head * D, a.row_size(), first, a.t, MMA_ROWS);
    copy_rows<D>(dy, dout + head * D, a.h * D, first, a.t, MMA_ROWS);
    copy_keys<D>(places, all_keys, a, begin, last);
    for (int64_t key = begin, which = 0; key < last; key += STEP_KEYS<D>, which = 1 - which) {
        sum_fragment p[n_keys], ds[n_keys];
        const bf16 *k = places + which * pair, *v = k + pair / 2;
        next_tile();
        if (key + STEP_KEYS<D> < last)
            copy_keys<D>(places + (1 - which) * pair, all_keys, a, key + STEP_KEYS<D>, last);
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
    store_rows<D>(dqkv + head * D, a.row_size(), first + warp_row, a.t, own, factor);
}

/* Queries of a tile, their gradients, log-sum-exps and deltas, as a group of copies. */
template <int D>
static __device__ inline void copy_queries(bf16 *place, const bf16 *qkv, const bf16 *dout,
                                           const float *lse, const float *delta,
                                           const attention_dims &a, int64_t head, int64_t row,
                                           int64_t end)
{
    constexpr int tile = TILE_ELEMENTS<D, MMA_QUERIES>;
    float *of_rows = reinterpret_cast<float *>(place + 2 * tile);
    copy_rows<D>(place, qkv + head * D, a.row_size(), row, end, MMA_QUERIES);
    copy_rows<D>(place + tile, dout + head * D, a.h * D, row, end, MMA_QUERIES);
    if (threadIdx.x < 2 * MMA_QUERIES) {
        const int64_t query = row + threadIdx.x % MMA_QUERIES;
        const float *from = (threadIdx.x < MMA_QUERIES ? lse : delta) + head * a.t;
        copy_async<4>(of_rows + threadIdx.x, query < end ? from + query : from, query < end);
    }
    copies_commit();
}

/* dk and dv of one tile of keys and one key/value head, from all queries that see them, head by
 * head of its group. Rows of the tiles of scores are keys. Grid (key tiles, KV). */
template <int D>
static __global__ void __launch_bounds__(MMA_THREADS)
    attention_mma_dkv_kernel(bf16 *dqkv, const bf16 *dout, const float *lse, const float *delta,
                             const bf16 *qkv, attention_dims a)
{
    DYNAMIC_SHARED(bf16, shared);
    constexpr int n_queries = MMA_QUERIES / 8, tile = TILE_ELEMENTS<D, MMA_QUERIES>;
    constexpr int place = 2 * tile + 4 * MMA_QUERIES; /* q, dy, and two numbers of each row */
    bf16 *k = shared, *v = k + TILE_ELEMENTS<D, MMA_ROWS>;
    bf16 *places = v + TILE_ELEMENTS<D, MMA_ROWS>;
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
    copy_rows<D>(k, qkv + (a.h + group) * D, row_size, first, a.t, MMA_ROWS);
    copy_rows<D>(v, qkv + (a.h + a.kv + group) * D, row_size, first, a.t, MMA_ROWS);
    const int64_t first_head = group * heads;
    const int tiles = (int)((end - first + MMA_QUERIES - 1) / MMA_QUERIES);
    const int all = tiles * (int)heads;
    copy_queries<D>(places, qkv, dout, lse, delta, a, first_head, first, end);
    for (int tile_now = 0; tile_now < all; tile_now++) {
        sum_fragment p[n_queries], ds[n_queries];
        const int64_t row = first + tile_now % tiles * MMA_QUERIES;
        const int next = tile_now + 1;
        const bf16 *q = places + tile_now % 2 * place, *dy = q + tile;
        const float *of_rows = reinterpret_cast<const float *>(dy + tile);
        next_tile();
        if (next < all)
            copy_queries<D>(places + next % 2 * place, qkv, dout, lse, delta, a,
                            first_head + next / tiles, first + next % tiles * MMA_QUERIES, end);
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
    const size_t shared = sizeof(bf16) * TILE_ELEMENTS<D, MMA_ROWS + 4 * STEP_KEYS<D>>;
    auto kernel = attention_mma_forward_kernel<D>;
    allow_shared(kernel, shared);
    LAUNCH(kernel, dim3(blocks_of(a.t, MMA_ROWS), (unsigned)a.h), dim3(MMA_THREADS), shared, stream,
           out, lse, qkv, a);
}

template <int D>
static void mma_backward(bf16 *dqkv, const bf16 *dout, const float *lse, const float *delta,
                         const bf16 *qkv, const attention_dims &a, struct stream *stream)
{
    const size_t for_dq = sizeof(bf16) * TILE_ELEMENTS<D, 2 * MMA_ROWS + 4 * STEP_KEYS<D>>;
    const size_t for_dkv = sizeof(bf16) * TILE_ELEMENTS<D, 2 * MMA_ROWS + 4 * MMA_QUERIES> +
                           sizeof(float) * 4 * MMA_QUERIES;
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
