/* Cross-entropy over chunks of the vocabulary: statistics first, loss, then the gradient in place.
 * With m = max_v l_v and z = sum_v exp(l_v - m):  loss = m + log z - l_target. */
#include "ref.h"

#include <math.h>

/* m' = max(m, max of chunk);  z' = z exp(m - m') + sum over the chunk of exp(l - m') */
enum status ref_cross_entropy_stats(float *row_max, float *row_sum, float *target_logit,
                                    const void *logits, const int32_t *target, int64_t n,
                                    int64_t vc, int64_t v0, struct stream *stream)
{
    (void)stream;
    const float *ls = logits;
    for (int64_t row = 0; row < n; row++) {
        const float *l = ls + row * vc;
        double old_max = v0 == 0 ? -INFINITY : (double)row_max[row];
        double old_sum = v0 == 0 ? 0.0 : (double)row_sum[row];
        double max = old_max;
        for (int64_t k = 0; k < vc; k++) max = fmax(max, (double)l[k]);
        double sum = old_sum > 0 ? old_sum * exp(old_max - max) : 0.0;
        for (int64_t k = 0; k < vc; k++) sum += exp((double)l[k] - max);
        row_max[row] = (float)max;
        row_sum[row] = (float)sum;
        if (v0 == 0) target_logit[row] = 0;
        if (target[row] >= v0 && target[row] < v0 + vc) target_logit[row] = l[target[row] - v0];
    }
    return OK;
}

/* z' = z exp(m - m') */
enum status ref_cross_entropy_rescale(float *row_max, float *row_sum, const float *common_max,
                                      int64_t n, struct stream *stream)
{
    (void)stream;
    for (int64_t row = 0; row < n; row++) {
        row_sum[row] =
            (float)((double)row_sum[row] * exp((double)row_max[row] - (double)common_max[row]));
        row_max[row] = common_max[row];
    }
    return OK;
}

enum status ref_cross_entropy_loss(float *loss, const float *row_max, const float *row_sum,
                                   const float *target_logit, int64_t n, struct stream *stream)
{
    (void)stream;
    for (int64_t row = 0; row < n; row++)
        loss[row] =
            (float)((double)row_max[row] - (double)target_logit[row] + log((double)row_sum[row]));
    return OK;
}

/* dl_v = a (exp(l_v - m) / z - [v = target]),  a = row_scale */
enum status ref_cross_entropy_gradient(void *logits, const float *row_max, const float *row_sum,
                                       const int32_t *target, const float *row_scale, int64_t n,
                                       int64_t vc, int64_t v0, struct stream *stream)
{
    (void)stream;
    float *ls = logits;
    for (int64_t row = 0; row < n; row++)
        for (int64_t k = 0; k < vc; k++) {
            double l = (double)ls[row * vc + k];
            double p = exp(l - (double)row_max[row]) / (double)row_sum[row];
            double onehot = target[row] == v0 + k ? 1.0 : 0.0;
            ls[row * vc + k] = (float)((double)row_scale[row] * (p - onehot));
        }
    return OK;
}
