/* GELU (the exact one, with erf) and ReLU, specification. */
#include <math.h>

#include "ref.h"

/* out = x Phi(x),  Phi(x) = erfc(-x / sqrt 2) / 2: the same as (1 + erf) / 2, without its
 * cancellation for negative x */
enum status ref_gelu_forward(void *out, const void *x, int64_t n, struct stream *stream)
{
    (void)stream;
    for (int64_t i = 0; i < n; i++) {
        double v = ((const float *)x)[i];
        ((float *)out)[i] = (float)(v * 0.5 * erfc(-v * M_SQRT1_2));
    }
    return OK;
}

/* gelu'(x) = Phi(x) + x phi(x),  phi(x) = exp(-x^2 / 2) / sqrt(2 pi) */
enum status ref_gelu_backward(void *dx, const void *dout, const void *x, int64_t n,
                              struct stream *stream)
{
    (void)stream;
    for (int64_t i = 0; i < n; i++) {
        double v = ((const float *)x)[i];
        double density = exp(-0.5 * v * v) * (0.5 * M_SQRT1_2 * M_2_SQRTPI);
        double slope = 0.5 * erfc(-v * M_SQRT1_2) + v * density;
        ((float *)dx)[i] = (float)(((const float *)dout)[i] * slope);
    }
    return OK;
}

enum status ref_relu_forward(void *out, const void *x, int64_t n, struct stream *stream)
{
    (void)stream;
    for (int64_t i = 0; i < n; i++) {
        float v = ((const float *)x)[i];
        ((float *)out)[i] = v < 0 ? 0 : v; /* NaN stays NaN */
    }
    return OK;
}

enum status ref_relu_backward(void *dx, const void *dout, const void *out, int64_t n,
                              struct stream *stream)
{
    (void)stream;
    for (int64_t i = 0; i < n; i++)
        ((float *)dx)[i] = ((const float *)out)[i] > 0 ? ((const float *)dout)[i] : 0;
    return OK;
}
