/* A search in depth for each bin. */
#include "train/partition_fill.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"

/* Of one bin's search: more is not tried. */
enum { MAX_NODES = 20000 };
/* A bin this near to its capacity is full. */
#define FULL 2e-4

struct search {
    const double *cost; /* [n]: of things that are left */
    const double *rest; /* [n + 1]: of cost[i] .. cost[n - 1] together */
    int64_t n;
    double capacity, best;
    int64_t *chosen, *best_chosen; /* [n]: places in `cost`, rising */
    int64_t n_best;
    int n_nodes;
};

/* Adds things from place i on to the n_chosen that weigh `load`. False once the search is over. */
static bool descend(struct search *search, int64_t i, int64_t n_chosen, double load)
{
    if (load > search->best) {
        search->best = load;
        search->n_best = n_chosen;
        memcpy(search->best_chosen, search->chosen, (size_t)n_chosen * sizeof *search->chosen);
    }
    if (search->best >= search->capacity * (1 - FULL) || ++search->n_nodes > MAX_NODES)
        return false;
    for (; i < search->n && load + search->rest[i] > search->best; i++) {
        if (load + search->cost[i] > search->capacity) continue;
        search->chosen[n_chosen] = i;
        if (!descend(search, i + 1, n_chosen + 1, load + search->cost[i])) return false;
    }
    return true;
}

/* The things that are in no bin yet, in order, and room for a search among them. */
struct heap {
    int64_t n;
    int64_t *thing, *chosen, *best_chosen;
    double *cost, *rest;
};

/* The first thing and those that fill its bin best leave the heap for `bin`; what they weigh. */
static double fill_bin(struct heap *heap, int64_t *bin_of, int64_t bin, double capacity)
{
    heap->rest[heap->n] = 0;
    for (int64_t i = heap->n - 1; i >= 0; i--) heap->rest[i] = heap->rest[i + 1] + heap->cost[i];
    struct search search = {.cost = heap->cost,
                            .rest = heap->rest,
                            .n = heap->n,
                            .capacity = capacity,
                            .chosen = heap->chosen,
                            .best_chosen = heap->best_chosen};
    heap->chosen[0] = 0;
    (void)descend(&search, 1, 1, heap->cost[0]);
    int64_t n_left = 0, n_taken = 0;
    for (int64_t i = 0; i < heap->n; i++) {
        if (n_taken < search.n_best && search.best_chosen[n_taken] == i) {
            bin_of[heap->thing[i]] = bin;
            n_taken++;
            continue;
        }
        heap->thing[n_left] = heap->thing[i];
        heap->cost[n_left++] = heap->cost[i];
    }
    heap->n = n_left;
    return search.best;
}

double partition_fill(int64_t *bin_of, const double *cost, int64_t n, int64_t n_bins,
                      double capacity)
{
    const size_t size = (size_t)n + 1;
    int64_t *places = memory_new(3 * size, sizeof *places);
    double *weights = memory_new(2 * size, sizeof *weights), fullest = 0, left = 0;
    struct heap heap = {.n = n,
                        .thing = places,
                        .chosen = places + size,
                        .best_chosen = places + 2 * size,
                        .cost = weights,
                        .rest = weights + size};
    for (int64_t i = 0; i < n; i++) heap.thing[i] = i;
    if (n > 0) memcpy(heap.cost, cost, (size_t)n * sizeof *cost);
    for (int64_t bin = 0; bin < n_bins - 1 && heap.n > 0; bin++) {
        const double load = fill_bin(&heap, bin_of, bin, capacity);
        if (load > fullest) fullest = load;
    }
    for (int64_t i = 0; i < heap.n; i++) {
        bin_of[heap.thing[i]] = n_bins - 1;
        left += heap.cost[i];
    }
    free(weights);
    free(places);
    return left > fullest ? left : fullest;
}
