/* MPI behind comm.h: starting and ending, splitting, and what surrounds every collective. */
#include "comm/comm.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text_buffer.h"
#include "base/trace.h"
#include "comm/comm_state.h"
#include "comm/nccl_comm.h"
#include "comm/start_watch.h"

#define DEFAULT_TIMEOUT_SECONDS 300
#define DEFAULT_CHUNK_ELEMENTS  ((int64_t)1 << 26)
#define CALL_TEXT_BYTES         128

#ifdef ROBIN_DEBUG
#define ALWAYS_CHECK true
#else
#define ALWAYS_CHECK false
#endif

enum status comm_check_mpi(int code, const char *doing)
{
    if (code == MPI_SUCCESS) return OK;
    char text[MPI_MAX_ERROR_STRING + 1] = "unknown MPI error";
    int length = 0;
    MPI_Error_string(code, text, &length);
    return status_fail(ERR_COMM, "MPI failed in %s: %s", doing, text);
}

/* ---- life ---- */

/* MPI starts threads of its own; they must take no signal, since who handles one is the program's
 * affair. */
static enum status start_mpi(int *provided_out)
{
    enum status status = OK;
    sigset_t all, before;
    int provided = MPI_THREAD_SINGLE;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &provided);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    TRY_MPI(code, "MPI_Init_thread");
    if (provided < MPI_THREAD_SERIALIZED)
        FAIL(ERR_UNSUPPORTED, "this MPI library cannot be called from threads; use one built with "
                              "MPI_THREAD_SERIALIZED or better");
    *provided_out = provided;
out:
    return status;
}

/* A comm around MPI's, which it owns from then on. */
static enum status wrap(struct comm **comm_out, struct comm_shared *shared, MPI_Comm ranks,
                        const char *axis, uint64_t group)
{
    enum status status = OK;
    struct comm *comm = memory_new(1, sizeof *comm);
    *comm = (struct comm){
        .shared = shared, .axis = axis, .group = group, .ranks = ranks, .checks = MPI_COMM_NULL};
    TRY_MPI(MPI_Comm_rank(ranks, &comm->rank), "MPI_Comm_rank");
    TRY_MPI(MPI_Comm_size(ranks, &comm->size), "MPI_Comm_size");
    if (shared->check_calls) TRY_MPI(MPI_Comm_dup(ranks, &comm->checks), "MPI_Comm_dup");
    watchdog_join_group(shared->watchdog, group);
    *comm_out = comm;
    comm = NULL;
out:
    free(comm);
    return status;
}

/* How many tasks srun has started beside this one, where it is not Open MPI's mpirun that did. */
static int tasks_of_srun(void)
{
    const char *tasks = getenv("SLURM_STEP_NUM_TASKS");
    if (getenv("OMPI_COMM_WORLD_SIZE") != NULL || tasks == NULL) return 1;
    return (int)strtol(tasks, NULL, 10);
}

static enum status start_shared(struct comm_shared *shared, const struct comm_options *options)
{
    enum status status = OK;
    int provided = MPI_THREAD_SINGLE, least = MPI_THREAD_SINGLE, length = 0;
    const int tasks = tasks_of_srun(); /* asked before MPI sets variables of its own */
    struct start_watch *watch = NULL;
    shared->chunk_elements =
        options->chunk_elements > 0 ? options->chunk_elements : DEFAULT_CHUNK_ELEMENTS;
    shared->check_calls = options->check_calls || ALWAYS_CHECK;
    TRY(start_watch_begin(&watch, "MPI_Init"));
    TRY(start_mpi(&provided));
    start_watch_next(watch, "the first collectives of MPI");
    /* what is made of these two inherits it: every code comes back and is looked at */
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN);
    TRY_MPI(MPI_Comm_dup(MPI_COMM_WORLD, &shared->world), "MPI_Comm_dup");
    TRY_MPI(MPI_Comm_rank(shared->world, &shared->rank), "MPI_Comm_rank");
    TRY_MPI(MPI_Comm_size(shared->world, &shared->size), "MPI_Comm_size");
    TRY_MPI(MPI_Allreduce(&provided, &least, 1, MPI_INT, MPI_MIN, shared->world),
            "MPI_Allreduce of the thread level");
    if (shared->size == 1 && tasks > 1)
        FAIL(ERR_UNSUPPORTED,
             "srun started %d tasks, but MPI takes each of them for a run of its own: start them "
             "with srun --mpi=pmix (or pmi2), and with an Open MPI that is built for it",
             tasks);
    shared->threaded = least >= MPI_THREAD_MULTIPLE;
    TRY_MPI(MPI_Get_processor_name(shared->host, &length), "MPI_Get_processor_name");
    if (options->host != NULL) snprintf(shared->host, sizeof shared->host, "%s", options->host);
    log_set_rank(shared->rank, shared->size);
    const double timeout =
        options->timeout_seconds > 0 ? options->timeout_seconds : DEFAULT_TIMEOUT_SECONDS;
    if (shared->size > 1) TRY(comm_watch_start(shared, timeout));
