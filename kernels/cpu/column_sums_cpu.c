/* Adds partial sums over blocks of rows; see column_sums.h. */
#include "blocks.h"
#include "column_sums.h"

enum { CHUNK = 64 };

static void add_chunk(void *argument, int64_t chunk, int worker)
{
    (void)worker;
    const struct column_sums *sums = argument;
    int64_t first = chunk * CHUNK, left = sums->columns - first;
    int64_t count = left < CHUNK ? left : CHUNK;
    double total[CHUNK] = {0};
    for (int64_t block = 0; block < sums->blocks; block++) {
        const float *partial = sums->partial + block * sums->stride + first;
        for (int64_t i = 0; i < count; i++) total[i] += (double)partial[i];
    }
    for (int64_t i = 0; i < count; i++)
        sums->out[first + i] = (float)((double)sums->out[first + i] + total[i]);
}

void column_sums_add(struct column_sums *sums, struct stream *stream)
{
    thread_pool_run(pool_for(stream, sums->blocks * sums->columns),
                    ceil_divide(sums->columns, CHUNK), add_chunk, sums);
}
