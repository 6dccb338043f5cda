/* The watchdog thread: wakes ten times a second, looks at the collective in flight and at the other
 * ranks of this machine. */
#include "comm/watchdog.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text_buffer.h"

/* A launcher that notices a dead rank kills the others within a second: be faster. */
#define WAKE_MS 100

struct watchdog {
    struct watchdog_options options;
    struct watchdog_peer *peers;
    int n_peers;
    pthread_t thread;
    pthread_mutex_t mutex; /* of everything below */
    pthread_cond_t wake;
    bool stopping;
    const char *name; /* the last collective; NULL before the first */
    int64_t sequence;
    int64_t step; /* -1 before the first */
    int64_t entered_ms;
    bool inside;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool process_is_gone(pid_t pid)
{
    return kill(pid, 0) != 0 && errno == ESRCH;
}

/* Mutex held. */
static void describe(const struct watchdog *watchdog, char *text, size_t size)
{
    char step[64] = "before the first step";
    if (watchdog->step >= 0) snprintf(step, sizeof step, "step %lld", (long long)watchdog->step);
    if (watchdog->name == NULL)
        snprintf(text, size, "%s, before any collective", step);
    else
        snprintf(text, size, "%s, %s %s, collective %lld", step, watchdog->inside ? "in" : "after",
                 watchdog->name, (long long)watchdog->sequence);
}

/* Every rank sees the death of another one of its machine; the lowest living one says so. */
static bool is_speaker(const struct watchdog *watchdog)
{
    for (int i = 0; i < watchdog->n_peers; i++) {
        const struct watchdog_peer peer = watchdog->peers[i];
        if (peer.rank < watchdog->options.rank && !process_is_gone(peer.pid)) return false;
    }
    return true;
}

/* True when the run must end; the sentence says why. Mutex held. */
static bool look(struct watchdog *watchdog, char *sentence, size_t size)
{
    char place[256];
    describe(watchdog, place, sizeof place);
    for (int i = 0; i < watchdog->n_peers && is_speaker(watchdog); i++) {
        const struct watchdog_peer peer = watchdog->peers[i];
        if (!process_is_gone(peer.pid)) continue;
        snprintf(sentence, size, "rank %d (process %ld) died while this rank was at %s", peer.rank,
                 (long)peer.pid, place);
        return true;
    }
    const double waited = (double)(now_ms() - watchdog->entered_ms) / 1000;
    if (!watchdog->inside || waited < watchdog->options.timeout_seconds) return false;
    snprintf(sentence, size,
             "no answer for %.0f seconds at %s; another rank is stuck, dead or far behind", waited,
             place);
    return true;
}

static void *watch(void *argument)
{
    struct watchdog *watchdog = argument;
    char sentence[512];
    bool giving_up = false;
    pthread_mutex_lock(&watchdog->mutex);
    while (!watchdog->stopping && !giving_up) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += WAKE_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        pthread_cond_timedwait(&watchdog->wake, &watchdog->mutex, &until);
        giving_up = !watchdog->stopping && look(watchdog, sentence, sizeof sentence);
    }
    pthread_mutex_unlock(&watchdog->mutex);
    if (giving_up) watchdog->options.give_up(watchdog->options.context, sentence);
    return NULL;
}

static enum status start_thread(struct watchdog *watchdog)
{
    enum status status = OK;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the main thread */
    const int error = pthread_create(&watchdog->thread, NULL, watch, watchdog);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) FAIL(ERR_MEMORY, "cannot start the watchdog thread: %s", strerror(error));
out:
    return status;
}

enum status watchdog_start(struct watchdog **watchdog_out, const struct watchdog_options *options)
{
    enum status status = OK;
    struct watchdog *watchdog = memory_new(1, sizeof *watchdog);
    watchdog->options = *options;
    watchdog->peers = memory_new((size_t)options->n_peers + 1, sizeof *watchdog->peers);
    for (int i = 0; i < options->n_peers; i++)
        if (!process_is_gone(options->peers[i].pid))
            watchdog->peers[watchdog->n_peers++] = options->peers[i];
    watchdog->step = -1;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&watchdog->mutex, NULL);
    pthread_cond_init(&watchdog->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    TRY(start_thread(watchdog));
    *watchdog_out = watchdog;
    watchdog = NULL;
out:
    if (watchdog != NULL) free(watchdog->peers);
    free(watchdog);
    return status;
}

void watchdog_stop(struct watchdog *watchdog)
{
    if (watchdog == NULL) return;
    pthread_mutex_lock(&watchdog->mutex);
    watchdog->stopping = true;
    pthread_cond_signal(&watchdog->wake);
    pthread_mutex_unlock(&watchdog->mutex);
    pthread_join(watchdog->thread, NULL);
    pthread_cond_destroy(&watchdog->wake);
    pthread_mutex_destroy(&watchdog->mutex);
    free(watchdog->peers);
    free(watchdog);
}

void watchdog_enter(struct watchdog *watchdog, const char *name)
{
    if (watchdog == NULL) return;
    pthread_mutex_lock(&watchdog->mutex);
    watchdog->name = name;
    watchdog->sequence++;
    watchdog->entered_ms = now_ms();
    watchdog->inside = true;
    pthread_mutex_unlock(&watchdog->mutex);
}

void watchdog_leave(struct watchdog *watchdog)
{
    if (watchdog == NULL) return;
    pthread_mutex_lock(&watchdog->mutex);
    watchdog->inside = false;
    pthread_mutex_unlock(&watchdog->mutex);
}

void watchdog_set_step(struct watchdog *watchdog, int64_t step)
{
    if (watchdog == NULL) return;
    pthread_mutex_lock(&watchdog->mutex);
    watchdog->step = step;
    pthread_mutex_unlock(&watchdog->mutex);
}

void watchdog_describe(struct watchdog *watchdog, char *text, size_t size)
{
    text[0] = '\0';
    if (watchdog == NULL) return;
    pthread_mutex_lock(&watchdog->mutex);
    describe(watchdog, text, size);
    pthread_mutex_unlock(&watchdog->mutex);
}
