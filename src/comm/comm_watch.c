/* Starting the watchdog: who rank 0 is and where it listens goes through MPI, once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/random.h"
#include "base/text_buffer.h"
#include "comm/comm_state.h"

#define HOST_BYTES sizeof(((struct comm_shared *)0)->host)

static void watchdog_gives_up(void *context, const char *sentence)
{
    comm_end_run(context, sentence);
}

/* Rank 0 listens and tells the others where; link NULL where that cannot be. */
static enum status make_link(struct comm_shared *shared, struct rank_link **link_out,
                             char rank0_host[])
{
    enum status status = OK;
    struct rank_invitation invitation = {0};
    *link_out = NULL;
    if (shared->rank == 0) {
        snprintf(rank0_host, HOST_BYTES, "%s", shared->host);
        if (rank_link_listen(link_out, &invitation, shared->size) != OK) {
            log_warn("%s; a rank that hangs will be known only by who waits", status_message());
            status_clear();
        }
    }
    TRY_MPI(MPI_Bcast(&invitation, sizeof invitation, MPI_BYTE, 0, shared->world), "MPI_Bcast");
    TRY_MPI(MPI_Bcast(rank0_host, (int)HOST_BYTES, MPI_CHAR, 0, shared->world), "MPI_Bcast");
    if (shared->rank == 0 || invitation.port == 0) return OK;
    if (rank_link_join(link_out, &invitation, strcmp(rank0_host, shared->host) == 0) != OK) {
        log_warn("(%s) %s: if this rank hangs, only who waits for it will be known", shared->host,
                 status_message());
        status_clear();
    }
out:
    return status;
}

enum status comm_watch_start(struct comm_shared *shared, double timeout_seconds)
{
    enum status status = OK;
    const size_t size = (size_t)shared->size;
    char rank0_host[HOST_BYTES] = {0};
    struct rank_link *link = NULL;
    char *all = memory_new(size, HOST_BYTES);
    const char **hosts = memory_new(size, sizeof *hosts);
    TRY(make_link(shared, &link, rank0_host));
    TRY_MPI(MPI_Gather(shared->host, (int)HOST_BYTES, MPI_CHAR, all, (int)HOST_BYTES, MPI_CHAR, 0,
                       shared->world),
            "MPI_Gather of host names");
    for (size_t rank = 0; rank < size; rank++) hosts[rank] = all + rank * HOST_BYTES;
    if (shared->rank > 0) hosts[0] = rank0_host;
    const struct watchdog_options options = {
        .timeout_seconds = timeout_seconds,
        .rank = shared->rank,
        .size = shared->size,
        .host = shared->host,
        .hosts = hosts,
        .link = link,
        .give_up = watchdog_gives_up,
        .context = shared,
    };
    TRY(watchdog_start(&shared->watchdog, &options));
    link = NULL;
out:
    rank_link_close(link);
    free(hosts);
    free(all);
    return status;
}

uint64_t comm_group_number(const struct comm *parent, MPI_Comm ranks)
{
    struct {
        uint64_t parent;
        int64_t sequence, leader;
    } born = {parent->group, parent->sequence, 0};
    MPI_Group own, world;
    const int first = 0;
    int leader = 0;
    MPI_Comm_group(ranks, &own);
    MPI_Comm_group(parent->shared->world, &world);
    MPI_Group_translate_ranks(own, 1, &first, world, &leader);
    MPI_Group_free(&own);
    MPI_Group_free(&world);
    born.leader = leader;
    return hash_fnv1a(&born, sizeof born);
}
