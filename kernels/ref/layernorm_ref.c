/* LayerNorm, specification: one row after the other, every sum in double. */
#include <math.h>

#include "ref.h"

/* mean = sum_c x / C,  var = sum_c (x - mean)^2 / C,  rstd = 1 / sqrt(var + eps)
 * out = (x - mean) rstd w + b */
enum status ref_layernorm_forward(void *out, float *mean, float *rstd, const void *x, const void *w,
                                  const void *b, int64_t n, int64_t c, double eps,
                                  struct stream *stream)
{
    (void)stream;
    const float *weight = w, *bias = b;
    for (int64_t row = 0; row < n; row++) {
        const float *x_row = (const float *)x + row * c;
        float *out_row = (float *)out + row * c;
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < c; i++) sum += x_row[i];
        double mu = sum / (double)c;
        for (int64_t i = 0; i < c; i++) squares += (x_row[i] - mu) * (x_row[i] - mu);
        double r = 1 / sqrt(squares / (double)c + eps);
        for (int64_t i = 0; i < c; i++)
            out_row[i] = (float)((x_row[i] - mu) * r * weight[i] + bias[i]);
        mean[row] = (float)mu;
        rstd[row] = (float)r;
    }
    return OK;
}

/* With h = (x - mean) rstd and g = dout w:
 * dx = rstd (g - sum_c g / C - h sum_c (g h) / C),  dw = sum_n dout h,  db = sum_n dout */
enum status ref_layernorm_backward(void *dx, float *dw, float *db, const void *dout, const void *x,
                                   const void *w, const float *mean, const float *rstd, int64_t n,
                                   int64_t c, int accumulate, void *workspace,
                                   struct stream *stream)
{
    (void)workspace;
    (void)stream;
    const float *dy = dout, *in = x, *weight = w;
    for (int64_t row = 0; row < n; row++) {
        double sum_g = 0, sum_gh = 0;
        for (int64_t i = row * c; i < (row + 1) * c; i++) {
            double g = (double)dy[i] * weight[i - row * c];
            sum_g += g;
            sum_gh += g * ((double)in[i] - mean[row]) * rstd[row];
        }
        for (int64_t i = row * c; i < (row + 1) * c; i++) {
            double h = ((double)in[i] - mean[row]) * rstd[row];
            double g = (double)dy[i] * weight[i - row * c];
            double d = rstd[row] * (g - sum_g / (double)c - h * sum_gh / (double)c);
            ((float *)dx)[i] = (float)(accumulate ? ((float *)dx)[i] + d : d);
        }
    }
    for (int64_t i = 0; dw != NULL && i < c; i++) {
        double sum_h = 0, sum = 0;
        for (int64_t row = 0; row < n; row++) {
            double d = dy[row * c + i];
            sum_h += d * ((double)in[row * c + i] - mean[row]) * rstd[row];
            sum += d;
        }
        dw[i] = (float)(dw[i] + sum_h);
        db[i] = (float)(db[i] + sum);
    }
    return OK;
}
