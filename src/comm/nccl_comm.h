/* What a comm has where its ranks talk by NCCL: a stream beside the computing, the calls that are
 * under way on it, and a thread that looks after them. For this folder alone. */
#ifndef ROBIN_COMM_NCCL_COMM_H
#define ROBIN_COMM_NCCL_COMM_H

#include "comm/comm_state.h"
#include "comm/nccl_driver.h"

struct device;
struct nccl_comm;

/* Collective. */
enum status nccl_comm_create(struct nccl_comm **nccl_out, struct comm *comm, struct device *device);
/* Collective. NULL is fine. */
void nccl_comm_destroy(struct nccl_comm *nccl);
/* Ends what is under way, from any thread: the run is over. */
void nccl_comm_abort(struct nccl_comm *nccl);

/* A call is counted, numbered and watched like MPI's. Between begin and end it is handed to
 * nccl_ranks on *side_out, which starts where `stream` is; `stream` goes on after it. The watchdog
 * sees it until it is done. A failure of `status` does not come back from end. */
enum status nccl_comm_begin(struct nccl_comm *nccl, const struct comm_call *call,
                            struct stream *stream, struct stream **side_out);
enum status nccl_comm_end(struct nccl_comm *nccl, struct stream *stream, enum status status);
struct nccl_ranks *nccl_comm_ranks(struct nccl_comm *nccl);

#endif
