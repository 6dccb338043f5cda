/* Products of matrices against the clock. */
#include "train/peak_rate.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "device/stream.h"

#define FIRST_SIDE 128

enum status peak_rate_measure(double *flops_out, const struct kernels *kernels,
                              struct stream *stream, int64_t most, double seconds)
{
    enum status status = OK;
    struct arena arena = {0};
    const size_t n = size_multiply((size_t)most, (size_t)most);
    double best = 0;
    TRY_WHERE(arena_init(&arena, 3 * size_multiply(n, sizeof(float)) + 3 * ARENA_ALIGNMENT),
              "measuring the rate of a matrix product");
    float *a = arena_take(&arena, n * sizeof *a), *b = arena_take(&arena, n * sizeof *b);
    float *c = arena_take(&arena, n * sizeof *c);
    for (size_t i = 0; i < n; i++) a[i] = b[i] = (float)(i % 7) - 3;
    const double start = monotonic_seconds();
    for (int64_t side = FIRST_SIDE < most ? FIRST_SIDE : most;;) {
        const double before = monotonic_seconds();
        TRY(kernels->linear_forward(c, a, b, NULL, side, side, side, stream));
        TRY(stream_wait(stream));
        const double now = monotonic_seconds();
        const double rate = 2.0 * (double)side * (double)side * (double)side / (now - before);
        if (rate > best) best = rate;
        if (now - start >= seconds) break;
        if (side * 2 <= most && (now - before) * 8 < seconds) side *= 2;
    }
    *flops_out = best;
out:
    arena_release(&arena);
    return status;
}
