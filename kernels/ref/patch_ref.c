/* Patch convolutions are a linear layer over unfolded patches; this is the unfolding and its
 * adjoint, specification. */
#include "ref.h"

/* out[(b, py, px), (channel, ky, kx)] = in[b, py K + ky, px K + kx, channel] */
enum status ref_patch_unfold(void *out, const void *in, int64_t b, int64_t y, int64_t x, int64_t c,
                             int64_t k, struct stream *stream)
{
    (void)stream;
    int64_t rows = y / k, columns = x / k;
    for (int64_t patch = 0; patch < b * rows * columns; patch++) {
        int64_t image = patch / (rows * columns);
        int64_t top = patch / columns % rows * k, left = patch % columns * k;
        for (int64_t i = 0; i < c * k * k; i++) {
            int64_t channel = i / (k * k), row = top + i / k % k, column = left + i % k;
            ((float *)out)[patch * c * k * k + i] =
                ((const float *)in)[((image * y + row) * x + column) * c + channel];
        }
    }
    return OK;
}

/* Every pixel lies in at most one patch, so the adjoint is a copy back. */
enum status ref_patch_fold(void *din, const void *dout, int64_t b, int64_t y, int64_t x, int64_t c,
                           int64_t k, struct stream *stream)
{
    (void)stream;
    int64_t rows = y / k, columns = x / k;
    for (int64_t pixel = 0; pixel < b * y * x; pixel++) {
        int64_t image = pixel / (y * x), row = pixel / x % y, column = pixel % x;
        int inside = row < rows * k && column < columns * k;
        int64_t patch = (image * rows + row / k) * columns + column / k;
        for (int64_t channel = 0; channel < c; channel++) {
            int64_t i = (channel * k + row % k) * k + column % k;
            ((float *)din)[pixel * c + channel] =
                inside ? ((const float *)dout)[patch * c * k * k + i] : 0;
        }
    }
    return OK;
}
