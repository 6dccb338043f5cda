/* Requests to save and to stop: signals, and the end of the time that a batch system gave.
 *
 *     USR1         a checkpoint, and on
 *     USR2, TERM   a checkpoint, and the end with code 3 ("requeue me")
 *     INT          once: the same; twice: the end at once
 *
 * A thread listens, so that a second INT acts whatever the others do; a job asks between two
 * pieces of its work. One at a time in a process. */
#ifndef ROBIN_TRAIN_STOP_SIGNALS_H
#define ROBIN_TRAIN_STOP_SIGNALS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/signal_pipe.h"
#include "base/status.h"
#include "comm/comm.h"

struct stop_signals { /* zeroed is closed */
    struct signal_pipe pipe;
    int wake; /* what ends the thread */
    bool is_open;
    pthread_t thread;
    atomic_int asked_checkpoint, asked_stop; /* the signal; 0: not asked */
    int64_t end; /* seconds since 1970 from which stop is asked for; 0: none */
};

struct stop_requests {
    bool checkpoint, stop;
};

/* Takes over the four. Closed, INT is given back and the others are ignored from then on: the work
 * is done or saved, and a second request must not make a failure of a process about to leave. */
enum status stop_signals_open(struct stop_signals *signals);
void stop_signals_close(struct stop_signals *signals);

/* Collective. Finds when the batch job ends (SLURM_JOB_END_TIME of any rank, else what squeue tells
 * rank 0), and asks for a stop `margin` seconds before; 0: never. Says so. */
enum status stop_signals_watch_end(struct stop_signals *signals, struct comm *comm, double margin);

/* What this rank was asked for: a checkpoint since the last call, a stop ever. Does not wait. NULL:
 * nothing. */
struct stop_requests stop_signals_poll(struct stop_signals *signals);
/* Collective. What any rank was asked for, all do; rank 0 says who was asked, and how. *also, where
 * it is not NULL, goes along: true afterwards if any rank brought true. */
enum status stop_signals_agree(struct stop_signals *signals, struct comm *comm, bool *also,
                               struct stop_requests *requests_out);

#endif
