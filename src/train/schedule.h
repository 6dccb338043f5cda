/* The learning rate over a run: linear warm-up from 0, then half a cosine to 0
 * (transformers.get_cosine_schedule_with_warmup). */
#ifndef ROBIN_TRAIN_SCHEDULE_H
#define ROBIN_TRAIN_SCHEDULE_H

#include <stdint.h>

struct schedule {
    int64_t total_steps;
    int64_t warmup_steps;
};

/* ceil(total * ratio): at least one step wherever the ratio is above 0. */
struct schedule schedule_make(int64_t total_steps, double warmup_ratio);

/* What every learning rate is multiplied by in optimizer step `step`, counted from 0. The first is
 * 0 whenever there is a warm-up. */
double schedule_factor(const struct schedule *schedule, int64_t step);

#endif
