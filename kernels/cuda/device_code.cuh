/* What every kernel stands on: number types, vector loads, sums over threads, launches. The
 * kernels are written once for `real`, which is float in kernels_cuda.cu and bf16 in
 * kernels_cuda_bf16.cu: those two include the files *_cuda.cuh. All arithmetic is in fp32.
 *
 * Compiled without contraction of a * b + c (-fmad=false), so that results do not depend on what
 * the compiler sees; where speed wants it, fmaf is written out.
 * With ROBIN_CUDA_EMULATED (tests) the same text is C++ for the CPU. */
#ifndef ROBIN_KERNELS_CUDA_DEVICE_CODE_CUH
#define ROBIN_KERNELS_CUDA_DEVICE_CODE_CUH

#ifndef ROBIN_CUDA_EMULATED
#include <cuda_bf16.h>
#include <cuda_runtime.h>
#endif

#include <cstdint>

extern "C" {
#include "base/assertion.h"
#include "base/status.h"
#include "device/cuda_stream.h"
#include "device/stream.h"
#include "kernels.h"
}

typedef __nv_bfloat16 bf16;

/* ---- launching ---- */

#ifdef ROBIN_CUDA_EMULATED
#define LAUNCH(KERNEL, GRID, BLOCK, SHARED, STREAM, ...)                                           \
    emulation::launch(GRID, BLOCK, SHARED, cuda_handle(STREAM),                                    \
                      [=, values = std::make_tuple(__VA_ARGS__)]() { std::apply(KERNEL, values); })
#define DYNAMIC_SHARED(TYPE, NAME) TYPE *NAME = (TYPE *)(void *)emulation::dynamic_shared
#define allow_shared(KERNEL, BYTES) ((void)0)
#else
#define LAUNCH(KERNEL, GRID, BLOCK, SHARED, STREAM, ...)                                           \
    KERNEL<<<GRID, BLOCK, SHARED, cuda_handle(STREAM)>>>(__VA_ARGS__)
#define DYNAMIC_SHARED(TYPE, NAME)                                                                 \
    extern __shared__ __align__(16) unsigned char dynamic_shared_bytes[];                          \
    TYPE *NAME = (TYPE *)(void *)dynamic_shared_bytes
/* Above 48 KiB a kernel must be told how much dynamic shared memory it may have. */
#define allow_shared(KERNEL, BYTES)                                                                \
    (void)cudaFuncSetAttribute(KERNEL, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)(BYTES))
#endif

static inline cudaStream_t cuda_handle(const struct stream *stream)
{
    return (cudaStream_t)stream->cuda->handle;
}

/* The launch's own error; that of the run comes with the next wait for the stream. */
static inline enum status launched(const char *what)
{
    const cudaError_t error = cudaGetLastError();
    if (error == cudaSuccess) return OK;
    return status_fail(ERR_UNSUPPORTED, "cannot launch %s: %s", what, cudaGetErrorString(error));
}

static inline unsigned blocks_of(int64_t n, int64_t per_block)
{
    const int64_t blocks = (n + per_block - 1) / per_block;
    ASSERT(blocks <= INT32_MAX, "%lld blocks are more than a grid can have", (long long)blocks);
    return (unsigned)blocks;
}

/* An index outside its tensor is our error: the launch fails with "unspecified launch failure". */
#define DEVICE_ASSERT(CONDITION) ((CONDITION) ? (void)0 : __trap())

/* ---- numbers ---- */

static __device__ inline float to_float(float x)
{
    return x;
}
static __device__ inline float to_float(bf16 x)
{
    return __bfloat162float(x);
}
template <typename T> static __device__ inline T from_float(float x);
template <> __device__ inline float from_float<float>(float x)
{
    return x;
}
template <> __device__ inline bf16 from_float<bf16>(float x)
{
    return __float2bfloat16_rn(x);
}

/* ---- several neighbours in one load ---- */

template <typename T, int N> struct alignas(sizeof(T) * N) pack {
    T at[N];
};

template <int N, typename T> static __device__ inline pack<T, N> load_pack(const T *from)
{
    return *reinterpret_cast<const pack<T, N> *>(from);
}
template <int N, typename T> static __device__ inline void store_pack(T *to, const pack<T, N> &p)
{
    *reinterpret_cast<pack<T, N> *>(to) = p;
}

/* Elements of one 16-byte load. */
template <typename T> constexpr int WIDTH = 16 / (int)sizeof(T);

/* Whether rows of c elements at all of these addresses can be read 16 bytes at a time. */
template <typename T> static inline bool is_wide(int64_t c, const T *a, const void *b = nullptr,
                                                 const void *d = nullptr, const void *e = nullptr)
{
    const uintptr_t all = (uintptr_t)a | (uintptr_t)b | (uintptr_t)d | (uintptr_t)e;
    return all % 16 == 0 && c % WIDTH<T> == 0;
}

/* ---- sums and maxima over threads, in fixed trees ---- */

#define WARP_LANES 32
#define ALL_LANES  0xffffffffU

struct sum_of {
    template <typename T> static __device__ T join(T a, T b)
    {
        return a + b;
    }
};
struct max_of {
    static __device__ float join(float a, float b)
    {
        return fmaxf(a, b);
    }
};

/* Every lane of each group of LANES gets the result. */
template <class How, int LANES = WARP_LANES, typename T> static __device__ inline T warp_all(T value)
{
    for (int bits = LANES / 2; bits > 0; bits /= 2)
        value = How::join(value, __shfl_xor_sync(ALL_LANES, value, bits));
    return value;
}

