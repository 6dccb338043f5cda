/* SwiGLU and the residual addition. */
#include "ref.h"

#include <math.h>

/* out = g sigma(g) u,  sigma(g) = 1 / (1 + e^-g) */
enum status ref_swiglu_forward(void *out, const void *gate_up, int64_t n, int64_t f,
                               struct stream *stream)
{
    (void)stream;
    float *outs = out;
    const float *in = gate_up;
    for (int64_t row = 0; row < n; row++)
        for (int64_t k = 0; k < f; k++) {
            double g = (double)in[row * 2 * f + k], u = (double)in[row * 2 * f + f + k];
            outs[row * f + k] = (float)(g / (1.0 + exp(-g)) * u);
        }
    return OK;
}

/* dg = dout u sigma(g) (1 + g (1 - sigma(g)));  du = dout g sigma(g) */
enum status ref_swiglu_backward(void *dgate_up, const void *dout, const void *gate_up, int64_t n,
                                int64_t f, struct stream *stream)
{
    (void)stream;
    float *din = dgate_up;
    const float *in = gate_up, *douts = dout;
    for (int64_t row = 0; row < n; row++)
        for (int64_t k = 0; k < f; k++) {
            int64_t gate = row * 2 * f + k, up = gate + f;
            double g = (double)in[gate], u = (double)in[up], grad = (double)douts[row * f + k];
            double sigma = 1.0 / (1.0 + exp(-g));
            din[gate] = (float)(grad * u * sigma * (1.0 + g * (1.0 - sigma)));
            din[up] = (float)(grad * g * sigma);
        }
    return OK;
}

/* y += x */
enum status ref_add(void *y, const void *x, int64_t n, struct stream *stream)
{
    (void)stream;
    float *ys = y;
    const float *xs = x;
    for (int64_t k = 0; k < n; k++) ys[k] += xs[k];
    return OK;
}

/* out = x: tensors of this table are fp32 already */
enum status ref_widen(float *out, const void *x, int64_t n, struct stream *stream)
{
    (void)stream;
    const float *xs = x;
    for (int64_t k = 0; k < n; k++) out[k] = xs[k];
    return OK;
}

enum status ref_narrow(void *out, const float *x, int64_t n, struct stream *stream)
{
    return ref_widen(out, x, n, stream);
}
