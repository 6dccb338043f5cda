/* The time that MPI may take to start. Nobody is known yet but what the launcher has put into the
 * environment, so each rank counts for itself and speaks of itself; who says nothing is the one
 * that the others wait for. */
#include "comm/start_watch.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text_buffer.h"

#define VARIABLE        "ROBIN_START_TIMEOUT_S"
#define DEFAULT_SECONDS 120
#define MOST_SECONDS    86400
#define WAKE_MS         50
#define MOST_WAKE_S     1.0     /* between two wakes: beyond it this process was stopped */
#define LAST_WORDS_US   1000000 /* a launcher ends the others as soon as one has left */

struct start_watch {
    pthread_t thread;
    double limit_seconds;
    char *who;             /* by the environment, to which MPI adds later while the watch is on */
    pthread_mutex_t mutex; /* of everything below */
    pthread_cond_t changed;
    const char *doing;
    double waited; /* seconds, for that */
    bool ended;
};

/* The first of these that is set; NULL: none. */
static const char *first_set(const char *const *names)
{
    for (; *names != NULL; names++) {
        const char *text = getenv(*names);
        if (text != NULL && text[0] != '\0') return text;
    }
    return NULL;
}

/* "rank 3 of 8 (node-a, process 4711)", by what mpirun or srun has set. */
static char *own_name(void)
{
    static const char *const ranks[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK",
                                        "SLURM_PROCID", NULL};
    static const char *const sizes[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS",
                                        "SLURM_NTASKS", NULL};
    char host[256] = "";
    if (gethostname(host, sizeof host - 1) != 0) snprintf(host, sizeof host, "unknown host");
    const char *rank = first_set(ranks), *size = first_set(sizes);
    if (rank == NULL)
        return text_format("a process without a launcher (%s, process %d)", host, (int)getpid());
    return text_format("rank %s%s%s (%s, process %d)", rank, size == NULL ? "" : " of ",
                       size == NULL ? "" : size, host, (int)getpid());
}

static void give_up(const struct start_watch *watch)
{
    dprintf(STDERR_FILENO,
            "error: %s has waited %.0f seconds for the other ranks in %s: one of them is dead, "
            "stopped or was never started (one that does not say this line), or the network "
            "between them is blocked; " VARIABLE " sets how long\n",
            watch->who, watch->limit_seconds, watch->doing);
    usleep(LAST_WORDS_US);
    _exit(1); /* MPI cannot be asked to end what it has not begun */
}

/* Until something has changed, or a little while. Mutex held. */
static void doze(struct start_watch *watch)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += WAKE_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_cond_timedwait(&watch->changed, &watch->mutex, &until);
}

static void *look_on(void *argument)
{
    struct start_watch *watch = argument;
    double last = monotonic_seconds();
    pthread_mutex_lock(&watch->mutex);
    while (!watch->ended && watch->waited < watch->limit_seconds) {
        doze(watch);
        const double now = monotonic_seconds();
        /* Who was stopped is the one that was waited for: its own time begins anew. */
        watch->waited = now - last < MOST_WAKE_S ? watch->waited + (now - last) : 0;
        last = now;
    }
    if (!watch->ended) give_up(watch);
    pthread_mutex_unlock(&watch->mutex);
    return NULL;
}

static enum status read_limit(double *seconds_out)
{
    enum status status = OK;
    const char *text = getenv(VARIABLE);
    char *end = NULL;
    *seconds_out = DEFAULT_SECONDS;
    if (text == NULL || text[0] == '\0') goto out;
    const double seconds = strtod(text, &end);
    if (*end != '\0' || !(seconds >= 1 && seconds <= MOST_SECONDS))
        FAIL(ERR_ARGUMENT, "%s is \"%s\", but must be seconds from 1 to %d", VARIABLE, text,
             MOST_SECONDS);
    *seconds_out = seconds;
out:
    return status;
}

enum status start_watch_begin(struct start_watch **watch_out, const char *doing)
{
    enum status status = OK;
    struct start_watch *watch = memory_new(1, sizeof *watch);
    sigset_t all, before;
    watch->doing = doing;
    pthread_mutex_init(&watch->mutex, NULL);
    pthread_cond_init(&watch->changed, NULL);
    TRY(read_limit(&watch->limit_seconds));
    watch->who = own_name();
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the main thread */
    const int error = pthread_create(&watch->thread, NULL, look_on, watch);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) FAIL(ERR_MEMORY, "cannot start the watch over MPI: %s", strerror(error));
    *watch_out = watch;
    watch = NULL;
out:
    if (watch != NULL) free(watch->who);
    free(watch);
    return status;
}

void start_watch_next(struct start_watch *watch, const char *doing)
{
    pthread_mutex_lock(&watch->mutex);
    watch->doing = doing;
    watch->waited = 0;
    pthread_mutex_unlock(&watch->mutex);
}

void start_watch_end(struct start_watch *watch)
{
    if (watch == NULL) return;
    pthread_mutex_lock(&watch->mutex);
    watch->ended = true;
    pthread_cond_signal(&watch->changed);
    pthread_mutex_unlock(&watch->mutex);
    pthread_join(watch->thread, NULL);
    pthread_cond_destroy(&watch->changed);
    pthread_mutex_destroy(&watch->mutex);
    free(watch->who);
    free(watch);
}
