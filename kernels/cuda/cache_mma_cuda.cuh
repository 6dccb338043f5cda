/* Attention over a cache in bf16 on tensor cores, heads of 64 or 128. The rows of a factor are query
 * heads that read the same keys: all heads of a group, of all rows that share the span, be they one
 * sequence's or those of a group whose common keys reach to the span's end. Rows that share it with
 * no neighbour have a thread block of one warp. What a row gets is the same in either: 64 keys at a
 * time, in order, its own rows of the products. Tiles and fragments are attention_mma_cuda.cuh's. */
#ifndef ROBIN_KERNELS_CUDA_CACHE_MMA_CUDA_CUH
#define ROBIN_KERNELS_CUDA_CACHE_MMA_CUDA_CUH

#include "attention_mma_cuda.cuh"

/* Rows of the launch that have their query heads in one tile. */
static __host__ __device__ inline int64_t rows_of_tile(const cached_dims &c)
{
    return MMA_ROWS / (c.h / c.kv);
}

/* Whether a row reads the same keys of the span as the row before it. */
static __device__ inline bool shares_span(const span_parts &parts, const cached_dims &c,
                                          int64_t row, int64_t span)
{
    if (parts.sequence[row] == parts.sequence[row - 1]) return true;
    if (parts.group[row] != parts.group[row - 1]) return false;
    return c.shared[parts.group[row]] >= (span + 1) * SPAN_KEYS;
}

/* tile [MMA_KEYS, D + MMA_PAD] = keys (or values) first .. end - 1 of a sequence; zeros behind */
template <int D, int THREADS>
static __device__ inline void load_keys(bf16 *tile, const bf16 *cache, const cached_dims &c,
                                        int64_t sequence, int64_t first, int64_t end,
                                        int64_t head, int64_t value)
{
    constexpr int packs = D / WIDTH<bf16>;
    for (int i = (int)threadIdx.x; i < MMA_KEYS * packs; i += THREADS) {
        const int64_t key = first + i / packs;
        pack<bf16, WIDTH<bf16>> p = {};
        if (key < end)
            p = load_pack<WIDTH<bf16>>(key_at(cache, c, sequence, key, head, value) +
                                       i % packs * WIDTH<bf16>);
        store_pack(tile + i / packs * (D + MMA_PAD) + i % packs * WIDTH<bf16>, p);
    }
}

/* tile [16 * WARPS, D + MMA_PAD] = the queries of rows first .. end - 1: heads of a group, row by
 * row; zeros behind */
template <int D, int WARPS>
static __device__ inline void load_queries(bf16 *tile, const bf16 *qkv, const cached_dims &c,
                                           int64_t first, int64_t end, int64_t kv_head)
{
    constexpr int packs = D / WIDTH<bf16>;
    const int64_t each = c.h / c.kv;
    for (int i = (int)threadIdx.x; i < 16 * WARPS * packs; i += WARPS * WARP_LANES) {
        const int64_t row = first + i / packs / each, head = kv_head * each + i / packs % each;
        pack<bf16, WIDTH<bf16>> p = {};
        if (row < end)
            p = load_pack<WIDTH<bf16>>(qkv + (row * (c.h + 2 * c.kv) + head) * D +
                                       i % packs * WIDTH<bf16>);
        store_pack(tile + i / packs * (D + MMA_PAD) + i % packs * WIDTH<bf16>, p);
    }
}

/* A warp's 16 query heads on their way through a span. */
template <int D> struct span_sums {
    sum_fragment own[D / 8];
    float top[2], sum[2];
    int64_t position[2]; /* of the lane's two; -1: nobody */
};

