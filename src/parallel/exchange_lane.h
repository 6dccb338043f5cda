/* Where buckets are reduced and gathered: in the host's memory, or on a GPU, on a stream beside the
 * model's. Which of the two streams waits for what of the other is told by events; the host waits
 * for neither. On the host, where all is done when a call returns, nothing here does anything but
 * to hand out memory. */
#ifndef ROBIN_PARALLEL_EXCHANGE_LANE_H
#define ROBIN_PARALLEL_EXCHANGE_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "device/stream.h"

struct device;
struct event;

enum lane_work { LANE_REDUCE, LANE_GATHER, N_LANE_WORKS };

/* Pairs of events, of which the first n are of the step in work. */
struct lane_times {
    struct event **from, **to;
    int64_t n, capacity;
};

struct exchange_lane {      /* zeroed: the host */
    struct stream host;     /* the caller's thread alone */
    struct stream *model;   /* of a GPU; NULL: the host */
    struct stream *own;     /* beside it; the same where there is nobody to exchange with */
    struct event **stages;  /* [n_stages + 1] on the model's stream; the last one: of everything */
    struct event **updated; /* [n_buckets] likewise, behind the update of each */
    struct event **done[N_LANE_WORKS]; /* [n_buckets] on its own; those of `busy` */
    int64_t n_stages, n_buckets;
    struct lane_times busy[N_LANE_WORKS]; /* of whoever works on buckets */
    struct lane_times held[N_LANE_WORKS]; /* of the model's thread */
    struct event *latest;                 /* the last of stages that was recorded */
};

struct lane_options {
    struct stream *model; /* NULL: the host; then nothing else is read */
    struct device *device;
    int64_t n_stages, n_buckets;
    bool alone; /* one rank */
};
enum status lane_init(struct exchange_lane *lane, const struct lane_options *options);
/* After lane_wait. */
void lane_release(struct exchange_lane *lane);
enum status lane_wait(struct exchange_lane *lane);

bool lane_is_gpu(const struct exchange_lane *lane);
/* What kernels and messages are handed to. */
struct stream *lane_stream(struct exchange_lane *lane);
/* What the model and the optimizer work on; on the host the caller's thread. */
struct stream *lane_model_stream(struct exchange_lane *lane);
/* [n + 1] floats for `what`, where the buckets are. */
enum status lane_take(struct exchange_lane *lane, float **memory_out, size_t n, const char *what);
void lane_give(struct exchange_lane *lane, float *memory);

/* ---- the model's side ---- */

/* Gradients up to this stage are complete, from n_stages on all. */
enum status lane_mark_stage(struct exchange_lane *lane, int64_t stage);
enum status lane_mark_update(struct exchange_lane *lane, int64_t bucket);
/* The model goes on after that work on the bucket, which was handed over. */
enum status lane_hold_model(struct exchange_lane *lane, enum lane_work work, int64_t bucket);

/* ---- the buckets' side ---- */

/* What follows comes after the stage marked last, or the update of the bucket. */
enum status lane_hold_stage(struct exchange_lane *lane);
enum status lane_hold_update(struct exchange_lane *lane, int64_t bucket);
/* Around the work on one bucket. */
enum status lane_begin(struct exchange_lane *lane, enum lane_work work);
enum status lane_end(struct exchange_lane *lane, enum lane_work work, int64_t bucket);

/* Of the work since lane_forget, when all of it is done: seconds that it took, and that the model's
 * stream stood still for it. Both 0 on the host. */
enum status lane_seconds(const struct exchange_lane *lane, enum lane_work work, double *busy_out,
                         double *held_out);
void lane_forget(struct exchange_lane *lane, enum lane_work work);

#endif
