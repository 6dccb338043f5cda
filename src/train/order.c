/* The order of samples: permutations of permutations, evaluated where they are asked for. */
#include "train/order.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/random.h"
#include "base/text_buffer.h"

struct order {
    uint64_t seed;
    int64_t global_batch;
    int64_t epoch_size;
    struct order_source *sources;
    int64_t n_sources;
    struct random_stream epochs; /* one substream per epoch */
    struct random_stream items;  /* one substream per source, one per round below it */
};

static int64_t item_count(const struct order_source *source)
{
    return source->n_records * source->n_tasks;
}

static enum status count_draws(struct order_source *source)
{
    enum status status = OK;
    const int64_t n_items = item_count(source);
    if (source->n_tasks < 1 || source->n_tasks > ORDER_MAX_TASKS)
        FAIL(ERR_ARGUMENT, "source %s has %lld tasks; give 1 to %d", source->name,
             (long long)source->n_tasks, ORDER_MAX_TASKS);
    source->n_draws = source->count > 0 ? source->count : llround(source->weight * (double)n_items);
    if (source->n_draws > 0 && n_items == 0)
        FAIL(ERR_ARGUMENT, "corpus %s is empty; build it or take it out of data.sources",
             source->name);
out:
    return status;
}

enum status order_create(struct order **order_out, uint64_t seed, int64_t global_batch,
                         const struct order_source *sources, int64_t n_sources)
{
    enum status status = OK;
    struct order *order = memory_new(1, sizeof *order);
    ASSERT(n_sources <= ORDER_MAX_SOURCES, "%lld sources", (long long)n_sources);
    order->seed = seed;
    order->global_batch = global_batch;
    order->n_sources = n_sources;
    order->sources = memory_new((size_t)n_sources + 1, sizeof *order->sources);
    order->epochs = random_stream(seed, "order.epoch");
    order->items = random_stream(seed, "order.items");
    for (int64_t i = 0; i < n_sources; i++) {
        order->sources[i] = sources[i];
        TRY(count_draws(&order->sources[i]));
        order->epoch_size += order->sources[i].n_draws;
    }
    if (order->epoch_size == 0)
        FAIL(ERR_ARGUMENT, "data.sources give no sample at all; raise a weight or a count");
    *order_out = order;
    order = NULL;
out:
    order_destroy(order);
    return status;
}

void order_destroy(struct order *order)
{
    if (order == NULL) return;
    free(order->sources);
    free(order);
}

int64_t order_epoch_size(const struct order *order)
{
    return order->epoch_size;
}

int64_t order_global_batch(const struct order *order)
{
    return order->global_batch;
}

const struct order_source *order_source(const struct order *order, int64_t source)
{
    return &order->sources[source];
}

uint64_t order_key(const struct order *order)
{
    uint64_t key = hash_mix64(order->seed ^ hash_mix64((uint64_t)order->global_batch));
    for (int64_t i = 0; i < order->n_sources; i++) {
        const struct order_source *source = &order->sources[i];
        key = order_hash_next(key, hash_fnv1a(source->name, strlen(source->name)));
        key = order_hash_next(key, (uint64_t)source->n_records);
        key = order_hash_next(key, (uint64_t)source->n_tasks);
        key = order_hash_next(key, (uint64_t)source->n_draws);
    }
    return key;
}

struct order_item order_item_at(const struct order *order, int64_t position)
{
    ASSERT(position >= 0, "sample %lld of a run", (long long)position);
    const int64_t epoch = position / order->epoch_size;
    const struct random_stream shuffle = random_substream(order->epochs, (uint64_t)epoch);
    uint64_t draw = random_permute(shuffle, (uint64_t)(position % order->epoch_size),
                                   (uint64_t)order->epoch_size);
    int64_t s = 0;
    while (draw >= (uint64_t)order->sources[s].n_draws)
        draw -= (uint64_t)order->sources[s++].n_draws;
    const struct order_source *source = &order->sources[s];
    const uint64_t n_items = (uint64_t)item_count(source);
    draw += (uint64_t)epoch * (uint64_t)source->n_draws; /* draws of this source since the start */
    const uint64_t round = draw / n_items;
    const struct random_stream items =
        random_substream(random_substream(order->items, (uint64_t)s), round);
    const uint64_t item = random_permute(items, draw % n_items, n_items);
    const uint64_t record = item / (uint64_t)source->n_tasks;
    const uint64_t task = item % (uint64_t)source->n_tasks;
    return (struct order_item){
        .id = (uint64_t)s << 56 | task << 48 | record,
        .source = s,
        .record = (int64_t)record,
        .task = (int64_t)task,
        .round = round,
    };
}

uint64_t order_hash_next(uint64_t hash, uint64_t id)
{
    return hash_mix64(hash * 0x9E3779B97F4A7C15u + id + 1);
}
