/* One optimizer step. */
#include "train/train_step.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "base/text_buffer.h"
#include "base/trace.h"

const char *const train_phase_names[N_PHASES] = {"data", "model", "reduce", "optimizer"};

/* Seconds since the last call of the same clock. */
struct stop_clock {
    struct timespec last;
};

static double lap(struct stop_clock *clock)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const double seconds = (double)(now.tv_sec - clock->last.tv_sec) +
                           (double)(now.tv_nsec - clock->last.tv_nsec) * 1e-9;
    clock->last = now;
    return seconds;
}

/* " 0100000000000007, ... and 56 more", to free(). */
static char *list_samples(const uint64_t *ids, int64_t n)
{
    const int64_t most = 8;
    struct text_buffer text = {0};
    for (int64_t i = 0; i < n && i < most; i++)
        text_printf(&text, "%s %016" PRIx64, i > 0 ? "," : "", ids[i]);
    if (n > most) text_printf(&text, " and %" PRId64 " more", n - most);
    return text_take(&text);
}

/* Only the rank that computed it knows which samples it was. */
static void warn_not_finite(int64_t step, const struct micro_batch *micro, double loss)
{
    char *samples = list_samples(micro->sample_id, micro->batch.n_sequences);
    log_warn("step %" PRId64 ": the loss of the micro-batch with the samples%s is %g", step + 1,
             samples, loss);
    free(samples);
}

/* Over the tp group, where there is one: whether any of its ranks failed, and so none computes. */
static enum status any_failed(const struct train_parts *parts, bool own, bool *any_out)
{
    enum status status = OK;
    int64_t failed = own;
    if (parts->mesh->tp_size > 1) TRY(comm_max_int64(parts->mesh->tp, &failed, 1));
    *any_out = failed > 0;
out:
    return status;
}

/* One micro-batch: its gradient is added to what the exchange has. */
static enum status compute_one(const struct train_parts *parts, const struct train_input *input,
                               const struct micro_batch *micro, double *loss_out)
{
    enum status status = OK;
    struct model_result one;
    struct task_loss *tasks = parts->mesh->tp_rank == 0 ? input->task_loss : NULL;
    exchange_begin_micro(parts->exchange);
    trace_push("phase", train_phase_names[PHASE_MODEL]);
    status = model_step(parts->model, &micro->batch, true, task_loss_watch(tasks, micro), &one);
    trace_pop(0);
    TRY(status);
    TRY(exchange_end_micro(parts->exchange));
    if (!isfinite(one.weighted_loss)) warn_not_finite(input->step, micro, one.weighted_loss);
    *loss_out = one.weighted_loss;
out:
    return status;
}

/* This rank's micro-batches; stops at the first that fails. losses [n_micro] */
static enum status compute(const struct train_parts *parts, const struct train_input *input,
                           double *losses, struct train_result *result, struct stop_clock *clock)
{
    enum status status = OK;
    struct micro_batch *micro = NULL;
    bool any = false;
    task_loss_clear(input->task_loss);
    TRY(exchange_begin(parts->exchange, input->first_micro, input->first_micro + input->n_micro));
    for (int64_t m = 0; m < input->n_micro; m++) {
        result->seconds[PHASE_MODEL] += lap(clock);
        trace_push("phase", train_phase_names[PHASE_DATA]);
        status = input->next(input->context, &micro);
        trace_pop(0);
        if (status != OK) status_add_context("step %" PRId64, input->step);
        result->seconds[PHASE_DATA] += lap(clock);
        const enum status met = any_failed(parts, status != OK, &any);
        if (status == OK) status = met;
        if (any || status != OK) goto out;
        TRY_WHERE(compute_one(parts, input, micro, &losses[m]),
                  "step %" PRId64 ", micro-batch %" PRId64 " of this rank", input->step, m);
        micro_batch_destroy(micro);
        micro = NULL;
    }
out:
    micro_batch_destroy(micro);
    result->seconds[PHASE_MODEL] += lap(clock);
    return status;
}

