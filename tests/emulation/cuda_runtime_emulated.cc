/* Memory, streams and events of the emulated GPU. See cuda_emulation.hh. */
#include <sys/mman.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "emulation/emulation.h"
#include "emulation/emulation_parts.hh"

#define DEVICE_BYTES ((size_t)4 << 30)

namespace
{
std::recursive_mutex state; /* of everything below, and of streams */
std::condition_variable_any some_work_done;
std::map<void *, size_t> allocations;
size_t taken;
bool is_open;
} // namespace

struct emulated_graph {
    std::vector<std::function<void()>> work;
};

struct emulated_stream {
    emulated_graph *captured; /* work goes there instead; NULL: to the queue */
    std::deque<std::function<void()>> queue;
    uint64_t n_queued, n_done;
    bool is_busy;    /* some thread is at its first piece of work */
    double spent_ms; /* that its work is said to have taken */
};

struct emulated_event {
    cudaStream_t stream;
    uint64_t position; /* what was queued before it */
    double spent_ms;
};

/* ---- memory ---- */

static size_t page_bytes()
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t whole_pages(size_t bytes)
{
    return (bytes + page_bytes()) / page_bytes() * page_bytes();
}

static void protect_all(int protection)
{
    std::lock_guard<std::recursive_mutex> lock(state);
    is_open = protection != PROT_NONE;
    for (const auto &[memory, bytes] : allocations) mprotect(memory, bytes, protection);
}

void emulation::open_memory()
{
    protect_all(PROT_READ | PROT_WRITE);
}

void emulation::close_memory()
{
    protect_all(PROT_NONE);
}

cudaError_t cudaMalloc(void **memory, size_t bytes)
{
    std::lock_guard<std::recursive_mutex> lock(state);
    const size_t size = whole_pages(bytes);
    if (taken + size > DEVICE_BYTES) return cudaErrorMemoryAllocation;
    void *pages = mmap(nullptr, size, is_open ? PROT_READ | PROT_WRITE : PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED) return cudaErrorMemoryAllocation;
    allocations[pages] = size;
    taken += size;
    *memory = pages;
    return cudaSuccess;
}

cudaError_t cudaFree(void *memory)
{
    std::lock_guard<std::recursive_mutex> lock(state);
    if (memory == nullptr) return cudaSuccess;
    const auto found = allocations.find(memory);
    if (found == allocations.end()) return cudaErrorInvalidValue;
    munmap(found->first, found->second);
    taken -= found->second;
    allocations.erase(found);
    return cudaSuccess;
}

