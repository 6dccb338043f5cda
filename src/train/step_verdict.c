/* Judging the numbers of a step. */
#include "train/step_verdict.h"

#include <math.h>
#include <stddef.h>

#define MEMORY 100 /* steps */

const char *const step_verdict_texts[N_STEP_VERDICTS] = {
    [STEP_TAKEN] = "taken",
    [STEP_GRADIENT_SPIKES] = "the gradient spikes",
    [STEP_LOSS_SPIKES] = "the loss spikes",
    [STEP_GRADIENT_NOT_FINITE] = "the gradient is not finite",
    [STEP_LOSS_NOT_FINITE] = "the loss is not finite",
};

enum step_verdict step_verdict(const struct run_means *means, double spike_factor, double loss,
                               double norm)
{
    if (!isfinite(loss)) return STEP_LOSS_NOT_FINITE;
    if (!isfinite(norm)) return STEP_GRADIENT_NOT_FINITE;
    if (means == NULL || spike_factor <= 0 || means->n < STEP_VERDICT_GRACE) return STEP_TAKEN;
    if (loss > spike_factor * means->loss) return STEP_LOSS_SPIKES;
    if (norm > spike_factor * means->norm) return STEP_GRADIENT_SPIKES;
    return STEP_TAKEN;
}

void run_means_add(struct run_means *means, double loss, double norm)
{
    means->n++;
    const double share = 1 / (double)(means->n < MEMORY ? means->n : MEMORY);
    means->loss += share * (loss - means->loss);
    means->norm += share * (norm - means->norm);
}
