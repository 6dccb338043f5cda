/* See nccl_emulation.hh. Everything is messages between two ranks: each has a place in shared memory
 * for a piece to every other, and a round is "write yours, meet, read theirs, meet". */
#include "emulation/nccl_emulation.hh"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "emulation/emulation_parts.hh"

#define MAX_RANKS 8
#define PIECE     4096 /* floats of a message in one round */
#define NAP_US    50

namespace
{
struct meeting { /* shared by the ranks */
    std::atomic<unsigned> arrived, generation;
    std::atomic<uint64_t> left[MAX_RANKS]; /* rounds that the rank still needs */
    float pieces[MAX_RANKS][MAX_RANKS][PIECE];
};

struct message {
    const float *out;
    float *in;
    size_t n;
    int peer;
    int sum; /* of what comes in: 0 replaces, 1 adds, 2 takes the larger */
};

struct call {
    ncclComm_t comm;
    cudaStream_t stream;
    std::vector<message> messages;
};

thread_local int group_depth;
thread_local std::vector<call> grouped;
std::atomic<int> n_ids;
} // namespace

struct emulated_nccl {
    meeting *shared;
    int size, rank;
    int64_t n_calls, failing_call; /* 0: none fails */
    std::atomic<bool> aborted, failed;
    /* Its thread sees to it that what was handed over is done, whoever waits for it. */
    std::thread worker;
    std::mutex mutex;
    std::condition_variable wake;
    std::deque<cudaEvent_t> handed;
    bool stopping;
};

/* ---- meeting ---- */

/* False where the rank was told to give up. */
static bool meet(emulated_nccl *comm)
{
    const unsigned generation = comm->shared->generation;
    if (++comm->shared->arrived == (unsigned)comm->size) {
        comm->shared->arrived = 0;
        comm->shared->generation++;
        return true;
    }
    while (comm->shared->generation == generation) {
        if (comm->aborted) return false;
        usleep(NAP_US);
    }
    return true;
}

static size_t piece_of(const message &m, uint64_t round)
{
    const size_t first = (size_t)round * PIECE;
    return first >= m.n ? 0 : m.n - first < PIECE ? m.n - first : PIECE;
}

static void give(emulated_nccl *comm, const std::vector<message> &messages, uint64_t round)
{
    for (const message &m : messages)
        if (m.out != nullptr)
            std::memcpy(comm->shared->pieces[comm->rank][m.peer], m.out + round * PIECE,
                        piece_of(m, round) * sizeof(float));
}

static void take(emulated_nccl *comm, const std::vector<message> &messages, uint64_t round)
{
    for (const message &m : messages) {
        if (m.in == nullptr) continue;
        const float *from = comm->shared->pieces[m.peer][comm->rank];
        float *to = m.in + round * PIECE;
        for (size_t i = 0; i < piece_of(m, round); i++)
            to[i] = m.sum == 0   ? from[i]
                    : m.sum == 1 ? to[i] + from[i]
                                 : std::fmax(to[i], from[i]);
    }
}

static void run_call(emulated_nccl *comm, const std::vector<message> &messages)
{
    uint64_t rounds = 0, most = 0;
    for (const message &m : messages)
        rounds = std::max(rounds, (uint64_t)((m.n + PIECE - 1) / PIECE));
    comm->shared->left[comm->rank] = rounds;
    if (!meet(comm)) return;
    for (int rank = 0; rank < comm->size; rank++)
        most = std::max(most, comm->shared->left[rank].load());
    for (uint64_t round = 0; round < most; round++) {
        emulation::run_exclusively([&]() { give(comm, messages, round); });
        if (!meet(comm)) return;
        emulation::run_exclusively([&]() { take(comm, messages, round); });
        if (!meet(comm)) return;
    }
    (void)meet(comm); /* nobody writes `left` anew before all have read it */
}

/* ---- handing over ---- */

static void work(emulated_nccl *comm)
{
    std::unique_lock<std::mutex> lock(comm->mutex);
    for (;;) {
        comm->wake.wait(lock, [&] { return comm->stopping || !comm->handed.empty(); });
        if (comm->handed.empty()) return;
        cudaEvent_t event = comm->handed.front();
        comm->handed.pop_front();
        lock.unlock();
        (void)cudaEventSynchronize(event);
        (void)cudaEventDestroy(event);
        lock.lock();
    }
}

static void enqueue_call(const call &c)
{
    emulated_nccl *comm = c.comm;
    const bool fails = ++comm->n_calls == comm->failing_call;
    cudaEvent_t end;
    emulation::enqueue(c.stream, [=, messages = c.messages]() {
        if (fails) comm->failed = true;
        while (fails && !comm->aborted) usleep(NAP_US);
        if (!comm->aborted) run_call(comm, messages);
    });
    (void)cudaEventCreateWithFlags(&end, cudaEventDefault);
    (void)cudaEventRecord(end, c.stream);
    std::lock_guard<std::mutex> lock(comm->mutex);
    comm->handed.push_back(end);
    comm->wake.notify_one();
}

static ncclResult_t hand_over(ncclComm_t comm, cudaStream_t stream,
                              const std::vector<message> &messages)
{
    if (group_depth == 0) {
        enqueue_call({comm, stream, messages});
        return ncclSuccess;
    }
    if (grouped.empty()) grouped.push_back({comm, stream, {}});
    for (const message &m : messages) grouped[0].messages.push_back(m);
    return ncclSuccess;
}

ncclResult_t ncclGroupStart()
{
    group_depth++;
    return ncclSuccess;
}

