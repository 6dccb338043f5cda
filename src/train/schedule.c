/* The cosine schedule with warm-up. */
#include "train/schedule.h"

#include <math.h>

struct schedule schedule_make(int64_t total_steps, double warmup_ratio)
{
    const double warmup = ceil((double)total_steps * warmup_ratio);
    return (struct schedule){.total_steps = total_steps, .warmup_steps = (int64_t)warmup};
}

double schedule_factor(const struct schedule *schedule, int64_t step)
{
    const double pi = 3.14159265358979323846;
    if (step < schedule->warmup_steps) return (double)step / (double)schedule->warmup_steps;
    if (schedule->constant) return 1;
    const int64_t rest = schedule->total_steps - schedule->warmup_steps;
    const double progress = (double)(step - schedule->warmup_steps) / (double)(rest > 1 ? rest : 1);
    return fmax(0.0, 0.5 * (1.0 + cos(pi * progress)));
}
