/* Products of matrices against the clock. */
#include "train/peak_rate.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/text_buffer.h"
#include "device/stream.h"

#define FIRST_SIDE 128

enum status peak_rate_measure(double *flops_out, const struct kernels *kernels,
                              struct stream *stream, int64_t most, double seconds)
{
    enum status status = OK;
    void *memory = NULL;
    const size_t n = size_multiply((size_t)most, (size_t)most);
    double best = 0;
    float *values = memory_new(n, sizeof *values);
    TRY(stream_take(stream, &memory, 3 * size_multiply(n, sizeof *values),
                    "measuring the rate of a matrix product"));
    float *a = memory, *b = a + n, *c = b + n;
    for (size_t i = 0; i < n; i++) values[i] = (float)(i % 7) - 3;
    TRY(stream_copy(stream, a, values, n * sizeof *a));
    TRY(stream_read(stream, b, values, n * sizeof *b));
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
    if (memory != NULL) stream_give(stream, memory);
    free(values);
    return status;
}
