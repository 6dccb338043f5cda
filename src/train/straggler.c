/* Comparing the times of ranks. */
#include "train/straggler.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text_buffer.h"

void straggler_add(struct straggler_times *times, const double seconds[N_PHASES])
{
    for (int phase = 0; phase < N_PHASES; phase++) times->seconds[phase] += seconds[phase];
    times->n_steps++;
}

static double busy_of(const double seconds[N_PHASES])
{
    double busy = 0;
    for (int phase = 0; phase < N_PHASES; phase++)
        if (phase != PHASE_REDUCE) busy += seconds[phase];
    return busy;
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of `all` [n, N_PHASES]. */
static struct straggler_found find(const double *all, int n)
{
    struct straggler_found found = {.compared = true};
    double *busy = memory_new((size_t)n, sizeof *busy);
    for (int rank = 0; rank < n; rank++) {
        busy[rank] = busy_of(all + rank * N_PHASES);
        if (busy[rank] > busy[found.rank]) found.rank = rank;
    }
    found.busy = busy[found.rank];
    memcpy(found.seconds, all + found.rank * N_PHASES, sizeof found.seconds);
    qsort(busy, (size_t)n, sizeof *busy, compare_doubles);
    found.median = (busy[(n - 1) / 2] + busy[n / 2]) / 2;
    free(busy);
    return found;
}

/* Collective: every rank has the same numbers before it. */
static enum status name_slowest(const struct straggler_found *found, struct comm *comm)
{
    enum status status = OK;
    char own[256] = "";
    char **hosts = NULL;
    gethostname(own, sizeof own - 1);
    TRY(comm_gather_strings(comm, &hosts, own));
    if (comm_rank(comm) != 0) goto out;
    struct text_buffer parts = {0};
    for (int phase = 0; phase < N_PHASES; phase++)
        if (phase != PHASE_REDUCE)
            text_printf(&parts, "%s%s %.3f", parts.length > 0 ? ", " : "", train_phase_names[phase],
                        found->seconds[phase]);
    log_warn("rank %d (%s) holds the others up: %.3f s a step of its own work (%s), the median of "
             "%d ranks is %.3f s",
             found->rank, hosts[found->rank], found->busy, text_of(&parts), comm_size(comm),
             found->median);
    text_release(&parts);
out:
    names_free(hosts, hosts == NULL ? 0 : (size_t)comm_size(comm));
    return status;
}

enum status straggler_compare(struct straggler_times *times, struct straggler_found *found_out,
                              struct comm *comm)
{
    enum status status = OK;
    const int size = comm_size(comm);
    double *all = memory_new((size_t)size * N_PHASES, sizeof *all);
    *found_out = (struct straggler_found){0};
    if (size == 1 || times->n_steps == 0) goto out;
    for (int phase = 0; phase < N_PHASES; phase++)
        all[comm_rank(comm) * N_PHASES + phase] = times->seconds[phase] / (double)times->n_steps;
    TRY(comm_sum_double(comm, all, (int64_t)size * N_PHASES));
    *found_out = find(all, size);
    if (found_out->busy > STRAGGLER_FACTOR * found_out->median) TRY(name_slowest(found_out, comm));
out:
    *times = (struct straggler_times){0};
    free(all);
    return status;
}
