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
                                    .size = plan->tp,
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
    const bool split = plan->sequence, again = plan->model.options.recompute;
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

static void add_row(struct run_plan *plan, const char *what, const char *axis, const char *kind,
                    double calls, double bytes)
{
    const bool is_tp = strcmp(axis, "tp") == 0;
    struct plan_traffic row = {
        .what = what, .axis = axis, .kind = kind, .calls = calls, .bytes = bytes};
    row.size = is_tp ? plan->tp : strcmp(axis, "dp") == 0 ? plan->dp : plan->options.ranks;
    row.near = is_tp || plan->options.ranks <= plan->options.rates.ranks_per_machine;
    row.hidden = plan->config->parallel.overlap &&
                 (strcmp(what, "gradients") == 0 || strcmp(what, "weights") == 0);
    add(plan, row);
}

/* The parts of this rank's shard that other sharers hold as well. */
static void add_repeated(double sums[2], const struct bucket_list *list, int64_t b)
{
    const struct bucket *bucket = &list->buckets[b];
    const struct bucket_range shard = bucket_shard(list, b);
    for (int64_t r = 0; r < bucket->n_repeated; r++) {
        const struct bucket_range range = bucket->repeated[r];
        const int64_t first = range.first > shard.first ? range.first : shard.first;
        const int64_t end = range.end < shard.end ? range.end : shard.end;
        if (end <= first) continue;
        sums[0]++;
        sums[1] += 4 * (double)(end - first);
    }
}

/* Slices go over the data axis, whole parameters over all ranks; weights in the width that the
 * GPU's kernels read. */
static void add_buckets(struct run_plan *plan, const struct bucket_list *list)
{
    const bool half = plan->options.rates.half && !plan->config->parallel.offload_optimizer;
    double calls[2] = {0}, weights[2] = {0}, repeated[2] = {0};
    double exchanges[2] = {0}, exchanged[2] = {0}; /* with windows, after every micro-batch */
    int replicas = 1;
    for (int64_t b = 0; b < list->n; b++) {
        const struct bucket *bucket = &list->buckets[b];
        const double rounds = bucket->windowed ? plan->micro_batches : 1;
        calls[bucket->split]++;
        weights[bucket->split] +=
            (half && bucket->module != MODULE_EXTRACTOR ? 2 : 4) * (double)bucket->n;
        exchanges[bucket->split] += rounds;
        exchanged[bucket->split] += rounds * (double)bucket->n;
        if (bucket->replicas > replicas) replicas = bucket->replicas;
        add_repeated(repeated, list, b);
    }
    static const char *const axes[2] = {"world", "dp"};
    for (int split = 0; split < 2; split++) {
        add_row(plan, "gradients", axes[split], "exchange", exchanges[split], 4 * exchanged[split]);
        add_row(plan, "weights", axes[split], "all_gather", calls[split], weights[split]);
    }
    add(plan, (struct plan_traffic){.what = "gradients of repeated heads",
                                    .axis = "kv",
                                    .kind = "all_reduce",
                                    .size = replicas,
                                    .near = true,
                                    .calls = repeated[0],
                                    .bytes = repeated[1]});
}

/* What the ranks agree on around the gradients: losses, norms, that nobody failed. */
static void add_control(struct run_plan *plan, const struct micro *micro, int64_t n_blocks)
{
    const double blocks = 8 * (double)n_blocks;
    const bool shared = plan->tp > 1;
    add_row(plan, "sum_double", "world", "all_reduce", 1, blocks);
    add_row(plan, "sum_double", "dp", "all_reduce", shared ? 2 : 1, 8 + (shared ? blocks : 0));
    const double agreements = plan->config->parallel.shard_gradients ? 6 : 5;
    add_row(plan, "max_int64", "world", "all_reduce", agreements, 8 * agreements);
    add_row(plan, "max_int64", "tp", "all_reduce", micro->n, 8 * micro->n);
    add_row(plan, "sum_double", "tp", "all_reduce", 1, 8 * N_MODULES);
}

static enum status add_gradients(struct run_plan *plan, const struct micro *micro)
{
    enum status status = OK;
    struct parameter_table *table = NULL;
    struct bucket_list list = {0};
    struct exchange_options exchange;
    struct mesh mesh = {.dp_rank = plan->options.rank / plan->tp,
                        .tp_rank = plan->options.rank % plan->tp};
    plan_bucket_options(&exchange, &mesh, plan);
    TRY(plan_table_create(&table, plan, mesh.tp_rank));
    buckets_make(&list, table,
                 &(struct bucket_options){.dp_rank = mesh.dp_rank,
                                          .dp_size = plan->dp,
                                          .tp_rank = mesh.tp_rank,
                                          .tp_size = plan->tp,
                                          .elements = exchange.bucket_elements});
    add_buckets(plan, &list);
    add_control(plan, micro, list.n_blocks);
out:
    buckets_release(&list);
    parameter_table_destroy(table);
    return status;
}

enum status plan_traffic_fill(struct run_plan *plan)
{
    enum status status = OK;
    const struct plan_sample *sample = &plan->options.sample;
    const double samples = (double)plan->config->train.global_batch / plan->busy_ranks;
    int64_t rows = 0, vocab = 0;
    lm_head_choose_chunks(&rows, &vocab, plan->model.config.lm.vocab / plan->tp,
                          plan->model.options.limits.max_targets, plan->options.rates.half);
    const struct micro micro = {
        .n = plan->micro_batches,
        .tokens = samples * sample->tokens,
        .targets = samples * sample->targets,
        .chunks = plan->micro_batches * ceil(samples * sample->targets / plan->micro_batches /
                                             (double)(rows > 0 ? rows : 1)),
        .width = plan->options.rates.half ? 2 : 4,
    };
    add_sharers(plan, &micro);
    TRY(add_gradients(plan, &micro));
out:
    return status;
}
