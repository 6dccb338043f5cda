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

#include "base/assertion.h"
#include "base/text_buffer.h"

/* A launcher that notices a dead rank kills the others within a second: be faster. */
#define WAKE_MS 100

struct kept_call {
    struct watchdog_call call;
    int64_t ticket; /* from 1 */
    int64_t entered_ms;
    bool inside;
};

struct watchdog {
    struct watchdog_options options;
    struct watchdog_peer *peers;
    int n_peers;
    pthread_t thread;
    pthread_mutex_t mutex; /* of everything below */
    pthread_cond_t wake;
    bool stopping;
    int64_t step;    /* -1 before the first */
    int64_t n_calls; /* so far; the last of them are kept, and all that have not come back */
    struct kept_call kept[WATCHDOG_KEPT];
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

/* The oldest call that has not come back; NULL when none is under way. Mutex held. */
static const struct kept_call *oldest_inside(const struct watchdog *watchdog)
{
    const struct kept_call *oldest = NULL;
    for (int i = 0; i < WATCHDOG_KEPT; i++) {
        const struct kept_call *kept = &watchdog->kept[i];
        if (kept->inside && (oldest == NULL || kept->ticket < oldest->ticket)) oldest = kept;
    }
    return oldest;
}

/* NULL if it is no longer kept. Mutex held. */
static const struct kept_call *kept_of(const struct watchdog *watchdog, int64_t ticket)
{
    for (int i = 0; i < WATCHDOG_KEPT; i++)
        if (watchdog->kept[i].ticket == ticket) return &watchdog->kept[i];
    return NULL;
}

/* "sum_float, collective 7" or "gradients over dp, collective 7" */
static char *call_text(const struct watchdog_call *call)
{
    const bool axis = strcmp(call->axis, "world") != 0;
    return text_format("%s%s%s, collective %lld", call->name, axis ? " over " : "",
                       axis ? call->axis : "", (long long)call->sequence);
}

/* Mutex held. */
static void describe(const struct watchdog *watchdog, char *text, size_t size)
{
    char step[64] = "before the first step";
    if (watchdog->step >= 0) snprintf(step, sizeof step, "step %lld", (long long)watchdog->step);
    if (watchdog->n_calls == 0) {
        snprintf(text, size, "%s, before any collective", step);
        return;
    }
    const struct kept_call *kept = oldest_inside(watchdog);
    const bool inside = kept != NULL;
    if (!inside) kept = kept_of(watchdog, watchdog->n_calls);
    char *call = call_text(&kept->call);
    snprintf(text, size, "%s, %s %s", step, inside ? "in" : "after", call);
    free(call);
}

/* The last few calls, newest first: " (before it: ...)". Mutex held. */
static char *describe_last(const struct watchdog *watchdog)
{
    struct text_buffer text = {0};
    for (int64_t ticket = watchdog->n_calls; ticket > 0; ticket--) {
        const struct kept_call *kept = kept_of(watchdog, ticket);
        if (kept == NULL) break;
        char *one = call_text(&kept->call);
        text_printf(&text, "%s%s%s", ticket == watchdog->n_calls ? " (last calls: " : "; ", one,
                    kept->inside ? ", not back" : "");
        free(one);
    }
    text_append(&text, watchdog->n_calls > 0 ? ")" : "");
    return text_take(&text);
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
    const struct kept_call *oldest = oldest_inside(watchdog);
    if (oldest == NULL) return false;
    const double waited = (double)(now_ms() - oldest->entered_ms) / 1000;
    if (waited < watchdog->options.timeout_seconds) return false;
    char *last = describe_last(watchdog);
    snprintf(sentence, size,
             "no answer for %.0f seconds at %s; another rank is stuck, dead or far behind%s",
             waited, place, last);
    free(last);
    return true;
}

static void *watch(void *argument)
{
    struct watchdog *watchdog = argument;
    char sentence[4096];
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

int64_t watchdog_enter(struct watchdog *watchdog, const struct watchdog_call *call)
{
    if (watchdog == NULL) return 0;
    pthread_mutex_lock(&watchdog->mutex);
    const int64_t ticket = ++watchdog->n_calls;
    struct kept_call *place = NULL; /* the oldest that came back gives way */
    for (int i = 0; i < WATCHDOG_KEPT; i++) {
        struct kept_call *kept = &watchdog->kept[i];
        if (!kept->inside && (place == NULL || kept->ticket < place->ticket)) place = kept;
    }
    ASSERT(place != NULL, "more than %d collectives under way at once", WATCHDOG_KEPT);
    *place =
        (struct kept_call){.call = *call, .ticket = ticket, .entered_ms = now_ms(), .inside = true};
    pthread_mutex_unlock(&watchdog->mutex);
    return ticket;
}

void watchdog_leave(struct watchdog *watchdog, int64_t ticket)
{
    if (watchdog == NULL) return;
    pthread_mutex_lock(&watchdog->mutex);
    for (int i = 0; i < WATCHDOG_KEPT; i++)
        if (watchdog->kept[i].ticket == ticket) watchdog->kept[i].inside = false;
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
