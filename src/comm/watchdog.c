/* The watchdog's thread: takes in what the others report, reports in turn, and judges. */
#include "comm/watchdog.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assertion.h"
#include "base/clock.h"
#include "base/heartbeat.h"
#include "base/text_buffer.h"

#define WAKE_MS      100  /* a launcher that notices a dead rank kills the others within a second */
#define MOST_WAKE_MS 1000 /* what one wake adds to the clock at most: beyond it we were stopped */
#define NAMED_WITHIN 0.9  /* of the timeout; the rest is more than one wake adds */
#define MEETING_MS   2000 /* for rank 0 to answer the first report */
#define SECOND_MS    2000 /* who speaks if the lowest rank does not: by then a launcher has acted */

struct kept_call {
    struct watchdog_call call;
    int64_t ticket; /* from 1 */
    int64_t entered_ms;
    bool inside;
};

struct watchdog {
    struct watchdog_options options;
    char **hosts, *own_host;
    int n_seen; /* all ranks at rank 0; elsewhere rank 0 */
    struct rank_seen *seen;
    pthread_t thread;
    atomic_bool heard;            /* of rank 0, or this is rank 0 */
    atomic_bool stopping, spoken; /* SPOKEN: why the run ends has been said by some rank */
    atomic_bool left, parted;     /* LEFT: this rank is done; PARTED: so are those it waits for */
    double last_wake;
    int64_t last_report_ms;
    uint64_t beats;        /* when last looked at */
    pthread_mutex_t mutex; /* of everything below */
    int64_t clock_ms, moved_ms, limit_ms, most_wake_ms;
    int64_t first_blame_ms; /* -1: all was well when last looked at */
    int64_t step;           /* -1 before the first */
    int64_t n_calls;        /* so far; the last of them are kept, and all that have not come back */
    struct kept_call kept[WATCHDOG_KEPT];
    int n_groups;
    struct report_group groups[REPORT_GROUPS];
};

/* ---- where this rank is ---- */

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
static void call_text(const struct watchdog_call *call, char *text, size_t size)
{
    const bool axis = strcmp(call->axis, "world") != 0;
    snprintf(text, size, "%s%s%s, collective %lld", call->name, axis ? " over " : "",
             axis ? call->axis : "", (long long)call->sequence);
}

/* Mutex held. */
static void describe(const struct watchdog *watchdog, char *text, size_t size)
{
    char step[64] = "before the first step", call[160];
    if (watchdog->step >= 0) snprintf(step, sizeof step, "step %lld", (long long)watchdog->step);
    if (watchdog->n_calls == 0) {
        snprintf(text, size, "%s, before any collective", step);
        return;
    }
    const struct kept_call *kept = oldest_inside(watchdog);
    const bool inside = kept != NULL;
    if (!inside) kept = kept_of(watchdog, watchdog->n_calls);
    call_text(&kept->call, call, sizeof call);
    snprintf(text, size, "%s, %s %s", step, inside ? "in" : "after", call);
}

/* The last few calls, newest first: " (last calls: ...)". Mutex held. */
static char *describe_last(const struct watchdog *watchdog)
{
    struct text_buffer text = {0};
    char one[160];
    for (int64_t ticket = watchdog->n_calls; ticket > 0; ticket--) {
        const struct kept_call *kept = kept_of(watchdog, ticket);
        if (kept == NULL) break;
        call_text(&kept->call, one, sizeof one);
        text_printf(&text, "%s%s%s", ticket == watchdog->n_calls ? " (last calls: " : "; ", one,
                    kept->inside ? ", not back" : "");
    }
    text_append(&text, watchdog->n_calls > 0 ? ")" : "");
    return text_take(&text);
}

/* The state letter in /proc/PID/stat, behind the name in brackets; '?' where it cannot be read. */
static char process_state(long pid)
{
    char path[64], line[512] = "";
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) return '?';
    const size_t n = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[n] = '\0';
    const char *behind = strrchr(line, ')');
    return behind != NULL && behind[1] == ' ' && behind[2] != '\0' ? behind[2] : '?';
}

