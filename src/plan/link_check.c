#include "plan/link_check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/text_buffer.h"

#define ELEMENTS ((int64_t)1 << 18) /* to each other in a pair: 1 MiB */
#define TRIES    4                  /* the fastest counts */

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of the values above 0; 0 where there is none. */
static double median_of(const double *values, int n)
{
    double *sorted = memory_new((size_t)n + 1, sizeof *sorted);
    int count = 0;
    for (int i = 0; i < n; i++)
        if (values[i] > 0) sorted[count++] = values[i];
    qsort(sorted, (size_t)count, sizeof *sorted, compare_doubles);
    const double median = count > 0 ? sorted[count / 2] : 0;
    free(sorted);
    return median;
}

/* Collective over the pair; bytes per second and direction. */
static enum status measure_pair(struct comm *pair, double *rate_out)
{
    enum status status = OK;
    const int64_t first[3] = {0, ELEMENTS, 2 * ELEMENTS};
    float *values = memory_new(2 * (size_t)ELEMENTS, sizeof *values);
    float *pieces = memory_new(2 * (size_t)ELEMENTS, sizeof *pieces);
    double best = HUGE_VAL;
    for (int i = 0; i < TRIES; i++) {
        TRY(comm_barrier(pair));
        const double start = monotonic_seconds();
        TRY(comm_exchange(pair, pieces, values, first, "bandwidth"));
        best = fmin(best, monotonic_seconds() - start);
    }
    *rate_out = (double)ELEMENTS * sizeof(float) / fmax(best, 1e-9);
out:
    free(pieces);
    free(values);
    return status;
}

/* Collective. Ranks whose numbers differ in one bit are a pair; rates [size], 0: no partner.
 * far [size]: 1 where the partner is on another machine. */
static enum status measure_round(struct comm *comm, int bit, double *rates, double *far)
{
    enum status status = OK;
    struct comm *pair = NULL;
    const int rank = comm_rank(comm), size = comm_size(comm);
    const int partner = rank ^ bit;
    const char *host = comm_host(comm);
    double hosts[2] = {0};
    memset(rates, 0, (size_t)size * sizeof *rates);
    memset(far, 0, (size_t)size * sizeof *far);
    TRY(comm_split(comm, &pair, rank < partner ? rank : partner, "pair"));
    if (comm_size(pair) == 2) {
        hosts[comm_rank(pair)] = (double)(hash_fnv1a(host, strlen(host)) >> 16);
        TRY(comm_sum_double(pair, hosts, 2));
        far[rank] = hosts[0] != hosts[1];
        TRY(measure_pair(pair, &rates[rank]));
    }
    TRY(comm_sum_double(comm, rates, size));
    TRY(comm_sum_double(comm, far, size));
out:
    comm_destroy(pair);
    return status;
}

enum status link_check_run(struct link_check *out, struct comm *comm)
{
    enum status status = OK;
    const int rank = comm_rank(comm), size = comm_size(comm);
    double *rates = memory_new((size_t)size, sizeof *rates);
    double *far = memory_new((size_t)size, sizeof *far);
    double *ratios = memory_new((size_t)size, sizeof *ratios);
    double best[2] = {0, 0}; /* near, far */
    *out = (struct link_check){.ratio = 1, .least_ratio = 1, .median = HUGE_VAL};
    for (int bit = 1; bit < size; bit *= 2) {
        TRY(measure_round(comm, bit, rates, far));
        const double median = median_of(rates, size);
        out->median = fmin(out->median, median);
        if (rates[rank] > 0 && median > 0)
            best[far[rank] > 0] = fmax(best[far[rank] > 0], rates[rank] / median);
    }
    if (best[0] > 0) out->ratio = fmin(out->ratio, best[0]);
    if (best[1] > 0) out->ratio = fmin(out->ratio, best[1]);
    ratios[rank] = out->ratio;
    TRY(comm_sum_double(comm, ratios, size));
    for (int r = 0; r < size; r++) out->least_ratio = fmin(out->least_ratio, ratios[r]);
out:
    free(ratios);
    free(far);
    free(rates);
    return status;
}
