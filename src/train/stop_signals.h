/* Signals as questions asked between steps: USR1 wants a checkpoint, TERM and USR2 want a
 * checkpoint and an end. */
#ifndef ROBIN_TRAIN_STOP_SIGNALS_H
#define ROBIN_TRAIN_STOP_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

#include "base/status.h"

struct stop_signals {
    int fd;
    sigset_t before; /* the mask to put back */
};

struct stop_requests {
    bool checkpoint, stop;
};

/* Blocks the three in this thread and in threads it starts from now on. */
enum status stop_signals_open(struct stop_signals *signals);
void stop_signals_close(struct stop_signals *signals);

/* What has come since the last call; does not wait. */
struct stop_requests stop_signals_poll(const struct stop_signals *signals);

#endif
