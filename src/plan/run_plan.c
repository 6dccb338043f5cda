/* Putting a plan together. */
#include "plan/run_plan.h"

#include <inttypes.h>
#include <math.h>

#include "model/lm_slice.h"

static enum status check(const struct run_plan *plan, const struct run_config *config)
{
    enum status status = OK;
    struct lm_slice slice;
    const struct model_config model = model_config_from(config);
    const int64_t dp = config->parallel.dp;
    if (config->job != CONFIG_JOB_TRAIN)
        FAIL(ERR_ARGUMENT, "only job train can be planned; of a curriculum plan its stages");
    if (plan->options.ranks % plan->tp != 0)
        FAIL(ERR_ARGUMENT, "tp is %d, which does not divide %d ranks; use a divisor", plan->tp,
             plan->options.ranks);
    if (dp > 0 && dp * plan->tp != plan->options.ranks)
        FAIL(ERR_ARGUMENT,
             "parallel.dp is %" PRId64 " and tp %d, which is not %d ranks; change one of them, or "
             "parallel.dp to 0",
             dp, plan->tp, plan->options.ranks);
    TRY(lm_slice_make(&slice, &model.lm, 0, plan->tp));
out:
    return status;
}

/* Micro-batches of the fullest rank: limited by rows and, with mean pictures, by their number. */
static double micro_batches(const struct run_plan *plan, double samples)
{
    const struct model_limits *limits = &plan->model.options.limits;
    const struct plan_sample *sample = &plan->options.sample;
    double fit = floor((double)limits->max_tokens / fmax(sample->tokens, 1));
    if (sample->images > 0) fit = fmin(fit, floor((double)limits->max_images / sample->images));
    return ceil(samples / fmax(fit, 1));
}

enum status run_plan_make_memory(struct run_plan *plan_out, const struct run_config *config,
                                 const struct plan_options *options)
{
    enum status status = OK;
    struct run_plan plan = {.config = config, .options = *options};
    plan.tp = options->tp > 0 ? options->tp : (int)config->parallel.tp;
    plan.sequence = config->parallel.sequence && plan.tp > 1;
    TRY(check(&plan, config));
    plan.dp = options->ranks / plan.tp;
    TRY(run_model_size(&plan.model, config, true));
    if (config->parallel.shard_gradients) plan.model.options.gradient_windows = EXCHANGE_WINDOWS;
    TRY(plan_memory_fill(&plan));
    *plan_out = plan;
out:
    return status;
}

enum status run_plan_make(struct run_plan *plan_out, const struct run_config *config,
                          const struct plan_options *options)
{
    enum status status = OK;
    struct run_plan plan;
    TRY(run_plan_make_memory(&plan, config, options));
    const struct plan_sample *sample = &plan.options.sample;
    const double batch = (double)config->train.global_batch;
    plan.busy_ranks = fmin((double)plan.dp, batch);
    plan.micro_batches = micro_batches(&plan, ceil(batch / plan.busy_ranks));
    plan.load = (struct model_load){.images = batch * sample->images,
                                    .regions = batch * sample->regions,
                                    .tokens = batch * sample->tokens,
                                    .targets = batch * sample->targets,
                                    .pairs = batch * sample->pairs};
    plan.flops = model_flops(&plan.model.config, &plan.model.options, &plan.load);
    plan.steps = config->train.steps;
    if (plan.steps == 0 && sample->per_epoch > 0)
        plan.steps = (int64_t)ceil(config->train.epochs * sample->per_epoch / batch);
    TRY(plan_traffic_fill(&plan));
    plan_time_fill(&plan);
    *plan_out = plan;
out:
    return status;
}
