/* A thread that looks on while ranks wait for each other: it names a collective that lasts too long
 * and a rank of the same machine that is gone. It calls no MPI itself. */
#ifndef ROBIN_COMM_WATCHDOG_H
#define ROBIN_COMM_WATCHDOG_H

#include <stdint.h>
#include <sys/types.h>

#include "base/status.h"

struct watchdog;

struct watchdog_peer {
    int rank;
    pid_t pid;
};

struct watchdog_options {
    double timeout_seconds;
    int rank;
    const struct watchdog_peer *peers; /* the other ranks of this machine; copied */
    int n_peers;
    /* Called once, from the watchdog's thread, with what went wrong; is expected to end the run. */
    void (*give_up)(void *context, const char *sentence);
    void *context;
};

/* Peers that cannot be seen from here (another process namespace) are not watched. */
enum status watchdog_start(struct watchdog **watchdog_out, const struct watchdog_options *options);
void watchdog_stop(struct watchdog *watchdog);

/* One call of one communicator. The texts must live on. */
struct watchdog_call {
    const char *name; /* "sum_float", or what is summed */
    const char *axis; /* "world", "dp", "tp" ... */
    int64_t sequence; /* counts from 1 along its communicator */
};

/* Around every collective, from any thread. Enter gives the number to leave with; the last
 * WATCHDOG_KEPT calls stay known. NULL watchdog: nothing happens. */
#define WATCHDOG_KEPT 16
int64_t watchdog_enter(struct watchdog *watchdog, const struct watchdog_call *call);
void watchdog_leave(struct watchdog *watchdog, int64_t ticket);
void watchdog_set_step(struct watchdog *watchdog, int64_t step);

/* "step 17, in sum_float over dp, collective 123" of this rank, into `text`: the oldest call that
 * has not come back, else the last one. */
void watchdog_describe(struct watchdog *watchdog, char *text, size_t size);

#endif
