/* The collectives, in pieces that fit MPI's int counts. */
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/text_buffer.h"
#include "comm/comm_state.h"

static int64_t smaller_int64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- all-reduce ---- */

struct reduction {
    MPI_Datatype type;
    MPI_Op op;
    size_t element_size;
    const char *what;
};

static enum status reduce(struct comm *comm, void *values, int64_t n, const struct reduction *kind)
{
    enum status status = OK;
    int64_t ticket = 0;
    ASSERT(n >= 0, "%s of %lld elements", kind->what, (long long)n);
    if (n == 0 || comm->size == 1) return OK;
    TRY(comm_call_begin(comm, &(struct comm_call){kind->what, "all_reduce", n, kind->element_size},
                        &ticket));
    const int64_t most = comm->shared->chunk_elements;
    for (int64_t first = 0; first < n; first += most) {
        const int count = (int)smaller_int64(n - first, most);
        char *piece = (char *)values + (size_t)first * kind->element_size;
        TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, piece, count, kind->type, kind->op, comm->ranks),
                kind->what);
    }
out:
    comm_call_end(comm, ticket, status);
    return status;
}

enum status comm_sum_float(struct comm *comm, float *values, int64_t n)
{
    return reduce(comm, values, n,
                  &(struct reduction){MPI_FLOAT, MPI_SUM, sizeof(float), "sum_float"});
}

enum status comm_sum_double(struct comm *comm, double *values, int64_t n)
{
    return reduce(comm, values, n,
                  &(struct reduction){MPI_DOUBLE, MPI_SUM, sizeof(double), "sum_double"});
}

enum status comm_sum_int64(struct comm *comm, int64_t *values, int64_t n)
{
    return reduce(comm, values, n,
                  &(struct reduction){MPI_INT64_T, MPI_SUM, sizeof(int64_t), "sum_int64"});
}

enum status comm_max_int64(struct comm *comm, int64_t *values, int64_t n)
{
    return reduce(comm, values, n,
                  &(struct reduction){MPI_INT64_T, MPI_MAX, sizeof(int64_t), "max_int64"});
}

enum status comm_all_reduce(struct comm *comm, float *values, int64_t n, const char *what)
{
    return reduce(comm, values, n, &(struct reduction){MPI_FLOAT, MPI_SUM, sizeof(float), what});
}

enum status comm_all_reduce_max(struct comm *comm, float *values, int64_t n, const char *what)
{
    return reduce(comm, values, n, &(struct reduction){MPI_FLOAT, MPI_MAX, sizeof(float), what});
}

/* ---- tensors in parts ---- */

/* Lengths and places of the parts as MPI wants them; only where the whole fits an int. */
struct parts {
    int *counts, *starts;
};

static struct parts parts_of(const int64_t *first, int size)
{
    struct parts parts = {memory_new((size_t)size, sizeof(int)),
                          memory_new((size_t)size, sizeof(int))};
    for (int rank = 0; rank < size; rank++) {
        parts.counts[rank] = (int)(first[rank + 1] - first[rank]);
        parts.starts[rank] = (int)first[rank];
    }
    return parts;
}

static void parts_release(struct parts *parts)
{
    free(parts->counts);
    free(parts->starts);
}

static enum status gather_at_once(struct comm *comm, float *values, const int64_t *first,
                                  const char *what)
{
    struct parts parts = parts_of(first, comm->size);
    const int code = MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, values, parts.counts,
                                    parts.starts, MPI_FLOAT, comm->ranks);
    parts_release(&parts);
    return comm_check_mpi(code, what);
}

/* Larger than MPI counts: part after part, piece after piece. */
static enum status gather_in_pieces(struct comm *comm, float *values, const int64_t *first,
                                    const char *what)
{
    enum status status = OK;
    const int64_t most = comm->shared->chunk_elements;
    for (int root = 0; root < comm->size; root++) {
        for (int64_t at = first[root]; at < first[root + 1]; at += most) {
            const int count = (int)smaller_int64(first[root + 1] - at, most);
            TRY_MPI(MPI_Bcast(values + at, count, MPI_FLOAT, root, comm->ranks), what);
        }
    }
out:
    return status;
}

