/* The GPU's side of src/device: memory, streams, copies, through the CUDA runtime. Compiled with
 * CUDA=1, and by tests with the emulated runtime. */
#ifndef ROBIN_CUDA_EMULATED
#include <cuda_runtime.h>
#include <nvtx3/nvToolsExt.h>
#endif

#include <cstdio>
#include <cstdlib>

extern "C" {
#include "base/trace.h"
#include "device/cuda_stream.h"
#include "device/device_driver.h"
}

#define SCRATCH_BYTES ((size_t)64 << 20)

/* What failed, as the CUDA runtime says it. */
static enum status cuda_failed(cudaError_t error, const char *what)
{
    return status_fail(ERR_UNSUPPORTED, "the GPU cannot %s: %s", what, cudaGetErrorString(error));
}

#define RETURN_CUDA(CALL, WHAT)                                                                    \
    do {                                                                                           \
        const cudaError_t error = (CALL);                                                          \
        return error == cudaSuccess ? OK : cuda_failed(error, WHAT);                               \
    } while (0)

static cudaStream_t handle_of(const struct stream *stream)
{
    return (cudaStream_t)stream->cuda->handle;
}

static enum status cuda_open(int index, int *number_out, char text[DEVICE_TEXT_BYTES])
{
    int count = 0;
    cudaDeviceProp properties;
    /* Each stream has a queue of its own to the GPU, where eight would be shared by communicators
     * and computing that wait for each other. Read once, by the first call. */
    (void)setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", 0);
    cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess || count == 0)
        return status_fail(ERR_UNSUPPORTED,
                           "no GPU can be used on this machine (%s); look at nvidia-smi, or set "
                           "device: cpu",
                           error != cudaSuccess ? cudaGetErrorString(error) : "there is none");
    *number_out = index % count;
    error = cudaGetDeviceProperties(&properties, *number_out);
    if (error == cudaSuccess) error = cudaSetDevice(*number_out);
    if (error != cudaSuccess) return cuda_failed(error, "be opened");
    if (properties.major < 8)
        return status_fail(ERR_UNSUPPORTED,
                           "GPU %d, %s, has compute capability %d.%d; at least 8.0 is needed",
                           *number_out, properties.name, properties.major, properties.minor);
    (void)snprintf(text, DEVICE_TEXT_BYTES, "%s, %.1f GiB, compute capability %d.%d",
                   properties.name, (double)properties.totalGlobalMem / (1024.0 * 1024.0 * 1024.0),
                   properties.major, properties.minor);
    return OK;
}

static enum status cuda_use(int number)
{
    RETURN_CUDA(cudaSetDevice(number), "be used from another thread");
}

static enum status cuda_identify(int number, char text[DEVICE_TEXT_BYTES])
{
    RETURN_CUDA(cudaDeviceGetPCIBusId(text, DEVICE_TEXT_BYTES, number), "say where it is");
}

static enum status cuda_take(void **memory_out, size_t bytes, const char *what)
{
    size_t free_bytes = 0, total_bytes = 0;
    void *memory = nullptr;
    const cudaError_t error = cudaMalloc(&memory, bytes > 0 ? bytes : 1);
    if (error == cudaSuccess) {
        *memory_out = memory;
        return OK;
    }
    (void)cudaGetLastError(); /* an allocation that failed leaves no trace in later calls */
    (void)cudaMemGetInfo(&free_bytes, &total_bytes);
    return status_fail(ERR_MEMORY,
                       "cannot take %.2f GiB of the GPU's memory for %s: %s, %.2f of %.2f GiB are "
                       "free; lower train.max_tokens, set model.recompute or use more GPUs",
                       (double)bytes / (1024.0 * 1024.0 * 1024.0), what, cudaGetErrorString(error),
                       (double)free_bytes / (1024.0 * 1024.0 * 1024.0),
                       (double)total_bytes / (1024.0 * 1024.0 * 1024.0));
}

static void cuda_give(void *memory)
{
    (void)cudaFree(memory);
}

static enum status cuda_take_host(void **memory_out, size_t bytes, const char *what)
{
    void *memory = nullptr;
    const cudaError_t error = cudaMallocHost(&memory, bytes > 0 ? bytes : 1);
    if (error != cudaSuccess)
        return status_fail(ERR_MEMORY, "cannot pin %zu bytes of host memory for %s: %s", bytes,
                           what, cudaGetErrorString(error));
    *memory_out = memory;
    return OK;
}

static void cuda_give_host(void *memory)
{
    (void)cudaFreeHost(memory);
}

static void cuda_stream_release(struct stream *stream)
{
    struct cuda_stream *cuda = stream->cuda;
    if (cuda == nullptr) return;
    if (cuda->handle != nullptr) (void)cudaStreamSynchronize(handle_of(stream));
    for (int i = 0; i < N_CUDA_LIBRARIES; i++)
        if (cuda->libraries[i].state != nullptr)
            cuda->libraries[i].destroy(cuda->libraries[i].state);
    if (cuda->handle != nullptr) (void)cudaStreamDestroy(handle_of(stream));
    cuda_give(cuda->scratch);
    free(cuda);
    stream->cuda = nullptr;
}

