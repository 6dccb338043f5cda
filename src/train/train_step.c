/* One optimizer step. */
#include "train/train_step.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

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

/* Adds the gradients of this rank's micro-batches; stops at the first that fails. */
static enum status compute(const struct train_parts *parts, const struct train_input *input,
                           struct train_result *result, struct stop_clock *clock)
{
    enum status status = OK;
    struct micro_batch *micro = NULL;
    model_zero_gradients(parts->model);
    for (int64_t m = 0; m < input->n_micro; m++) {
        struct model_result one;
        result->seconds[PHASE_MODEL] += lap(clock);
        TRY_WHERE(input->next(input->context, &micro), "step %" PRId64, input->step);
        result->seconds[PHASE_DATA] += lap(clock);
        TRY_WHERE(model_step(parts->model, &micro->batch, true, NULL, &one),
                  "step %" PRId64 ", micro-batch %" PRId64 " of this rank", input->step, m);
        result->loss += one.weighted_loss;
        micro_batch_destroy(micro);
        micro = NULL;
    }
out:
    micro_batch_destroy(micro);
    result->seconds[PHASE_MODEL] += lap(clock);
    return status;
}

/* "samples 0100000000000007, ... and 56 more", to free(). */
static char *list_samples(const struct train_input *input)
{
    const int64_t most = 8;
    struct text_buffer text = {0};
    text_append(&text, "samples");
    for (int64_t i = 0; i < input->n_samples && i < most; i++)
        text_printf(&text, "%s %016" PRIx64, i > 0 ? "," : "", input->sample_ids[i]);
    if (input->n_samples > most)
        text_printf(&text, " and %" PRId64 " more", input->n_samples - most);
    return text_take(&text);
}

/* The numbers are sums over the ranks, so every rank decides alike. */
static enum status check_numbers(const struct train_input *input, const struct train_result *result)
{
    enum status status = OK;
    char *samples = list_samples(input);
    if (!isfinite(result->loss) || !isfinite(result->gradient_norm))
        FAIL(ERR_DIVERGED,
             "step %" PRId64 ": the loss is %g and the gradient's norm %g; lower optimizer.lr, or "
             "look at the %s",
             input->step, result->loss, result->gradient_norm, samples);
    if (result->loss == 0)
        FAIL(ERR_DIVERGED,
             "step %" PRId64 ": the loss is exactly 0, so nothing is learnt; look at the labels of "
             "the %s",
             input->step, samples);
out:
    free(samples);
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
    result.seconds[PHASE_REDUCE] = lap(&clock);
    TRY(comm_agree(parts->comm,
                   optimizer_gradient_norm(parts->optimizer, gradients, &result.gradient_norm)));
    TRY(comm_agree(parts->comm, check_numbers(input, &result)));
    TRY(comm_agree(parts->comm, optimizer_step(parts->optimizer, model_weights(parts->model),
                                               gradients, result.gradient_norm, result.lr_factor)));
    result.seconds[PHASE_OPTIMIZER] = lap(&clock);
    *result_out = result;
out:
    return status;
}
