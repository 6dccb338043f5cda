/* What goes over the wires. */
#include <math.h>
#include <string.h>

#include "model/lm_head.h"
#include "plan/run_plan.h"

/* Messages that follow each other along a ring or a tree of so many ranks: latencies. */
static double rounds_of(const char *kind, int size)
{
    const double rounds = ceil(log2((double)size));
    return strcmp(kind, "all_reduce") == 0 ? 2 * rounds : rounds;
}

static void add(struct run_plan *plan, struct plan_traffic row)
{
    if (row.size <= 1 || row.calls <= 0 || plan->n_traffic == PLAN_MAX_TRAFFIC) return;
    const struct machine_rates *rates = &plan->options.rates;
    const struct machine_link link = row.near ? rates->near : rates->far;
    const double share = (double)(row.size - 1) / (double)row.size;
    row.wire = row.bytes * share * (strcmp(row.kind, "all_reduce") == 0 ? 2 : 1);
    row.seconds = row.calls * rounds_of(row.kind, row.size) * link.latency + row.wire / link.bytes;
    plan->traffic[plan->n_traffic++] = row;
}

struct micro { /* of a step of the fullest rank: how many, and what they hold together */
    double n, tokens, targets, chunks;
    double width; /* bytes of an activation */
};

static void add_tp(struct run_plan *plan, const char *what, const char *kind, double calls,
                   double bytes)
{
    add(plan, (struct plan_traffic){.what = what,
                                    .axis = "tp",
                                    .kind = kind,
                                    .size = plan->options.tp,
                                    .near = true,
                                    .calls = calls,
                                    .bytes = bytes});
}

/* Sums or gathers of the residual stream: `per_layer` in each layer, `once` outside. */
static void add_rows(struct run_plan *plan, const struct micro *micro, const char *what,
                     const char *kind, double times)
{
    const double d = (double)plan->model.config.lm.hidden;
    add_tp(plan, what, kind, times * micro->n, times * micro->tokens * d * micro->width);
}

/* src/model: language_model.c, lm_head.c, robin_model.c, in the order of a pass. */
static void add_sharers(struct run_plan *plan, const struct micro *micro)
{
    const bool split = plan->options.sequence, again = plan->model.options.recompute;
    const bool trains = plan->flops.backward[MODULE_LM] > 0;
    const bool matrices = plan->model.options.trainable[MODULE_LM];
    const double layers = (double)plan->model.config.lm.layers;
    const double d = (double)plan->model.config.lm.hidden;
    const char *sum = split ? "reduce_scatter" : "all_reduce";
    add_rows(plan, micro, "embedded rows", sum, 1);
    add_rows(plan, micro, "attention", sum, layers * (again && trains ? 2 : 1));
    add_rows(plan, micro, "mlp", sum, layers);
    if (split) {
        const double norms = 1 + (trains && again) + (trains && matrices);
        add_rows(plan, micro, "normalised rows", "all_gather", 2 * layers * norms);
        add_rows(plan, micro, "rows of the head", "all_gather", 1);
    }
    add_tp(plan, "largest logits", "all_reduce", micro->chunks, 4 * micro->targets);
    add_tp(plan, "sums of logits", "all_reduce", micro->chunks, 8 * micro->targets);
    if (!trains) return;
    add_tp(plan, "gradients of the head", "all_reduce", micro->chunks,
           micro->targets * d * micro->width);
    add_rows(plan, micro, "gradients of norms", sum, 2 * layers);
    if (split) add_rows(plan, micro, "gradients of rows", "all_gather", 2 * layers + 1);
}

/* Gradients of all that trains, summed over the ranks that hold the same parameters. */
static void add_gradients(struct run_plan *plan)
{
    const struct machine_rates *rates = &plan->options.rates;
    struct plan_traffic row = {.what = "sum_float",
                               .axis = "dp",
                               .kind = "all_reduce",
                               .size = plan->dp,
                               .near = plan->options.ranks <= rates->ranks_per_machine,
                               .calls = 1,
                               .bytes = plan->memory.gradients};
    if (!rates->half) {
        add(plan, row);
        return;
    }
    row.what = "gradients";
    row.kind = "reduce_scatter";
    row.hidden = true;
    add(plan, row);
    row.what = "weights";
    row.kind = "all_gather";
    row.bytes = plan->memory.gradients / 2;
    add(plan, row);
}

void plan_traffic_fill(struct run_plan *plan)
{
    const struct plan_sample *sample = &plan->options.sample;
    const double samples = (double)plan->config->train.global_batch / plan->busy_ranks;
    int64_t rows = 0, vocab = 0;
    lm_head_choose_chunks(&rows, &vocab, plan->model.config.lm.vocab / plan->options.tp,
                          plan->model.options.limits.max_targets);
    const struct micro micro = {
        .n = plan->micro_batches,
        .tokens = samples * sample->tokens,
        .targets = samples * sample->targets,
        .chunks = plan->micro_batches * ceil(samples * sample->targets / plan->micro_batches /
                                             (double)(rows > 0 ? rows : 1)),
        .width = plan->options.rates.half ? 2 : 4,
    };
    add_sharers(plan, &micro);
    add_gradients(plan);
}
