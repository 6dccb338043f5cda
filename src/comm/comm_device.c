/* See comm_device.h: which way values go, and the way through the host. */
#include "comm/comm_device.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/assertion.h"
#include "base/file.h"
#include "base/log.h"
#include "comm/nccl_comm.h"
#include "device/device.h"
#include "device/device_driver.h"
#include "device/stream.h"

/* ---- choosing ---- */

/* Rank 0's view: whether two ranks of one machine have one GPU. */
static bool share_a_gpu(char *const *places, int n, int *one_out, int *other_out)
{
    for (int other = 1; other < n; other++)
        for (int one = 0; one < other; one++) {
            if (strcmp(places[one], places[other]) != 0) continue;
            *one_out = one;
            *other_out = other;
            return true;
        }
    return false;
}

/* Collective. Whether NCCL can be asked: it refuses two ranks on one GPU. */
static enum status each_has_its_own(struct comm *comm, struct device *device, bool *own_out,
                                    enum comm_backend backend)
{
    enum status status = OK;
    char text[DEVICE_TEXT_BYTES], place[DEVICE_TEXT_BYTES + MPI_MAX_PROCESSOR_NAME + 2];
    char **places = NULL;
    int64_t shared = 0;
    int one = 0, other = 0;
    TRY(comm_agree(comm, device_identity(device, text)));
    (void)snprintf(place, sizeof place, "GPU %s of %s", text, comm_host(comm));
    TRY(comm_gather_strings(comm, &places, place));
    if (places != NULL) shared = share_a_gpu(places, comm->size, &one, &other);
    if (shared != 0 && backend == COMM_BACKEND_NCCL)
        status = status_fail(ERR_ARGUMENT,
                             "ranks %d and %d of %s both have %s, but NCCL wants a GPU for each "
                             "rank; start fewer ranks, or set parallel.backend: auto or mpi",
                             one, other, comm->axis, places[one]);
    names_free(places, places == NULL ? 0 : (size_t)comm->size);
    TRY(comm_agree(comm, status));
    TRY(comm_max_int64(comm, &shared, 1));
    *own_out = shared == 0;
out:
    return status;
}

/* Collective. Whether the library is there on every rank; asked for by name it must be. */
static enum status library_is_there(struct comm *comm, enum comm_backend backend, bool *there_out)
{
    unsigned char id[NCCL_ID_BYTES];
    enum status status = OK;
    *there_out = &nccl_driver != NULL;
    if (!*there_out)
        status = status_fail(ERR_UNSUPPORTED, "built without NCCL; rebuild with make CUDA=1");
    else
        status = nccl_driver.make_id(id);
    if (backend == COMM_BACKEND_NCCL) return comm_agree(comm, status);
    int64_t missing = status != OK;
    if (missing != 0) log_warn("%s; gradients go through the host", status_message());
    status_clear();
    status = comm_max_int64(comm, &missing, 1);
    *there_out = missing == 0;
    return status;
}

enum status comm_use_device(struct comm *comm, struct device *device, enum comm_backend backend)
{
    enum status status = OK;
    bool able = true;
    if (!device_is_gpu(device) || comm->size == 1 || backend == COMM_BACKEND_MPI) return OK;
    ASSERT(comm->nccl == NULL, "NCCL over %s twice", comm->axis);
    TRY(each_has_its_own(comm, device, &able, backend));
    if (able) TRY(library_is_there(comm, backend, &able));
    if (able) TRY(nccl_comm_create(&comm->nccl, comm, device));
    if (able) comm_remember(comm);
out:
    return status;
}

bool comm_has_nccl(const struct comm *comm)
{
    return comm->nccl != NULL;
}

/* ---- through the host ---- */

/* Pinned memory for `bytes`, kept for the next call. */
static enum status stage(struct comm *comm, void **memory_out, size_t bytes, struct stream *stream)
{
    enum status status = OK;
    struct comm_staging *staging = &comm->staging;
    if (staging->bytes < bytes) {
        comm_staging_release(staging);
        TRY(stream_take_host(stream, &staging->memory, bytes, "values of all ranks"));
        staging->driver = stream->driver;
        staging->bytes = bytes;
    }
    *memory_out = staging->memory;
out:
    return status;
}

void comm_staging_release(struct comm_staging *staging)
{
    if (staging->memory != NULL) staging->driver->give_host(staging->memory);
    *staging = (struct comm_staging){0};
}

static size_t bytes_of(int64_t n)
{
    return size_multiply((size_t)n, sizeof(float));
}

static enum status reduce_staged(struct comm *comm, float *values, int64_t n, const char *what,
                                 bool largest, struct stream *stream)
{
    enum status status = OK;
    void *host = values;
    TRY(stream_wait(stream));
    if (stream->driver != NULL) {
        TRY(stage(comm, &host, bytes_of(n), stream));
        TRY(stream_read(stream, host, values, bytes_of(n)));
    }
    TRY(largest ? comm_all_reduce_max(comm, host, n, what) : comm_all_reduce(comm, host, n, what));
    if (stream->driver != NULL) TRY(stream_read(stream, values, host, bytes_of(n)));
out:
    return status;
}

/* ---- collectives ---- */

