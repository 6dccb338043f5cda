/* NCCL's calls under the watchdog's eyes: each stays "under way" until an event says that the GPU
 * has passed it, and while any is, a thread asks NCCL for failures. */
#include "comm/nccl_comm.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text_buffer.h"
#include "base/trace.h"
#include "device/device.h"
#include "device/event.h"
#include "device/stream.h"

/* Calls of one comm that are under way at once: with a few comms still fewer than the watchdog
 * keeps. Handing over one more waits for the oldest, while the others keep the GPU busy. */
#define IN_FLIGHT 3
#define LOOK_NS   500000 /* between two looks at what is under way */

struct flight {
    struct event *done;
    int64_t ticket;
    const char *what;
};

struct nccl_comm {
    struct comm *comm;
    struct device *device;
    struct nccl_ranks *ranks;
    struct stream *side;
    struct event *ready; /* where the caller's stream is */
    pthread_t thread;
    bool threaded;
    pthread_mutex_t mutex; /* of everything below */
    pthread_cond_t handed, landed;
    bool stopping;
    int64_t n_begun, n_done; /* flight i is in place i % IN_FLIGHT */
    struct flight flights[IN_FLIGHT];
};

/* ---- the thread ---- */

static void pause_a_little(struct nccl_comm *nccl)
{
    const struct timespec nap = {0, LOOK_NS};
    pthread_mutex_unlock(&nccl->mutex);
    nanosleep(&nap, NULL);
    pthread_mutex_lock(&nccl->mutex);
}

/* One look at the oldest call under way. Mutex held, but while asking. */
static void look(struct nccl_comm *nccl)
{
    struct flight *flight = &nccl->flights[nccl->n_done % IN_FLIGHT];
    bool happened = false;
    pthread_mutex_unlock(&nccl->mutex);
    enum status status = event_happened(flight->done, &happened);
    if (status == OK && !happened) status = nccl_driver.check(nccl->ranks, flight->what);
    if (status != OK) comm_network_failed(nccl->comm);
    if (happened) watchdog_leave(nccl->comm->shared->watchdog, flight->ticket);
    pthread_mutex_lock(&nccl->mutex);
    if (!happened) return;
    nccl->n_done++;
    pthread_cond_broadcast(&nccl->landed);
}

static void *run_thread(void *argument)
{
    struct nccl_comm *nccl = argument;
    (void)device_use(nccl->device);
    pthread_mutex_lock(&nccl->mutex);
    while (!nccl->stopping || nccl->n_done < nccl->n_begun) {
        const int64_t before = nccl->n_done;
        if (nccl->n_done == nccl->n_begun) {
            pthread_cond_wait(&nccl->handed, &nccl->mutex);
            continue;
        }
        look(nccl);
        if (nccl->n_done == before) pause_a_little(nccl);
    }
    pthread_mutex_unlock(&nccl->mutex);
    return NULL;
}

/* ---- life ---- */

static enum status start_thread(struct nccl_comm *nccl)
{
    enum status status = OK;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the main thread */
    const int error = pthread_create(&nccl->thread, NULL, run_thread, nccl);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) FAIL(ERR_MEMORY, "cannot start NCCL's watcher: %s", strerror(error));
    nccl->threaded = true;
out:
    return status;
}

static enum status take_parts(struct nccl_comm *nccl)
{
    enum status status = OK;
    TRY(device_side_stream(nccl->device, &nccl->side));
    TRY(event_create(&nccl->ready, nccl->side));
    for (int i = 0; i < IN_FLIGHT; i++) TRY(event_create(&nccl->flights[i].done, nccl->side));
    TRY(start_thread(nccl));
out:
    return status;
}

/* All know by `id` whom they meet. A rank that never comes is the watchdog's affair. */
static enum status meet(struct nccl_comm *nccl)
{
    enum status status = OK;
    struct comm *comm = nccl->comm;
    unsigned char id[NCCL_ID_BYTES] = {0};
    int64_t ticket = 0;
    if (comm->rank == 0) status = nccl_driver.make_id(id);
    TRY(comm_agree(comm, status));
    TRY(comm_broadcast(comm, id, sizeof id, 0));
    TRY(comm_call_begin(comm, &(struct comm_call){"joining by NCCL", "barrier", 0, 1}, &ticket));
    status = nccl_driver.join(&nccl->ranks, id, comm->size, comm->rank);
    comm_call_end(comm, ticket, status);
out:
    return status;
}

enum status nccl_comm_create(struct nccl_comm **nccl_out, struct comm *comm, struct device *device)
{
    enum status status = OK;
    struct nccl_comm *nccl = memory_new(1, sizeof *nccl);
    nccl->comm = comm;
    nccl->device = device;
    pthread_mutex_init(&nccl->mutex, NULL);
    pthread_cond_init(&nccl->handed, NULL);
    pthread_cond_init(&nccl->landed, NULL);
    TRY(comm_agree(comm, take_parts(nccl)));
    TRY(meet(nccl));
    *nccl_out = nccl;
    nccl = NULL;
out:
    nccl_comm_destroy(nccl);
    return status;
}

void nccl_comm_destroy(struct nccl_comm *nccl)
{
    if (nccl == NULL) return;
    if (nccl->threaded) {
        pthread_mutex_lock(&nccl->mutex);
        nccl->stopping = true;
        pthread_cond_signal(&nccl->handed);
        pthread_mutex_unlock(&nccl->mutex);
        pthread_join(nccl->thread, NULL);
    }
    if (nccl->ranks != NULL) nccl_driver.leave(nccl->ranks);
    for (int i = 0; i < IN_FLIGHT; i++) event_destroy(nccl->flights[i].done);
    event_destroy(nccl->ready);
    stream_destroy(nccl->side);
    pthread_cond_destroy(&nccl->handed);
    pthread_cond_destroy(&nccl->landed);
    pthread_mutex_destroy(&nccl->mutex);
    free(nccl);
}

void nccl_comm_abort(struct nccl_comm *nccl)
{
    if (nccl->ranks != NULL) nccl_driver.abort(nccl->ranks);
}

struct nccl_ranks *nccl_comm_ranks(struct nccl_comm *nccl)
{
    return nccl->ranks;
}

/* ---- a call ---- */

enum status nccl_comm_begin(struct nccl_comm *nccl, const struct comm_call *call,
                            struct stream *stream, struct stream **side_out)
{
    enum status status = OK;
    pthread_mutex_lock(&nccl->mutex);
    while (nccl->n_begun - nccl->n_done == IN_FLIGHT)
        pthread_cond_wait(&nccl->landed, &nccl->mutex);
    pthread_mutex_unlock(&nccl->mutex);
    struct flight *flight = &nccl->flights[nccl->n_begun % IN_FLIGHT];
    flight->what = call->what;
    TRY(comm_call_begin(nccl->comm, call, &flight->ticket));
    TRY(event_record(nccl->ready, stream));
    TRY(event_hold(nccl->side, nccl->ready));
    *side_out = nccl->side;
out:
    return status;
}

enum status nccl_comm_end(struct nccl_comm *nccl, struct stream *stream, enum status status)
{
    struct flight *flight = &nccl->flights[nccl->n_begun % IN_FLIGHT];
    trace_pop(0);
    if (status == OK) status = event_record(flight->done, nccl->side);
    if (status == OK) status = event_hold(stream, flight->done);
    if (status != OK) comm_network_failed(nccl->comm);
    pthread_mutex_lock(&nccl->mutex);
    nccl->n_begun++;
    pthread_cond_signal(&nccl->handed);
    pthread_mutex_unlock(&nccl->mutex);
    return status;
}
