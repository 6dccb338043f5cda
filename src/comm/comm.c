/* MPI behind comm.h: starting and ending, reductions in chunks, the agreement, the last words. */
#include "comm/comm.h"

#include <mpi.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assertion.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "comm/watchdog.h"

#define DEFAULT_TIMEOUT_SECONDS 1800
#define DEFAULT_CHUNK_ELEMENTS  ((int64_t)1 << 26)

struct comm {
    MPI_Comm world;
    int rank, size;
    char host[MPI_MAX_PROCESSOR_NAME + 1];
    int64_t chunk_elements;
    struct watchdog *watchdog; /* NULL when alone */
};

/* MPI's code as our status, with what was being done and MPI's own text in the sentence. */
static enum status check_mpi(int code, const char *doing)
{
    if (code == MPI_SUCCESS) return OK;
    char text[MPI_MAX_ERROR_STRING + 1] = "unknown MPI error";
    int length = 0;
    MPI_Error_string(code, text, &length);
    return status_fail(ERR_COMM, "MPI failed in %s: %s", doing, text);
}

#define TRY_MPI(call, doing) TRY(check_mpi(call, doing))

/* A collective under the watchdog's eyes. */
#define TRY_COLLECTIVE(comm, call, doing)                                                          \
    do {                                                                                           \
        watchdog_enter((comm)->watchdog, doing);                                                   \
        const int mpi_code = (call);                                                               \
        watchdog_leave((comm)->watchdog);                                                          \
        TRY_MPI(mpi_code, doing);                                                                  \
    } while (0)

/* The last words name their rank themselves, hence not log_error. */
static void end_run(struct comm *comm, const char *line)
{
    dprintf(STDERR_FILENO, "error: %s\n", line);
    MPI_Abort(comm->world, 1);
    _exit(1); /* should MPI_Abort ever come back */
}

static void watchdog_gives_up(void *context, const char *sentence)
{
    struct comm *comm = context;
    char line[1024];
    snprintf(line, sizeof line, "rank %d of %d (%s): %s", comm->rank, comm->size, comm->host,
             sentence);
    end_run(comm, line);
}

/* The processes of the other ranks on this machine. */
static enum status find_peers(struct comm *comm, struct watchdog_peer **peers_out, int *n_out)
{
    enum status status = OK;
    MPI_Comm machine = MPI_COMM_NULL;
    int n = 0;
    struct watchdog_peer *peers = NULL;
    TRY_MPI(
        MPI_Comm_split_type(comm->world, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL, &machine),
        "MPI_Comm_split_type");
    TRY_MPI(MPI_Comm_size(machine, &n), "MPI_Comm_size");
    peers = memory_new((size_t)n, sizeof *peers);
    const struct watchdog_peer self = {.rank = comm->rank, .pid = getpid()};
    TRY_MPI(MPI_Allgather(&self, sizeof self, MPI_BYTE, peers, sizeof self, MPI_BYTE, machine),
            "MPI_Allgather of process ids");
    int others = 0;
    for (int i = 0; i < n; i++)
        if (peers[i].rank != comm->rank) peers[others++] = peers[i];
    *peers_out = peers;
    *n_out = others;
    peers = NULL;
out:
    free(peers);
    if (machine != MPI_COMM_NULL) MPI_Comm_free(&machine);
    return status;
}

static enum status start_watchdog(struct comm *comm, double timeout_seconds)
{
    enum status status = OK;
    struct watchdog_peer *peers = NULL;
    int n_peers = 0;
    TRY(find_peers(comm, &peers, &n_peers));
    const struct watchdog_options options = {
        .timeout_seconds = timeout_seconds > 0 ? timeout_seconds : DEFAULT_TIMEOUT_SECONDS,
        .rank = comm->rank,
        .peers = peers,
        .n_peers = n_peers,
        .give_up = watchdog_gives_up,
        .context = comm,
    };
    TRY(watchdog_start(&comm->watchdog, &options));
out:
    free(peers);
    return status;
}

/* MPI starts threads of its own; they must take no signal, since who handles one is the program's
 * affair. */
static enum status start_mpi(void)
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
out:
    return status;
}

enum status comm_create(struct comm **comm_out, const struct comm_options *options)
{
    enum status status = OK;
    const struct comm_options none = {0};
    if (options == NULL) options = &none;
    struct comm *comm = memory_new(1, sizeof *comm);
    comm->chunk_elements =
        options->chunk_elements > 0 ? options->chunk_elements : DEFAULT_CHUNK_ELEMENTS;
    TRY(start_mpi());
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    TRY_MPI(MPI_Comm_dup(MPI_COMM_WORLD, &comm->world), "MPI_Comm_dup");
    TRY_MPI(MPI_Comm_rank(comm->world, &comm->rank), "MPI_Comm_rank");
    TRY_MPI(MPI_Comm_size(comm->world, &comm->size), "MPI_Comm_size");
    int length = 0;
    TRY_MPI(MPI_Get_processor_name(comm->host, &length), "MPI_Get_processor_name");
    log_set_rank(comm->rank, comm->size);
    if (comm->size > 1) TRY(start_watchdog(comm, options->timeout_seconds));
    *comm_out = comm;
    comm = NULL;
out:
    free(comm);
    return status;
}

void comm_destroy(struct comm *comm)
{
    if (comm == NULL) return;
    watchdog_stop(comm->watchdog);
    MPI_Comm_free(&comm->world);
    MPI_Finalize();
    free(comm);
}

int comm_rank(const struct comm *comm)
{
    return comm->rank;
}

