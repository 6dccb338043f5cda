/* What the mean sample of a configuration is. */
#ifndef ROBIN_PLAN_SAMPLE_SURVEY_H
#define ROBIN_PLAN_SAMPLE_SURVEY_H

#include "plan/run_plan.h"

/* Builds `n` samples spread over an epoch, without decoding pictures. The errors are those of
 * opening the corpora and the tokenizer. */
enum status sample_survey(struct plan_sample *sample_out, const struct run_config *config,
                          int64_t n);

/* Where there are no corpora: a picture, ten regions, and text to a quarter of the longest sample
 * at most, half of it learnt. */
struct plan_sample sample_assumed(const struct run_config *config);

#endif