enum status comm_all_gather(struct comm *comm, float *values, const int64_t *first,
                            const char *what)
{
    enum status status = OK;
    int64_t ticket = 0;
    const int64_t n = first[comm->size];
    if (n == 0 || comm->size == 1) return OK;
    TRY(comm_call_begin(comm, &(struct comm_call){what, "all_gather", n, sizeof(float)}, &ticket));
    if (n <= comm->shared->chunk_elements)
        TRY(gather_at_once(comm, values, first, what));
    else
        TRY(gather_in_pieces(comm, values, first, what));
out:
    comm_call_end(comm, ticket, status);
    return status;
}

static enum status scatter_at_once(struct comm *comm, float *out, const float *values,
                                   const int64_t *first, const char *what)
{
    struct parts parts = parts_of(first, comm->size);
    const int code = MPI_Reduce_scatter(values, out, parts.counts, MPI_FLOAT, MPI_SUM, comm->ranks);
    parts_release(&parts);
    return comm_check_mpi(code, what);
}

static enum status scatter_in_pieces(struct comm *comm, float *out, const float *values,
                                     const int64_t *first, const char *what)
{
    enum status status = OK;
    const int64_t most = comm->shared->chunk_elements;
    for (int root = 0; root < comm->size; root++) {
        for (int64_t at = first[root]; at < first[root + 1]; at += most) {
            const int count = (int)smaller_int64(first[root + 1] - at, most);
            float *to = comm->rank == root ? out + (at - first[root]) : NULL;
            TRY_MPI(MPI_Reduce(values + at, to, count, MPI_FLOAT, MPI_SUM, root, comm->ranks),
                    what);
        }
    }
out:
    return status;
}

enum status comm_reduce_scatter(struct comm *comm, float *out, const float *values,
                                const int64_t *first, const char *what)
{
    enum status status = OK;
    int64_t ticket = 0;
    const int64_t n = first[comm->size];
    if (comm->size == 1) memcpy(out, values, (size_t)n * sizeof *out);
    if (n == 0 || comm->size == 1) return OK;
    TRY(comm_call_begin(comm, &(struct comm_call){what, "reduce_scatter", n, sizeof(float)},
                        &ticket));
    if (n <= comm->shared->chunk_elements)
        TRY(scatter_at_once(comm, out, values, first, what));
    else
        TRY(scatter_in_pieces(comm, out, values, first, what));
out:
    comm_call_end(comm, ticket, status);
    return status;
}

/* n_out floats to one rank and n_in from another. */
struct message {
    const float *out;
    float *in;
    int64_t n_out, n_in;
    int to, from;
};

static enum status send_receive(struct comm *comm, const struct message *message, const char *what)
{
    enum status status = OK;
    const int64_t n_out = message->n_out, n_in = message->n_in;
    const int64_t most = comm->shared->chunk_elements;
    const int64_t longest = n_out > n_in ? n_out : n_in;
    for (int64_t at = 0; at < longest; at += most) {
        const int64_t left_out = n_out > at ? n_out - at : 0, left_in = n_in > at ? n_in - at : 0;
        const bool sends = left_out > 0, receives = left_in > 0;
        TRY_MPI(MPI_Sendrecv(sends ? message->out + at : NULL, (int)smaller_int64(left_out, most),
                             MPI_FLOAT, sends ? message->to : MPI_PROC_NULL, 0,
                             receives ? message->in + at : NULL, (int)smaller_int64(left_in, most),
                             MPI_FLOAT, receives ? message->from : MPI_PROC_NULL, 0, comm->ranks,
                             MPI_STATUS_IGNORE),
                what);
    }
out:
    return status;
}

