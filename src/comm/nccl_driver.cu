/* NCCL, opened when it is first needed. Compiled with CUDA=1, and by tests for the emulated GPU with
 * an emulated NCCL (tests/emulation). */
#ifdef ROBIN_CUDA_EMULATED
#include "emulation/nccl_emulation.hh"
#else
#include <cuda_runtime.h>
#include <nccl.h>
#endif

#include <pthread.h>

#include <cstdlib>
#include <cstring>

extern "C" {
#include "comm/nccl_driver.h"
#include "cuda/shared_library.h"
#include "device/cuda_stream.h"
#include "device/stream.h"
}

static_assert(NCCL_ID_BYTES == sizeof(ncclUniqueId), "an id of another size");

#define FOR_EACH_FUNCTION(DO)                                                                      \
    DO(ncclGetUniqueId)                                                                            \
    DO(ncclCommInitRank)                                                                           \
    DO(ncclCommDestroy)                                                                            \
    DO(ncclCommAbort)                                                                              \
    DO(ncclCommGetAsyncError)                                                                      \
    DO(ncclGetErrorString)                                                                         \
    DO(ncclGetLastError)                                                                           \
    DO(ncclAllReduce)                                                                              \
    DO(ncclAllGather)                                                                              \
    DO(ncclReduceScatter)                                                                          \
    DO(ncclBroadcast)                                                                              \
    DO(ncclReduce)                                                                                 \
    DO(ncclSend)                                                                                   \
    DO(ncclRecv)                                                                                   \
    DO(ncclGroupStart)                                                                             \
    DO(ncclGroupEnd)

struct nccl_library {
#define MEMBER(NAME) decltype(&::NAME) NAME;
    FOR_EACH_FUNCTION(MEMBER)
#undef MEMBER
};

struct nccl_ranks {
    struct nccl_library library;
    ncclComm_t comm;
    int size, rank;
    pthread_mutex_t mutex; /* of `aborted`: NCCL's part is gone then, and may be asked nothing */
    bool aborted;
};

static enum status open_library(struct nccl_library *library)
{
#ifdef ROBIN_CUDA_EMULATED
#define LINKED(NAME) library->NAME = ::NAME;
    FOR_EACH_FUNCTION(LINKED)
#undef LINKED
    return OK;
#else
    static const char *const names[] = {"libnccl.so.2", "libnccl.so", nullptr};
#define SYMBOL(NAME) {#NAME, (void **)&library->NAME},
    const struct library_symbol symbols[] = {FOR_EACH_FUNCTION(SYMBOL)};
#undef SYMBOL
    return library_open(names, symbols, (int)(sizeof symbols / sizeof symbols[0]));
#endif
}

/* NCCL's code as our status: its text, and what it says of its last trouble. */
static enum status check_code(const struct nccl_library *library, ncclComm_t comm,
                              ncclResult_t code, const char *doing)
{
    if (code == ncclSuccess) return OK;
    const char *last = library->ncclGetLastError(comm);
    const bool more = last != nullptr && last[0] != '\0';
    return status_fail(ERR_COMM, "NCCL failed in %s: %s%s%s", doing,
                       library->ncclGetErrorString(code), more ? ": " : "", more ? last : "");
}

static enum status check_ranks(const struct nccl_ranks *ranks, ncclResult_t code,
                               const char *doing)
{
    return check_code(&ranks->library, ranks->comm, code, doing);
}

/* ---- life ---- */

static enum status make_id(unsigned char id[NCCL_ID_BYTES])
{
    struct nccl_library library;
    ncclUniqueId unique;
    enum status status = open_library(&library);
    if (status != OK) return status;
    status = check_code(&library, nullptr, library.ncclGetUniqueId(&unique), "making an id");
    if (status == OK) memcpy(id, &unique, sizeof unique);
    return status;
}

static enum status join(struct nccl_ranks **ranks_out, const unsigned char id[NCCL_ID_BYTES],
                        int size, int rank)
{
    ncclUniqueId unique;
    struct nccl_ranks *ranks = (struct nccl_ranks *)calloc(1, sizeof *ranks);
    if (ranks == nullptr) return status_fail(ERR_MEMORY, "no memory for NCCL's ranks");
    memcpy(&unique, id, sizeof unique);
    ranks->size = size;
    ranks->rank = rank;
    pthread_mutex_init(&ranks->mutex, nullptr);
    enum status status = open_library(&ranks->library);
    if (status == OK)
        status = check_ranks(
            ranks, ranks->library.ncclCommInitRank(&ranks->comm, size, unique, rank), "joining");
    if (status == OK)
        *ranks_out = ranks;
    else
        free(ranks);
    return status;
}

static void leave(struct nccl_ranks *ranks)
{
    if (!ranks->aborted) (void)ranks->library.ncclCommDestroy(ranks->comm);
    free(ranks);
}

