/* Which samples make up global batch s: a pure function of (seed, mixture, s), so it depends on
 * neither ranks nor threads nor where a run was stopped, and resuming costs nothing.
 *
 * A source has items, one for each (record, task). An epoch draws each source's n_draws items and
 * shuffles all draws together. Draws go through an own permutation of the items of the source and
 * carry on from epoch to epoch: after any number of draws, the items of a source have been drawn
 * equally often but for one. */
#ifndef ROBIN_TRAIN_ORDER_H
#define ROBIN_TRAIN_ORDER_H

#include <stdint.h>

#include "base/status.h"

#define ORDER_MAX_SOURCES 256
#define ORDER_MAX_TASKS   256

struct order_source {
    const char *name; /* for sentences, and part of the order's key */
    int64_t n_records, n_tasks;
    double weight;   /* passes through the items per epoch, when count is 0 */
    int64_t count;   /* draws per epoch */
    int64_t n_draws; /* per epoch: set by order_create */
};

struct order;

/* ERR_ARGUMENT if there is nothing to draw. The sources are copied, their names borrowed. */
enum status order_create(struct order **order_out, uint64_t seed, int64_t global_batch,
                         const struct order_source *sources, int64_t n_sources);
void order_destroy(struct order *order);

int64_t order_epoch_size(const struct order *order); /* samples */
int64_t order_global_batch(const struct order *order);
const struct order_source *order_source(const struct order *order, int64_t source);

/* Of everything that decides the order: equal keys, equal order. */
uint64_t order_key(const struct order *order);

struct order_item {
    uint64_t id; /* of (source, task, record) */
    int64_t source, record, task;
    uint64_t round; /* how often this item was drawn before */
};

/* Sample `position` >= 0 of the run; global batch s is positions s * B .. s * B + B - 1. */
struct order_item order_item_at(const struct order *order, int64_t position);

/* What an id is made of. */
static inline int64_t order_id_source(uint64_t id)
{
    return (int64_t)(id >> 56);
}
static inline int64_t order_id_task(uint64_t id)
{
    return (int64_t)(id >> 48 & 255);
}

/* The rolling hash with one more id consumed. It starts at 0. */
uint64_t order_hash_next(uint64_t hash, uint64_t id);

#endif
