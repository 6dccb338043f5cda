/* Unfolding of patches on the CPU: inside each patch a transpose of [K K, C] to [C, K K]. */
#include <string.h>

#include "blocks.h"
#include "cpu.h"

struct patches {
    float *to;
    const float *from;
    int64_t y, x, c, k;
};

/* One patch; `side` is a constant where this is inlined, so the compiler can unroll the taps. */
static inline __attribute__((always_inline)) void
unfold_patch(float *out, const float *in, int64_t row_stride, int64_t c, int64_t side)
{
    for (int64_t channel = 0; channel < c; channel++)
        for (int64_t tap = 0; tap < side * side; tap++)
            out[channel * side * side + tap] =
                in[tap / side * row_stride + tap % side * c + channel];
}

static inline __attribute__((always_inline)) void
fold_patch(float *in, const float *out, int64_t row_stride, int64_t c, int64_t side)
{
    for (int64_t channel = 0; channel < c; channel++)
        for (int64_t tap = 0; tap < side * side; tap++)
            in[tap / side * row_stride + tap % side * c + channel] =
                out[channel * side * side + tap];
}

/* One row of patches. */
static void unfold_row(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct patches *p = argument;
    int64_t k = p->k, c = p->c, rows = p->y / k, columns = p->x / k;
    const float *in = p->from + (block / rows * p->y + block % rows * k) * p->x * c;
    float *out = p->to + block * columns * c * k * k;
    for (int64_t i = 0; i < columns; i++, in += k * c, out += c * k * k) {
        if (k == 2)
            unfold_patch(out, in, p->x * c, c, 2);
        else if (k == 4)
            unfold_patch(out, in, p->x * c, c, 4);
        else
            unfold_patch(out, in, p->x * c, c, k);
    }
}

enum status cpu_patch_unfold(void *out, const void *in, int64_t b, int64_t y, int64_t x, int64_t c,
                             int64_t k, struct stream *stream)
{
    struct patches patches = {.to = out, .from = in, .y = y, .x = x, .c = c, .k = k};
    thread_pool_run(pool_for(stream, b * y * x * c), b * (y / k), unfold_row, &patches);
    return OK;
}

/* The pixels of one row of patches; behind an image's last one also the unused rows. */
static void fold_row(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct patches *p = argument;
    int64_t k = p->k, c = p->c, rows = p->y / k, columns = p->x / k, row_stride = p->x * c;
    int64_t bands = (p->y + k - 1) / k, image = block / bands, band = block % bands;
    float *in = p->to + (image * p->y + band * k) * row_stride;
    int64_t height = band < rows ? k : p->y - rows * k;
    int64_t used = band < rows ? columns * k * c : 0;
    for (int64_t row = 0; row < height; row++)
        memset(in + row * row_stride + used, 0, (size_t)(row_stride - used) * sizeof(float));
    if (band == rows) return;
    const float *out = p->from + (image * rows + band) * columns * c * k * k;
    for (int64_t i = 0; i < columns; i++, in += k * c, out += c * k * k) {
        if (k == 2)
            fold_patch(in, out, row_stride, c, 2);
        else if (k == 4)
            fold_patch(in, out, row_stride, c, 4);
        else
            fold_patch(in, out, row_stride, c, k);
    }
}

enum status cpu_patch_fold(void *din, const void *dout, int64_t b, int64_t y, int64_t x, int64_t c,
                           int64_t k, struct stream *stream)
{
    struct patches patches = {.to = din, .from = dout, .y = y, .x = x, .c = c, .k = k};
    thread_pool_run(pool_for(stream, b * y * x * c), b * ceil_divide(y, k), fold_row, &patches);
    return OK;
}