static enum status cuda_stream_init(struct stream *stream, bool scratch)
{
    cudaStream_t handle = nullptr;
    stream->cuda = (struct cuda_stream *)calloc(1, sizeof *stream->cuda);
    if (stream->cuda == nullptr) return status_fail(ERR_MEMORY, "no memory for a stream");
    const cudaError_t error = cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking);
    if (error != cudaSuccess) return cuda_failed(error, "make a stream");
    stream->cuda->handle = handle;
    if (!scratch) return OK;
    stream->cuda->scratch_bytes = SCRATCH_BYTES;
    return cuda_take(&stream->cuda->scratch, SCRATCH_BYTES, "a stream's scratch");
}

static enum status cuda_wait(struct stream *stream)
{
    RETURN_CUDA(cudaStreamSynchronize(handle_of(stream)), "finish the work it was given");
}

static enum status cuda_copy(struct stream *stream, void *to, const void *from, size_t bytes)
{
    RETURN_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, handle_of(stream)), "copy");
}

static enum status cuda_zero(struct stream *stream, void *memory, size_t bytes)
{
    RETURN_CUDA(cudaMemsetAsync(memory, 0, bytes, handle_of(stream)), "zero memory");
}

/* ---- events ---- */

static enum status cuda_event_init(void **handle_out)
{
    cudaEvent_t event = nullptr;
    const cudaError_t error = cudaEventCreateWithFlags(&event, cudaEventDefault);
    if (error != cudaSuccess) return cuda_failed(error, "make an event");
    *handle_out = event;
    return OK;
}

static void cuda_event_release(void *handle)
{
    (void)cudaEventDestroy((cudaEvent_t)handle);
}

static enum status cuda_event_record(void *handle, struct stream *stream)
{
    RETURN_CUDA(cudaEventRecord((cudaEvent_t)handle, handle_of(stream)), "record an event");
}

static enum status cuda_event_hold(struct stream *stream, void *handle)
{
    RETURN_CUDA(cudaStreamWaitEvent(handle_of(stream), (cudaEvent_t)handle, 0),
                "let a stream wait");
}

static enum status cuda_event_happened(void *handle, bool *happened_out)
{
    const cudaError_t error = cudaEventQuery((cudaEvent_t)handle);
    *happened_out = error == cudaSuccess;
    if (error == cudaSuccess || error == cudaErrorNotReady) return OK;
    return cuda_failed(error, "finish the work it was given");
}

static enum status cuda_event_wait(void *handle)
{
    RETURN_CUDA(cudaEventSynchronize((cudaEvent_t)handle), "finish the work it was given");
}

static enum status cuda_event_elapsed(void *from, void *to, double *ms_out)
{
    float ms = 0;
    const cudaError_t error = cudaEventElapsedTime(&ms, (cudaEvent_t)from, (cudaEvent_t)to);
    *ms_out = ms;
    return error == cudaSuccess ? OK : cuda_failed(error, "tell the time between two events");
}

/* ---- graphs ---- */

static enum status cuda_graph_begin(struct stream *stream)
{
    RETURN_CUDA(cudaStreamBeginCapture(handle_of(stream), cudaStreamCaptureModeThreadLocal),
                "write work down");
}

static enum status cuda_graph_end(void **handle_out, struct stream *stream)
{
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    cudaError_t error = cudaStreamEndCapture(handle_of(stream), &graph);
    if (error == cudaSuccess && handle_out != nullptr)
        error = cudaGraphInstantiate(&executable, graph, 0);
    if (graph != nullptr) (void)cudaGraphDestroy(graph);
    if (error != cudaSuccess) (void)cudaGetLastError(); /* no trace of it in later calls */
    if (handle_out == nullptr) return OK; /* the caller has said what failed */
    *handle_out = executable;
    return error == cudaSuccess ? OK : cuda_failed(error, "write work down");
}

static enum status cuda_graph_run(void *handle, struct stream *stream)
{
    RETURN_CUDA(cudaGraphLaunch((cudaGraphExec_t)handle, handle_of(stream)),
                "do work that was written down");
}

static void cuda_graph_release(void *handle)
{
    (void)cudaGraphExecDestroy((cudaGraphExec_t)handle);
}

/* ---- ranges ---- */

/* Seen by Nsight; without it these two calls do nothing. */
static void push_range(const char *name)
{
    (void)nvtxRangePushA(name);
}

static void pop_range()
{
    (void)nvtxRangePop();
}

static const struct trace_follower cuda_ranges = {push_range, pop_range};

extern "C" const struct device_driver cuda_driver = {
    .ranges = &cuda_ranges,
    .open = cuda_open,
    .use = cuda_use,
    .identify = cuda_identify,
    .stream_init = cuda_stream_init,
    .stream_release = cuda_stream_release,
    .wait = cuda_wait,
    .copy = cuda_copy,
    .zero = cuda_zero,
    .take = cuda_take,
    .give = cuda_give,
    .take_host = cuda_take_host,
    .give_host = cuda_give_host,
    .event_init = cuda_event_init,
    .event_release = cuda_event_release,
    .event_record = cuda_event_record,
    .event_hold = cuda_event_hold,
    .event_happened = cuda_event_happened,
    .event_wait = cuda_event_wait,
    .event_elapsed = cuda_event_elapsed,
    .graph_begin = cuda_graph_begin,
    .graph_end = cuda_graph_end,
    .graph_run = cuda_graph_run,
    .graph_release = cuda_graph_release,
};
