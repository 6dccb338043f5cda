/* See trace.h. */
#include "base/trace.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/text_buffer.h"

#define MAX_DEPTH  64
#define MAX_EVENTS ((size_t)4 << 20)

struct event {
    const char *kind, *name;
    double start, seconds, flops;
    int thread;
};

struct open_span {
    const char *kind, *name;
    double start; /* -1: not recorded */
    const struct trace_follower *follower;
};

static atomic_bool recording;
static const struct trace_follower *_Atomic current_follower;
static atomic_int n_threads;
static _Thread_local int thread; /* from 1; 0: not numbered yet */
static _Thread_local int depth;
static _Thread_local struct open_span stack[MAX_DEPTH];

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* of what follows */
static struct event *events;
static size_t n_events, capacity;
static int64_t n_lost; /* beyond MAX_EVENTS */
static double started, recorded;

void trace_push(const char *kind, const char *name)
{
    const bool on = atomic_load_explicit(&recording, memory_order_relaxed);
    const struct trace_follower *follower =
        atomic_load_explicit(&current_follower, memory_order_relaxed);
    if (depth < MAX_DEPTH) {
        stack[depth] = (struct open_span){kind, name, on ? monotonic_seconds() : -1, follower};
        if (follower != NULL) follower->push(name);
    }
    depth++;
}

void trace_follow(const struct trace_follower *follower)
{
    atomic_store(&current_follower, follower);
}

static void keep(const struct event *event)
{
    pthread_mutex_lock(&mutex);
    if (n_events == capacity && capacity < MAX_EVENTS) {
        const size_t more = capacity > 0 ? 2 * capacity : 4096;
        struct event *larger = realloc(events, more * sizeof *larger);
        if (larger != NULL) {
            events = larger;
            capacity = more;
        }
    }
    if (n_events < capacity)
        events[n_events++] = *event;
    else
        n_lost++;
    pthread_mutex_unlock(&mutex);
}

void trace_pop(double flops)
{
    if (depth > 0) depth--;
    if (depth >= MAX_DEPTH) return;
    if (stack[depth].follower != NULL) stack[depth].follower->pop();
    stack[depth].follower = NULL;
    if (stack[depth].start < 0) return;
    if (thread == 0) thread = 1 + atomic_fetch_add(&n_threads, 1);
    const struct open_span *span = &stack[depth];
    const struct event event = {.kind = span->kind,
                                .name = span->name,
                                .start = span->start,
                                .seconds = monotonic_seconds() - span->start,
                                .flops = flops,
                                .thread = thread};
    stack[depth].start = -1;
    keep(&event);
}

void trace_start(void)
{
    pthread_mutex_lock(&mutex);
    started = monotonic_seconds();
    pthread_mutex_unlock(&mutex);
    atomic_store(&recording, true);
}

void trace_stop(void)
{
    atomic_store(&recording, false);
    pthread_mutex_lock(&mutex);
    recorded += monotonic_seconds() - started;
    pthread_mutex_unlock(&mutex);
}

void trace_clear(void)
{
    pthread_mutex_lock(&mutex);
    free(events);
    events = NULL;
    n_events = capacity = 0;
    n_lost = 0;
    recorded = 0;
    pthread_mutex_unlock(&mutex);
}

/* Names are identifiers and plain words: nothing in them needs escaping. */
enum status trace_write(const char *path, int rank)
{
    struct text_buffer out = {0};
    text_append(&out, "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [\n");
    pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < n_events; i++) {
        const struct event *e = &events[i];
        text_printf(
            &out,
            "%s{\"name\": \"%s\", \"cat\": \"%s\", \"ph\": \"X\", \"pid\": %d, \"tid\": %d, "
            "\"ts\": %.3f, \"dur\": %.3f, \"args\": {\"gflop\": %.6g}}",
            i > 0 ? ",\n" : "", e->name, e->kind, rank, e->thread, (e->start - started) * 1e6,
            e->seconds * 1e6, e->flops * 1e-9);
    }
    pthread_mutex_unlock(&mutex);
    text_append(&out, "\n]}\n");
    char *text = text_take(&out);
    const enum status status = file_write_atomic(path, text, strlen(text));
    free(text);
    return status;
}

/* ---- the table ---- */

struct row {
    const char *kind, *name;
    int64_t calls;
    double seconds, flops;
};

static int by_kind_and_time(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    const int kinds = strcmp(y->kind, x->kind); /* phase, part, kernel, collective */
    if (kinds != 0) return kinds;
    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

/* The row of that kind and name among n; a new one where there is none. */
static struct row *row_of(struct row *rows, size_t *n, const struct event *event)
{
    for (size_t i = 0; i < *n; i++)
        if (strcmp(rows[i].name, event->name) == 0 && strcmp(rows[i].kind, event->kind) == 0)
            return &rows[i];
    rows[*n] = (struct row){.kind = event->kind, .name = event->name};
    return &rows[(*n)++];
}

char *trace_table(void)
{
    struct text_buffer out = {0};
    size_t n = 0;
    pthread_mutex_lock(&mutex);
    struct row *rows = memory_new(n_events + 1, sizeof *rows);
    for (size_t i = 0; i < n_events; i++) {
        struct row *row = row_of(rows, &n, &events[i]);
        row->calls++;
        row->seconds += events[i].seconds;
        row->flops += events[i].flops;
    }
    qsort(rows, n, sizeof *rows, by_kind_and_time);
    text_printf(&out, "%-11s %-30s %8s %12s %7s %10s\n", "kind", "name", "calls", "ms", "share",
                "GFLOP/s");
    for (size_t i = 0; i < n; i++) {
        const struct row *row = &rows[i];
        text_printf(&out, "%-11s %-30s %8lld %12.3f %6.1f%%", row->kind, row->name,
                    (long long)row->calls, row->seconds * 1e3,
                    recorded > 0 ? 100 * row->seconds / recorded : 0.0);
        if (row->flops > 0) text_printf(&out, " %10.2f", row->flops / row->seconds * 1e-9);
        text_append(&out, "\n");
    }
    if (n_lost > 0) text_printf(&out, "%lld spans more were not kept\n", (long long)n_lost);
    pthread_mutex_unlock(&mutex);
    free(rows);
    return text_take(&out);
}
