/* Whether the numbers of a step may move the weights. One NaN in a gradient would make all weights
 * NaN, and a step far from all others may undo what many have learnt: such a step is skipped, by
 * all ranks together, and weights, moments and their count of steps stay as they are. */
#ifndef ROBIN_TRAIN_STEP_VERDICT_H
#define ROBIN_TRAIN_STEP_VERDICT_H

#include "checkpoint/run_checkpoint.h"

enum step_verdict {
    STEP_TAKEN,
    STEP_GRADIENT_SPIKES,
    STEP_LOSS_SPIKES,
    STEP_GRADIENT_NOT_FINITE,
    STEP_LOSS_NOT_FINITE,
    N_STEP_VERDICTS
};
extern const char *const step_verdict_texts[N_STEP_VERDICTS]; /* "the loss is not finite" ... */

/* So many steps must be in the means before anything is called a spike. */
#define STEP_VERDICT_GRACE 20

/* A spike is a loss, or a norm of the gradient, of more than spike_factor times its mean; 0, or
 * `means` NULL: only numbers that are not finite are refused. */
enum step_verdict step_verdict(const struct run_means *means, double spike_factor, double loss,
                               double norm);

/* The means over all steps taken so far, of the last 100 or so: later on the oldest fade. */
void run_means_add(struct run_means *means, double loss, double norm);

#endif