ncclResult_t ncclGroupEnd()
{
    if (--group_depth > 0) return ncclSuccess;
    for (const call &c : grouped) enqueue_call(c);
    grouped.clear();
    return ncclSuccess;
}

/* ---- life ---- */

ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    *id = {};
    std::snprintf(id->internal, sizeof id->internal, "/robin-nccl-%d-%d", (int)getpid(), n_ids++);
    return ncclSuccess;
}

static int64_t failing_call(int rank)
{
    const char *text = std::getenv("ROBIN_EMULATED_NCCL_FAILS");
    int failing_rank = -1;
    long long call = 0;
    if (text == nullptr || std::sscanf(text, "%d:%lld", &failing_rank, &call) != 2) return 0;
    return failing_rank == rank ? call : 0;
}

ncclResult_t ncclCommInitRank(ncclComm_t *comm_out, int size, ncclUniqueId id, int rank)
{
    if (size > MAX_RANKS) return ncclInvalidArgument;
    const int file = shm_open(id.internal, O_CREAT | O_RDWR, 0600);
    if (file < 0 || ftruncate(file, sizeof(meeting)) != 0) return ncclSystemError;
    void *memory =
        mmap(nullptr, sizeof(meeting), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory == MAP_FAILED) return ncclSystemError;
    emulated_nccl *comm = new emulated_nccl{};
    comm->shared = (meeting *)memory;
    comm->size = size;
    comm->rank = rank;
    comm->failing_call = failing_call(rank);
    comm->worker = std::thread(work, comm);
    (void)meet(comm);
    if (rank == 0) shm_unlink(id.internal);
    *comm_out = comm;
    return ncclSuccess;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm)
{
    {
        std::lock_guard<std::mutex> lock(comm->mutex);
        comm->stopping = true;
        comm->wake.notify_one();
    }
    comm->worker.join();
    munmap(comm->shared, sizeof(meeting));
    delete comm;
    return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm)
{
    comm->aborted = true;
    return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *error)
{
    if (comm->aborted) { /* the true one's memory would be gone */
        (void)std::fprintf(stderr, "an aborted communicator of NCCL was asked for failures\n");
        std::abort();
    }
    *error = comm->failed ? ncclRemoteError : ncclSuccess;
    return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t code)
{
    if (code == ncclRemoteError) return "remote process exited or there was a network error";
    return code == ncclSystemError ? "unhandled system error" : "invalid argument";
}

const char *ncclGetLastError(ncclComm_t)
{
    return "";
}

/* ---- collectives as messages ---- */

static int sum_of(ncclRedOp_t op)
{
    return op == ncclSum ? 1 : 2;
}

/* Adds to `messages` one that moves `in` of rank `from` to `out` of this one, if either is. */
static void add(std::vector<message> &messages, const void *out, void *in, size_t n, int peer,
                int sum)
{
    messages.push_back({(const float *)out, (float *)in, n, peer, sum});
}

ncclResult_t ncclSend(const void *in, size_t n, ncclDataType_t, int peer, ncclComm_t comm,
                      cudaStream_t stream)
{
    return hand_over(comm, stream, {{(const float *)in, nullptr, n, peer, 0}});
}

ncclResult_t ncclRecv(void *out, size_t n, ncclDataType_t, int peer, ncclComm_t comm,
                      cudaStream_t stream)
{
    return hand_over(comm, stream, {{nullptr, (float *)out, n, peer, 0}});
}

/* A sum starts from rank 0's values: all ranks add in the same order. */
ncclResult_t ncclAllReduce(const void *in, void *out, size_t n, ncclDataType_t, ncclRedOp_t op,
                           ncclComm_t comm, cudaStream_t stream)
{
    std::vector<message> messages;
    for (int rank = 0; rank < comm->size; rank++)
        add(messages, in, out, n, rank, rank == 0 ? 0 : sum_of(op));
    return hand_over(comm, stream, messages);
}

ncclResult_t ncclAllGather(const void *in, void *out, size_t n, ncclDataType_t, ncclComm_t comm,
                           cudaStream_t stream)
{
    std::vector<message> messages;
    for (int rank = 0; rank < comm->size; rank++)
        add(messages, in, (float *)out + (size_t)rank * n, n, rank, 0);
    return hand_over(comm, stream, messages);
}

ncclResult_t ncclReduceScatter(const void *in, void *out, size_t n, ncclDataType_t, ncclRedOp_t op,
                               ncclComm_t comm, cudaStream_t stream)
{
    std::vector<message> messages;
    for (int rank = 0; rank < comm->size; rank++)
        add(messages, (const float *)in + (size_t)rank * n, out, n, rank,
            rank == 0 ? 0 : sum_of(op));
    return hand_over(comm, stream, messages);
}

ncclResult_t ncclBroadcast(const void *in, void *out, size_t n, ncclDataType_t, int root,
                           ncclComm_t comm, cudaStream_t stream)
{
    std::vector<message> messages;
    for (int rank = 0; comm->rank == root && rank < comm->size; rank++)
        if (rank != root) add(messages, in, nullptr, n, rank, 0);
    if (comm->rank != root) add(messages, nullptr, out, n, root, 0);
    return hand_over(comm, stream, messages);
}

ncclResult_t ncclReduce(const void *in, void *out, size_t n, ncclDataType_t, ncclRedOp_t op,
                        int root, ncclComm_t comm, cudaStream_t stream)
{
    std::vector<message> messages;
    add(messages, in, nullptr, n, root, 0);
    for (int rank = 0; comm->rank == root && rank < comm->size; rank++)
        add(messages, nullptr, out, n, rank, rank == 0 ? 0 : sum_of(op));
    return hand_over(comm, stream, messages);
}
