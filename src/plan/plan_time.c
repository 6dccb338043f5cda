/* How long a step takes. */
#include <math.h>

#include "plan/run_plan.h"

/* Bytes that the passes between the matrices read and write for one row: two residual sums with
 * their norms, rotary positions, SwiGLU; forward, or backward. In widths of an activation. */
static double row_passes(const struct lm_config *lm, bool backward)
{
    const double d = (double)lm->hidden, f = (double)lm->ffn;
    return (double)lm->layers * (backward ? 10.5 * d + 5 * f : 10.25 * d + 3 * f);
}

/* Seconds of the language model's passes between its matrices, on one rank. */
static double elementwise_time(const struct run_plan *plan, double ranks)
{
    const struct lm_config *lm = &plan->model.config.lm;
    const double width = plan->options.rates.half ? 2 : 4;
    const bool trains = plan->flops.backward[MODULE_LM] > 0;
    double passes = row_passes(lm, false);
    if (trains) passes += row_passes(lm, true);
    if (trains && plan->model.options.recompute) passes += row_passes(lm, false);
    const double logits = 3 * plan->load.targets * (double)lm->vocab;
    return width * (plan->load.tokens * passes + logits) / ranks / plan->options.rates.copy;
}

/* Gradient norm, then AdamW: the gradient read twice; weight, two moments read and written; the
 * weight written once more in bf16. */
static double optimizer_time(const struct run_plan *plan)
{
    const bool half = plan->options.rates.half;
    const double trained = plan->memory.gradients / 4;
    const double owned = plan->memory.state / 4;
    return (4 * trained + (half ? 30 : 28) * owned) / plan->options.rates.copy;
}

static void fill_compute(struct run_plan *plan)
{
    const struct machine_rates *rates = &plan->options.rates;
    const struct model_flops *flops = &plan->flops;
    struct plan_time *time = &plan->time;
    const double ranks = plan->busy_ranks * (double)plan->tp;
    double vision = 0, again = 0;
    for (int m = 0; m < N_MODULES; m++) {
        if (m == MODULE_LM) continue;
        vision += flops->forward[m] + flops->backward[m];
        again += flops->again[m] / rates->vision;
    }
    const bool trains = flops->backward[MODULE_LM] > 0;
    const double head_times =
        trains ? (plan->model.options.trainable[MODULE_LM] ? 3 : 2) : 1; /* forward and gradients */
    time->head = head_times * flops->head / rates->matrix / ranks;
    time->attention = (flops->attention / rates->attention_forward +
                       (trains ? 2 * flops->attention / rates->attention_backward : 0)) /
                      ranks;
    time->lm_matrices = (flops->forward[MODULE_LM] + flops->backward[MODULE_LM] -
                         head_times * flops->head - (trains ? 3 : 1) * flops->attention) /
                        rates->matrix / ranks;
    time->vision = vision / rates->vision / ranks;
    if (flops->again[MODULE_LM] > 0)
        again += (flops->again[MODULE_LM] - flops->attention) / rates->matrix +
                 flops->attention / rates->attention_forward;
    time->again = again / ranks;
    time->elementwise = elementwise_time(plan, ranks);
    time->optimizer = optimizer_time(plan);
}

/* What is hidden is so as far as the backward pass lasts. */
static double exposed_time(const struct run_plan *plan, double backward)
{
    double exposed = 0, hidden = 0;
    for (int i = 0; i < plan->n_traffic; i++) {
        const struct plan_traffic *row = &plan->traffic[i];
        *(row->hidden ? &hidden : &exposed) += row->seconds;
    }
    return exposed + fmax(0, hidden - backward);
}

void plan_time_fill(struct run_plan *plan)
{
    struct plan_time *time = &plan->time;
    fill_compute(plan);
    const double compute = time->vision + time->lm_matrices + time->attention + time->elementwise +
                           time->head + time->optimizer + time->again;
    const double all = model_flops_sum(&plan->flops);
    double backward = 0;
    for (int m = 0; m < N_MODULES; m++) backward += plan->flops.backward[m];
    time->gap = compute * plan->options.rates.gap;
    time->exposed = exposed_time(plan, all > 0 ? compute * backward / all : 0);
    time->all = compute + time->gap + time->exposed;
    plan->mfu = all / time->all / (plan->options.rates.peak * plan->options.ranks);
}
