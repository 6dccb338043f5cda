/* 7x7 depthwise convolution with padding 3 (torch.nn.Conv2d with groups = C), specification. */
#include "ref.h"

enum { SIDE = 7, PADDING = 3 };

/* Row-major offset of pixel (image, row, column) in a map of Y x X; -1 outside of it. */
static int64_t pixel_at(int64_t image, int64_t row, int64_t column, int64_t y, int64_t x)
{
    if (row < 0 || row >= y || column < 0 || column >= x) return -1;
    return (image * y + row) * x + column;
}

/* sum over the taps of map[b, row +- (ky - 3), column +- (kx - 3), channel] w[channel, ky, kx],
 * `direction` being the sign: +1 correlates (forward), -1 is the transpose. */
static double tap_sum(const float *map, const float *w, int64_t pixel, int64_t channel, int64_t y,
                      int64_t x, int64_t c, int direction)
{
    int64_t image = pixel / (y * x), row = pixel / x % y, column = pixel % x;
    double sum = 0;
    for (int64_t tap = 0; tap < SIDE * SIDE; tap++) {
        int64_t from = pixel_at(image, row + direction * (tap / SIDE - PADDING),
                                column + direction * (tap % SIDE - PADDING), y, x);
        if (from >= 0) sum += (double)map[from * c + channel] * w[channel * SIDE * SIDE + tap];
    }
    return sum;
}

/* out[b, i, j, c] = bias[c] + sum_{ky, kx} in[b, i + ky - 3, j + kx - 3, c] w[c, ky, kx] */
enum status ref_depthwise7_forward(void *out, const void *in, const void *w, const void *bias,
                                   int64_t b, int64_t y, int64_t x, int64_t c, void *workspace,
                                   struct stream *stream)
{
    (void)workspace;
    (void)stream;
    for (int64_t i = 0; i < b * y * x * c; i++) {
        double sum = tap_sum(in, w, i / c, i % c, y, x, c, 1);
        ((float *)out)[i] = (float)(sum + ((const float *)bias)[i % c]);
    }
    return OK;
}

/* din[b, i, j, c] = sum_{ky, kx} dout[b, i - ky + 3, j - kx + 3, c] w[c, ky, kx] */
enum status ref_depthwise7_backward_input(void *din, const void *dout, const void *w, int64_t b,
                                          int64_t y, int64_t x, int64_t c, int accumulate,
                                          void *workspace, struct stream *stream)
{
    (void)workspace;
    (void)stream;
    for (int64_t i = 0; i < b * y * x * c; i++) {
        double sum = tap_sum(dout, w, i / c, i % c, y, x, c, -1);
        ((float *)din)[i] = (float)(accumulate ? ((float *)din)[i] + sum : sum);
    }
    return OK;
}

/* dw[c, ky, kx] += sum_{b, i, j} dout[b, i, j, c] in[b, i + ky - 3, j + kx - 3, c]
 * dbias[c] += sum_{b, i, j} dout[b, i, j, c] */
enum status ref_depthwise7_backward_weight(float *dw, float *dbias, const void *dout,
                                           const void *in, int64_t b, int64_t y, int64_t x,
                                           int64_t c, void *workspace, struct stream *stream)
{
    (void)workspace;
    (void)stream;
    const float *dy = dout, *map = in;
    for (int64_t i = 0; i < c * SIDE * SIDE; i++) {
        int64_t channel = i / (SIDE * SIDE), tap = i % (SIDE * SIDE);
        double sum = 0;
        for (int64_t pixel = 0; pixel < b * y * x; pixel++) {
            int64_t from = pixel_at(pixel / (y * x), pixel / x % y + tap / SIDE - PADDING,
                                    pixel % x + tap % SIDE - PADDING, y, x);
            if (from >= 0) sum += (double)dy[pixel * c + channel] * map[from * c + channel];
        }
        dw[i] = (float)(dw[i] + sum);
    }
    for (int64_t channel = 0; channel < c; channel++) {
        double sum = 0;
        for (int64_t pixel = 0; pixel < b * y * x; pixel++) sum += dy[pixel * c + channel];
        dbias[channel] = (float)(dbias[channel] + sum);
    }
    return OK;
}

size_t ref_depthwise7_workspace(int64_t b, int64_t y, int64_t x, int64_t c)
{
    (void)b;
    (void)y;
    (void)x;
    (void)c;
    return 0;
}
