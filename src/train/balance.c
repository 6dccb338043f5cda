/* Expected balance, by trying. */
#include "train/balance.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/random.h"
#include "base/text_buffer.h"
#include "train/partition.h"

#define DRAWS_SEED 1

/* Of a plan: the fullest rank over what it must be at least. */
static double over_bound(const struct pack_plan *plan, const struct sample_size *sizes, int64_t n,
                         const struct pack_options *options)
{
    const bool whole = options->mode != PACK_BALANCED; /* micro-batches are what is dealt */
    const int64_t n_things = whole ? plan->n_micro : n;
    double *cost = memory_new((size_t)n_things + 1, sizeof *cost), mean = 0;
    int64_t *dealt = memory_new((size_t)n_things + 1, sizeof *dealt);
    for (int64_t i = 0; i < n_things; i++) {
        cost[i] = whole ? plan->cost[i] : sample_cost(&options->cost, &sizes[i]);
        dealt[i] = whole || sizes[i].tokens > 0 ? 0 : -1;
    }
    for (int64_t m = 0; m < plan->n_micro; m++) mean += plan->cost[m] / options->n_ranks;
    const double bound = partition_bound(cost, dealt, n_things, options->n_ranks);
    free(dealt);
    free(cost);
    return bound > 0 ? pack_imbalance(plan, options->n_ranks) * mean / bound : 1;
}

enum status balance_expect(struct balance *balance_out, const struct sample_size *sizes, int64_t n,
                           int64_t global_batch, int64_t n_steps,
                           const struct pack_options *options)
{
    enum status status = OK;
    struct balance balance = {.n_steps = n_steps};
    struct pack_plan plan = {0};
    struct sample_size *batch = memory_new((size_t)global_batch + 1, sizeof *batch);
    const struct random_stream draws = random_stream(DRAWS_SEED, "balance");
    int64_t offender = -1, n_micro = 0;
    if (n < 1) FAIL(ERR_ARGUMENT, "no samples to expect a balance from");
    for (int64_t step = 0; step < n_steps; step++) {
        const struct random_stream stream = random_substream(draws, (uint64_t)step);
        for (int64_t i = 0; i < global_batch; i++)
            batch[i] = sizes[random_permute(stream, (uint64_t)(i % n), (uint64_t)n)];
        TRY(pack_plan_make(&plan, &offender, batch, global_batch, options));
        const double imbalance = pack_imbalance(&plan, options->n_ranks);
        const double over = over_bound(&plan, batch, global_batch, options);
        balance.mean += imbalance / (double)n_steps;
        if (imbalance > balance.worst) balance.worst = imbalance;
        if (over > balance.worst_over_bound) balance.worst_over_bound = over;
        balance.n_over += over > 1.02;
        n_micro += plan.n_micro;
        pack_plan_release(&plan);
    }
    balance.micro_batches = (double)n_micro / (double)n_steps / options->n_ranks;
    *balance_out = balance;
out:
    pack_plan_release(&plan);
    free(batch);
    return status;
}

char *balance_line(const struct balance *balance, int64_t global_batch, int n_ranks)
{
    return text_format("global batch %" PRId64 " on dp %d: the fullest rank does %.3f of the mean "
                       "(worst of %" PRId64 " steps %.3f, %.3f of the least possible), %.1f "
                       "micro-batches a rank and step",
                       global_batch, n_ranks, balance->mean, balance->n_steps, balance->worst,
                       balance->worst_over_bound, balance->micro_batches);
}
