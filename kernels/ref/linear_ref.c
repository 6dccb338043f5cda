/* y = x W^T + b and its two adjoints. */
#include "ref.h"

/* y_no = b_o + sum_i x_ni w_oi */
enum status ref_linear_forward(void *out, const void *x, const void *w, const void *bias, int64_t n,
                               int64_t o, int64_t i, struct stream *stream)
{
    (void)stream;
    float *y = out;
    const float *xs = x, *ws = w, *bs = bias;
    for (int64_t row = 0; row < n; row++)
        for (int64_t col = 0; col < o; col++) {
            double sum = bs ? (double)bs[col] : 0.0;
            for (int64_t k = 0; k < i; k++)
                sum += (double)xs[row * i + k] * (double)ws[col * i + k];
            y[row * o + col] = (float)sum;
        }
    return OK;
}

/* dx_ni (+)= sum_o dy_no w_oi */
enum status ref_linear_backward_input(void *dx, const void *dy, const void *w, int64_t n, int64_t o,
                                      int64_t i, int accumulate, struct stream *stream)
{
    (void)stream;
    float *dxs = dx;
    const float *dys = dy, *ws = w;
    for (int64_t row = 0; row < n; row++)
        for (int64_t k = 0; k < i; k++) {
            double sum = accumulate ? (double)dxs[row * i + k] : 0.0;
            for (int64_t col = 0; col < o; col++)
                sum += (double)dys[row * o + col] * (double)ws[col * i + k];
            dxs[row * i + k] = (float)sum;
        }
    return OK;
}

/* dw_oi += sum_n dy_no x_ni;  db_o += sum_n dy_no */
enum status ref_linear_backward_weight(float *dw, float *dbias, const void *dy, const void *x,
                                       int64_t n, int64_t o, int64_t i, struct stream *stream)
{
    (void)stream;
    const float *dys = dy, *xs = x;
    for (int64_t col = 0; col < o; col++) {
        for (int64_t k = 0; k < i; k++) {
            double sum = (double)dw[col * i + k];
            for (int64_t row = 0; row < n; row++)
                sum += (double)dys[row * o + col] * (double)xs[row * i + k];
            dw[col * i + k] = (float)sum;
        }
        if (dbias == NULL) continue;
        double sum = (double)dbias[col];
        for (int64_t row = 0; row < n; row++) sum += (double)dys[row * o + col];
        dbias[col] = (float)sum;
    }
    return OK;
}
