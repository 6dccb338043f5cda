/* See exchange_lane.h. */
#include "parallel/exchange_lane.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/text_buffer.h"
#include "device/device.h"
#include "device/event.h"

bool lane_is_gpu(const struct exchange_lane *lane)
{
    return lane->model != NULL;
}

/* Whether there are two streams that could wait for each other. */
static bool has_own(const struct exchange_lane *lane)
{
    return lane->own != lane->model;
}

struct stream *lane_stream(struct exchange_lane *lane)
{
    return lane_is_gpu(lane) ? lane->own : &lane->host;
}

struct stream *lane_model_stream(struct exchange_lane *lane)
{
    return lane_is_gpu(lane) ? lane->model : &lane->host;
}

/* ---- life ---- */

static enum status make_events(struct event ***events_out, int64_t n, struct stream *stream)
{
    enum status status = OK;
    *events_out = memory_new((size_t)n + 1, sizeof **events_out);
    for (int64_t i = 0; i < n; i++) TRY(event_create(&(*events_out)[i], stream));
out:
    return status;
}

static void destroy_events(struct event **events, int64_t n)
{
    for (int64_t i = 0; events != NULL && i < n; i++) event_destroy(events[i]);
    free(events);
}

enum status lane_init(struct exchange_lane *lane, const struct lane_options *options)
{
    enum status status = OK;
    *lane = (struct exchange_lane){.model = options->model,
                                   .own = options->model,
                                   .n_stages = options->n_stages,
                                   .n_buckets = options->n_buckets};
    if (options->model == NULL || options->alone) goto out;
    lane->own = NULL;
    TRY(device_side_stream(options->device, &lane->own));
    TRY(make_events(&lane->stages, lane->n_stages + 1, lane->model));
    TRY(make_events(&lane->updated, lane->n_buckets, lane->model));
    for (int work = 0; work < N_LANE_WORKS; work++)
        lane->done[work] = memory_new((size_t)lane->n_buckets + 1, sizeof *lane->done[work]);
out:
    return status;
}

static void release_times(struct lane_times *times)
{
    destroy_events(times->from, times->capacity);
    destroy_events(times->to, times->capacity);
}

void lane_release(struct exchange_lane *lane)
{
    for (int work = 0; work < N_LANE_WORKS; work++) {
        release_times(&lane->busy[work]);
        release_times(&lane->held[work]);
        free(lane->done[work]);
    }
    destroy_events(lane->stages, lane->n_stages + 1);
    destroy_events(lane->updated, lane->n_buckets);
    if (has_own(lane)) stream_destroy(lane->own);
    *lane = (struct exchange_lane){0};
}

enum status lane_wait(struct exchange_lane *lane)
{
    enum status status = OK;
    if (!lane_is_gpu(lane)) goto out;
    if (lane->own != NULL) TRY(stream_wait(lane->own));
    TRY(stream_wait(lane->model));
out:
    return status;
}

enum status lane_take(struct exchange_lane *lane, float **memory_out, size_t n, const char *what)
{
    enum status status = OK;
    void *memory = NULL;
    TRY(stream_take(lane_stream(lane), &memory, size_multiply(n + 1, sizeof(float)), what));
    *memory_out = memory;
out:
    return status;
}

void lane_give(struct exchange_lane *lane, float *memory)
{
    if (memory != NULL) stream_give(lane_stream(lane), memory);
}

/* ---- the model's side ---- */

enum status lane_mark_stage(struct exchange_lane *lane, int64_t stage)
{
    if (!has_own(lane)) return OK;
    lane->latest = lane->stages[stage < lane->n_stages ? stage : lane->n_stages];
    return event_record(lane->latest, lane->model);
}

enum status lane_mark_update(struct exchange_lane *lane, int64_t bucket)
{
    return has_own(lane) ? event_record(lane->updated[bucket], lane->model) : OK;
}

/* The next pair's place, whose events are made when it is first used. */
static enum status next_pair(struct lane_times *times, struct stream *stream)
{
    enum status status = OK;
    if (times->n < times->capacity) goto out;
    const size_t more = (size_t)times->capacity + 1;
    times->from = memory_resize(times->from, more, sizeof *times->from);
    times->to = memory_resize(times->to, more, sizeof *times->to);
    times->from[times->n] = times->to[times->n] = NULL;
    times->capacity++;
    TRY(event_create(&times->from[times->n], stream));
    TRY(event_create(&times->to[times->n], stream));
out:
    return status;
}

enum status lane_hold_model(struct exchange_lane *lane, enum lane_work work, int64_t bucket)
{
    enum status status = OK;
    struct lane_times *held = &lane->held[work];
    if (!has_own(lane) || lane->done[work][bucket] == NULL) goto out;
    TRY(next_pair(held, lane->model));
    TRY(event_record(held->from[held->n], lane->model));
    TRY(event_hold(lane->model, lane->done[work][bucket]));
    TRY(event_record(held->to[held->n], lane->model));
    held->n++;
out:
    return status;
}

/* ---- the buckets' side ---- */

enum status lane_hold_stage(struct exchange_lane *lane)
{
    return has_own(lane) ? event_hold(lane->own, lane->latest) : OK;
}

enum status lane_hold_update(struct exchange_lane *lane, int64_t bucket)
{
    return has_own(lane) ? event_hold(lane->own, lane->updated[bucket]) : OK;
}

enum status lane_begin(struct exchange_lane *lane, enum lane_work work)
{
    enum status status = OK;
    struct lane_times *busy = &lane->busy[work];
    if (!has_own(lane)) goto out;
    TRY(next_pair(busy, lane->own));
    TRY(event_record(busy->from[busy->n], lane->own));
out:
    return status;
}

enum status lane_end(struct exchange_lane *lane, enum lane_work work, int64_t bucket)
{
    enum status status = OK;
    struct lane_times *busy = &lane->busy[work];
    if (!has_own(lane)) goto out;
    TRY(event_record(busy->to[busy->n], lane->own));
    lane->done[work][bucket] = busy->to[busy->n++];
out:
    return status;
}

/* ---- times ---- */

static enum status sum_up(const struct lane_times *times, double *seconds_out)
{
    enum status status = OK;
    *seconds_out = 0;
    for (int64_t i = 0; i < times->n; i++) {
        double ms = 0;
        TRY(event_elapsed(times->from[i], times->to[i], &ms));
        *seconds_out += ms * 1e-3;
    }
out:
    return status;
}

enum status lane_seconds(const struct exchange_lane *lane, enum lane_work work, double *busy_out,
                         double *held_out)
{
    enum status status = OK;
    TRY(sum_up(&lane->busy[work], busy_out));
    TRY(sum_up(&lane->held[work], held_out));
out:
    return status;
}

void lane_forget(struct exchange_lane *lane, enum lane_work work)
{
    lane->busy[work].n = lane->held[work].n = 0;
}
