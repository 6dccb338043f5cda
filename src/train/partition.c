/* Longest first, then exchanges. */
#include "train/partition.h"

#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/random.h"
#include "base/text_buffer.h"
#include "train/partition_fill.h"

enum {
    MAX_EXCHANGES = 4000,
    /* Pairs are tried between bins of at most so many things: larger ones are even without. */
    MAX_PAIRED = 24,
    /* Of beginnings that are tried when longest first got stuck. */
    N_CAPACITIES = 20,
    N_ORDERS = 25
};
/* Loads nearer than this to the bound are as good as equal. */
#define GOOD_ENOUGH 1e-3
/* Further from it than this, more is tried. */
#define STUCK 1e-2
/* Capacities, and how far orders stray from that of the costs, grow by these. */
#define CAPACITY_STEP 1e-3
#define SPREAD_STEP   0.05

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

/* The things that are dealt, dearest first. */
static struct weighed *sorted(const double *cost, const int64_t *bin_of, int64_t n, int64_t *n_out)
{
    struct weighed *things = memory_new((size_t)n + 1, sizeof *things);
    *n_out = 0;
    for (int64_t i = 0; i < n; i++)
        if (bin_of[i] >= 0) things[(*n_out)++] = (struct weighed){cost[i], i};
    qsort(things, (size_t)*n_out, sizeof *things, compare_weighed);
    return things;
}

double partition_bound(const double *cost, const int64_t *bin_of, int64_t n, int64_t n_bins)
{
    int64_t n_things;
    struct weighed *things = sorted(cost, bin_of, n, &n_things);
    double sum = 0;
    for (int64_t i = 0; i < n_things; i++) sum += things[i].cost;
    double bound = sum / (double)n_bins;
    /* of the first k B + 1 things, k + 1 share a bin: at least the k + 1 cheapest of them */
    for (int64_t k = 0; k * n_bins + 1 <= n_things; k++) {
        double shared = 0;
        for (int64_t i = 0; i <= k; i++) shared += things[k * n_bins - i].cost;
        if (shared > bound) bound = shared;
    }
    free(things);
    return bound;
}

static bool fits(const struct partition *p, int64_t bin, int64_t in, int64_t out)
{
    return p->fits == NULL || p->fits(p->context, bin, in, out);
}

static void join(struct partition *p, int64_t bin, int64_t thing)
{
    p->bin_of[thing] = bin;
    p->load[bin] += p->cost[thing];
    if (p->moved != NULL) p->moved(p->context, bin, thing, 1);
}

static void leave(struct partition *p, int64_t thing)
{
    const int64_t bin = p->bin_of[thing];
    p->load[bin] -= p->cost[thing];
    if (p->moved != NULL) p->moved(p->context, bin, thing, -1);
}

static bool deal_longest_first(struct partition *p)
{
    int64_t n_things;
    struct weighed *things = sorted(p->cost, p->bin_of, p->n, &n_things);
    bool all = true;
    for (int64_t bin = 0; bin < p->n_bins; bin++) p->load[bin] = 0;
    for (int64_t i = 0; i < n_things && all; i++) {
        int64_t best = -1;
        for (int64_t bin = 0; bin < p->n_bins; bin++)
            if ((best < 0 || p->load[bin] < p->load[best]) && fits(p, bin, things[i].index, -1))
                best = bin;
        all = best >= 0;
        if (all) join(p, best, things[i].index);
    }
    free(things);
    return all;
}

/* Up to two things of a bin, or none. */
struct hand {
    int64_t thing[2]; /* -1: none */
    double cost;
};

/* Everything that can be taken out of each bin, bin after bin. */
struct hands {
    struct hand *hand;
    int64_t *first; /* [n_bins + 1] */
};

static void hands_release(struct hands *hands)
{
    free(hands->hand);
    free(hands->first);
}

