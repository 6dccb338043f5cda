/* NCCL behind one const table, which is there in builds with CUDA=1 only (nccl_driver.cu). All
 * values are in the memory of the stream's GPU, all calls return at once and run in the order of
 * the stream.
 * `what` is for messages. For this folder alone. */
#ifndef ROBIN_COMM_NCCL_DRIVER_H
#define ROBIN_COMM_NCCL_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#define NCCL_ID_BYTES 128

struct stream;
struct nccl_ranks;

struct nccl_driver {
    /* What a group of ranks meets by; one of them makes it and gives it to the others. */
    enum status (*make_id)(unsigned char id[NCCL_ID_BYTES]);
    /* Collective, blocks. The thread's GPU is this rank's. */
    enum status (*join)(struct nccl_ranks **ranks_out, const unsigned char id[NCCL_ID_BYTES],
                        int size, int rank);
    /* Collective, after all work is done. */
    void (*leave)(struct nccl_ranks *ranks);
    /* From any thread, at any time: what is under way on this rank ends. The memory stays. */
    void (*abort)(struct nccl_ranks *ranks);
    /* Whether something under way has failed since: a peer that died, a network that broke. */
    enum status (*check)(struct nccl_ranks *ranks, const char *what);

    /* As in comm.h. */
    enum status (*all_reduce)(struct nccl_ranks *ranks, float *values, int64_t n, bool largest,
                              struct stream *stream, const char *what);
    enum status (*all_gather)(struct nccl_ranks *ranks, float *values, const int64_t *first,
                              struct stream *stream, const char *what);
    enum status (*reduce_scatter)(struct nccl_ranks *ranks, float *out, const float *values,
                                  const int64_t *first, struct stream *stream, const char *what);
    /* All parts but the own one, which is a copy and no message. */
    enum status (*exchange)(struct nccl_ranks *ranks, float *pieces, const float *values,
                            const int64_t *first, struct stream *stream, const char *what);
};

/* NULL where the build has none: its file is then not linked. */
extern const struct nccl_driver nccl_driver __attribute__((weak));

#endif
