/* Memory of a rank. */
#include <math.h>

#include "cuda/attention_cudnn.h"
#include "model/lm_head.h"
#include "model/lm_slice.h"
#include "plan/run_plan.h"
#include "train/attention_choice.h"
#include "train/micro_batch.h"

/* Of the one in use and those that wait, as the loader limits them. */
static double prepared_bytes(const struct run_plan *plan)
{
    const struct model_limits *limits = &plan->model.options.limits;
    const struct config_data *data = &plan->config->data;
    const struct sample_size most = {
        .tokens = limits->max_tokens, .images = limits->max_images, .regions = limits->max_regions};
    const double one = (double)micro_batch_bytes(&plan->model.config, &most);
    const double waiting = one * (double)data->prefetch, limit = (double)data->prefetch_bytes / 2;
    if (plan->options.rates.half) return one; /* on the GPU: those that wait are in host memory */
    return one + (limit > 0 ? fmax(one, fmin(waiting, limit)) : waiting);
}

/* Logits stand in the workspace, a chunk of targets at a time. */
static double logit_bytes(const struct run_plan *plan)
{
    const int64_t targets = plan->model.options.limits.max_targets;
    const int64_t words = plan->model.config.lm.vocab / plan->tp;
    int64_t rows = 0, vocab = 0;
    lm_head_choose_chunks(&rows, &vocab, words, targets, plan->options.rates.half);
    return 4 * (double)(rows < targets ? rows : targets) * (double)vocab;
}

/* What cuDNN's attention takes, where it may come to compute. */
static double attention_bytes(const struct run_plan *plan)
{
    const struct lm_config *lm = &plan->model.config.lm;
    const struct config_data *data = &plan->config->data;
    const int64_t d = lm->hidden / lm->heads;
    struct lm_slice slice;
    if (!attention_may_be_cudnn(plan->config, d) || !plan->options.rates.half ||
        lm_slice_make(&slice, lm, 0, plan->tp) != OK)
        return 0;
    const int64_t t = data->max_tokens, longest = data->max_length < t ? data->max_length : t;
    return (double)attention_cudnn_bytes(t, longest, slice.heads, slice.kv_heads, d,
                                         !plan->config->train.deterministic);
}

/* What one rank takes. */
struct part {
    struct model_memory model;
    double frozen; /* elements of weights that do not learn, of which it saves its share */
    struct exchange_memory exchange;
    double sum;
};

enum status plan_table_create(struct parameter_table **table_out, const struct run_plan *plan,
                              int index)
{
    enum status status = OK;
    const struct model_options *options = &plan->model.options;
    TRY(parameter_table_create_slice(table_out, &plan->model.config, options->trainable, index,
                                     plan->tp));
    if (options->gradient_windows > 0)
        parameter_table_use_windows(*table_out, options->gradient_windows);
out:
    return status;
}

void plan_bucket_options(struct exchange_options *options, struct mesh *mesh,
                         const struct run_plan *plan)
{
    const struct config_parallel *keys = &plan->config->parallel;
    mesh->dp_size = plan->dp;
    mesh->tp_size = plan->tp;
    *options = (struct exchange_options){.mesh = mesh,
                                         .kernels = plan->model.kernels,
                                         .bucket_elements = keys->bucket_elements,
                                         .ordered = keys->reduction == CONFIG_REDUCTION_ORDERED,
                                         .shard_gradients = keys->shard_gradients,
                                         .overlap = keys->overlap};
}

/* Elements of weights that do not learn which one of those who hold them saves. */
static double frozen_share(const struct parameter_table *table, const struct run_plan *plan)
{
    double elements = 0;
    for (int64_t i = 0; i < table->n_parameters; i++) {
        const struct parameter *parameter = &table->parameters[i];
        const int64_t same =
            parameter_is_split(parameter) ? parameter->slice.replicas : (int64_t)plan->tp;
        if (parameter->gradient_offset < 0)
            elements += (double)parameter->n_elements / (double)(same * plan->dp);
    }
    return elements;
}

