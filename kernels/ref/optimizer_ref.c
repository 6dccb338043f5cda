/* AdamW, the gradient norm and scaling. */
#include "ref.h"

#include <math.h>

/* torch.optim.AdamW: scalars in double and then rounded to fp32, every tensor operation rounded to
 * fp32 in this order, no contraction. Nothing is accumulated, so the order IS the specification and
 * every backend gives the same bits.
 *   g = grad * grad_scale                    p = p (1 - lr wd)
 *   m = m + (1 - b1) (g - m)                 v = v b2 + (1 - b2) g g
 *   p = p - lr / (1 - b1^k) m / (sqrt(v) / sqrt(1 - b2^k) + eps) */
enum status ref_adamw(float *p, float *m, float *v, const float *grad, int64_t n,
                      const struct adamw_step *step, struct stream *stream)
{
    (void)stream;
    float grad_scale = (float)step->grad_scale, beta2 = (float)step->beta2;
    float decay = (float)(1.0 - step->lr * step->weight_decay);
    float one_minus_beta1 = (float)(1.0 - step->beta1),
          one_minus_beta2 = (float)(1.0 - step->beta2);
    float step_size = (float)(-step->lr / (1.0 - pow(step->beta1, (double)step->step)));
    float correction2 = (float)sqrt(1.0 - pow(step->beta2, (double)step->step));
    float eps = (float)step->eps;
    for (int64_t k = 0; k < n; k++) {
        float g = grad[k] * grad_scale;
        m[k] = m[k] + one_minus_beta1 * (g - m[k]);
        v[k] = v[k] * beta2 + one_minus_beta2 * g * g;
        float denominator = sqrtf(v[k]) / correction2 + eps;
        p[k] = p[k] * decay + step_size * m[k] / denominator;
    }
    return OK;
}

/* sum_k x_k^2 */
enum status ref_sum_squares(double *out, const float *x, int64_t n, struct stream *stream)
{
    (void)stream;
    double sum = 0;
    for (int64_t k = 0; k < n; k++) sum += (double)x[k] * (double)x[k];
    *out = sum;
    return OK;
}

enum status ref_sum_squares_blocks(double *out, const float *x, int64_t n, int64_t block,
                                   struct stream *stream)
{
    enum status status = OK;
    for (int64_t first = 0; first < n; first += block, out++)
        TRY(ref_sum_squares(out, x + first, n - first < block ? n - first : block, stream));
out:
    return status;
}

enum status ref_running_mean(float *mean, const float *x, int64_t n, double decay,
                             struct stream *stream)
{
    (void)stream;
    float rest = (float)(1.0 - decay);
    for (int64_t k = 0; k < n; k++) mean[k] += rest * (x[k] - mean[k]);
    return OK;
}

enum status ref_scale(float *x, int64_t n, double factor, struct stream *stream)
{
    (void)stream;
    float fp32_factor = (float)factor;
    for (int64_t k = 0; k < n; k++) x[k] *= fp32_factor;
    return OK;
}
