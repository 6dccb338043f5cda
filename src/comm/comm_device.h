/* Collectives on values in the memory of a stream's device, in the order of that stream. On the CPU
 * they are those of comm.h. On GPUs they are NCCL's, on a stream of their own beside the computing,
 * and return at once; where NCCL is not used, values go through pinned host memory and MPI, which
 * never sees a GPU's memory, and the call returns when they are back. */
#ifndef ROBIN_COMM_COMM_DEVICE_H
#define ROBIN_COMM_COMM_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "comm/comm.h"

struct device;
struct stream;

/* How values of GPUs travel; in the order of the choices of parallel.backend. AUTO: NCCL where
 * every rank has a GPU of its own. */
enum comm_backend { COMM_BACKEND_AUTO, COMM_BACKEND_NCCL, COMM_BACKEND_MPI };

/* Collective. Without it, values of GPUs go through the host. `device` is borrowed and may be the
 * CPU: then nothing happens. One thread calls this and whatever goes over `comm` after it.
 * ERR_ARGUMENT, agreed, for NCCL where two ranks have one GPU; ERR_UNSUPPORTED where the library
 * cannot be opened: with AUTO that is said in the log, and values go through the host. */
enum status comm_use_device(struct comm *comm, struct device *device, enum comm_backend backend);
/* Whether values of its GPUs travel by NCCL. */
bool comm_has_nccl(const struct comm *comm);

/* Collective, as in comm.h. What the values are made by, and who reads them, is on `stream`. With
 * NCCL a failure after the call ends the run and is named with the rank and `what`. */
enum status comm_device_sum(struct comm *comm, float *values, int64_t n, const char *what,
                            struct stream *stream);
enum status comm_device_max(struct comm *comm, float *values, int64_t n, const char *what,
                            struct stream *stream);
enum status comm_device_all_gather(struct comm *comm, float *values, const int64_t *first,
                                   const char *what, struct stream *stream);
enum status comm_device_reduce_scatter(struct comm *comm, float *out, const float *values,
                                       const int64_t *first, const char *what,
                                       struct stream *stream);
enum status comm_device_exchange(struct comm *comm, float *pieces, const float *values,
                                 const int64_t *first, const char *what, struct stream *stream);

#endif