/* With pairs: of bins that are not too large for it. */
static struct hands hands_of(const struct partition *p, bool pairs)
{
    struct hands hands = {.first = memory_new((size_t)p->n_bins + 1, sizeof *hands.first)};
    int64_t *start = memory_new((size_t)p->n_bins + 1, sizeof *start);
    int64_t *members = memory_new((size_t)p->n + 1, sizeof *members), *at = start;
    for (int64_t i = 0; i < p->n; i++)
        if (p->bin_of[i] >= 0) start[p->bin_of[i] + 1]++;
    for (int64_t bin = 0; bin < p->n_bins; bin++) {
        const int64_t n = start[bin + 1];
        const int64_t n_pairs = pairs && n <= MAX_PAIRED ? n * (n - 1) / 2 : 0;
        hands.first[bin + 1] = hands.first[bin] + 1 + n + n_pairs;
        start[bin + 1] += start[bin];
    }
    hands.hand = memory_new((size_t)hands.first[p->n_bins] + 1, sizeof *hands.hand);
    for (int64_t i = 0; i < p->n; i++)
        if (p->bin_of[i] >= 0) members[at[p->bin_of[i]]++] = i;
    /* now at[bin] is where the next bin starts */
    for (int64_t bin = 0; bin < p->n_bins; bin++) {
        const int64_t first = bin > 0 ? at[bin - 1] : 0, end = at[bin];
        struct hand *next = hands.hand + hands.first[bin];
        *next++ = (struct hand){{-1, -1}, 0};
        for (int64_t a = first; a < end; a++)
            *next++ = (struct hand){{members[a], -1}, p->cost[members[a]]};
        if (next == hands.hand + hands.first[bin + 1]) continue;
        for (int64_t a = first; a < end; a++)
            for (int64_t b = a + 1; b < end; b++)
                *next++ = (struct hand){{members[a], members[b]},
                                        p->cost[members[a]] + p->cost[members[b]]};
    }
    free(members);
    free(start);
    return hands;
}

struct exchange {
    int64_t from, to;
    const struct hand *given, *taken;
    double fuller; /* the load of the fuller of both bins afterwards */
};

/* Where limits hold, only single things are exchanged, so that one question decides. */
static bool allowed(const struct partition *p, int64_t from, int64_t to, const struct hand *given,
                    const struct hand *taken)
{
    if (p->fits == NULL) return true;
    if (!fits(p, to, given->thing[0], taken->thing[0])) return false;
    return taken->thing[0] < 0 || fits(p, from, taken->thing[0], given->thing[0]);
}

/* The best exchange between the fullest bin and any other. */
static struct exchange best_exchange(const struct partition *p, const struct hands *hands,
                                     int64_t from)
{
    struct exchange best = {.from = from, .to = -1, .fuller = p->load[from] * (1 - 1e-9)};
    for (int64_t to = 0; to < p->n_bins; to++) {
        if (to == from || p->load[to] >= best.fuller) continue;
        for (int64_t g = hands->first[from]; g < hands->first[from + 1]; g++) {
            const struct hand *given = &hands->hand[g];
            for (int64_t t = hands->first[to]; t < hands->first[to + 1]; t++) {
                const struct hand *taken = &hands->hand[t];
                const double flow = given->cost - taken->cost;
                const double here = p->load[from] - flow, there = p->load[to] + flow;
                const double fuller = here > there ? here : there;
                if (fuller >= best.fuller || given->thing[0] < 0) continue;
                if (!allowed(p, from, to, given, taken)) continue;
                best = (struct exchange){from, to, given, taken, fuller};
            }
        }
    }
    return best;
}

static void exchange_apply(struct partition *p, const struct exchange *exchange)
{
    for (int i = 0; i < 2; i++)
        if (exchange->given->thing[i] >= 0) leave(p, exchange->given->thing[i]);
    for (int i = 0; i < 2; i++)
        if (exchange->taken->thing[i] >= 0) leave(p, exchange->taken->thing[i]);
    for (int i = 0; i < 2; i++)
        if (exchange->given->thing[i] >= 0) join(p, exchange->to, exchange->given->thing[i]);
    for (int i = 0; i < 2; i++)
        if (exchange->taken->thing[i] >= 0) join(p, exchange->from, exchange->taken->thing[i]);
}

/* Bins, fullest first. */
static void rank_bins(const struct partition *p, struct weighed *bins)
{
    for (int64_t b = 0; b < p->n_bins; b++) bins[b] = (struct weighed){p->load[b], b};
    qsort(bins, (size_t)p->n_bins, sizeof *bins, compare_weighed);
}

/* One exchange out of the fullest bin that has one: where the fullest is stuck, others that come
 * nearer to each other may free it. False where none is left. */
