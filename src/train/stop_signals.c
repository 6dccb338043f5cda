/* Signals through a file descriptor: no handler, hence no global state. */
#include "train/stop_signals.h"

#include <errno.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum status stop_signals_open(struct stop_signals *signals)
{
    enum status status = OK;
    sigset_t ours;
    sigemptyset(&ours);
    sigaddset(&ours, SIGUSR1);
    sigaddset(&ours, SIGUSR2);
    sigaddset(&ours, SIGTERM);
    signals->fd = signalfd(-1, &ours, SFD_NONBLOCK | SFD_CLOEXEC);
    if (signals->fd < 0) FAIL(ERR_IO, "cannot listen for signals: %s", strerror(errno));
    pthread_sigmask(SIG_BLOCK, &ours, &signals->before);
out:
    return status;
}

void stop_signals_close(struct stop_signals *signals)
{
    if (signals->fd < 0) return;
    close(signals->fd);
    signals->fd = -1;
    pthread_sigmask(SIG_SETMASK, &signals->before, NULL);
}

struct stop_requests stop_signals_poll(const struct stop_signals *signals)
{
    struct stop_requests requests = {0};
    struct signalfd_siginfo one;
    while (read(signals->fd, &one, sizeof one) == (ssize_t)sizeof one) {
        requests.checkpoint = true;
        if (one.ssi_signo != SIGUSR1) requests.stop = true;
    }
    return requests;
}
