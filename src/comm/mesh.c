/* The mesh: sizes and hosts checked, one comm an axis. */
#include "comm/mesh.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

static enum status check_sizes(const struct mesh_options *options, int64_t ranks)
{
    enum status status = OK;
    const int64_t tp = options->tp, dp = options->dp;
    if (dp > 0 && dp * tp != ranks)
        FAIL(ERR_ARGUMENT,
             "parallel.dp is %" PRId64 " and parallel.tp %" PRId64 ", together %" PRId64
             " ranks, but %" PRId64 " were started; start %" PRId64 ", or leave parallel.dp 0",
             dp, tp, dp * tp, ranks, dp * tp);
    if (tp < 1 || ranks % tp != 0)
        FAIL(ERR_ARGUMENT,
             "parallel.tp is %" PRId64 ", which does not divide the %" PRId64
             " ranks; start a multiple of it, or change parallel.tp",
             tp, ranks);
out:
    return status;
}

/* Rank 0's view: the hosts of all ranks in order. */
static enum status check_hosts(char *const *hosts, int64_t tp, int ranks)
{
    enum status status = OK;
    for (int rank = 0; hosts != NULL && rank < ranks; rank++) {
        const int first = rank - rank % (int)tp;
        if (strcmp(hosts[rank], hosts[first]) == 0) continue;
        FAIL(ERR_ARGUMENT,
             "ranks %d and %d share one model (parallel.tp is %" PRId64
             ") but run on %s and %s; start a multiple of parallel.tp ranks on each host, or set "
             "parallel.tp_across_hosts",
             first, rank, tp, hosts[first], hosts[rank]);
    }
out:
    return status;
}

enum status mesh_init(struct mesh *mesh, struct comm *world, const struct mesh_options *options)
{
    enum status status = OK;
    char **hosts = NULL;
    const int ranks = comm_size(world), rank = comm_rank(world), tp = (int)options->tp;
    *mesh = (struct mesh){.world = world};
    TRY(comm_agree(world, check_sizes(options, ranks)));
    if (tp > 1 && !options->tp_across_hosts) {
        TRY(comm_gather_strings(world, &hosts, comm_host(world)));
        TRY(comm_agree(world, check_hosts(hosts, tp, ranks)));
    }
    mesh->tp_rank = rank % tp;
    mesh->tp_size = tp;
    mesh->dp_rank = rank / tp;
    mesh->dp_size = ranks / tp;
    TRY(comm_split(world, &mesh->tp, mesh->dp_rank, "tp"));
    TRY(comm_split(world, &mesh->dp, mesh->tp_rank, "dp"));
out:
    names_free(hosts, hosts == NULL ? 0 : (size_t)ranks);
    if (status != OK) mesh_release(mesh);
    return status;
}

void mesh_release(struct mesh *mesh)
{
    comm_destroy(mesh->dp);
    comm_destroy(mesh->tp);
    *mesh = (struct mesh){0};
}
