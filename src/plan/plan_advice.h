/* What to change where a plan does not fit, and how it scales: other plans of the same run. */
#ifndef ROBIN_PLAN_PLAN_ADVICE_H
#define ROBIN_PLAN_PLAN_ADVICE_H

#include <stdbool.h>

#include "plan/run_plan.h"

bool run_plan_fits(const struct run_plan *plan);

/* Where the memory does not suffice: the fewest changes that make it suffice (recompute, smaller
 * micro-batches, tp, ranks), each way with what it needs and how long a step takes then; or that
 * none does. Text to free(); "" where the plan fits. */
void plan_advice(char **text_out, const struct run_plan *plan);

/* The same run on several numbers of ranks. Text to free(). */
enum status plan_scaling(char **text_out, const struct run_plan *plan);

#endif
