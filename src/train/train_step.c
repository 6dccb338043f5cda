/* One optimizer step. */
#include "train/train_step.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "base/text_buffer.h"

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

/* Adds the gradients of this rank's micro-batches; stops at the first that fails. */
static enum status compute(const struct train_parts *parts, const struct train_input *input,
                           struct train_result *result, struct stop_clock *clock)
{
    enum status status = OK;
    struct micro_batch *micro = NULL;
    model_zero_gradients(parts->model);
    task_loss_clear(input->task_loss);
    for (int64_t m = 0; m < input->n_micro; m++) {
        struct model_result one;
        result->seconds[PHASE_MODEL] += lap(clock);
        TRY_WHERE(input->next(input->context, &micro), "step %" PRId64, input->step);
        result->seconds[PHASE_DATA] += lap(clock);
        TRY_WHERE(model_step(parts->model, &micro->batch, true,
                             task_loss_watch(input->task_loss, micro), &one),
                  "step %" PRId64 ", micro-batch %" PRId64 " of this rank", input->step, m);
        if (!isfinite(one.weighted_loss)) warn_not_finite(input->step, micro, one.weighted_loss);
        result->loss += one.weighted_loss;
        micro_batch_destroy(micro);
        micro = NULL;
    }
out:
    micro_batch_destroy(micro);
    result->seconds[PHASE_MODEL] += lap(clock);
    return status;
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

enum status train_step(const struct train_parts *parts, const struct train_input *input,
                       struct train_result *result_out)
{
    enum status status = OK;
    struct train_result result = {.lr_factor = schedule_factor(parts->schedule, input->step)};
    struct stop_clock clock;
    float *gradients = model_gradients(parts->model);
    comm_set_step(parts->comm, input->step);
    (void)lap(&clock);
    TRY(comm_agree(parts->comm, compute(parts, input, &result, &clock)));
    TRY(comm_sum_float(parts->comm, gradients,
                       model_parameters(parts->model)->n_gradient_elements));
    TRY(comm_sum_double(parts->comm, &result.loss, 1));
    TRY(task_loss_reduce(input->task_loss, parts->comm));
    result.seconds[PHASE_REDUCE] = lap(&clock);
    TRY(comm_agree(parts->comm,
                   optimizer_gradient_norm(parts->optimizer, gradients, &result.gradient_norm,
                                           result.module_norm)));
    TRY(judge(parts, input, &result));
    if (result.verdict == STEP_TAKEN)
        TRY(comm_agree(parts->comm,
                       optimizer_step(parts->optimizer, model_weights(parts->model), gradients,
                                      result.gradient_norm, result.lr_factor)));
    result.seconds[PHASE_OPTIMIZER] = lap(&clock);
    *result_out = result;
out:
    return status;
}
