/* A thread of each rank that looks on while ranks work and wait for each other, and names the one
 * that is dead, stopped or stuck. It calls no MPI itself: ranks tell each other where they are
 * through rank_link.h; rank 0 judges (rank_report.h), and where rank 0 is the one that is silent,
 * the lowest of the others. Times are counted on the thread's own clock, which stands still while
 * the process does: a machine that was suspended accuses nobody. */
#ifndef ROBIN_COMM_WATCHDOG_H
#define ROBIN_COMM_WATCHDOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "comm/rank_link.h"

struct watchdog;

struct watchdog_options {
    double timeout_seconds;
    int rank, size;
    const char *host;         /* of this rank; copied */
    const char *const *hosts; /* of all ranks at rank 0, else of rank 0 alone; copied */
    struct rank_link *link;   /* taken over; NULL: only this rank's own waits are watched */
    /* Called once, from the watchdog's thread, with what went wrong; is expected to end the run. */
    void (*give_up)(void *context, const char *sentence);
    void *context;
};

enum status watchdog_start(struct watchdog **watchdog_out, const struct watchdog_options *options);
/* Tells the others that this rank is done, and waits until they are, too: rank 0 for all others,
 * those for rank 0. One who dies or stays away before has its name told as ever. Collective beside
 * MPI, to be called after MPI_Finalize. False: another rank has said why the run fails. */
bool watchdog_stop(struct watchdog *watchdog);
void watchdog_set_timeout(struct watchdog *watchdog, double seconds);

/* A communicator that this rank is a member of, by a number that all its members know it by. */
void watchdog_join_group(struct watchdog *watchdog, uint64_t group);
void watchdog_leave_group(struct watchdog *watchdog, uint64_t group);

/* One call of one communicator. The texts must live on. */
struct watchdog_call {
    const char *name; /* "sum_float", or what is summed */
    const char *axis; /* "world", "dp", "tp" ... */
    uint64_t group;
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
/* This rank has said, or is about to say, why the run ends: the others stay silent. False where
 * another rank was first. */
bool watchdog_take_word(struct watchdog *watchdog);

#endif