/* The next MMA_KEYS keys, from `key` on. */
template <int D>
static __device__ inline void take_keys(span_sums<D> *s, const bf16 *q, int q_row, const bf16 *k,
                                        const bf16 *v, int64_t key, float scale)
{
    constexpr int n_keys = MMA_KEYS / 8;
    sum_fragment p[n_keys];
    products<D, n_keys>(p, q, q_row, k);
    for (int half = 0; half < 2; half++) {
        float new_top = s->top[half];
        for (int n = 0; n < n_keys; n++)
            for (int i = half * 2; i < half * 2 + 2; i++) {
                const bool seen = key + fragment_column(n, i) <= s->position[half];
                p[n].at[i] = seen ? p[n].at[i] * scale : -INFINITY;
                new_top = fmaxf(new_top, p[n].at[i]);
            }
        new_top = row_all<max_of>(new_top);
        const float shrink = new_top > -INFINITY ? exp2f(s->top[half] - new_top) : 1.0f;
        float part = 0;
        for (int n = 0; n < n_keys; n++)
            for (int i = half * 2; i < half * 2 + 2; i++) {
                p[n].at[i] = new_top > -INFINITY ? exp2f(p[n].at[i] - new_top) : 0.0f;
                part += p[n].at[i];
            }
        s->sum[half] = s->sum[half] * shrink + row_all<sum_of>(part);
        s->top[half] = new_top;
        for (int d = 0; d < D / 8; d++) {
            s->own[d].at[half * 2] *= shrink;
            s->own[d].at[half * 2 + 1] *= shrink;
        }
    }
    add_weighted<D, n_keys>(s->own, p, v);
}

/* What the rows that see the span leave. */
template <int D>
static __device__ inline void leave_sums(const span_parts &parts, const cached_dims &c,
                                         const span_sums<D> &s, int64_t first, int64_t kv_head,
                                         int64_t span, int q_row)
{
    const int64_t each = c.h / c.kv;
    const int lane = (int)threadIdx.x % WARP_LANES;
    for (int half = 0; half < 2; half++) {
        const int64_t query = q_row + lane / 4 + half * 8, head = kv_head * each + query % each;
        if (s.position[half] < span * SPAN_KEYS) continue;
        const int64_t part = part_index(c, first + query / each, head, span);
        for (int d = 0; d < D / 8; d++)
            store_pack(parts.values + part * D + d * 8 + lane % 4 * 2,
                       pack<float, 2>{{s.own[d].at[half * 2], s.own[d].at[half * 2 + 1]}});
        if (lane % 4 == 0) parts.sums[part] = {{s.top[half], s.sum[half]}};
    }
}

/* Rows first .. end - 1, which share the span. All threads of the block come here. */
template <int D, int WARPS>
static __device__ inline void attend_run(const span_parts &parts, const bf16 *qkv,
                                         const bf16 *cache, const cached_dims &c, int64_t first,
                                         int64_t end, int64_t kv_head, int64_t span)
{
    DYNAMIC_SHARED(bf16, shared);
    bf16 *q = shared, *k = q + 16 * WARPS * (D + MMA_PAD), *v = k + MMA_KEYS * (D + MMA_PAD);
    constexpr int threads = WARPS * WARP_LANES;
    const int q_row = (int)threadIdx.x / WARP_LANES * 16;
    const int64_t each = c.h / c.kv, sequence = parts.sequence[first];
    span_sums<D> s = {};
    int64_t keys = 0; /* that anybody sees */
    for (int64_t row = first; row < end; row++)
        keys = c.position[row] >= keys ? c.position[row] + 1 : keys;
    keys = keys < (span + 1) * SPAN_KEYS ? keys : (span + 1) * SPAN_KEYS;
    for (int half = 0; half < 2; half++) {
        const int64_t row = first + (q_row + threadIdx.x % WARP_LANES / 4 + half * 8) / each;
        s.position[half] = row < end ? c.position[row] : -1;
        s.top[half] = -INFINITY;
    }
    __syncthreads(); /* the run before is done with the tiles */
    load_queries<D, WARPS>(q, qkv, c, first, end, kv_head);
    for (int64_t key = span * SPAN_KEYS; key < keys; key += MMA_KEYS) {
        __syncthreads();
        load_keys<D, threads>(k, cache, c, sequence, key, keys, kv_head, 0);
        load_keys<D, threads>(v, cache, c, sequence, key, keys, kv_head, 1);
        __syncthreads();
        take_keys<D>(&s, q, q_row, k, v, key, c.scale);
    }
    leave_sums<D>(parts, c, s, first, kv_head, span, q_row);
}