out:
    start_watch_end(watch);
    return status;
}

enum status comm_create(struct comm **comm_out, const struct comm_options *options)
{
    enum status status = OK;
    const struct comm_options none = {0};
    struct comm_shared *shared = memory_new(1, sizeof *shared);
    MPI_Comm ranks = MPI_COMM_NULL;
    pthread_mutex_init(&shared->mutex, NULL);
    TRY(start_shared(shared, options == NULL ? &none : options));
    TRY_MPI(MPI_Comm_dup(shared->world, &ranks), "MPI_Comm_dup");
    TRY(wrap(comm_out, shared, ranks, "world", 1));
    (*comm_out)->first = true;
    shared = NULL;
out:
    free(shared);
    return status;
}

enum status comm_split(struct comm *parent, struct comm **comm_out, int colour, const char *axis)
{
    enum status status = OK;
    MPI_Comm ranks = MPI_COMM_NULL;
    int64_t ticket = 0;
    TRY(comm_call_begin(parent, &(struct comm_call){axis, "split", 0, 1}, &ticket));
    const int code = MPI_Comm_split(parent->ranks, colour, parent->rank, &ranks);
    comm_call_end(parent, ticket, comm_check_mpi(code, "MPI_Comm_split"));
    TRY(wrap(comm_out, parent->shared, ranks, axis, comm_group_number(parent, ranks)));
out:
    return status;
}

static void forget(struct comm *comm)
{
    pthread_mutex_lock(&comm->shared->mutex);
    struct comm **at = &comm->shared->with_nccl;
    while (*at != NULL && *at != comm) at = &(*at)->next_with_nccl;
    if (*at == comm) *at = comm->next_with_nccl;
    pthread_mutex_unlock(&comm->shared->mutex);
}

void comm_destroy(struct comm *comm)
{
    if (comm == NULL) return;
    struct comm_shared *shared = comm->shared;
    const bool last = comm->first;
    forget(comm);
    nccl_comm_destroy(comm->nccl);
    comm_staging_release(&comm->staging);
    if (last) { /* a collective as well: one who does not come to it is named, too */
        shared->finalizing = true;
        watchdog_enter(shared->watchdog, &(struct watchdog_call){"the end of MPI", comm->axis,
                                                                 comm->group, ++comm->sequence});
    }
    if (!last) watchdog_leave_group(shared->watchdog, comm->group);
    if (comm->checks != MPI_COMM_NULL) MPI_Comm_free(&comm->checks);
    MPI_Comm_free(&comm->ranks);
    free(comm);
    if (!last) return;
    MPI_Comm_free(&shared->world);
    MPI_Finalize();
    /* A launcher kills the others as soon as one has left with a code that is not 0: so none leaves
     * before all have come out of MPI_Finalize. */
    if (!watchdog_stop(shared->watchdog)) _exit(1);
    pthread_mutex_destroy(&shared->mutex);
    free(shared->counts);
    free(shared);
}

void comm_remember(struct comm *comm)
{
    pthread_mutex_lock(&comm->shared->mutex);
    comm->next_with_nccl = comm->shared->with_nccl;
    comm->shared->with_nccl = comm;
    pthread_mutex_unlock(&comm->shared->mutex);
}

int comm_rank(const struct comm *comm)
{
    return comm->rank;
}