/* Every thread of a group of THREADS, one warp or a whole block, gets the result. */
template <class How, int THREADS, typename T> static __device__ inline T group_all(T value)
{
    value = warp_all<How>(value);
    if (THREADS == WARP_LANES) return value;
    __shared__ T of_warps[THREADS / WARP_LANES];
    __syncthreads(); /* the last use of of_warps is over */
    if (threadIdx.x % WARP_LANES == 0) of_warps[threadIdx.x / WARP_LANES] = value;
    __syncthreads();
    value = of_warps[0];
    for (int w = 1; w < THREADS / WARP_LANES; w++) value = How::join(value, of_warps[w]);
    return value;
}

/* ---- sums over rows, for every column ---- */

#define COLUMN_LANES 8 /* threads that share a column of a chunk */

/* Rows of a chunk: from dims alone, so that the order of additions is. */
static inline int64_t column_chunk(int64_t n)
{
    const int64_t chunk = (n + 4095) / 4096;
    return chunk > 128 ? chunk : 128;
}
static inline int64_t column_chunks(int64_t n)
{
    return n > 0 ? (n + column_chunk(n) - 1) / column_chunk(n) : 0;
}
/* Bytes of scratch for K sums over n rows of c columns. */
static inline size_t column_bytes(int64_t n, int64_t c, int k)
{
    return (size_t)(column_chunks(n) * c * k) * sizeof(float);
}

/* partial [chunks, K, c]: f(row, column, sums) adds what one element gives to K sums. */
template <int K, class F>
static __global__ void column_partials(float *partial, F f, int64_t n, int64_t c, int64_t chunk)
{
    __shared__ float sums[COLUMN_LANES][K][WARP_LANES];
    const int64_t column = (int64_t)blockIdx.x * WARP_LANES + threadIdx.x;
    const int64_t first = (int64_t)blockIdx.y * chunk;
    const int64_t end = first + chunk < n ? first + chunk : n;
    float own[K] = {0};
    for (int64_t row = first + threadIdx.y; column < c && row < end; row += COLUMN_LANES)
        f(row, column, own);
    for (int k = 0; k < K; k++) sums[threadIdx.y][k][threadIdx.x] = own[k];
    __syncthreads();
    if (threadIdx.y != 0 || column >= c) return;
    for (int k = 0; k < K; k++) {
        float sum = 0;
        for (int lane = 0; lane < COLUMN_LANES; lane++) sum += sums[lane][k][threadIdx.x];
        partial[((int64_t)blockIdx.y * K + k) * c + column] = sum;
    }
}

/* out_k [c] += the chunks' sums: of every FINISH_LANES-th chunk in order, then of those. */
#define FINISH_LANES 16
template <int K>
static __global__ void column_finish(float *out0, float *out1, const float *partial, int64_t c,
                                     int64_t chunks)
{
    __shared__ float sums[FINISH_LANES][K][WARP_LANES];
    const int64_t column = (int64_t)blockIdx.x * WARP_LANES + threadIdx.x;
    for (int k = 0; k < K; k++) {
        float sum = 0;
        for (int64_t i = threadIdx.y; column < c && i < chunks; i += FINISH_LANES)
            sum += partial[(i * K + k) * c + column];
        sums[threadIdx.y][k][threadIdx.x] = sum;
    }
    __syncthreads();
    if (threadIdx.y != 0 || column >= c) return;
    for (int k = 0; k < K; k++) {
        float *out = k == 0 ? out0 : out1;
        float sum = 0;
        if (out == nullptr) continue;
        for (int lane = 0; lane < FINISH_LANES; lane++) sum += sums[lane][k][threadIdx.x];
        out[column] += sum;
    }
}

/* out0 (and out1) [c] += sums over `chunks` partial sums [chunks, K, c] */
template <int K>
static inline void finish_columns(float *out0, float *out1, const float *partial, int64_t c,
                                  int64_t chunks, struct stream *stream)
{
    auto finish = column_finish<K>;
    LAUNCH(finish, dim3(blocks_of(c, WARP_LANES)), dim3(WARP_LANES, FINISH_LANES), 0, stream, out0,
           out1, partial, c, chunks);
}

/* out0 (and out1) [c] += sums over n rows of what f gives. scratch: column_bytes. */
template <int K, class F>
static inline enum status add_column_sums(float *out0, float *out1, const F &f, int64_t n,
                                          int64_t c, float *scratch, struct stream *stream)
{
    const int64_t chunk = column_chunk(n), chunks = column_chunks(n);
    if (n == 0 || c == 0) return OK;
    auto partials = column_partials<K, F>;
    LAUNCH(partials, dim3(blocks_of(c, WARP_LANES), (unsigned)chunks),
           dim3(WARP_LANES, COLUMN_LANES), 0, stream, scratch, f, n, c, chunk);
    finish_columns<K>(out0, out1, scratch, c, chunks, stream);
    return launched("column sums");
}

/* Rows that one block goes through where a kernel adds up columns while it does its own work: few,
 * for many blocks, but at most 1,024 blocks to be added up. */
static inline int64_t walk_rows(int64_t n)
{
    const int64_t rows = (n + 1023) / 1024;
    return rows > 32 ? rows : 32;
}
static inline int64_t walk_chunks(int64_t n)
{
    return n > 0 ? (n + walk_rows(n) - 1) / walk_rows(n) : 0;
}
/* Bytes of the partial sums [chunks, c]. */
static inline size_t walk_bytes(int64_t n, int64_t c)
{
    return (size_t)(walk_chunks(n) * c) * sizeof(float);
}

#endif
