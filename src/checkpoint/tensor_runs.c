/* Copying what two sets of runs have in common. */
#include "checkpoint/tensor_runs.h"

#include <stddef.h>
#include <string.h>

/* Elements first .. end - 1 of the whole tensor, which lie in a row at `from`. */
static int64_t copy_interval(const struct tensor_target *target, const float *from, int64_t first,
                             int64_t end)
{
    const struct tensor_runs *runs = &target->runs;
    int64_t copied = 0;
    int64_t k = first > runs->start && runs->n > 1 ? (first - runs->start) / runs->step : 0;
    for (; k < runs->n && runs->start + k * runs->step < end; k++) {
        const int64_t start = runs->start + k * runs->step;
        const int64_t low = first > start ? first : start;
        const int64_t high = end < start + runs->length ? end : start + runs->length;
        if (high <= low) continue;
        if (target->out != NULL)
            memcpy(target->out + k * target->out_step + (low - start), from + (low - first),
                   (size_t)(high - low) * sizeof *from);
        copied += high - low;
    }
    return copied;
}

int64_t tensor_runs_copy(const struct tensor_target *target, const float *stored,
                         struct tensor_runs piece, int64_t first, int64_t end)
{
    int64_t copied = 0;
    if (piece.start >= tensor_runs_end(target->runs) ||
        tensor_runs_end(piece) <= target->runs.start)
        return 0;
    for (int64_t e = first; e < end;) {
        const int64_t run = e / piece.length, within = e % piece.length;
        const int64_t left = piece.length - within;
        const int64_t n = left < end - e ? left : end - e;
        const int64_t start = piece.start + run * piece.step + within;
        const float *from = target->out == NULL ? NULL : stored + (e - first);
        copied += copy_interval(target, from, start, start + n);
        e += n;
    }
    return copied;
}