int comm_size(const struct comm *comm)
{
    return comm->size;
}

const char *comm_host(const struct comm *comm)
{
    return comm->shared->host;
}

bool comm_is_threaded(const struct comm *comm)
{
    return comm->shared->threaded;
}

void comm_set_timeout(struct comm *comm, double seconds)
{
    watchdog_set_timeout(comm->shared->watchdog, seconds);
}

void comm_set_step(struct comm *comm, int64_t step)
{
    watchdog_set_step(comm->shared->watchdog, step);
}

/* ---- around every collective ---- */

static bool is_same_count(const struct comm_count *count, const char *axis,
                          const struct comm_call *call)
{
    return strcmp(count->what, call->what) == 0 && strcmp(count->axis, axis) == 0 &&
           strcmp(count->kind, call->kind) == 0;
}

static void count_call(struct comm *comm, const struct comm_call *call)
{
    struct comm_shared *shared = comm->shared;
    pthread_mutex_lock(&shared->mutex);
    int64_t at = 0;
    while (at < shared->n_counts && !is_same_count(&shared->counts[at], comm->axis, call)) at++;
    if (at == shared->n_counts) {
        shared->counts = memory_resize(shared->counts, (size_t)at + 1, sizeof *shared->counts);
        shared->counts[at] =
            (struct comm_count){.what = call->what, .axis = comm->axis, .kind = call->kind};
        shared->n_counts++;
    }
    shared->counts[at].calls++;
    shared->counts[at].bytes += call->n * (int64_t)call->element_size;
    pthread_mutex_unlock(&shared->mutex);
}

/* Every rank says what it is about to call; the first that differs from rank 0 is named. */
static enum status compare_call(struct comm *comm, const struct comm_call *call)
{
    enum status status = OK;
    char own[CALL_TEXT_BYTES] = {0}, *all = NULL;
    snprintf(own, sizeof own, "%s (%s of %lld x %zu bytes)", call->what, call->kind,
             (long long)call->n, call->element_size);
    all = memory_new((size_t)comm->size, sizeof own);
    TRY_MPI(MPI_Allgather(own, sizeof own, MPI_CHAR, all, sizeof own, MPI_CHAR, comm->checks),
            "comparing calls");
    for (int rank = 1; rank < comm->size; rank++) {
        const char *other = all + (size_t)rank * sizeof own;
        if (strcmp(other, all) == 0) continue;
        if (comm->rank != 0) sleep(10); /* rank 0 says it for all, and ends them */
        comm_abort(comm, "collective %lld over %s is %s here and %s on rank %d of that axis",
                   (long long)comm->sequence, comm->axis, all, other, rank);
    }
out:
    free(all);
    return status;
}

enum status comm_call_begin(struct comm *comm, const struct comm_call *call, int64_t *ticket_out)
{
    enum status status = OK;
    const struct watchdog_call seen = {call->what, comm->axis, comm->group, ++comm->sequence};
    while (comm->shared->ending) pause(); /* this process is about to be ended */
    if (comm->size > 1) count_call(comm, call);
    *ticket_out = watchdog_enter(comm->shared->watchdog, &seen);
    trace_push("collective", call->what);
    if (comm->checks != MPI_COMM_NULL && comm->size > 1) TRY(compare_call(comm, call));
out:
    return status;
}

void comm_call_end(struct comm *comm, int64_t ticket, enum status status)
{
    if (status == ERR_COMM) comm_network_failed(comm);
    watchdog_leave(comm->shared->watchdog, ticket);
    trace_pop(0);
}

int64_t comm_counts(const struct comm *comm, struct comm_count *counts, int64_t most)
{
    struct comm_shared *shared = comm->shared;
    pthread_mutex_lock(&shared->mutex);
    const int64_t n = shared->n_counts;
    for (int64_t i = 0; i < n && i < most; i++) counts[i] = shared->counts[i];
    pthread_mutex_unlock(&shared->mutex);
    return n;
}

void comm_counts_reset(struct comm *comm)
{
    struct comm_shared *shared = comm->shared;
    pthread_mutex_lock(&shared->mutex);
    shared->n_counts = 0;
    pthread_mutex_unlock(&shared->mutex);
}
