/* The agreement of ranks on failure, and the last words. */
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "comm/comm_state.h"
#include "comm/nccl_comm.h"

#define ABORT_SECONDS 10     /* for MPI_Abort; it may hang like any other call */
#define WORD_MS       50     /* for the others to hear that the run is being ended */
#define NAMING_US     500000 /* for the watchdogs to find a dead rank, where MPI already fails */

/* Ends this process even if MPI_Abort never does. */
static void set_alarm(void)
{
    sigset_t alarms;
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    signal(SIGALRM, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
    alarm(ABORT_SECONDS);
}

/* Else work on a GPU waits for ranks that are gone, and who waits for the GPU with it. */
static void end_nccl(struct comm_shared *shared)
{
    pthread_mutex_lock(&shared->mutex);
    shared->ending = shared->with_nccl != NULL;
    for (struct comm *comm = shared->with_nccl; comm != NULL; comm = comm->next_with_nccl)
        nccl_comm_abort(comm->nccl);
    pthread_mutex_unlock(&shared->mutex);
}

/* The last words name their rank themselves, hence not log_error. */
void comm_end_run(struct comm_shared *shared, const char *line)
{
    set_alarm();
    if (watchdog_take_word(shared->watchdog)) {
        dprintf(STDERR_FILENO, "error: %s\n", line);
        usleep(WORD_MS * 1000);
    } else {
        sleep(ABORT_SECONDS / 2); /* until who has the word ends us */
    }
    end_nccl(shared);
    if (!shared->finalizing) MPI_Abort(shared->world, 1);
    _exit(1); /* should MPI_Abort ever come back */
}

void comm_network_failed(struct comm *comm)
{
    usleep(NAMING_US);
    comm_abort(comm, "%s", status_message());
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
    TRY(comm_gather_strings(comm, &hosts, comm->shared->host));
    status_clear();
    status = (enum status)(worst % 256);
    comm->shared->failure_agreed = true;
    if (comm->rank == 0) print_failure(comm, sentences, hosts);
out:
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
    watchdog_describe(comm->shared->watchdog, place, sizeof place);
    char line[3072];
    snprintf(line, sizeof line, "rank %d of %d (%s), %s: %s", comm->shared->rank,
             comm->shared->size, comm->shared->host, place, text);
    comm_end_run(comm->shared, line);
}

void comm_check_together(struct comm *comm, enum status status)
{
    const bool together = status == OK || status == ERR_STOPPED || comm->shared->failure_agreed;
    if (comm->shared->size > 1 && !together)
        comm_abort(comm, "%s", *status_message() != '\0' ? status_message() : status_name(status));
}

void comm_end(struct comm *comm, enum status status)
{
    if (comm == NULL) return;
    comm_check_together(comm, status);
    comm_destroy(comm);
}
