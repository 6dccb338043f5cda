/* Signals as numbers from a pipe, read by a thread. */
#include "train/stop_signals.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text_buffer.h"

#define END_OF_TIME 255 /* beside the numbers of signals */

/* ---- the thread ---- */

/* As if nobody had ever listened. */
static void end_at_once(int signal_number)
{
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, signal_number);
    signal(signal_number, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &one, NULL);
    raise(signal_number);
}

static void take(struct stop_signals *signals, int signal_number)
{
    if (signal_number == SIGINT && signals->asked_stop == SIGINT) end_at_once(SIGINT);
    if (signal_number == SIGUSR1)
        signals->asked_checkpoint = signal_number;
    else
        signals->asked_stop = signal_number;
}

static void *listen_to_signals(void *argument)
{
    struct stop_signals *signals = argument;
    unsigned char one;
    struct pollfd polled[2] = {{.fd = signals->pipe.fd, .events = POLLIN},
                               {.fd = signals->wake, .events = POLLIN}};
    while (polled[1].revents == 0) {
        if (poll(polled, 2, -1) < 0) continue;
        while (read(signals->pipe.fd, &one, 1) == 1) take(signals, one);
    }
    return NULL;
}

/* The thread takes no signal itself: what it waits in must not be interrupted. */
static enum status start_listening(struct stop_signals *signals)
{
    enum status status = OK;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(&signals->thread, NULL, listen_to_signals, signals);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) FAIL(ERR_MEMORY, "cannot start a thread for signals: %s", strerror(error));
out:
    return status;
}

enum status stop_signals_open(struct stop_signals *signals)
{
    enum status status = OK;
    const int ours[] = {SIGUSR1, SIGUSR2, SIGTERM, SIGINT};
    *signals = (struct stop_signals){.wake = -1};
    TRY(signal_pipe_open(&signals->pipe, ours, 4));
    signals->is_open = true;
    signals->wake = eventfd(0, EFD_CLOEXEC);
    if (signals->wake < 0) status = status_fail(ERR_IO, "no eventfd: %s", strerror(errno));
    if (status == OK) status = start_listening(signals);
    if (status == OK) return OK;
    signals->is_open = false;
    signal_pipe_close(&signals->pipe);
    if (signals->wake >= 0) close(signals->wake);
out:
    return status;
}

void stop_signals_close(struct stop_signals *signals)
{
    if (!signals->is_open) return;
    signals->is_open = false;
    eventfd_write(signals->wake, 1);
    pthread_join(signals->thread, NULL);
    close(signals->wake);
    for (int i = 0; i < signals->pipe.n; i++)
        if (signals->pipe.signals[i] != SIGINT) signals->pipe.before[i].sa_handler = SIG_IGN;
    signal_pipe_close(&signals->pipe);
}

/* ---- the end of the job's time ---- */

/* A whole number in the environment; 0: none there. */
static int64_t number_of_environment(const char *name)
{
    const char *text = getenv(name);
    char *end = NULL;
    if (text == NULL || *text == '\0') return 0;
    const long long value = strtoll(text, &end, 10);
    return *end == '\0' && value > 0 ? value : 0;
}

/* "1-02:03:04", "03:04": days, hours, minutes and seconds; 0: no such text. */
static int64_t seconds_of(const char *text)
{
    int64_t seconds = 0, part = 0;
    int parts = 0, digits = 0;
    for (const char *at = text;; at++) {
        if (*at >= '0' && *at <= '9' && ++digits < 10) {
            part = 10 * part + (*at - '0');
        } else if (*at == '-' && parts == 0 && digits > 0) {
            seconds = part * 24;
            part = digits = 0;
        } else if ((*at == ':' || *at == '\n' || *at == '\0') && digits > 0) {
            seconds = (parts++ == 0 ? seconds + part : seconds * 60 + part);
            part = digits = 0;
            if (*at != ':') break;
        } else {
            return 0;
        }
    }
    return parts >= 2 && parts <= 3 ? seconds : 0;
}

/* The time left of a job without a limit is no number. */
static int64_t end_of_squeue(int64_t job)
{
    char line[64] = "";
    char *command = text_format("squeue -h -j %" PRId64 " -o %%L 2>/dev/null", job);
    FILE *pipe = popen(command, "re");
    free(command);
    if (pipe == NULL) return 0;
    if (fgets(line, sizeof line, pipe) == NULL) line[0] = '\0';
    pclose(pipe);
    const int64_t left = seconds_of(line);
    return left > 0 ? (int64_t)time(NULL) + left : 0;
}

enum status stop_signals_watch_end(struct stop_signals *signals, struct comm *comm, double margin)
{
    enum status status = OK;
    int64_t end = margin > 0 ? number_of_environment("SLURM_JOB_END_TIME") : 0;
    const int64_t job = number_of_environment("SLURM_JOB_ID");
    TRY(comm_max_int64(comm, &end, 1));
    if (margin > 0 && end == 0 && comm_rank(comm) == 0 && job > 0) end = end_of_squeue(job);
    TRY(comm_max_int64(comm, &end, 1));
    if (end == 0) goto out;
    signals->end = end - (int64_t)margin;
    log_info("the allocation ends in %" PRId64 " s: the run saves and leaves %.0f s before",
             end - (int64_t)time(NULL), margin);
out:
    return status;
}

/* ---- asking ---- */

/* What asks for a stop; 0: nothing does. */
static int stop_reason(const struct stop_signals *signals)
{
    if (signals->asked_stop != 0) return signals->asked_stop;
    return signals->end > 0 && (int64_t)time(NULL) >= signals->end ? END_OF_TIME : 0;
}

struct stop_requests stop_signals_poll(struct stop_signals *signals)
{
    struct stop_requests requests = {0};
    if (signals == NULL) return requests;
    requests.stop = stop_reason(signals) != 0;
    requests.checkpoint = atomic_exchange(&signals->asked_checkpoint, 0) != 0 || requests.stop;
    return requests;
}

/* Reason and lowest rank that has it, in one number whose maximum all ranks take. */
static int64_t reason_code(int reason, const struct comm *comm)
{
    return reason == 0 ? 0 : (int64_t)(comm_size(comm) - comm_rank(comm)) * 256 + reason;
}

static void say_reason(int64_t code, const struct comm *comm, const char *what)
{
    const int reason = (int)(code % 256), rank = comm_size(comm) - (int)(code / 256);
    if (reason == END_OF_TIME)
        log_info("the allocation ends soon: %s", what);
    else
        log_info("rank %d got SIG%s: %s", rank, sigabbrev_np(reason), what);
}

enum status stop_signals_agree(struct stop_signals *signals, struct comm *comm, bool *also,
                               struct stop_requests *requests_out)
{
    enum status status = OK;
    int64_t codes[3] = {0, 0, also != NULL && *also}; /* a checkpoint, a stop */
    if (signals != NULL) {
        codes[0] = reason_code(atomic_exchange(&signals->asked_checkpoint, 0), comm);
        codes[1] = reason_code(stop_reason(signals), comm);
    }
    TRY(comm_max_int64(comm, codes, 3));
    if (also != NULL) *also = codes[2] != 0;
    if (codes[1] > 0)
        say_reason(codes[1], comm, "the run saves and stops");
    else if (codes[0] > 0)
        say_reason(codes[0], comm, "a checkpoint");
    *requests_out =
        (struct stop_requests){.checkpoint = codes[0] > 0 || codes[1] > 0, .stop = codes[1] > 0};
out:
    return status;
}