static bool improve(struct partition *p, const struct weighed *bins, bool pairs)
{
    struct hands hands = hands_of(p, pairs);
    struct exchange exchange = {.to = -1};
    for (int64_t i = 0; i < p->n_bins && exchange.to < 0; i++)
        exchange = best_exchange(p, &hands, bins[i].index);
    if (exchange.to >= 0) exchange_apply(p, &exchange);
    hands_release(&hands);
    return exchange.to >= 0;
}

static void exchange_all(struct partition *p, double bound)
{
    const bool pairs = p->fits == NULL;
    struct weighed *bins = memory_new((size_t)p->n_bins, sizeof *bins);
    for (int i = 0; i < MAX_EXCHANGES; i++) {
        rank_bins(p, bins);
        if (bins[0].cost <= bound * (1 + GOOD_ENOUGH)) break;
        if (!improve(p, bins, false) && !(pairs && improve(p, bins, true))) break;
    }
    free(bins);
}

static double fullest(const struct partition *p)
{
    double most = 0;
    for (int64_t bin = 0; bin < p->n_bins; bin++)
        if (p->load[bin] > most) most = p->load[bin];
    return most;
}

/* Loads of what is dealt. */
static void weigh(struct partition *p)
{
    memset(p->load, 0, (size_t)p->n_bins * sizeof *p->load);
    for (int64_t i = 0; i < p->n; i++)
        if (p->bin_of[i] >= 0) p->load[p->bin_of[i]] += p->cost[i];
}

/* The things' order is the less that of their costs the larger `spread`. */
static void shuffle(struct weighed *things, int64_t n, double spread, struct random_stream draws)
{
    for (int64_t i = 0; i < n; i++)
        things[i].cost *= 1 + spread * random_uniform(draws, (uint64_t)things[i].index);
    qsort(things, (size_t)n, sizeof *things, compare_weighed);
}

/* Bins filled one after another up to `capacity`, the things in the order given. */
static void fill(struct partition *p, const struct weighed *things, int64_t n, double capacity)
{
    double *cost = memory_new((size_t)n + 1, sizeof *cost);
    int64_t *filled = memory_new((size_t)n + 1, sizeof *filled);
    for (int64_t i = 0; i < n; i++) cost[i] = p->cost[things[i].index];
    partition_fill(filled, cost, n, p->n_bins, capacity);
    for (int64_t i = 0; i < n; i++) p->bin_of[things[i].index] = filled[i];
    weigh(p);
    free(filled);
    free(cost);
}

/* Other beginnings, the best of all: one capacity after another, then the same for things in
 * orders that are drawn, the same ones for everyone. */
static void begin_again(struct partition *p, double bound)
{
    const size_t size = (size_t)p->n * sizeof *p->bin_of;
    const struct random_stream draws = random_stream(1, "partition");
    int64_t *best_of = memory_new((size_t)p->n + 1, sizeof *best_of);
    double best = fullest(p);
    memcpy(best_of, p->bin_of, size);
    for (uint64_t i = 0; i < N_ORDERS * N_CAPACITIES && best > bound * (1 + STUCK); i++) {
        const uint64_t order = i / N_CAPACITIES, step = i % N_CAPACITIES + 1;
        int64_t n;
        struct weighed *things = sorted(p->cost, p->bin_of, p->n, &n);
        shuffle(things, n, SPREAD_STEP * (double)order, random_substream(draws, i));
        fill(p, things, n, bound * (1 + CAPACITY_STEP * (double)step));
        free(things);
        exchange_all(p, bound);
        if (fullest(p) >= best) continue;
        best = fullest(p);
        memcpy(best_of, p->bin_of, size);
    }
    memcpy(p->bin_of, best_of, size);
    weigh(p);
    free(best_of);
}

bool partition_make(struct partition *partition)
{
    ASSERT(partition->n_bins >= 1, "%lld bins", (long long)partition->n_bins);
    if (!deal_longest_first(partition)) return false;
    const double bound =
        partition_bound(partition->cost, partition->bin_of, partition->n, partition->n_bins);
    exchange_all(partition, bound);
    if (partition->fits == NULL && fullest(partition) > bound * (1 + STUCK))
        begin_again(partition, bound);
    return true;
}