static enum status reduce(struct comm *comm, float *values, int64_t n, const char *what,
                          bool largest, struct stream *stream)
{
    enum status status = OK;
    struct stream *side = NULL;
    if (n == 0 || comm->size == 1) return OK;
    if (comm->nccl == NULL) return reduce_staged(comm, values, n, what, largest, stream);
    const struct comm_call call = {what, "all_reduce", n, sizeof *values};
    TRY(nccl_comm_begin(comm->nccl, &call, stream, &side));
    status = nccl_driver.all_reduce(nccl_comm_ranks(comm->nccl), values, n, largest, side, what);
    status = nccl_comm_end(comm->nccl, stream, status);
out:
    return status;
}

enum status comm_device_sum(struct comm *comm, float *values, int64_t n, const char *what,
                            struct stream *stream)
{
    return reduce(comm, values, n, what, false, stream);
}

enum status comm_device_max(struct comm *comm, float *values, int64_t n, const char *what,
                            struct stream *stream)
{
    return reduce(comm, values, n, what, true, stream);
}

static enum status gather_staged(struct comm *comm, float *values, const int64_t *first,
                                 const char *what, struct stream *stream)
{
    enum status status = OK;
    const int64_t begin = first[comm->rank], end = first[comm->rank + 1];
    void *memory = values;
    TRY(stream_wait(stream));
    if (stream->driver == NULL) return comm_all_gather(comm, values, first, what);
    TRY(stage(comm, &memory, bytes_of(first[comm->size]), stream));
    float *host = memory;
    TRY(stream_read(stream, host + begin, values + begin, bytes_of(end - begin)));
    TRY(comm_all_gather(comm, host, first, what));
    TRY(stream_read(stream, values, host, bytes_of(first[comm->size])));
out:
    return status;
}

enum status comm_device_all_gather(struct comm *comm, float *values, const int64_t *first,
                                   const char *what, struct stream *stream)
{
    enum status status = OK;
    struct stream *side = NULL;
    const int64_t n = first[comm->size];
    if (n == 0 || comm->size == 1) return OK;
    if (comm->nccl == NULL) return gather_staged(comm, values, first, what, stream);
    TRY(nccl_comm_begin(comm->nccl, &(struct comm_call){what, "all_gather", n, sizeof *values},
                        stream, &side));
    status = nccl_driver.all_gather(nccl_comm_ranks(comm->nccl), values, first, side, what);
    status = nccl_comm_end(comm->nccl, stream, status);
out:
    return status;
}

/* `out` [n_out] from all of `values`, both of the device, by MPI's `call`. */
static enum status scatter_staged(struct comm *comm, float *out, int64_t n_out, const float *values,
                                  const int64_t *first, struct stream *stream,
                                  enum status (*call)(struct comm *, float *, const float *,
                                                      const int64_t *, const char *),
                                  const char *what)
{
    enum status status = OK;
    const int64_t n = first[comm->size];
    void *memory = NULL;
    TRY(stream_wait(stream));
    if (stream->driver == NULL) return call(comm, out, values, first, what);
    TRY(stage(comm, &memory, bytes_of(n + n_out), stream));
    float *host = memory;
    TRY(stream_read(stream, host, values, bytes_of(n)));
    TRY(call(comm, host + n, host, first, what));
    TRY(stream_read(stream, out, host + n, bytes_of(n_out)));
out:
    return status;
}

enum status comm_device_reduce_scatter(struct comm *comm, float *out, const float *values,
                                       const int64_t *first, const char *what,
                                       struct stream *stream)
{
    enum status status = OK;
    struct stream *side = NULL;
    const int64_t n = first[comm->size], own = first[comm->rank + 1] - first[comm->rank];
    if (n == 0) return OK;
    if (comm->size == 1) return stream_copy(stream, out, values, bytes_of(n));
    if (comm->nccl == NULL)
        return scatter_staged(comm, out, own, values, first, stream, comm_reduce_scatter, what);
    TRY(nccl_comm_begin(comm->nccl, &(struct comm_call){what, "reduce_scatter", n, sizeof *values},
                        stream, &side));
    status =
        nccl_driver.reduce_scatter(nccl_comm_ranks(comm->nccl), out, values, first, side, what);
    status = nccl_comm_end(comm->nccl, stream, status);
out:
    return status;
}

enum status comm_device_exchange(struct comm *comm, float *pieces, const float *values,
                                 const int64_t *first, const char *what, struct stream *stream)
{
    enum status status = OK;
    struct stream *side = NULL;
    const int rank = comm->rank;
    const int64_t n = first[comm->size], own = first[rank + 1] - first[rank];
    if (n == 0) return OK;
    if (comm->nccl == NULL)
        return scatter_staged(comm, pieces, own * comm->size, values, first, stream, comm_exchange,
                              what);
    TRY(stream_copy(stream, pieces + rank * own, values + first[rank], bytes_of(own)));
    TRY(nccl_comm_begin(comm->nccl, &(struct comm_call){what, "exchange", n, sizeof *values},
                        stream, &side));
    status = nccl_driver.exchange(nccl_comm_ranks(comm->nccl), pieces, values, first, side, what);
    status = nccl_comm_end(comm->nccl, stream, status);
out:
    return status;
}
