/* Compiles the project's .cu files with a C++ compiler and runs them on the CPU, for machines
 * without a GPU: what a kernel computes, which element each thread touches, and whether threads
 * meet where they must. It says nothing of speed, nor of what only hardware does (memory order
 * between blocks, alignment of vector loads, registers, compiled PTX).
 *
 *   - A block's threads are fibers of one host thread, blocks run one after the other. Whoever
 *     waits lets the next one run; a barrier that some thread never reaches is an error, not a hang.
 *   - The order of threads and blocks is that of emulation_set_order: a kernel whose answer depends
 *     on it lacks a barrier.
 *   - Dynamic shared memory starts as NaN in every block (__shared__ variables keep what they held).
 *     Device memory is closed to the host between
 *     kernels: code that reads it without a copy dies with a fault.
 *   - Streams are queues: nothing runs before somebody waits, so a missing wait shows.
 *
 * Included before everything else, by `-include`, where ROBIN_CUDA_EMULATED is defined. */
#ifndef ROBIN_TESTS_EMULATION_CUDA_EMULATION_HH
#define ROBIN_TESTS_EMULATION_CUDA_EMULATION_HH

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>

#define ROBIN_CUDA_EMULATED 1

/* ---- the language ---- */

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(8) uint2 {
    unsigned x, y;
};

typedef struct emulated_stream *cudaStream_t;

namespace emulation
{
struct lane {
    uint3 thread;
    unsigned index; /* in the block */
};
extern lane *current;
extern uint3 block_index;
extern dim3 block_size, grid_size;
extern unsigned char *dynamic_shared;

void launch(dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
            std::function<void()> body);
/* Runs `work` when the stream comes to it, alone and with device memory open. */
void enqueue_work(cudaStream_t stream, std::function<void()> work);
void block_barrier();
/* Every lane of the warp gives `n` words and then sees those of all: [32][n]. */
const uint32_t *warp_exchange(const uint32_t *words, int n);
/* cp.async: `bytes` from device to shared memory, of which n_read are read and the others zeros.
 * It is done when the thread waits for its group: all but so many of the last. Until then the place
 * holds NaN. */
void copy_later(void *to, const void *from, int bytes, int n_read);
void end_copy_group();
void wait_for_copies(unsigned but_last);
[[noreturn]] void fail(const char *sentence);
} // namespace emulation

#define threadIdx (emulation::current->thread)
#define blockIdx  (emulation::block_index)
#define blockDim  (emulation::block_size)
#define gridDim   (emulation::grid_size)

static inline void __syncthreads()
{
    emulation::block_barrier();
}
static inline void __syncwarp()
{
    uint32_t nothing = 0;
    (void)emulation::warp_exchange(&nothing, 1);
}
template <typename T> static inline T __shfl_sync(unsigned, T value, int from)
{
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles move 4 or 8 bytes");
    T out;
    uint32_t words[2] = {0, 0};
    std::memcpy(words, &value, sizeof value);
    const int n = sizeof(T) / 4;
    std::memcpy(&out, emulation::warp_exchange(words, n) + (from & 31) * n, sizeof out);
    return out;
}
template <typename T> static inline T __shfl_xor_sync(unsigned mask, T value, int bits)
{
    return __shfl_sync(mask, value, (int)(emulation::current->index % 32) ^ bits);
}
static inline unsigned __ballot_sync(unsigned, bool vote)
{
    uint32_t word = vote;
    const uint32_t *all = emulation::warp_exchange(&word, 1);
    unsigned votes = 0;
    for (int lane = 0; lane < 32; lane++) votes |= all[lane] << lane;
    return votes;
}
static inline int __ffs(unsigned bits)
{
    return __builtin_ffs((int)bits);
}
static inline void __trap()
{
    emulation::fail("a kernel stopped itself: an index lies outside its tensor");
}

/* ---- numbers ---- */

static inline float __uint_as_float(unsigned bits)
{
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}
static inline unsigned __float_as_uint(float value)
{
    unsigned bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

struct __nv_bfloat16 {
    uint16_t bits;
};
static inline float __bfloat162float(__nv_bfloat16 value)
{
    return __uint_as_float((unsigned)value.bits << 16);
}
/* To the nearest, ties to even. */
static inline __nv_bfloat16 __float2bfloat16_rn(float value)
{
    const unsigned bits = __float_as_uint(value);
    if (std::isnan(value)) return {0x7fff};
    return {(uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}

/* ---- the runtime, as far as the project uses it ---- */

enum cudaError_t { cudaSuccess = 0, cudaErrorMemoryAllocation = 2, cudaErrorInvalidValue = 1, cudaErrorNotReady = 600 };
enum cudaMemcpyKind { cudaMemcpyDefault = 4 };
enum { cudaStreamNonBlocking = 1, cudaEventDefault = 0 };
typedef struct emulated_event *cudaEvent_t;
struct cudaDeviceProp {
    char name[256];
    size_t totalGlobalMem;
    int major, minor, multiProcessorCount;
};

const char *cudaGetErrorString(cudaError_t error);
cudaError_t cudaGetLastError();
cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDevice(int *device);
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaDeviceGetPCIBusId(char *text, int bytes, int device);
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes);
cudaError_t cudaMalloc(void **memory, size_t bytes);
cudaError_t cudaFree(void *memory);
cudaError_t cudaMallocHost(void **memory, size_t bytes);
cudaError_t cudaFreeHost(void *memory);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventQuery(cudaEvent_t event);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t stop);

typedef struct emulated_graph *cudaGraph_t;
typedef struct emulated_graph *cudaGraphExec_t;
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *executable, cudaGraph_t graph,
                                 unsigned long long flags);
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable);

/* ---- ranges for profilers ---- */

int nvtxRangePushA(const char *name);
int nvtxRangePop();

#endif
