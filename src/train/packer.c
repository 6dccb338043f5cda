/* Cutting into micro-batches and dealing to ranks, both by partition.h. */
#include "train/packer.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/text_buffer.h"
#include "parallel/reduction_tree.h"
#include "train/partition.h"

struct bin {
    struct sample_size sum;
    int64_t n_samples;
    double cost;
};

struct packing {
    const struct sample_size *sizes;
    const struct pack_options *options;
    int64_t n;
    double *cost;     /* [n] */
    struct bin *bins; /* [n + n_ranks + multiple]: more are never needed */
    int *bin_rank;    /* of each bin */
    int64_t n_bins;
    int64_t *bin_of; /* [n]: -1 for a skipped sample */
};

static bool below(const struct model_limits *limits, const struct sample_size *sum, int64_t n)
{
    return sum->tokens <= limits->max_tokens && sum->images <= limits->max_images &&
           sum->regions <= limits->max_regions && sum->targets <= limits->max_targets &&
           n <= limits->max_sequences;
}

static void add(struct bin *bin, const struct packing *packing, int64_t sample, int sign)
{
    const struct sample_size *size = &packing->sizes[sample];
    bin->sum.tokens += sign * size->tokens;
    bin->sum.images += sign * size->images;
    bin->sum.regions += sign * size->regions;
    bin->sum.targets += sign * size->targets;
    bin->n_samples += sign;
    bin->cost += sign * packing->cost[sample];
}

static void put(struct packing *packing, int64_t sample, int64_t bin)
{
    add(&packing->bins[bin], packing, sample, 1);
    packing->bin_of[sample] = bin;
}

static bool sample_fits(void *context, int64_t bin, int64_t in, int64_t out)
{
    const struct packing *packing = context;
    struct bin after = packing->bins[bin];
    if (in >= 0) add(&after, packing, in, 1);
    if (out >= 0) add(&after, packing, out, -1);
    return below(&packing->options->limits, &after.sum, after.n_samples);
}

static void sample_moved(void *context, int64_t bin, int64_t sample, int sign)
{
    struct packing *packing = context;
    add(&packing->bins[bin], packing, sample, sign);
}

/* The chosen samples [n] into the next bins, a multiple of `multiple` of them, evenly. */
static void cut_evenly(struct packing *packing, const int64_t *chosen, int64_t n, int64_t multiple)
{
    struct packing part = *packing;
    const size_t size = (size_t)n + 1;
    int64_t *bin_of = memory_new(size, sizeof *bin_of);
    double *cost = memory_new(size, sizeof *cost);
    double *load = memory_new(size + (size_t)multiple, sizeof *load);
    struct sample_size *sizes = memory_new(size, sizeof *sizes);
    for (int64_t i = 0; i < n; i++) {
        cost[i] = packing->cost[chosen[i]];
        sizes[i] = packing->sizes[chosen[i]];
    }
    part.sizes = sizes;
    part.cost = cost;
    part.bins = packing->bins + packing->n_bins;
    struct partition partition = {.cost = cost,
                                  .n = n,
                                  .bin_of = bin_of,
                                  .load = load,
                                  .fits = sample_fits,
                                  .moved = sample_moved,
                                  .context = &part};
    do { /* with as many bins as samples each one has an empty bin to itself, so this ends */
        partition.n_bins += multiple;
        memset(part.bins, 0, (size_t)partition.n_bins * sizeof *part.bins);
        memset(bin_of, 0, size * sizeof *bin_of);
    } while (!partition_make(&partition));
    for (int64_t i = 0; i < n; i++) packing->bin_of[chosen[i]] = packing->n_bins + bin_of[i];
    packing->n_bins += partition.n_bins;
    free(sizes);
    free(load);
    free(cost);
    free(bin_of);
}

/* The places of one rank's samples, or all (rank -1); a count. */
static int64_t choose(int64_t *chosen, const struct packing *packing, const int64_t *rank_of,
                      int64_t rank)
{
    int64_t n = 0;
    for (int64_t i = 0; i < packing->n; i++)
        if (packing->sizes[i].tokens > 0 && (rank < 0 || rank_of[i] == rank)) chosen[n++] = i;
    return n;
}