enum status comm_exchange(struct comm *comm, float *pieces, const float *values,
                          const int64_t *first, const char *what)
{
    enum status status = OK;
    int64_t ticket = 0;
    const int rank = comm->rank, size = comm->size;
    const int64_t own = first[rank + 1] - first[rank];
    if (first[size] == 0) return OK;
    memcpy(pieces + rank * own, values + first[rank], (size_t)own * sizeof *pieces);
    if (size == 1) return OK;
    TRY(comm_call_begin(comm, &(struct comm_call){what, "exchange", first[size], sizeof(float)},
                        &ticket));
    for (int distance = 1; distance < size; distance++) {
        const int to = (rank + distance) % size, from = (rank - distance + size) % size;
        const struct message message = {.out = values + first[to],
                                        .n_out = first[to + 1] - first[to],
                                        .to = to,
                                        .in = pieces + from * own,
                                        .n_in = own,
                                        .from = from};
        TRY(send_receive(comm, &message, what));
    }
out:
    comm_call_end(comm, ticket, status);
    return status;
}

/* ---- bytes ---- */

enum status comm_broadcast(struct comm *comm, void *bytes, size_t size, int root)
{
    enum status status = OK;
    int64_t ticket = 0;
    if (size == 0 || comm->size == 1) return OK;
    TRY(comm_call_begin(comm, &(struct comm_call){"broadcast", "broadcast", (int64_t)size, 1},
                        &ticket));
    const size_t most = (size_t)comm->shared->chunk_elements;
    for (size_t first = 0; first < size; first += most) {
        const size_t rest = size - first;
        const int count = (int)(rest < most ? rest : most);
        TRY_MPI(MPI_Bcast((char *)bytes + first, count, MPI_BYTE, root, comm->ranks), "broadcast");
    }
out:
    comm_call_end(comm, ticket, status);
    return status;
}

enum status comm_barrier(struct comm *comm)
{
    enum status status = OK;
    int64_t ticket = 0;
    if (comm->size == 1) return OK;
    TRY(comm_call_begin(comm, &(struct comm_call){"barrier", "barrier", 0, 1}, &ticket));
    TRY_MPI(MPI_Barrier(comm->ranks), "barrier");
out:
    comm_call_end(comm, ticket, status);
    return status;
}

/* Where each rank's string starts among all of them behind each other; the sum of the lengths. */
static int64_t place_strings(int *counts, int *starts, const int64_t *lengths, int size)
{
    int64_t total = 0;
    for (int rank = 0; rank < size; rank++) {
        ASSERT(total + lengths[rank] < INT32_MAX, "gathering strings of 2 GiB");
        counts[rank] = (int)lengths[rank];
        starts[rank] = (int)total;
        total += lengths[rank];
    }
    return total;
}

static char **split_strings(const char *all, const struct parts *parts, int size)
{
    char **texts = memory_new((size_t)size, sizeof *texts);
    for (int rank = 0; rank < size; rank++) {
        texts[rank] = memory_new((size_t)parts->counts[rank] + 1, 1);
        memcpy(texts[rank], all + parts->starts[rank], (size_t)parts->counts[rank]);
    }
    return texts;
}

enum status comm_gather_strings(struct comm *comm, char ***texts_out, const char *text)
{
    enum status status = OK;
    const size_t size = (size_t)comm->size;
    int64_t *lengths = memory_new(size, sizeof *lengths), ticket = 0;
    struct parts parts = {memory_new(size, sizeof(int)), memory_new(size, sizeof(int))};
    char *all = NULL;
    *texts_out = NULL;
    lengths[comm->rank] = (int64_t)strlen(text);
    TRY(comm_sum_int64(comm, lengths, comm->size));
    const int64_t total = place_strings(parts.counts, parts.starts, lengths, comm->size);
    all = memory_new((size_t)total + 1, 1);
    TRY(comm_call_begin(comm, &(struct comm_call){"gather_strings", "gather", total, 1}, &ticket));
    TRY_MPI(MPI_Gatherv(text, (int)strlen(text), MPI_CHAR, all, parts.counts, parts.starts,
                        MPI_CHAR, 0, comm->ranks),
            "gather_strings");
    if (comm->rank == 0) *texts_out = split_strings(all, &parts, comm->size);
out:
    comm_call_end(comm, ticket, status);
    free(all);
    parts_release(&parts);
    free(lengths);
    return status;
}