/* Of sharer `index`, with the largest of a few shards of the optimizer's state. */
static enum status plan_part(struct part *part, const struct run_plan *plan, int index)
{
    enum status status = OK;
    const struct model_share share = {.index = index, .size = plan->tp, .sequence = plan->sequence};
    const int shards[] = {0, plan->dp / 2, plan->dp - 1};
    const int64_t multiple = plan->config->parallel.ordered_multiple;
    struct model_options options = plan->model.options;
    struct parameter_table *table = NULL;
    if (plan->options.rates.half) /* a GPU's, whatever this machine has */
        lm_head_choose_chunks(&options.loss_chunk_rows, &options.loss_chunk_vocab,
                              plan->model.config.lm.vocab / plan->tp, options.limits.max_targets,
                              true);
    struct exchange_options exchange;
    struct mesh mesh = {.tp_rank = index};
    if (plan->tp > 1) options.share = &share;
    TRY(model_plan(&part->model, &plan->model.config, &options, plan->model.kernels));
    TRY(plan_table_create(&table, plan, index));
    plan_bucket_options(&exchange, &mesh, plan);
    for (size_t i = 0; i < sizeof shards / sizeof shards[0]; i++) {
        mesh.dp_rank = shards[i];
        const struct exchange_memory one =
            exchange_plan(table, &exchange, (multiple + plan->dp - 1) / plan->dp);
        if (i == 0 || one.state_elements + one.buffer_elements >
                          part->exchange.state_elements + part->exchange.buffer_elements)
            part->exchange = one;
    }
    part->sum = (double)part->model.weights + (double)part->model.gradients +
                (double)part->model.activations + (double)part->model.workspace +
                4 * (double)(2 * part->exchange.state_elements + part->exchange.buffer_elements);
    part->frozen = frozen_share(table, plan);
out:
    parameter_table_destroy(table);
    return status;
}

static enum status count_parameters(struct run_plan *plan)
{
    enum status status = OK;
    struct parameter_table *table = NULL;
    TRY(parameter_table_create(&table, &plan->model.config, plan->model.options.trainable));
    for (int m = 0; m < N_MODULES; m++)
        plan->parameters[m] = parameter_count(table, (enum module)m);
out:
    parameter_table_destroy(table);
    return status;
}

enum status plan_memory_fill(struct run_plan *plan)
{
    enum status status = OK;
    struct plan_memory *memory = &plan->memory;
    struct part most = {.sum = -1};
    for (int index = 0; index < plan->tp; index++) {
        struct part part = {.sum = 0};
        TRY(plan_part(&part, plan, index));
        if (part.sum > most.sum) most = part;
    }
    TRY(count_parameters(plan));
    const bool half = plan->options.rates.half;
    const bool is_bf16 = plan->model.kernels->dtype == DTYPE_BF16;
    /* Bytes of what the model computes with, of what was laid out. */
    const double width = half && !is_bf16 ? 0.5 : 1;
    const double weights = (double)most.model.weights;
    double master = half ? weights : 0; /* whole, however many ranks share the state */
    if (is_bf16) master = 2 * weights;
    const double state = 4 * (double)most.exchange.state_elements;
    const int n_states = plan->config->optimizer.ema_decay > 0 ? 3 : 2;
    *memory = (struct plan_memory){
        .weights = width * weights,
        .master = master,
        .gradients = (double)most.model.gradients,
        .moments = n_states * state,
        .state = state,
        .activations = width * (double)most.model.activations,
        .workspace = width * (double)most.model.workspace + attention_bytes(plan),
        .logits = width * logit_bytes(plan),
        .buffers = 4 * (double)most.exchange.buffer_elements,
        .batches = prepared_bytes(plan),
        .copy = plan->config->train.save_async ? 4 * most.frozen + (1 + n_states) * state : 0,
    };
    memory->all = memory->weights + memory->master + memory->gradients + memory->moments +
                  memory->activations + memory->workspace + memory->buffers + memory->batches +
                  (half ? 0 : memory->copy);
out:
    return status;
}