/* Collective. The sum of all micro-batches' losses; in their order where that is known. */
static enum status sum_losses(const struct train_parts *parts, const struct train_input *input,
                              const double *losses, double *sum_out)
{
    enum status status = OK;
    const bool ordered = input->n_all_micro > 0;
    const int64_t n = ordered ? input->n_all_micro : 1;
    double *all = memory_new((size_t)n, sizeof *all);
    for (int64_t m = 0; m < input->n_micro; m++)
        all[ordered ? input->first_micro + m : 0] += losses[m];
    TRY(comm_sum_double(parts->mesh->dp, all, n));
    for (int64_t m = 0; m < n; m++) *sum_out += all[m];
out:
    free(all);
    return status;
}

static double overlap_of(const struct gradient_exchange *exchange)
{
    const struct exchange_times times = exchange_times(exchange);
    const double busy = times.reduce + times.gather;
    const double waited = times.reduce_waited + times.gather_waited;
    if (busy <= 0) return -1;
    return waited < busy ? 1 - waited / busy : 0;
}

/* Collective. The numbers are sums over the ranks, and still nothing but the worst verdict of all
 * ranks counts: a rank that skipped alone would be another model from then on. */
static enum status judge(const struct train_parts *parts, const struct train_input *input,
                         struct train_result *result)
{
    enum status status = OK;
    int64_t verdict =
        step_verdict(input->means, input->spike_factor, result->loss, result->gradient_norm);
    TRY(comm_max_int64(parts->comm, &verdict, 1));
    result->verdict = (enum step_verdict)verdict;
    if (result->loss == 0) {
        char *samples = list_samples(input->sample_ids, input->n_samples);
        status = status_fail(ERR_DIVERGED,
                             "step %" PRId64 ": the loss is exactly 0, so nothing is learnt; look "
                             "at the labels of the samples%s",
                             input->step + 1, samples);
        free(samples);
    }
    TRY(comm_agree(parts->comm, status));
out:
    return status;
}

/* Collective. Gradients of all ranks, in shards, and the loss. */
static enum status gradients(const struct train_parts *parts, const struct train_input *input,
                             struct train_result *result, struct stop_clock *clock)
{
    enum status status = OK;
    double *losses = memory_new((size_t)input->n_micro + 1, sizeof *losses);
    status = compute(parts, input, losses, result, clock);
    trace_push("phase", train_phase_names[PHASE_REDUCE]);
    const enum status reduced = exchange_finish(parts->exchange);
    trace_pop(0);
    TRY(comm_agree(parts->comm, status == OK ? reduced : status));
    TRY(sum_losses(parts, input, losses, &result->loss));
    TRY(task_loss_reduce(input->task_loss, parts->comm));
    result->seconds[PHASE_REDUCE] = lap(clock);
out:
    free(losses);
    return status;
}

/* Collective. The norm, the verdict, and, where it allows, the optimizer's step. */
static enum status update(const struct train_parts *parts, const struct train_input *input,
                          struct train_result *result)
{
    enum status status = OK;
    TRY(exchange_norm(parts->exchange, parts->optimizer, &result->gradient_norm,
                      result->module_norm));
    result->overlap = overlap_of(parts->exchange);
    TRY(judge(parts, input, result));
    if (result->verdict == STEP_TAKEN)
        TRY(exchange_update(parts->exchange, parts->optimizer, result->gradient_norm,
                            result->lr_factor));
out:
    return status;
}

enum status train_step(const struct train_parts *parts, const struct train_input *input,
                       struct train_result *result_out)
{
    enum status status = OK;
    struct train_result result = {.lr_factor = schedule_factor(parts->schedule, input->step)};
    struct stop_clock clock;
    comm_set_step(parts->comm, input->step);
    (void)lap(&clock);
    TRY(gradients(parts, input, &result, &clock));
    trace_push("phase", train_phase_names[PHASE_OPTIMIZER]);
    status = update(parts, input, &result);
    trace_pop(0);
    TRY(status);
    result.seconds[PHASE_OPTIMIZER] = lap(&clock);
    *result_out = result;
out:
    return status;
}
