/* A window of rank 0 that every rank has locked for as long as it lives. */
#include "comm/shared_counters.h"

#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/text_buffer.h"
#include "comm/comm_state.h"

struct shared_counters {
    struct comm *comm;
    MPI_Win window;
    int64_t *values; /* of rank 0; alone: ours */
    int n;
    bool locked;
};

enum status shared_counters_create(struct shared_counters **counters_out, struct comm *comm, int n)
{
    enum status status = OK;
    struct shared_counters *counters = memory_new(1, sizeof *counters);
    const MPI_Aint bytes = comm->rank == 0 ? (MPI_Aint)((size_t)n * sizeof(int64_t)) : 0;
    counters->comm = comm;
    counters->n = n;
    counters->window = MPI_WIN_NULL;
    if (comm->size == 1) {
        counters->values = memory_new((size_t)n, sizeof *counters->values);
    } else {
        TRY_MPI(MPI_Win_allocate(bytes, sizeof(int64_t), MPI_INFO_NULL, comm->ranks,
                                 &counters->values, &counters->window),
                "MPI_Win_allocate of shared counters");
        MPI_Win_set_errhandler(counters->window, MPI_ERRORS_RETURN);
        TRY_MPI(MPI_Win_lock_all(MPI_MODE_NOCHECK, counters->window), "MPI_Win_lock_all");
        counters->locked = true;
        if (comm->rank == 0) memset(counters->values, 0, (size_t)bytes);
        TRY_MPI(MPI_Win_sync(counters->window), "MPI_Win_sync");
        TRY(comm_barrier(comm));
    }
    *counters_out = counters;
    counters = NULL;
out:
    free(counters);
    return status;
}

void shared_counters_destroy(struct shared_counters *counters)
{
    if (counters == NULL) return;
    if (counters->window == MPI_WIN_NULL) {
        free(counters->values);
    } else {
        if (counters->locked) MPI_Win_unlock_all(counters->window);
        MPI_Win_free(&counters->window);
    }
    free(counters);
}

/* The call is not a collective, but it can hang as one can: the watchdog looks on. The probe lets
 * the library serve what others ask of this rank, which an operation on an own counter need not. */
static int64_t enter(struct shared_counters *counters, const char *what)
{
    const struct watchdog_call call = {.name = what, .axis = counters->comm->axis};
    int found = 0;
    MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, counters->comm->ranks, &found, MPI_STATUS_IGNORE);
    return watchdog_enter(counters->comm->shared->watchdog, &call);
}

enum status shared_counters_add(struct shared_counters *counters, int which, int64_t amount,
                                int64_t *before_out)
{
    enum status status = OK;
    int64_t before = 0, ticket = 0;
    ASSERT(which >= 0 && which < counters->n, "shared counter %d of %d", which, counters->n);
    if (counters->window == MPI_WIN_NULL) {
        before = counters->values[which];
        counters->values[which] += amount;
    } else {
        ticket = enter(counters, "shared_counters_add");
        TRY_MPI(
            MPI_Fetch_and_op(&amount, &before, MPI_INT64_T, 0, which, MPI_SUM, counters->window),
            "MPI_Fetch_and_op");
        TRY_MPI(MPI_Win_flush(0, counters->window), "MPI_Win_flush");
    }
    if (before_out != NULL) *before_out = before;
out:
    if (ticket != 0) watchdog_leave(counters->comm->shared->watchdog, ticket);
    return status;
}

enum status shared_counters_swap(struct shared_counters *counters, int which, int64_t expected,
                                 int64_t wanted, int64_t *before_out)
{
    enum status status = OK;
    int64_t before = 0, ticket = 0;
    ASSERT(which >= 0 && which < counters->n, "shared counter %d of %d", which, counters->n);
    if (counters->window == MPI_WIN_NULL) {
        before = counters->values[which];
        if (before == expected) counters->values[which] = wanted;
    } else {
        ticket = enter(counters, "shared_counters_swap");
        TRY_MPI(MPI_Compare_and_swap(&wanted, &expected, &before, MPI_INT64_T, 0, which,
                                     counters->window),
                "MPI_Compare_and_swap");
        TRY_MPI(MPI_Win_flush(0, counters->window), "MPI_Win_flush");
    }
    *before_out = before;
out:
    if (ticket != 0) watchdog_leave(counters->comm->shared->watchdog, ticket);
    return status;
}
