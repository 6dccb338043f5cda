/* The learning rate over a run: linear warm-up from 0, then half a cosine to 0
 * (transformers.get_cosine_schedule_with_warmup), or no decay at all. */
#ifndef ROBIN_TRAIN_SCHEDULE_H
#define ROBIN_TRAIN_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

struct schedule {
    int64_t total_steps;
    int64_t warmup_steps;
    bool constant; /* 1 after the warm-up */
};

/* A cosine. ceil(total * ratio) steps of warm-up: at least one wherever the ratio is above 0. */
struct schedule schedule_make(int64_t total_steps, double warmup_ratio);

/* What every learning rate is multiplied by in optimizer step `step`, counted from 0. The first is
 * 0 whenever there is a warm-up. */
double schedule_factor(const struct schedule *schedule, int64_t step);

#endif
