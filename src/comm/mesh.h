/* How the ranks of a run are laid out: world = dp x tp. The tp ranks of a group hold one model
 * together and sit on one machine; the dp ranks hold the same part of it and work on different
 * samples. tp is the fastest: tp_rank = rank % tp_size, dp_rank = rank / tp_size. */
#ifndef ROBIN_COMM_MESH_H
#define ROBIN_COMM_MESH_H

#include <stdint.h>

#include "comm/comm.h"

struct mesh_options {
    int64_t tp, dp;       /* dp 0: as many as the ranks give */
    bool tp_across_hosts; /* allowed */
};

struct mesh {             /* zeroed is releasable */
    struct comm *world;   /* borrowed: the comm it was made of */
    struct comm *dp, *tp; /* the ranks along each axis through this one */
    int dp_rank, dp_size, tp_rank, tp_size;
};

/* Collective. ERR_ARGUMENT, agreed, if dp x tp is not the number of ranks, or the ranks of a tp
 * group sit on several hosts. */
enum status mesh_init(struct mesh *mesh, struct comm *world, const struct mesh_options *options);
/* Collective, like comm_destroy. */
void mesh_release(struct mesh *mesh);

#endif
