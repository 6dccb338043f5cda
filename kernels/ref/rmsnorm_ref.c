/* Qwen2RMSNorm: no mean, no bias. */
#include "ref.h"

#include <math.h>

/* r_n = (sum_c x_nc^2 / C + eps)^-1/2;  out_nc = x_nc r_n w_c */
enum status ref_rmsnorm_forward(void *out, float *rstd, const void *x, const void *w, int64_t n,
                                int64_t c, double eps, struct stream *stream)
{
    (void)stream;
    float *outs = out;
    const float *xs = x, *ws = w;
    for (int64_t row = 0; row < n; row++) {
        double squares = 0;
        for (int64_t k = 0; k < c; k++)
            squares += (double)xs[row * c + k] * (double)xs[row * c + k];
        double r = 1.0 / sqrt(squares / (double)c + eps);
        rstd[row] = (float)r;
        for (int64_t k = 0; k < c; k++)
            outs[row * c + k] = (float)((double)xs[row * c + k] * r * (double)ws[k]);
    }
    return OK;
}

/* dx_nc (+)= r_n w_c g_nc - x_nc r_n^3 / C sum_k g_nk w_k x_nk,  g = dout
 * dw_c += sum_n g_nc x_nc r_n */
enum status ref_rmsnorm_backward(void *dx, float *dw, const void *dout, const void *x,
                                 const void *w, const float *rstd, int64_t n, int64_t c,
                                 int accumulate, void *workspace, struct stream *stream)
{
    (void)stream;
    (void)workspace;
    float *dxs = dx;
    const float *g = dout, *xs = x, *ws = w;
    for (int64_t row = 0; row < n; row++) {
        double r = (double)rstd[row], dot = 0;
        for (int64_t k = 0; k < c; k++)
            dot += (double)g[row * c + k] * (double)ws[k] * (double)xs[row * c + k];
        for (int64_t k = 0; k < c; k++) {
            double grad = r * (double)ws[k] * (double)g[row * c + k] -
                          (double)xs[row * c + k] * r * r * r / (double)c * dot;
            if (accumulate) grad += (double)dxs[row * c + k];
            dxs[row * c + k] = (float)grad;
        }
    }
    if (dw == NULL) return OK;
    for (int64_t k = 0; k < c; k++) {
        double sum = (double)dw[k];
        for (int64_t row = 0; row < n; row++)
            sum += (double)g[row * c + k] * (double)xs[row * c + k] * (double)rstd[row];
        dw[k] = (float)sum;
    }
    return OK;
}

size_t ref_norm_workspace(int64_t n, int64_t c)
{
    (void)n;
    (void)c;
    return 0;
}
