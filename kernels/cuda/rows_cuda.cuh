/* Rows looked up by index: token embeddings, and the splice of image and region tokens. */
#ifndef ROBIN_KERNELS_CUDA_ROWS_CUDA_CUH
#define ROBIN_KERNELS_CUDA_ROWS_CUDA_CUH

#include "device_code.cuh"

#define ROW_THREADS 128

/* A block copies one row: out_n = table_{ids_n}, or zeros. */
template <int N>
static __global__ void gather_kernel(real *out, const real *table, const int32_t *ids, int64_t v,
                                     int64_t c)
{
    const int64_t row = blockIdx.x, id = ids[row];
    DEVICE_ASSERT(id >= -1 && id < v);
    for (int64_t k = (int64_t)threadIdx.x * N; k < c; k += ROW_THREADS * N) {
        pack<real, N> p;
        for (int i = 0; i < N; i++) p.at[i] = from_float<real>(0.0f);
        if (id >= 0) p = load_pack<N>(table + id * c + k);
        store_pack(out + row * c + k, p);
    }
}

template <int N>
static __global__ void scatter_kernel(real *dst, const real *src, const int32_t *index, int64_t t,
                                      int64_t c)
{
    const int64_t row = blockIdx.x, to = index[row];
    DEVICE_ASSERT(to >= -1 && to < t);
    if (to < 0) return;
    for (int64_t k = (int64_t)threadIdx.x * N; k < c; k += ROW_THREADS * N)
        store_pack(dst + to * c + k, load_pack<N>(src + row * c + k));
}

/* A block is of one row of dout, and idle unless that row is the first of its id: then it adds all
 * rows of the id in their order. No two blocks write one row, and the order is the
 * specification's. */
static __global__ void embedding_backward_kernel(float *dtable, const real *dout,
                                                 const int32_t *ids, int64_t n, int64_t v,
                                                 int64_t c)
{
    __shared__ unsigned matches[ROW_THREADS / WARP_LANES];
    const int64_t own = blockIdx.x, id = ids[own];
    DEVICE_ASSERT(id >= -1 && id < v);
    if (id < 0) return;
    float seen = 0;
    for (int64_t row = threadIdx.x; row < own; row += ROW_THREADS)
        if (ids[row] == id) seen = 1;
    if (group_all<sum_of, ROW_THREADS>(seen) > 0) return;
    for (int64_t first = own; first < n; first += ROW_THREADS) {
        const int64_t row = first + threadIdx.x;
        const unsigned votes = __ballot_sync(ALL_LANES, row < n && ids[row] == id);
        __syncthreads(); /* the matches before are used */
        if (threadIdx.x % WARP_LANES == 0) matches[threadIdx.x / WARP_LANES] = votes;
        __syncthreads();
        for (int w = 0; w < ROW_THREADS / WARP_LANES; w++)
            for (unsigned left = matches[w]; left != 0; left &= left - 1) {
                const real *from = dout + (first + w * WARP_LANES + __ffs(left) - 1) * c;
                for (int64_t k = threadIdx.x; k < c; k += ROW_THREADS)
                    dtable[id * c + k] += to_float(from[k]);
            }
    }
}

static enum status embedding_forward(void *out, const void *table, const int32_t *ids, int64_t n,
                                     int64_t v, int64_t c, struct stream *stream)
{
    const bool wide = is_wide<real>(c, (const real *)out, table);
    auto kernel = wide ? gather_kernel<WIDTH<real>> : gather_kernel<1>;
    if (n * c == 0) return OK;
    LAUNCH(kernel, dim3(blocks_of(n, 1)), dim3(ROW_THREADS), 0, stream, (real *)out,
           (const real *)table, ids, v, c);
    return launched("embedding_forward");
}

static enum status embedding_backward(float *dtable, const void *dout, const int32_t *ids,
                                      int64_t n, int64_t v, int64_t c, struct stream *stream)
{
    if (n * c == 0) return OK;
    LAUNCH(embedding_backward_kernel, dim3(blocks_of(n, 1)), dim3(ROW_THREADS), 0, stream, dtable,
           (const real *)dout, ids, n, v, c);
    return launched("embedding_backward");
}

static enum status rows_scatter(void *dst, const void *src, const int32_t *index, int64_t t,
                                int64_t n, int64_t c, struct stream *stream)
{
    const bool wide = is_wide<real>(c, (const real *)dst, src);
    auto kernel = wide ? scatter_kernel<WIDTH<real>> : scatter_kernel<1>;
    if (n * c == 0) return OK;
    LAUNCH(kernel, dim3(blocks_of(n, 1)), dim3(ROW_THREADS), 0, stream, (real *)dst,
           (const real *)src, index, t, c);
    return launched("rows_scatter");
}

static enum status rows_gather(void *dst, const void *src, const int32_t *index, int64_t t,
                               int64_t n, int64_t c, struct stream *stream)
{
    return embedding_forward(dst, src, index, n, t, c, stream);
}

#endif
