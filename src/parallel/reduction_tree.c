#include "parallel/reduction_tree.h"

#include "device/stream.h"

#include <stdbool.h>

static bool is_power_of_two(int n)
{
    return (n & (n - 1)) == 0;
}

void tree_leaves_of(int64_t *first_out, int64_t *end_out, int64_t n_leaves, int rank, int n_ranks)
{
    int64_t low = 0, high = n_leaves;
    if (!is_power_of_two(n_ranks)) {
        *first_out = n_leaves * rank / n_ranks;
        *end_out = n_leaves * (rank + 1) / n_ranks;
        return;
    }
    for (int half = n_ranks / 2; half > 0; half /= 2) { /* the rank's bits are the turns */
        const int64_t middle = high - low > 1 ? low + (high - low) / 2 : high;
        if ((rank & half) != 0)
            low = middle;
        else
            high = middle;
    }
    *first_out = low;
    *end_out = high;
}

int tree_merges_after(int64_t leaf, int64_t first, int64_t end)
{
    int merges = 0; /* right turns since the last left one */
    while (end - first > 1) {
        const int64_t middle = first + (end - first) / 2;
        if (leaf >= middle) {
            first = middle;
            merges++;
        } else {
            end = middle;
            merges = 0;
        }
    }
    return merges;
}

/* The sum of n things, `at` floats apart, into the first. */
static enum status add_along(float *first, int64_t apart, int n, const struct piece_sum *sum)
{
    enum status status = OK;
    if (n < 2) return OK;
    const int left = n / 2;
    float *middle = first + left * apart;
    TRY(add_along(first, apart, left, sum));
    TRY(add_along(middle, apart, n - left, sum));
    TRY(sum->kernels->add(first, middle, sum->n, sum->stream));
out:
    return status;
}

enum status tree_sum_pieces(float *values, float *pieces, const struct piece_sum *sum)
{
    enum status status = OK;
    for (int g = 0; g < sum->groups; g++)
        TRY(add_along(pieces + g * sum->group_stride * sum->n, sum->member_stride * sum->n,
                      sum->members, sum));
    TRY(add_along(pieces, sum->group_stride * sum->n, sum->groups, sum));
    TRY(stream_copy(sum->stream, values, pieces, (size_t)sum->n * sizeof *values));
out:
    return status;
}
