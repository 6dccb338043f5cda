/* What a comm is, for the files of this folder. */
#ifndef ROBIN_COMM_COMM_STATE_H
#define ROBIN_COMM_COMM_STATE_H

#include <mpi.h>
#include <pthread.h>
#include <stdatomic.h>

#include "comm/comm.h"
#include "comm/watchdog.h"

struct device_driver;
struct nccl_comm;

/* What all comms of a process share. */
struct comm_shared {
    MPI_Comm world; /* ends with MPI_Abort */
    int rank, size; /* in it */
    char host[MPI_MAX_PROCESSOR_NAME + 1];
    int64_t chunk_elements;
    bool check_calls, threaded;
    bool finalizing;           /* MPI_Abort would come too late */
    bool failure_agreed;       /* all ranks know of it */
    atomic_bool ending;        /* NCCL's work was ended: what it left in tensors is nothing */
    struct watchdog *watchdog; /* NULL when alone */
    pthread_mutex_t mutex;     /* of the counts */
    struct comm_count *counts;
    int64_t n_counts;
    struct comm *with_nccl; /* first of those whose NCCL is to be ended with the run; same mutex */
};

/* Pinned host memory that a GPU's values pass through; zeroed: none yet. */
struct comm_staging {
    const struct device_driver *driver;
    void *memory;
    size_t bytes;
};

struct comm {
    struct comm_shared *shared;
    const char *axis;
    uint64_t group; /* the same number on all its ranks, another on others */
    MPI_Comm ranks;
    MPI_Comm checks; /* a duplicate for check_calls, else MPI_COMM_NULL */
    int rank, size;
    bool first;             /* that of comm_create, which ends MPI */
    int64_t sequence;       /* calls so far */
    struct nccl_comm *nccl; /* of comm_use_device; NULL: MPI alone */
    struct comm *next_with_nccl;
    struct comm_staging staging;
};

/* MPI's code as our status, with what was being done and MPI's own text in the sentence. */
enum status comm_check_mpi(int code, const char *doing);
#define TRY_MPI(call, doing) TRY(comm_check_mpi(call, doing))

/* A collective about to be called: counted, numbered, checked, under the watchdog's eyes. */
struct comm_call {
    const char *what, *kind;
    int64_t n; /* elements of the whole tensor */
    size_t element_size;
};
enum status comm_call_begin(struct comm *comm, const struct comm_call *call, int64_t *ticket_out);
/* A failure of the network (ERR_COMM) does not come back from here. */
void comm_call_end(struct comm *comm, int64_t ticket, enum status status);
void comm_network_failed(struct comm *comm) __attribute__((noreturn));

/* From now on among those whose NCCL ends with the run. */
void comm_remember(struct comm *comm);
void comm_staging_release(struct comm_staging *staging);

/* Prints the line, unless another rank has told why, and ends the run. */
void comm_end_run(struct comm_shared *shared, const char *line) __attribute__((noreturn));

/* Collective: the watchdog of every rank, and the way between them. */
enum status comm_watch_start(struct comm_shared *shared, double timeout_seconds);
/* By which all ranks of a communicator that `parent` was just split into know it. */
uint64_t comm_group_number(const struct comm *parent, MPI_Comm ranks);

#endif
