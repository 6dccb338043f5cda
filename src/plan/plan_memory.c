/* Memory of a rank. */
#include <math.h>

#include "model/lm_head.h"
#include "model/lm_slice.h"
#include "plan/run_plan.h"

double plan_micro_batch_bytes(const struct model_config *config, const struct model_limits *limits)
{
    const double images = (double)limits->max_images, regions = (double)limits->max_regions;
    const double tokens = (double)limits->max_tokens, targets = (double)limits->max_targets;
    const double side = (double)config->extractor.mask_side;
    double cells[N_LEVELS], all_cells = 0;
    for (int level = 0; level < N_LEVELS; level++) {
        cells[level] = (double)(level_side(config->image_height, level) *
                                level_side(config->image_width, level));
        all_cells += cells[level];
    }
    const double pixels = images * 3 * (double)(config->image_height * config->image_width);
    const double floats = pixels + regions * side * side + targets;
    const double indices = (double)limits->max_sequences + 2 * tokens +
                           images * cells[IMAGE_LEVEL] + 3 * regions + 2 * targets;
    return 4 * floats + regions * all_cells + 4 * indices;
}

/* Logits stand in the workspace, a chunk of targets at a time. */
static double logit_bytes(const struct run_plan *plan)
{
    const int64_t targets = plan->model.options.limits.max_targets;
    const int64_t words = plan->model.config.lm.vocab / plan->options.tp;
    int64_t rows = 0, vocab = 0;
    lm_head_choose_chunks(&rows, &vocab, words, targets);
    return 4 * (double)(rows < targets ? rows : targets) * (double)vocab;
}

/* Of the sharer that takes most. */
static enum status plan_model(struct run_plan *plan, struct model_memory *largest, double *trained)
{
    enum status status = OK;
    struct parameter_table *table = NULL;
    double most = -1;
    for (int index = 0; index < plan->options.tp; index++) {
        const struct model_share share = {
            .index = index, .size = plan->options.tp, .sequence = plan->options.sequence};
        struct model_options options = plan->model.options;
        struct model_memory memory;
        if (plan->options.tp > 1) options.share = &share;
        TRY(model_plan(&memory, &plan->model.config, &options, plan->model.kernels));
        const double sum = (double)memory.weights + (double)memory.gradients +
                           (double)memory.activations + (double)memory.workspace;
        if (sum > most) *largest = memory;
        if (sum > most) most = sum;
    }
    *trained = (double)largest->gradients / sizeof(float);
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
    struct model_memory model = {0};
    double trained = 0;
    TRY(plan_model(plan, &model, &trained));
    const bool half = plan->options.rates.half;
    const double width = half ? 0.5 : 1; /* bytes of what the model computes with, of fp32's */
    const double owners = half ? (double)plan->dp : 1;
    const double prefetch = (double)plan->config->data.prefetch;
    *memory = (struct plan_memory){
        .weights = width * (double)model.weights,
        .master = half ? 4 * trained / owners : 0,
        .gradients = (double)model.gradients,
        .moments = 8 * trained / owners,
        .activations = width * (double)model.activations,
        .workspace = width * (double)model.workspace,
        .logits = width * logit_bytes(plan),
        .batches = plan_micro_batch_bytes(&plan->model.config, &plan->model.options.limits) *
                   (half ? 1 : prefetch + 1),
    };
    memory->all = memory->weights + memory->master + memory->gradients + memory->moments +
                  memory->activations + memory->workspace + memory->buffers + memory->batches;
out:
    return status;
}
