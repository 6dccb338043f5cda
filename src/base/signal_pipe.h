/* Signals as bytes in a pipe: handlers that do nothing but write their signal's number. Not blocked
 * signals and a signalfd: a library that starts threads of its own before main (OpenBLAS) leaves
 * signals unblocked in them, and the default action would end the process there. */
#ifndef ROBIN_BASE_SIGNAL_PIPE_H
#define ROBIN_BASE_SIGNAL_PIPE_H

#include <signal.h>

#include "base/status.h"

#define SIGNAL_PIPE_MOST 8

struct signal_pipe { /* one at a time in a process */
    int fd;          /* to read signal numbers from, a byte each; non-blocking */
    int write_end;
    int n;
    int signals[SIGNAL_PIPE_MOST];
    struct sigaction before[SIGNAL_PIPE_MOST];
};

/* Takes over these signals, `n` of them. */
enum status signal_pipe_open(struct signal_pipe *pipe, const int *signals, int n);
/* Gives them back to who had them. */
void signal_pipe_close(struct signal_pipe *pipe);

#endif
