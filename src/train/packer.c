/* Longest first into the least loaded bin, or one after the other; then bins to ranks the same way.
 * Graham 1969 bounds both at 4/3 of the best. */
#include "train/packer.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/text_buffer.h"

struct bin {
    struct sample_size sum;
    int64_t n_samples;
    double cost;
};

struct packing {
    const struct sample_size *sizes;
    const struct pack_options *options;
    int64_t n;
    struct bin *bins; /* [n_bins] */
    int64_t n_bins;
    int64_t *bin_of; /* [n]: -1 for a skipped sample */
};

static double cost_of(const struct sample_size *size, const struct pack_options *options)
{
    return (double)size->tokens + options->image_cost * (double)size->images;
}

static bool fits(const struct bin *bin, const struct sample_size *size,
                 const struct model_limits *limits)
{
    return bin->sum.tokens + size->tokens <= limits->max_tokens &&
           bin->sum.images + size->images <= limits->max_images &&
           bin->sum.regions + size->regions <= limits->max_regions &&
           bin->sum.targets + size->targets <= limits->max_targets &&
           bin->n_samples + 1 <= limits->max_sequences;
}

static void put(struct packing *packing, int64_t sample, int64_t bin_index)
{
    struct bin *bin = &packing->bins[bin_index];
    const struct sample_size *size = &packing->sizes[sample];
    bin->sum.tokens += size->tokens;
    bin->sum.images += size->images;
    bin->sum.regions += size->regions;
    bin->sum.targets += size->targets;
    bin->n_samples++;
    bin->cost += cost_of(size, packing->options);
    packing->bin_of[sample] = bin_index;
}

struct weighed {
    double cost;
    int64_t index;
};

/* Dearest first; equals in their order, so that the result is one. */
static int compare_weighed(const void *a, const void *b)
{
    const struct weighed *x = a, *y = b;
    if (x->cost != y->cost) return x->cost < y->cost ? 1 : -1;
    return (x->index > y->index) - (x->index < y->index);
}

/* False if a sample fits in none of the n_bins bins. */
static bool pack_balanced(struct packing *packing, const struct weighed *samples, int64_t n_samples)
{
    memset(packing->bins, 0, (size_t)packing->n_bins * sizeof *packing->bins);
    for (int64_t i = 0; i < n_samples; i++) {
        const int64_t sample = samples[i].index;
        int64_t best = -1;
        for (int64_t b = 0; b < packing->n_bins; b++) {
            const struct bin *bin = &packing->bins[b];
            if (!fits(bin, &packing->sizes[sample], &packing->options->limits)) continue;
            if (best < 0 || bin->cost < packing->bins[best].cost) best = b;
        }
        if (best < 0) return false;
        put(packing, sample, best);
    }
    return true;
}

static void pack_all_balanced(struct packing *packing)
{
    struct weighed *samples = memory_new((size_t)packing->n + 1, sizeof *samples);
    int64_t n_samples = 0;
    for (int64_t i = 0; i < packing->n; i++)
        if (packing->sizes[i].tokens > 0)
            samples[n_samples++] =
                (struct weighed){.cost = cost_of(&packing->sizes[i], packing->options), .index = i};
    qsort(samples, (size_t)n_samples, sizeof *samples, compare_weighed);
    /* with as many bins as samples each one has an empty bin to itself, so this ends */
    packing->n_bins = packing->options->n_ranks;
    while (!pack_balanced(packing, samples, n_samples))
        packing->n_bins += packing->options->n_ranks;
    free(samples);
}

static void pack_sequentially(struct packing *packing)
{
    packing->n_bins = 0;
    for (int64_t i = 0; i < packing->n; i++) {
        const struct sample_size *size = &packing->sizes[i];
        if (size->tokens == 0) continue;
        const int64_t last = packing->n_bins - 1;
        if (last < 0 || !fits(&packing->bins[last], size, &packing->options->limits))
            packing->n_bins++;
        put(packing, i, packing->n_bins - 1);
    }
}