/* Grid (tiles of rows, KV, spans): runs of several rows that share the span. */
template <int D>
static __global__ void __launch_bounds__(MMA_THREADS)
    attend_shared_kernel(span_parts parts, const bf16 *qkv, const bf16 *cache, cached_dims c)
{
    const int64_t first = c.first + (int64_t)blockIdx.x * rows_of_tile(c), span = blockIdx.z;
    const int64_t last = first + rows_of_tile(c) < c.end ? first + rows_of_tile(c) : c.end;
    for (int64_t row = first, end; row < last; row = end) {
        end = row + 1;
        while (end < last && shares_span(parts, c, end, span)) end++;
        if (end - row > 1)
            attend_run<D, MMA_WARPS>(parts, qkv, cache, c, row, end, blockIdx.y, span);
    }
}

/* Grid (rows, KV, spans): the rows that the other kernel leaves out. */
template <int D>
static __global__ void __launch_bounds__(WARP_LANES)
    attend_alone_kernel(span_parts parts, const bf16 *qkv, const bf16 *cache, cached_dims c)
{
    const int64_t row = c.first + blockIdx.x, span = blockIdx.z;
    const bool first = blockIdx.x % rows_of_tile(c) == 0, last = row + 1 == c.end;
    const bool next_is_first = (blockIdx.x + 1) % rows_of_tile(c) == 0;
    if (c.position[row] < span * SPAN_KEYS) return;
    if (!first && shares_span(parts, c, row, span)) return;
    if (!last && !next_is_first && shares_span(parts, c, row + 1, span)) return;
    attend_run<D, 1>(parts, qkv, cache, c, row, row + 1, blockIdx.y, span);
}

static bool mma_takes_cached(const cached_dims &c, const void *qkv, const void *cache)
{
    const bool heads = c.h / c.kv <= 16 && (c.d == 64 || c.d == 128);
    return heads && ((uintptr_t)qkv | (uintptr_t)cache) % 16 == 0;
}

template <int D>
static void mma_attend_heads(const span_parts &parts, const bf16 *qkv, const bf16 *cache,
                             const cached_dims &c, struct stream *stream)
{
    const int64_t rows = c.end - c.first;
    const size_t keys = sizeof(bf16) * 2 * MMA_KEYS * (D + MMA_PAD);
    const size_t shared = keys + sizeof(bf16) * MMA_ROWS * (D + MMA_PAD);
    const size_t alone = keys + sizeof(bf16) * 16 * (D + MMA_PAD);
    auto shared_kernel = attend_shared_kernel<D>;
    auto alone_kernel = attend_alone_kernel<D>;
    allow_shared(shared_kernel, shared);
    LAUNCH(shared_kernel,
           dim3(blocks_of(rows, rows_of_tile(c)), (unsigned)c.kv, (unsigned)c.spans),
           dim3(MMA_THREADS), shared, stream, parts, qkv, cache, c);
    LAUNCH(alone_kernel, dim3(blocks_of(rows, 1), (unsigned)c.kv, (unsigned)c.spans),
           dim3(WARP_LANES), alone, stream, parts, qkv, cache, c);
}

static void mma_attend_spans(const span_parts &parts, const bf16 *qkv, const bf16 *cache,
                             const cached_dims &c, struct stream *stream)
{
    if (c.d == 64)
        mma_attend_heads<64>(parts, qkv, cache, c, stream);
    else
        mma_attend_heads<128>(parts, qkv, cache, c, stream);
}

#endif