/* Mutex held. */
static struct rank_report own_report(const struct watchdog *watchdog, enum report_kind kind)
{
    struct rank_report report = {.rank = watchdog->options.rank,
                                 .pid = getpid(),
                                 .kind = kind,
                                 .n_groups = watchdog->n_groups,
                                 .quiet_ms = watchdog->clock_ms - watchdog->moved_ms,
                                 .inside_ms = -1,
                                 .state = '?'};
    const struct kept_call *inside = oldest_inside(watchdog);
    if (inside != NULL) {
        report.inside_ms = watchdog->clock_ms - inside->entered_ms;
        report.inside = (struct report_group){inside->call.group, inside->call.sequence};
        call_text(&inside->call, report.call, sizeof report.call);
    }
    memcpy(report.groups, watchdog->groups, sizeof report.groups);
    describe(watchdog, report.place, sizeof report.place);
    return report;
}

/* ---- judging ---- */

static const char *host_of(const struct watchdog *watchdog, int rank)
{
    return watchdog->hosts[rank < watchdog->n_seen ? rank : 0];
}

/* What the state of a process that does nothing tells about it. */
static const char *state_text(char state)
{
    switch (state) {
    case 'T': return ": it was stopped by a signal";
    case 'D': return ": it waits for a disk or a file system";
    case 'R': return ": it computes, and does not get on";
    case 'S': return ": it sleeps";
    default: return "";
    }
}

/* Of a rank that sends nothing: asked of the system where it is on this machine. */
static const char *silent_text(const struct watchdog *watchdog, int rank)
{
    const bool here = strcmp(host_of(watchdog, rank), watchdog->own_host) == 0;
    const char state = here ? process_state(watchdog->seen[rank].report.pid) : '?';
    return state == 'T' || state == 'D' ? state_text(state)
                                        : ": it is stopped, or its machine or the network is gone";
}

/* "; rank 1 waits at step 18, in barrier, collective 2", or where this rank is when nobody waits:
 * newer than what a rank that is gone has said last. */
static char *waiter_text(const struct watchdog *watchdog, int waiter)
{
    char place[256];
    describe(watchdog, place, sizeof place);
    if (waiter < 0) return text_format("; rank %d is at %s", watchdog->options.rank, place);
    return text_format("; rank %d waits at %s", waiter, watchdog->seen[waiter].report.place);
}

/* For how long a rank is in its oldest collective. Mutex held. */
static double waited_seconds(const struct watchdog *watchdog, int rank)
{
    if (rank < 0) return 0;
    const struct rank_seen *seen = &watchdog->seen[rank];
    return (double)(seen->report.inside_ms + watchdog->clock_ms - seen->heard_ms) / 1000;
}

static char *verdict_text(const struct watchdog *watchdog, struct verdict verdict)
{
    const struct rank_seen *seen = &watchdog->seen[verdict.rank];
    const double silent_s = (double)(watchdog->clock_ms - seen->heard_ms) / 1000;
    const double waited_s = waited_seconds(watchdog, verdict.rank);
    char *who = text_format("rank %d of %d (%s, process %d)", verdict.rank, watchdog->options.size,
                            host_of(watchdog, verdict.rank), seen->report.pid);
    char *text = NULL, *waiter = waiter_text(watchdog, verdict.waiter);
    switch (verdict.kind) {
    case VERDICT_DEAD:
        text = text_format("%s died; %.1f seconds before it was at %s%s", who, silent_s,
                           seen->report.place, waiter);
        break;
    case VERDICT_SILENT:
        text = text_format("%s has not been heard of for %.1f seconds, since %s%s%s", who, silent_s,
                           seen->report.place, silent_text(watchdog, verdict.rank), waiter);
        break;
    case VERDICT_STUCK:
        text = text_format(
            "%s is stuck at %s; rank %d has waited %.1f seconds for it in %s%s", who,
            seen->report.place, verdict.waiter, waited_seconds(watchdog, verdict.waiter),
            watchdog->seen[verdict.waiter].report.call, state_text(seen->report.state));
        break;
    case VERDICT_CIRCLE:
        text = text_format("%s is at %s for %.1f seconds, and ranks wait for each other in "
                           "different collectives",
                           who, seen->report.place, waited_s);
        break;
    case VERDICT_NO_END:
    case VERDICT_FINE:
        text = text_format("%s is at %s for %.1f seconds; no rank is late there: the network or "
                           "the MPI library hangs",
                           who, seen->report.place, waited_s);
        break;
    }
    free(waiter);
    free(who);
    return text;
}