int comm_size(const struct comm *comm)
{
    return comm->size;
}

void comm_set_step(struct comm *comm, int64_t step)
{
    watchdog_set_step(comm->watchdog, step);
}

/* All-reduce in place, in pieces that fit MPI's int counts. */
struct reduction {
    MPI_Datatype type;
    MPI_Op op;
    size_t element_size;
    const char *name;
};

static enum status reduce(struct comm *comm, void *values, int64_t n, const struct reduction *kind)
{
    enum status status = OK;
    ASSERT(n >= 0, "%s of %lld elements", kind->name, (long long)n);
    for (int64_t first = 0; first < n && comm->size > 1; first += comm->chunk_elements) {
        const int64_t rest = n - first;
        const int count = (int)(rest < comm->chunk_elements ? rest : comm->chunk_elements);
        char *piece = (char *)values + (size_t)first * kind->element_size;
        TRY_COLLECTIVE(comm,
                       MPI_Allreduce(MPI_IN_PLACE, piece, count, kind->type, kind->op, comm->world),
                       kind->name);
    }
out:
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

enum status comm_broadcast(struct comm *comm, void *bytes, size_t size, int root)
{
    enum status status = OK;
    const size_t most = (size_t)comm->chunk_elements;
    for (size_t first = 0; first < size && comm->size > 1; first += most) {
        const size_t rest = size - first;
        const int count = (int)(rest < most ? rest : most);
        TRY_COLLECTIVE(comm, MPI_Bcast((char *)bytes + first, count, MPI_BYTE, root, comm->world),
                       "broadcast");
    }
out:
    return status;
}

enum status comm_barrier(struct comm *comm)
{
    enum status status = OK;
    if (comm->size > 1) TRY_COLLECTIVE(comm, MPI_Barrier(comm->world), "barrier");
out:
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

enum status comm_gather_strings(struct comm *comm, char ***texts_out, const char *text)
{
    enum status status = OK;
    const size_t size = (size_t)comm->size;
    int64_t *lengths = memory_new(size, sizeof *lengths);
    int *counts = memory_new(size, sizeof *counts);
    int *starts = memory_new(size, sizeof *starts);
    char *all = NULL;
    *texts_out = NULL;
    lengths[comm->rank] = (int64_t)strlen(text);
    TRY(comm_sum_int64(comm, lengths, comm->size));
    const int64_t total = place_strings(counts, starts, lengths, comm->size);
    all = memory_new((size_t)total + 1, 1);
    TRY_COLLECTIVE(comm,
                   MPI_Gatherv(text, (int)strlen(text), MPI_CHAR, all, counts, starts, MPI_CHAR, 0,
                               comm->world),
                   "gather_strings");
    if (comm->rank != 0) goto out;
    char **texts = memory_new(size, sizeof *texts);
    for (size_t rank = 0; rank < size; rank++) {
        texts[rank] = memory_new((size_t)counts[rank] + 1, 1);
        memcpy(texts[rank], all + starts[rank], (size_t)counts[rank]);
    }
    *texts_out = texts;
out:
    free(all);
    free(starts);
    free(counts);
    free(lengths);
    return status;
}

/* Rank 0: one sentence for all, naming the lowest failing rank unless everybody says the same. */
static void print_failure(const struct comm *comm, char *const *sentences, char *const *hosts)
{
    int first = -1, failed = 0, same = 0;
    for (int rank = 0; rank < comm->size; rank++) {
        if (sentences[rank][0] == '\0') continue;
        if (first < 0) first = rank;
        failed++;
        same += strcmp(sentences[rank], sentences[first]) == 0;
    }
    if (same == comm->size) {
        log_error("%s", sentences[0]);
        return;
    }
    char others[64] = "";
    if (failed > 1) snprintf(others, sizeof others, " (and %d more)", failed - 1);
    log_error("rank %d of %d (%s): %s%s", first, comm->size, hosts[first], sentences[first],
              others);
}

enum status comm_agree(struct comm *comm, enum status own)
{
    enum status status = OK;
    char **sentences = NULL, **hosts = NULL;
    if (comm->size == 1) return own;
    if (own == ERR_COMM) comm_abort(comm, "%s", status_message());
    /* the lowest failing rank and its code in one number; ranks that are well bring 0 */
    int64_t worst = own == OK ? 0 : (int64_t)(comm->size - comm->rank) * 256 + (int64_t)own;
    TRY(comm_max_int64(comm, &worst, 1));
    if (worst == 0) goto out;
    const char *sentence = own == OK ? "" : status_message();
    TRY(comm_gather_strings(comm, &sentences,
                            own != OK && *sentence == '\0' ? "failed" : sentence));
    TRY(comm_gather_strings(comm, &hosts, comm->host));
    status_clear();
    status = (enum status)(worst % 256);
    if (comm->rank == 0) print_failure(comm, sentences, hosts);
out:
    if (status == ERR_COMM) comm_abort(comm, "%s", status_message());
    names_free(sentences, sentences == NULL ? 0 : (size_t)comm->size);
    names_free(hosts, hosts == NULL ? 0 : (size_t)comm->size);
    return status;
}

void comm_abort(struct comm *comm, const char *format, ...)
{
    char text[2048], place[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    watchdog_describe(comm->watchdog, place, sizeof place);
    char line[3072];
    snprintf(line, sizeof line, "rank %d of %d (%s), %s: %s", comm->rank, comm->size, comm->host,
             place, text);
    end_run(comm, line);
    abort();
}
