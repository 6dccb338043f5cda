/* Rotary positions, in place in the rows of qkv; backwards together with the gradient of the bias
 * under qkv. A thread has N pairs of a head, in each of the rows that its block goes through. */
#ifndef ROBIN_KERNELS_CUDA_ROPE_CUDA_CUH
#define ROBIN_KERNELS_CUDA_ROPE_CUDA_CUH

#include "device_code.cuh"

#define ROPE_THREADS 128

struct rope_dims {
    const float *cosines, *sines; /* [positions, D / 2] */
    const int32_t *position;
    int64_t t, heads, row_heads, d; /* heads that turn, heads of a row */
    float sign;
};

/* N pairs, turned by the angles of that place in the tables. */
template <int N> struct pairs_of {
    float low[N], high[N];
};

template <int N>
static __device__ inline pairs_of<N> load_pairs(const real *x, int64_t half)
{
    const pack<real, N> low = load_pack<N>(x), high = load_pack<N>(x + half);
    pairs_of<N> pairs;
    for (int i = 0; i < N; i++) {
        pairs.low[i] = to_float(low.at[i]);
        pairs.high[i] = to_float(high.at[i]);
    }
    return pairs;
}

template <int N>
static __device__ inline void store_pairs(real *x, int64_t half, const pairs_of<N> &pairs)
{
    pack<real, N> low, high;
    for (int i = 0; i < N; i++) {
        low.at[i] = from_float<real>(pairs.low[i]);
        high.at[i] = from_float<real>(pairs.high[i]);
    }
    store_pack(x, low);
    store_pack(x + half, high);
}

template <int N>
static __device__ inline void turn(pairs_of<N> &pairs, const rope_dims &r, int64_t place)
{
    constexpr int M = N < 4 ? N : 4; /* floats of a load */
    for (int at = 0; at < N; at += M) {
        const pack<float, M> cosine = load_pack<M>(r.cosines + place + at);
        const pack<float, M> sine = load_pack<M>(r.sines + place + at);
        for (int i = 0; i < M; i++) {
            const float c = cosine.at[i], s = r.sign * sine.at[i];
            const float a = pairs.low[at + i], b = pairs.high[at + i];
            pairs.low[at + i] = a * c - b * s;
            pairs.high[at + i] = b * c + a * s;
        }
    }
}

/* A block turns the q and k heads of one token. */
template <int N> static __global__ void rope_kernel(real *qkv, rope_dims r)
{
    const int64_t half = r.d / 2, token = blockIdx.x, at = r.position[token];
    real *row = qkv + token * r.row_heads * r.d;
    for (int64_t i = (int64_t)threadIdx.x * N; i < r.heads * half; i += ROPE_THREADS * N) {
        real *x = row + i / half * r.d + i % half;
        pairs_of<N> pairs = load_pairs<N>(x, half);
        turn<N>(pairs, r, at * half + i % half);
        store_pairs<N>(x, half, pairs);
    }
}

/* partial [chunks, row] = sums over the chunk's rows, after the turn. Grid (parts of a row,
 * chunks). */
template <int N>
static __global__ void rope_sums_kernel(real *dqkv, float *partial, rope_dims r, int64_t rows)
{
    const int64_t half = r.d / 2, first = (int64_t)blockIdx.y * rows;
    const int64_t end = first + rows < r.t ? first + rows : r.t;
    const int64_t i = ((int64_t)blockIdx.x * ROPE_THREADS + threadIdx.x) * N; /* of row_heads half */
    const int64_t head = i / half, column = head * r.d + i % half;
    float sums[2][N] = {};
    if (head >= r.row_heads) return;
    for (int64_t token = first; token < end; token++) {
        real *x = dqkv + token * r.row_heads * r.d + column;
        pairs_of<N> pairs = load_pairs<N>(x, half);
        if (head < r.heads) {
            turn<N>(pairs, r, r.position[token] * half + i % half);
            store_pairs<N>(x, half, pairs);
        }
        for (int k = 0; k < N; k++) {
            sums[0][k] += pairs.low[k];
            sums[1][k] += pairs.high[k];
        }
    }
    float *to = partial + blockIdx.y * r.row_heads * r.d + column;
    for (int k = 0; k < N; k++) {
        to[k] = sums[0][k];
        to[half + k] = sums[1][k];
    }
}

/* Whether N pairs are neighbours in every head, and can be read so. */
static bool rope_is_wide(const void *qkv, const rope_dims &r)
{
    return is_wide<real>(r.d / 2, (const real *)qkv, r.cosines, r.sines);
}

static enum status rope(void *qkv, const float *cosines, const float *sines,
                        const int32_t *position, int64_t t, int64_t h, int64_t kv, int64_t d,
                        int direction, struct stream *stream)
{
    const rope_dims r = {cosines, sines, position, t, h + kv, h + 2 * kv, d, (float)direction};
    auto kernel = rope_is_wide(qkv, r) ? rope_kernel<WIDTH<real>> : rope_kernel<1>;
    if (t * d == 0) return OK;
    LAUNCH(kernel, dim3(blocks_of(t, 1)), dim3(ROPE_THREADS), 0, stream, (real *)qkv, r);
    return launched("rope");
}

static enum status rope_backward(void *dqkv, float *dbias, const float *cosines,
                                 const float *sines, const int32_t *position, int64_t t, int64_t h,
                                 int64_t kv, int64_t d, void *workspace, struct stream *stream)
{
    const rope_dims r = {cosines, sines, position, t, h + kv, h + 2 * kv, d, -1.0f};
    const bool wide = rope_is_wide(dqkv, r);
    const int64_t per_thread = wide ? WIDTH<real> : 1, pairs = r.row_heads * d / 2;
    auto kernel = wide ? rope_sums_kernel<WIDTH<real>> : rope_sums_kernel<1>;
    if (dbias == NULL || t * d == 0)
        return rope(dqkv, cosines, sines, position, t, h, kv, d, -1, stream);
    LAUNCH(kernel, dim3(blocks_of(pairs, per_thread * ROPE_THREADS), (unsigned)walk_chunks(t)),
           dim3(ROPE_THREADS), 0, stream, (real *)dqkv, (float *)workspace, r, walk_rows(t));
    finish_columns<1>(dbias, nullptr, (const float *)workspace, r.row_heads * d, walk_chunks(t),
                      stream);
    return launched("rope_backward");
}

static size_t column_workspace(int64_t n, int64_t c)
{
    return walk_bytes(n, c);
}

#endif