static void abort_ranks(struct nccl_ranks *ranks)
{
    pthread_mutex_lock(&ranks->mutex);
    if (!ranks->aborted) (void)ranks->library.ncclCommAbort(ranks->comm);
    ranks->aborted = true;
    pthread_mutex_unlock(&ranks->mutex);
}

static enum status check(struct nccl_ranks *ranks, const char *what)
{
    ncclResult_t later = ncclSuccess;
    enum status status = OK;
    pthread_mutex_lock(&ranks->mutex);
    if (!ranks->aborted) {
        const ncclResult_t code = ranks->library.ncclCommGetAsyncError(ranks->comm, &later);
        if (code != ncclSuccess)
            status = check_ranks(ranks, code, what);
        else if (later != ncclInProgress)
            status = check_ranks(ranks, later, what);
    }
    pthread_mutex_unlock(&ranks->mutex);
    return status;
}

/* ---- collectives ---- */

static cudaStream_t handle_of(const struct stream *stream)
{
    return (cudaStream_t)stream->cuda->handle;
}

/* NCCL's own calls take parts of one size. */
static bool parts_are_equal(const int64_t *first, int size)
{
    for (int rank = 0; rank < size; rank++)
        if (first[rank + 1] - first[rank] != first[1]) return false;
    return true;
}

static enum status all_reduce(struct nccl_ranks *ranks, float *values, int64_t n, bool largest,
                              struct stream *stream, const char *what)
{
    return check_ranks(ranks,
                       ranks->library.ncclAllReduce(values, values, (size_t)n, ncclFloat32,
                                                    largest ? ncclMax : ncclSum, ranks->comm,
                                                    handle_of(stream)),
                       what);
}

/* Several calls as one. The first failure counts; the group is closed in any case. */
template <typename Each>
static enum status group(struct nccl_ranks *ranks, const char *what, const Each &each)
{
    ncclResult_t code = ranks->library.ncclGroupStart();
    if (code != ncclSuccess) return check_ranks(ranks, code, what);
    for (int rank = 0; rank < ranks->size && code == ncclSuccess; rank++) code = each(rank);
    const ncclResult_t end = ranks->library.ncclGroupEnd();
    return check_ranks(ranks, code != ncclSuccess ? code : end, what);
}

static enum status all_gather(struct nccl_ranks *ranks, float *values, const int64_t *first,
                              struct stream *stream, const char *what)
{
    if (parts_are_equal(first, ranks->size))
        return check_ranks(ranks,
                           ranks->library.ncclAllGather(values + first[ranks->rank], values,
                                                        (size_t)first[1], ncclFloat32, ranks->comm,
                                                        handle_of(stream)),
                           what);
    return group(ranks, what, [=](int root) {
        float *part = values + first[root];
        const size_t n = (size_t)(first[root + 1] - first[root]);
        return n == 0 ? ncclSuccess
                      : ranks->library.ncclBroadcast(part, part, n, ncclFloat32, root, ranks->comm,
                                                     handle_of(stream));
    });
}

static enum status reduce_scatter(struct nccl_ranks *ranks, float *out, const float *values,
                                  const int64_t *first, struct stream *stream, const char *what)
{
    if (parts_are_equal(first, ranks->size))
        return check_ranks(ranks,
                           ranks->library.ncclReduceScatter(values, out, (size_t)first[1],
                                                            ncclFloat32, ncclSum, ranks->comm,
                                                            handle_of(stream)),
                           what);
    return group(ranks, what, [=](int root) {
        const size_t n = (size_t)(first[root + 1] - first[root]);
        return n == 0 ? ncclSuccess
                      : ranks->library.ncclReduce(values + first[root], out, n, ncclFloat32,
                                                  ncclSum, root, ranks->comm, handle_of(stream));
    });
}

static enum status exchange(struct nccl_ranks *ranks, float *pieces, const float *values,
                            const int64_t *first, struct stream *stream, const char *what)
{
    const size_t own = (size_t)(first[ranks->rank + 1] - first[ranks->rank]);
    return group(ranks, what, [=](int other) {
        const size_t n = (size_t)(first[other + 1] - first[other]);
        ncclResult_t code = ncclSuccess;
        if (other == ranks->rank) return code;
        if (n > 0)
            code = ranks->library.ncclSend(values + first[other], n, ncclFloat32, other,
                                           ranks->comm, handle_of(stream));
        if (code == ncclSuccess && own > 0)
            code = ranks->library.ncclRecv(pieces + (size_t)other * own, own, ncclFloat32, other,
                                           ranks->comm, handle_of(stream));
        return code;
    });
}

extern "C" const struct nccl_driver nccl_driver = {
    .make_id = make_id,
    .join = join,
    .leave = leave,
    .abort = abort_ranks,
    .check = check,
    .all_reduce = all_reduce,
    .all_gather = all_gather,
    .reduce_scatter = reduce_scatter,
    .exchange = exchange,
};