static void deal_then_cut(struct packing *packing)
{
    const int n_ranks = packing->options->n_ranks;
    int64_t *rank_of = memory_new((size_t)packing->n + 1, sizeof *rank_of);
    int64_t *chosen = memory_new((size_t)packing->n + 1, sizeof *chosen);
    double *load = memory_new((size_t)n_ranks, sizeof *load);
    for (int64_t i = 0; i < packing->n; i++) rank_of[i] = packing->sizes[i].tokens > 0 ? 0 : -1;
    struct partition partition = {
        .cost = packing->cost, .n = packing->n, .n_bins = n_ranks, .bin_of = rank_of, .load = load};
    const bool dealt = partition_make(&partition);
    ASSERT(dealt, "%d ranks without limits took not all samples", n_ranks);
    for (int rank = 0; rank < n_ranks; rank++) {
        const int64_t n = choose(chosen, packing, rank_of, rank), first = packing->n_bins;
        if (n > 0) cut_evenly(packing, chosen, n, 1);
        for (int64_t bin = first; bin < packing->n_bins; bin++) packing->bin_rank[bin] = rank;
    }
    free(load);
    free(chosen);
    free(rank_of);
}

static void cut_blindly(struct packing *packing)
{
    int64_t *chosen = memory_new((size_t)packing->n + 1, sizeof *chosen);
    const int64_t n = choose(chosen, packing, NULL, -1);
    if (n > 0) cut_evenly(packing, chosen, n, packing->options->multiple);
    free(chosen);
}

static void cut_sequentially(struct packing *packing)
{
    for (int64_t i = 0; i < packing->n; i++) {
        if (packing->sizes[i].tokens == 0) continue;
        const int64_t last = packing->n_bins - 1;
        if (last < 0 || !sample_fits(packing, last, i, -1)) packing->n_bins++;
        put(packing, i, packing->n_bins - 1);
    }
}

/* Bins that hold something become the plan's micro-batches, their samples in increasing order. */
static void write_plan(struct pack_plan *plan, const struct packing *packing)
{
    const size_t n_bins = (size_t)packing->n_bins + 1;
    int64_t placed = 0;
    plan->first = memory_new(n_bins, sizeof *plan->first);
    plan->slot = memory_new((size_t)packing->n + 1, sizeof *plan->slot);
    plan->rank = memory_new(n_bins, sizeof *plan->rank);
    plan->targets = memory_new(n_bins, sizeof *plan->targets);
    plan->cost = memory_new(n_bins, sizeof *plan->cost);
    for (int64_t b = 0; b < packing->n_bins; b++) {
        struct bin bin = {0};
        for (int64_t i = 0; i < packing->n; i++) {
            if (packing->bin_of[i] != b) continue;
            add(&bin, packing, i, 1);
            plan->slot[placed++] = i;
        }
        if (bin.n_samples == 0) continue;
        plan->cost[plan->n_micro] = bin.cost;
        plan->targets[plan->n_micro] = bin.sum.targets;
        plan->rank[plan->n_micro] = packing->bin_rank[b];
        plan->first[++plan->n_micro] = placed;
        plan->n_targets += bin.sum.targets;
        plan->n_tokens += bin.sum.tokens;
        plan->n_images += bin.sum.images;
    }
}

static enum status check_sizes(const struct packing *packing, int64_t *offender_out)
{
    enum status status = OK;
    const struct model_limits *limits = &packing->options->limits;
    for (int64_t i = 0; i < packing->n; i++) {
        const struct sample_size *size = &packing->sizes[i];
        if (below(limits, size, 1)) continue;
        *offender_out = i;
        FAIL(ERR_LIMIT,
             "%" PRId64 " tokens, %" PRId64 " regions and %" PRId64
             " targets are more than a micro-batch holds (%" PRId64 ", %" PRId64 ", %" PRId64
             "); raise data.max_tokens or lower data.max_length",
             size->tokens, size->regions, size->targets, limits->max_tokens, limits->max_regions,
             limits->max_targets);
    }
out:
    return status;
}