/* The dearest micro-batch to the rank with the least to do. */
static void deal(struct pack_plan *plan, const double *cost, int n_ranks)
{
    struct weighed *micro = memory_new((size_t)plan->n_micro + 1, sizeof *micro);
    double *load = memory_new((size_t)n_ranks, sizeof *load);
    for (int64_t m = 0; m < plan->n_micro; m++)
        micro[m] = (struct weighed){.cost = cost[m], .index = m};
    qsort(micro, (size_t)plan->n_micro, sizeof *micro, compare_weighed);
    for (int64_t i = 0; i < plan->n_micro; i++) {
        int least = 0;
        for (int rank = 1; rank < n_ranks; rank++)
            if (load[rank] < load[least]) least = rank;
        plan->rank[micro[i].index] = least;
        load[least] += micro[i].cost;
    }
    free(load);
    free(micro);
}

/* Bins that hold something become the plan's micro-batches, their samples in increasing order. */
static void write_plan(struct pack_plan *plan, const struct packing *packing)
{
    const size_t n_bins = (size_t)packing->n_bins + 1;
    double *cost = memory_new(n_bins, sizeof *cost);
    int64_t placed = 0;
    plan->first = memory_new(n_bins, sizeof *plan->first);
    plan->slot = memory_new((size_t)packing->n + 1, sizeof *plan->slot);
    plan->rank = memory_new(n_bins, sizeof *plan->rank);
    plan->targets = memory_new(n_bins, sizeof *plan->targets);
    for (int64_t b = 0; b < packing->n_bins; b++) {
        const struct bin *bin = &packing->bins[b];
        if (bin->n_samples == 0) continue;
        for (int64_t i = 0; i < packing->n; i++)
            if (packing->bin_of[i] == b) plan->slot[placed++] = i;
        cost[plan->n_micro] = bin->cost;
        plan->targets[plan->n_micro] = bin->sum.targets;
        plan->first[++plan->n_micro] = placed;
        plan->n_targets += bin->sum.targets;
        plan->n_tokens += bin->sum.tokens;
        plan->n_images += bin->sum.images;
    }
    deal(plan, cost, packing->options->n_ranks);
    free(cost);
}

enum status pack_plan_make(struct pack_plan *plan_out, int64_t *offender_out,
                           const struct sample_size *sizes, int64_t n,
                           const struct pack_options *options)
{
    enum status status = OK;
    struct packing packing = {.sizes = sizes, .options = options, .n = n};
    const struct model_limits *limits = &options->limits;
    const struct bin empty = {0};
    *plan_out = (struct pack_plan){0};
    packing.bins = memory_new((size_t)(n + options->n_ranks), sizeof *packing.bins);
    packing.bin_of = memory_new((size_t)n + 1, sizeof *packing.bin_of);
    for (int64_t i = 0; i < n; i++) {
        packing.bin_of[i] = -1;
        if (fits(&empty, &sizes[i], limits)) continue;
        *offender_out = i;
        FAIL(ERR_LIMIT,
             "%" PRId64 " tokens, %" PRId64 " regions and %" PRId64
             " targets are more than a micro-batch holds (%" PRId64 ", %" PRId64 ", %" PRId64
             "); raise data.max_tokens or lower data.max_length",
             sizes[i].tokens, sizes[i].regions, sizes[i].targets, limits->max_tokens,
             limits->max_regions, limits->max_targets);
    }
    if (options->mode == PACK_BALANCED)
        pack_all_balanced(&packing);
    else
        pack_sequentially(&packing);
    write_plan(plan_out, &packing);
out:
    free(packing.bin_of);
    free(packing.bins);
    return status;
}

void pack_plan_release(struct pack_plan *plan)
{
    free(plan->first);
    free(plan->slot);
    free(plan->rank);
    free(plan->targets);
    *plan = (struct pack_plan){0};
}

double pack_image_cost(const struct model_config *config)
{
    const struct lm_config *lm = &config->lm;
    const double head = (double)lm->hidden / (double)lm->heads;
    const double attention =
        (double)lm->hidden * (2 * (double)lm->hidden + 2 * head * (double)lm->kv_heads);
    /* the last summand stands for what a model without layers has left: projector and head */
    const double per_token =
        (double)lm->layers * (attention + 3 * (double)lm->hidden * (double)lm->ffn) +
        (double)lm->hidden * (double)lm->hidden;
    double per_image = 0;
    for (int level = 0; level < N_LEVELS; level++) {
        const double cells = (double)(level_side(config->image_height, level) *
                                      level_side(config->image_width, level));
        const double c = (double)config->vision.dims[level];
        per_image += (double)config->vision.depths[level] * cells * (8 * c * c + 49 * c);
    }
    return per_image / per_token;
}
