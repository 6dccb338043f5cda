/* Parts of a tensor as runs of elements at equal distances, which is what any slice by rows or
 * columns is, and any range of one in up to three pieces. */
#ifndef ROBIN_CHECKPOINT_TENSOR_RUNS_H
#define ROBIN_CHECKPOINT_TENSOR_RUNS_H

#include <stdint.h>

struct tensor_runs {
    int64_t start, step; /* run k begins at element start + k * step of the whole tensor, row-major;
                            step is 0 where there is one run, else at least length */
    int64_t length, n;   /* elements of a run; runs */
};

static inline int64_t tensor_runs_size(struct tensor_runs runs)
{
    return runs.length * runs.n;
}

/* Behind the last element. */
static inline int64_t tensor_runs_end(struct tensor_runs runs)
{
    return runs.start + (runs.n - 1) * runs.step + runs.length;
}

/* What is wanted of a tensor: run k comes to out + k * out_step. */
struct tensor_target {
    struct tensor_runs runs;
    float *out; /* NULL: elements are only counted */
    int64_t out_step;
};

/* Of `piece`, whose runs are stored one behind the other, `stored` holds elements first .. end - 1:
 * those that the target wants are copied. Returns how many. */
int64_t tensor_runs_copy(const struct tensor_target *target, const float *stored,
                         struct tensor_runs piece, int64_t first, int64_t end);

#endif