static enum status plan_by(void (*group)(struct packing *packing), struct pack_plan *plan_out,
                           int64_t *offender_out, struct packing *packing)
{
    enum status status = OK;
    const struct pack_options *options = packing->options;
    const int64_t multiple = options->mode == PACK_BLIND ? options->multiple : 1;
    ASSERT(multiple >= 1 && options->n_ranks >= 1, "a multiple of %" PRId64 ", %d ranks", multiple,
           options->n_ranks);
    const size_t n_bins = (size_t)(packing->n + multiple + 1);
    *plan_out = (struct pack_plan){0};
    packing->cost = memory_new((size_t)packing->n + 1, sizeof *packing->cost);
    packing->bins = memory_new(n_bins, sizeof *packing->bins);
    packing->bin_rank = memory_new(n_bins, sizeof *packing->bin_rank);
    packing->bin_of = memory_new((size_t)packing->n + 1, sizeof *packing->bin_of);
    TRY(check_sizes(packing, offender_out));
    for (int64_t i = 0; i < packing->n; i++) {
        packing->bin_of[i] = -1;
        if (packing->sizes[i].tokens > 0)
            packing->cost[i] = sample_cost(&options->cost, &packing->sizes[i]);
    }
    group(packing);
    write_plan(plan_out, packing);
out:
    free(packing->bin_of);
    free(packing->bin_rank);
    free(packing->bins);
    free(packing->cost);
    return status;
}

enum status pack_cut(struct pack_plan *plan_out, int64_t *offender_out,
                     const struct sample_size *sizes, int64_t n, const struct pack_options *options)
{
    struct packing packing = {.sizes = sizes, .options = options, .n = n};
    ASSERT(options->mode != PACK_BALANCED, "cutting before dealing in mode %d", options->mode);
    return plan_by(options->mode == PACK_BLIND ? cut_blindly : cut_sequentially, plan_out,
                   offender_out, &packing);
}

void pack_deal(struct pack_plan *plan, int n_ranks)
{
    int64_t *bin_of = memory_new((size_t)plan->n_micro + 1, sizeof *bin_of);
    double *load = memory_new((size_t)n_ranks, sizeof *load);
    struct partition partition = {
        .cost = plan->cost, .n = plan->n_micro, .n_bins = n_ranks, .bin_of = bin_of, .load = load};
    const bool dealt = partition_make(&partition);
    ASSERT(dealt, "%d ranks without limits took not all micro-batches", n_ranks);
    for (int64_t m = 0; m < plan->n_micro; m++) plan->rank[m] = (int)bin_of[m];
    free(load);
    free(bin_of);
}

static void deal_in_order(struct pack_plan *plan, int n_ranks)
{
    for (int rank = 0; rank < n_ranks; rank++) {
        int64_t first = 0, end = 0;
        tree_leaves_of(&first, &end, plan->n_micro, rank, n_ranks);
        for (int64_t m = first; m < end; m++) plan->rank[m] = rank;
    }
}

enum status pack_plan_make(struct pack_plan *plan_out, int64_t *offender_out,
                           const struct sample_size *sizes, int64_t n,
                           const struct pack_options *options)
{
    enum status status = OK;
    struct packing packing = {.sizes = sizes, .options = options, .n = n};
    if (options->mode == PACK_BALANCED) {
        TRY(plan_by(deal_then_cut, plan_out, offender_out, &packing));
    } else {
        TRY(pack_cut(plan_out, offender_out, sizes, n, options));
        if (options->in_order)
            deal_in_order(plan_out, options->n_ranks);
        else
            pack_deal(plan_out, options->n_ranks);
    }
out:
    return status;
}

void pack_plan_release(struct pack_plan *plan)
{
    free(plan->first);
    free(plan->slot);
    free(plan->rank);
    free(plan->targets);
    free(plan->cost);
    *plan = (struct pack_plan){0};
}

double pack_imbalance(const struct pack_plan *plan, int n_ranks)
{
    double *load = memory_new((size_t)n_ranks, sizeof *load), most = 0, sum = 0;
    for (int64_t m = 0; m < plan->n_micro; m++) load[plan->rank[m]] += plan->cost[m];
    for (int rank = 0; rank < n_ranks; rank++) {
        sum += load[rank];
        if (load[rank] > most) most = load[rank];
    }
    free(load);
    return sum > 0 ? most * n_ranks / sum : 1;
}
