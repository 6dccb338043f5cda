/* Asking the system where this process may run. */
#include "train/placement.h"

#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text_buffer.h"

#define MAX_PROCESSORS CPU_SETSIZE
#define MAX_NODES      64

char *placement_ranges(const unsigned char *set, int n)
{
    struct text_buffer out = {0};
    for (int first = 0; first < n; first++) {
        int last = first;
        if (!set[first]) continue;
        while (last + 1 < n && set[last + 1]) last++;
        text_printf(&out, "%s%d", out.length > 0 ? "," : "", first);
        if (last > first) text_printf(&out, "-%d", last);
        first = last;
    }
    return text_take(&out);
}

/* The NUMA nodes of these processors; none where the system does not say. */
static void find_nodes(unsigned char nodes[MAX_NODES], const unsigned char *processors)
{
    for (int node = 0; node < MAX_NODES; node++) {
        for (int p = 0; p < MAX_PROCESSORS && !nodes[node]; p++) {
            if (!processors[p]) continue;
            char *path = text_format("/sys/devices/system/node/node%d/cpu%d", node, p);
            nodes[node] = file_exists(path);
            free(path);
        }
    }
}

/* "HOST processors 0-3 (4), NUMA node 0", the same for all ranks that are placed alike; to free().
 * *n_out: processors. */
static char *own_place(int64_t *n_out)
{
    char host[256] = "";
    cpu_set_t allowed;
    unsigned char processors[MAX_PROCESSORS] = {0}, nodes[MAX_NODES] = {0};
    *n_out = 0;
    gethostname(host, sizeof host - 1);
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return text_format("%s, processors unknown", host);
    for (int p = 0; p < MAX_PROCESSORS; p++) {
        processors[p] = CPU_ISSET((size_t)p, &allowed) != 0;
        *n_out += processors[p];
    }
    find_nodes(nodes, processors);
    char *list = placement_ranges(processors, MAX_PROCESSORS);
    char *node_list = placement_ranges(nodes, MAX_NODES);
    char *text = text_format("%s, processors %s%s%s", host, list,
                             node_list[0] != '\0' ? ", NUMA node " : "", node_list);
    free(node_list);
    free(list);
    return text;
}

/* All ranks that are where rank `first` is. */
static void print_place(char *const *places, const int64_t *processors, int size, int first,
                        int64_t threads)
{
    unsigned char *here = memory_new((size_t)size, 1);
    int64_t n = 0;
    for (int rank = first; rank < size; rank++) {
        here[rank] = strcmp(places[rank], places[first]) == 0;
        n += here[rank];
    }
    char *ranks = placement_ranges(here, size);
    const bool crowded = processors[first] > 0 && n * threads > processors[first];
    log_info("rank%s %s: %s; %" PRId64 " computing threads on %" PRId64 " processors%s",
             n > 1 ? "s" : "", ranks, places[first], n * threads, processors[first],
             crowded ? ": they wait for each other" : "");
    free(ranks);
    free(here);
}

enum status placement_print(struct comm *comm, int64_t threads)
{
    enum status status = OK;
    const int size = comm_size(comm);
    int64_t *processors = memory_new((size_t)size, sizeof *processors);
    char **places = NULL, *own = own_place(&processors[comm_rank(comm)]);
    TRY(comm_sum_int64(comm, processors, size));
    TRY(comm_gather_strings(comm, &places, own));
    for (int rank = 0; rank < size && comm_rank(comm) == 0; rank++) {
        bool is_first = true;
        for (int before = 0; before < rank && is_first; before++)
            is_first = strcmp(places[before], places[rank]) != 0;
        if (is_first) print_place(places, processors, size, rank, threads);
    }
out:
    names_free(places, places == NULL ? 0 : (size_t)size);
    free(own);
    free(processors);
    return status;
}