/* A rank without a link knows of its own wait alone. Mutex held. */
static char *judge_alone(const struct watchdog *watchdog)
{
    const struct kept_call *oldest = oldest_inside(watchdog);
    if (oldest == NULL || watchdog->clock_ms - oldest->entered_ms < 2 * watchdog->limit_ms)
        return NULL;
    char place[256], *last = describe_last(watchdog);
    describe(watchdog, place, sizeof place);
    char *text = text_format("rank %d of %d has had no answer for %.1f seconds at %s; another rank "
                             "is stuck, dead or far behind%s",
                             watchdog->options.rank, watchdog->options.size,
                             (double)(watchdog->clock_ms - oldest->entered_ms) / 1000, place, last);
    free(last);
    return text;
}

/* At rank 0 of all, elsewhere of rank 0: there each rank but the lowest waits for that one to
 * speak. NULL: all is well. Mutex held. */
static char *judge(struct watchdog *watchdog)
{
    const int rank = watchdog->options.rank;
    if (watchdog->options.link == NULL || (rank > 0 && watchdog->seen[0].state == SEEN_NEVER))
        return judge_alone(watchdog);
    const int64_t now = watchdog->clock_ms, patience = rank > 1 ? SECOND_MS + 100 * rank : 0;
    if (rank == 0) watchdog->seen[0].heard_ms = now;
    const struct verdict verdict =
        rank_verdict(watchdog->seen, watchdog->n_seen, now, watchdog->limit_ms + patience);
    if (verdict.kind == VERDICT_FINE) {
        watchdog->first_blame_ms = -1;
        return NULL;
    }
    if (watchdog->first_blame_ms < 0) watchdog->first_blame_ms = now;
    if (verdict.kind == VERDICT_DEAD && now - watchdog->first_blame_ms < patience) return NULL;
    if (rank > 0 && verdict.kind != VERDICT_DEAD && verdict.kind != VERDICT_SILENT) return NULL;
    return verdict_text(watchdog, verdict);
}

/* ---- the thread ---- */

/* Mutex held. */
static void advance_clock(struct watchdog *watchdog)
{
    const double now = monotonic_seconds();
    const int64_t passed = (int64_t)((now - watchdog->last_wake) * 1000);
    watchdog->last_wake = now;
    const int64_t most = watchdog->most_wake_ms;
    watchdog->clock_ms += passed < most ? passed : most;
    const uint64_t beats = heartbeat_count();
    if (beats != watchdog->beats) watchdog->moved_ms = watchdog->clock_ms;
    watchdog->beats = beats;
}

static void report_if_due(struct watchdog *watchdog)
{
    struct rank_link *link = watchdog->options.link;
    const char state = process_state(getpid());
    pthread_mutex_lock(&watchdog->mutex);
    const int64_t now = watchdog->clock_ms;
    const bool due = rank_link_met(link) ||
                     now - watchdog->last_report_ms >= REPORT_MS + watchdog->options.size / 2;
    const bool first = watchdog->options.rank == 0, left = watchdog->left;
    /* rank 0 is waited for until all have left: it says so only then */
    struct rank_report report =
        own_report(watchdog, left && !first ? REPORT_LEAVING : REPORT_ALIVE);
    pthread_mutex_unlock(&watchdog->mutex);
    report.state = state;
    if (first) {
        watchdog->seen[0].report = report;
        watchdog->seen[0].state = left ? SEEN_LEAVING : SEEN_ALIVE;
    }
    if (!due) return;
    watchdog->last_report_ms = now;
    rank_link_send(link, &report);
}

