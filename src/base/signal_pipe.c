#include "base/signal_pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/assertion.h"

static atomic_int pipe_end = -1; /* what handlers write to */

static void write_number(int signal_number)
{
    const int error = errno, fd = pipe_end;
    const unsigned char byte = (unsigned char)signal_number;
    if (fd >= 0 && write(fd, &byte, 1) < 0) errno = 0; /* full of requests: one more says nothing */
    errno = error;
}

enum status signal_pipe_open(struct signal_pipe *made, const int *signals, int n)
{
    enum status status = OK;
    int ends[2];
    ASSERT(n <= SIGNAL_PIPE_MOST && pipe_end < 0, "%d signals, or a second pipe for them", n);
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        FAIL(ERR_IO, "cannot listen for signals: %s", strerror(errno));
    *made = (struct signal_pipe){.fd = ends[0], .write_end = ends[1], .n = n};
    pipe_end = ends[1];
    for (int i = 0; i < n; i++) {
        struct sigaction action = {.sa_handler = write_number, .sa_flags = SA_RESTART};
        sigemptyset(&action.sa_mask);
        made->signals[i] = signals[i];
        sigaction(signals[i], &action, &made->before[i]);
    }
out:
    return status;
}

void signal_pipe_close(struct signal_pipe *made)
{
    for (int i = 0; i < made->n; i++) sigaction(made->signals[i], &made->before[i], NULL);
    pipe_end = -1;
    close(made->write_end);
    close(made->fd);
}