cudaError_t cudaMallocHost(void **memory, size_t bytes)
{
    *memory = std::aligned_alloc(64, (bytes + 64) / 64 * 64);
    return *memory != nullptr ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaFreeHost(void *memory)
{
    std::free(memory);
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes)
{
    std::lock_guard<std::recursive_mutex> lock(state);
    *free_bytes = DEVICE_BYTES - taken;
    *total_bytes = DEVICE_BYTES;
    return cudaSuccess;
}

/* ---- the device ---- */

const char *cudaGetErrorString(cudaError_t error)
{
    if (error == cudaErrorMemoryAllocation) return "out of memory";
    return error == cudaSuccess ? "no error" : "invalid argument";
}

cudaError_t cudaGetLastError()
{
    return cudaSuccess;
}

/* Each rank its own, or all the same: ROBIN_EMULATED_GPUS, 1 unless it is set. */
cudaError_t cudaGetDeviceCount(int *count)
{
    const char *text = std::getenv("ROBIN_EMULATED_GPUS");
    *count = text != nullptr ? std::atoi(text) : 1;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char *text, int bytes, int device)
{
    std::snprintf(text, (size_t)bytes, "emulated:%02d.0", device);
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int)
{
    *properties = {};
    std::snprintf(properties->name, sizeof properties->name, "emulated GPU (on the CPU)");
    properties->totalGlobalMem = DEVICE_BYTES;
    properties->major = 8;
    properties->multiProcessorCount = 4;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *device)
{
    *device = 0;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = 0;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device)
{
    int count = 0;
    (void)cudaGetDeviceCount(&count);
    return device >= 0 && device < count ? cudaSuccess : cudaErrorInvalidValue;
}

/* ---- streams: queues that run when somebody waits ---- */

void emulation::enqueue(cudaStream_t stream, std::function<void()> work)
{
    std::lock_guard<std::recursive_mutex> lock(state);
    if (stream == nullptr) fail("work on the default stream");
    if (stream->captured != nullptr) {
        stream->captured->work.push_back(std::move(work));
        return;
    }
    stream->queue.push_back(std::move(work));
    stream->n_queued++;
}

/* Sees to it that what was queued before `position` is done: by this thread, unless another one is
 * at it. */
static void drain(cudaStream_t stream, uint64_t position)
{
    std::unique_lock<std::recursive_mutex> lock(state);
    while (stream->n_done < position) {
        if (stream->is_busy) {
            some_work_done.wait(lock);
            continue;
        }
        const std::function<void()> work = std::move(stream->queue.front());
        stream->queue.pop_front();
        stream->is_busy = true;
        lock.unlock();
        work();
        lock.lock();
        stream->is_busy = false;
        stream->n_done++;
        some_work_done.notify_all();
    }
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind,
                            cudaStream_t stream)
{
    emulation::enqueue_work(stream, [=]() { std::memmove(to, from, bytes); });
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
    emulation::enqueue_work(stream, [=]() { std::memset(to, value, bytes); });
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned)
{
    *stream = new emulated_stream{};
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    delete stream;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    if (stream->captured != nullptr) emulation::fail("a wait while a graph is written down");
    drain(stream, stream->n_queued);
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned)
{
    const emulated_event at = *event;
    if (at.stream != nullptr && at.stream != stream)
        emulation::enqueue(stream, [=]() { drain(at.stream, at.position); });
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned)
{
    *event = new emulated_event{};
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    delete event;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    *event = {stream, stream->n_queued, stream->spent_ms};
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    std::lock_guard<std::recursive_mutex> lock(state);
    const bool done = event->stream == nullptr || event->stream->n_done >= event->position;
    return done ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    if (event->stream != nullptr) drain(event->stream, event->position);
    return cudaSuccess;
}

void emulation::spend(cudaStream_t stream, double ms)
{
    std::lock_guard<std::recursive_mutex> lock(state);
    stream->spent_ms += ms;
}

/* One millisecond, and what was said to be spent on the stream. */
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t stop)
{
    *ms = 1;
    if (start->stream == stop->stream) *ms += (float)(stop->spent_ms - start->spent_ms);
    return cudaSuccess;
}

/* ---- graphs ---- */

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode)
{
    if (stream->captured != nullptr) return cudaErrorInvalidValue;
    stream->captured = new emulated_graph{};
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    *graph = stream->captured;
    stream->captured = nullptr;
    return *graph != nullptr ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *executable, cudaGraph_t graph, unsigned long long)
{
    *executable = new emulated_graph{*graph};
    return cudaSuccess;
}

static unsigned long graphs_run;

extern "C" unsigned long emulation_graphs_run()
{
    return graphs_run;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream)
{
    graphs_run++;
    for (const auto &work : executable->work) emulation::enqueue(stream, work);
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable)
{
    delete executable;
    return cudaSuccess;
}

/* ---- ranges ---- */

static thread_local std::vector<std::string> ranges;

int nvtxRangePushA(const char *name)
{
    ranges.push_back(name);
    return (int)ranges.size() - 1;
}

int nvtxRangePop()
{
    if (ranges.empty()) emulation::fail("a range ends that never began");
    ranges.pop_back();
    return (int)ranges.size();
}

extern "C" const char *emulation_range()
{
    return ranges.empty() ? "" : ranges.back().c_str();
}
