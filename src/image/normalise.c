/* OpenAI CLIP's statistics, as the reference's processor has them. */
#include "image/normalise.h"

static const double channel_mean[3] = {0.48145466, 0.4578275, 0.40821073};
static const double channel_std[3] = {0.26862954, 0.26130258, 0.27577711};

void normalisation_init(struct normalisation *table)
{
    for (int i = 0; i < NORMALISE_RUN; i++) {
        const double inverse = 1 / (double)(float)channel_std[i % 3];
        table->mean[i] = (float)channel_mean[i % 3];
        table->high[i] = (float)inverse;
        table->low[i] = (float)(inverse - (double)table->high[i]);
    }
}

static inline __attribute__((always_inline)) void
normalise_run(float *pixels, const uint8_t *rgb, int64_t n, const struct normalisation *table)
{
    for (int64_t i = 0; i < n; i++) {
        const float byte = (float)rgb[i];
        const float value = fmaf(byte, NORMALISE_HIGH, byte * NORMALISE_LOW) - table->mean[i];
        pixels[i] = fmaf(value, table->high[i], value * table->low[i]);
    }
}

void normalise_row(float *pixels, const uint8_t *rgb, int64_t n, const struct normalisation *table)
{
    int64_t i = 0;
    for (; i + NORMALISE_RUN <= n; i += NORMALISE_RUN)
        normalise_run(pixels + i, rgb + i, NORMALISE_RUN, table);
    normalise_run(pixels + i, rgb + i, n - i, table);
}
