/* Cross-entropy over chunks of the vocabulary. */
#include "cpu.h"

#include <math.h>

#include "blocks.h"
#include "vector.h"

struct stats {
    float *row_max, *row_sum, *target_logit;
    const float *logits;
    const int32_t *target;
    int64_t n, vc, v0;
};

static float row_largest(const float *l, int64_t n)
{
    vector_f32 largest = vector_set(-INFINITY);
    int64_t k = 0;
    for (; k + VECTOR_LANES <= n; k += VECTOR_LANES)
        largest = vector_max(largest, vector_load(l + k));
    if (k < n) largest = vector_max(largest, vector_load_partial(l + k, n - k, -INFINITY));
    return vector_largest(largest);
}

/* sum_k exp(l_k - max), in four vectors of partial sums: short chains, small rounding errors. */
static float row_exp_sum(const float *l, int64_t n, float max)
{
    vector_f32 sum[4] = {{0}};
    int64_t k = 0;
    for (; k + 4 * VECTOR_LANES <= n; k += 4 * VECTOR_LANES)
        for (int64_t j = 0; j < 4; j++)
            sum[j] += vector_exp(vector_load(l + k + j * VECTOR_LANES) - max);
    for (; k + VECTOR_LANES <= n; k += VECTOR_LANES) sum[0] += vector_exp(vector_load(l + k) - max);
    if (k < n) sum[1] += vector_exp(vector_load_partial(l + k, n - k, -INFINITY) - max);
    return vector_sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

static void stats_row(const struct stats *c, int64_t row)
{
    const float *l = c->logits + row * c->vc;
    int64_t target = c->target[row] - c->v0;
    float max = row_largest(l, c->vc);
    float old_max = c->v0 == 0 ? -INFINITY : c->row_max[row];
    if (old_max > max) max = old_max;
    float sum = row_exp_sum(l, c->vc, max);
    if (c->v0 != 0) sum += c->row_sum[row] * (float)exp((double)(old_max - max));
    c->row_max[row] = max;
    c->row_sum[row] = sum;
    if (c->v0 == 0) c->target_logit[row] = 0.0f;
    if (target >= 0 && target < c->vc) c->target_logit[row] = l[target];
}

static void stats_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct stats *c = argument;
    int64_t rows = block_rows(c->vc), end = smaller(c->n, (block + 1) * rows);
    for (int64_t row = block * rows; row < end; row++) stats_row(c, row);
}

enum status cpu_cross_entropy_stats(float *row_max, float *row_sum, float *target_logit,
                                    const void *logits, const int32_t *target, int64_t n,
                                    int64_t vc, int64_t v0, struct stream *stream)
{
    struct stats c = {row_max, row_sum, target_logit, logits, target, n, vc, v0};
    run_blocks(stream, n, block_rows(vc), stats_block, &c);
    return OK;
}

/* Three numbers a row: not worth the threads. */
enum status cpu_cross_entropy_rescale(float *row_max, float *row_sum, const float *common_max,
                                      int64_t n, struct stream *stream)
{
    (void)stream;
    for (int64_t row = 0; row < n; row++) {
        row_sum[row] *= (float)exp((double)row_max[row] - (double)common_max[row]);
        row_max[row] = common_max[row];
    }
    return OK;
}

enum status cpu_cross_entropy_loss(float *loss, const float *row_max, const float *row_sum,
                                   const float *target_logit, int64_t n, struct stream *stream)
{
    (void)stream; /* one logarithm per token: nothing to share out */
    for (int64_t row = 0; row < n; row++)
        loss[row] =
            (float)((double)row_max[row] - (double)target_logit[row] + log((double)row_sum[row]));
    return OK;
}

struct gradient {
    float *logits;
    const float *row_max, *row_sum, *row_scale;
    const int32_t *target;
    int64_t n, vc, v0;
};

static void gradient_row(const struct gradient *g, int64_t row)
{
    float *l = g->logits + row * g->vc;
    float max = g->row_max[row], factor = g->row_scale[row] / g->row_sum[row];
    int64_t k = 0, target = g->target[row] - g->v0;
    for (; k + VECTOR_LANES <= g->vc; k += VECTOR_LANES)
        vector_store(l + k, vector_exp(vector_load(l + k) - max) * factor);
    if (k < g->vc) {
        vector_f32 last = vector_load_partial(l + k, g->vc - k, 0.0f);
        vector_store_partial(l + k, vector_exp(last - max) * factor, g->vc - k);
    }
    if (target >= 0 && target < g->vc) l[target] -= g->row_scale[row];
}

static void gradient_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct gradient *g = argument;
    int64_t rows = block_rows(g->vc), end = smaller(g->n, (block + 1) * rows);
    for (int64_t row = block * rows; row < end; row++) gradient_row(g, row);
}

enum status cpu_cross_entropy_gradient(void *logits, const float *row_max, const float *row_sum,
                                       const int32_t *target, const float *row_scale, int64_t n,
                                       int64_t vc, int64_t v0, struct stream *stream)
{
    struct gradient g = {logits, row_max, row_sum, row_scale, target, n, vc, v0};
    run_blocks(stream, n, block_rows(vc), gradient_block, &g);
    return OK;
}