/* Whether this rank is done and nobody whom it waits for has still to be. A rank 0 that is gone was
 * done: it does not leave before it has heard that of this one. */
static bool all_have_left(const struct watchdog *watchdog)
{
    const int rank = watchdog->options.rank;
    if (!watchdog->left) return false;
    if (watchdog->spoken) return true; /* the run is being ended */
    if (rank > 0) return watchdog->seen[0].state != SEEN_ALIVE;
    for (int other = 1; other < watchdog->n_seen; other++)
        if (watchdog->seen[other].state == SEEN_ALIVE || watchdog->seen[other].state == SEEN_GONE)
            return false; /* who is gone without a word is named */
    return true;
}

static void *watch(void *argument)
{
    struct watchdog *watchdog = argument;
    struct rank_link *link = watchdog->options.link;
    char *sentence = NULL;
    while (!watchdog->stopping && sentence == NULL) {
        if (link == NULL)
            usleep(WAKE_MS * 1000);
        else if (rank_link_receive(link, watchdog->seen, WAKE_MS, watchdog->clock_ms))
            watchdog->spoken = true;
        pthread_mutex_lock(&watchdog->mutex);
        advance_clock(watchdog);
        pthread_mutex_unlock(&watchdog->mutex);
        if (link != NULL) report_if_due(watchdog);
        watchdog->heard = watchdog->seen[0].state != SEEN_NEVER;
        if (all_have_left(watchdog)) watchdog->parted = true;
        if (watchdog->parted) break;
        pthread_mutex_lock(&watchdog->mutex);
        if (!watchdog->stopping && !watchdog->spoken) sentence = judge(watchdog);
        pthread_mutex_unlock(&watchdog->mutex);
    }
    if (sentence != NULL) watchdog->options.give_up(watchdog->options.context, sentence);
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

/* What this rank has to say out of turn. */
static void tell(struct watchdog *watchdog, enum report_kind kind)
{
    if (watchdog->options.link == NULL) return;
    pthread_mutex_lock(&watchdog->mutex);
    const struct rank_report report = own_report(watchdog, kind);
    pthread_mutex_unlock(&watchdog->mutex);
    rank_link_send(watchdog->options.link, &report);
}

static void release(struct watchdog *watchdog)
{
    rank_link_close(watchdog->options.link);
    for (int i = 0; i < watchdog->n_seen; i++) free(watchdog->hosts[i]);
    free(watchdog->hosts);
    free(watchdog->own_host);
    free(watchdog->seen);
    pthread_mutex_destroy(&watchdog->mutex);
    free(watchdog);
}

enum status watchdog_start(struct watchdog **watchdog_out, const struct watchdog_options *options)
{
    enum status status = OK;
    struct watchdog *watchdog = memory_new(1, sizeof *watchdog);
    watchdog->options = *options;
    watchdog->n_seen = options->rank == 0 ? options->size : 1;
    watchdog->seen = memory_new((size_t)watchdog->n_seen, sizeof *watchdog->seen);
    watchdog->hosts = memory_new((size_t)watchdog->n_seen, sizeof *watchdog->hosts);
    for (int i = 0; i < watchdog->n_seen; i++)
        watchdog->hosts[i] = text_format("%s", options->hosts[i]);
    watchdog->own_host = text_format("%s", options->host);
    watchdog->step = watchdog->first_blame_ms = -1;
    watchdog->last_wake = monotonic_seconds();
    watchdog->last_report_ms = -MOST_WAKE_MS;
    pthread_mutex_init(&watchdog->mutex, NULL);
    watchdog_set_timeout(watchdog, options->timeout_seconds);
    tell(watchdog, REPORT_ALIVE);
    TRY(start_thread(watchdog));
    for (int i = 0; i < MEETING_MS && options->link != NULL && !watchdog->heard; i++) usleep(1000);
    *watchdog_out = watchdog;
    watchdog = NULL;
out:
    if (watchdog != NULL) release(watchdog);
    return status;
}

bool watchdog_stop(struct watchdog *watchdog)
{
    if (watchdog == NULL) return true;
    watchdog->left = true;
    if (watchdog->options.link == NULL) watchdog->stopping = true;
    if (watchdog->options.rank > 0) tell(watchdog, REPORT_LEAVING);
    pthread_join(watchdog->thread, NULL); /* ends when all have left */
    if (watchdog->options.rank == 0) tell(watchdog, REPORT_LEAVING);
    const bool well = !watchdog->spoken;
    release(watchdog);
    return well;
}

void watchdog_set_timeout(struct watchdog *watchdog, double seconds)
{
    if (watchdog == NULL) return;
    pthread_mutex_lock(&watchdog->mutex);
    const int64_t rest_ms = (int64_t)(seconds * 1000 * (1 - NAMED_WITHIN));
    watchdog->limit_ms = (int64_t)(seconds * 1000 * NAMED_WITHIN);
    watchdog->most_wake_ms = rest_ms < MOST_WAKE_MS ? rest_ms : MOST_WAKE_MS;
    if (watchdog->most_wake_ms < WAKE_MS) watchdog->most_wake_ms = WAKE_MS;
    pthread_mutex_unlock(&watchdog->mutex);
}

bool watchdog_take_word(struct watchdog *watchdog)
{
    if (watchdog == NULL) return true;
    if (atomic_exchange(&watchdog->spoken, true)) return false;
    tell(watchdog, REPORT_ENDING);
    return true;
}

/* ---- what this rank does ---- */

void watchdog_join_group(struct watchdog *watchdog, uint64_t group)
{
    if (watchdog == NULL) return;
    pthread_mutex_lock(&watchdog->mutex);
    if (watchdog->n_groups < REPORT_GROUPS)
        watchdog->groups[watchdog->n_groups++] = (struct report_group){group, 0};
    pthread_mutex_unlock(&watchdog->mutex);
}

void watchdog_leave_group(struct watchdog *watchdog, uint64_t group)
{
    if (watchdog == NULL) return;
    pthread_mutex_lock(&watchdog->mutex);
    for (int i = watchdog->n_groups - 1; i >= 0; i--)
        if (watchdog->groups[i].group == group)
            watchdog->groups[i] = watchdog->groups[--watchdog->n_groups];
    pthread_mutex_unlock(&watchdog->mutex);
}

int64_t watchdog_enter(struct watchdog *watchdog, const struct watchdog_call *call)
{
    if (watchdog == NULL) return 0;
    heartbeat_beat();
    pthread_mutex_lock(&watchdog->mutex);
    const int64_t ticket = ++watchdog->n_calls;
    struct kept_call *place = NULL; /* the oldest that came back gives way */
    for (int i = 0; i < WATCHDOG_KEPT; i++) {
        struct kept_call *kept = &watchdog->kept[i];
        if (!kept->inside && (place == NULL || kept->ticket < place->ticket)) place = kept;
    }
    ASSERT(place != NULL, "more than %d collectives under way at once", WATCHDOG_KEPT);
    *place = (struct kept_call){
        .call = *call, .ticket = ticket, .entered_ms = watchdog->clock_ms, .inside = true};
    for (int i = 0; i < watchdog->n_groups; i++)
        if (watchdog->groups[i].group == call->group) watchdog->groups[i].sequence = call->sequence;
    pthread_mutex_unlock(&watchdog->mutex);
    return ticket;
}

void watchdog_leave(struct watchdog *watchdog, int64_t ticket)
{
    if (watchdog == NULL) return;
    heartbeat_beat();
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
