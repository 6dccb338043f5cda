/* Operations that a GPU does in one pass over memory, as the operations they consist of: what the
 * tables of the CPU have. A table's file says what PART(entry) is called there and includes this;
 * without that there is nothing here. */
#ifndef ROBIN_KERNELS_COMPOSED_OPERATIONS_H
#define ROBIN_KERNELS_COMPOSED_OPERATIONS_H
#ifdef PART

#include "kernels.h"

/* The same in fp32, where PART is of another type. */
#ifndef PART_WIDE
#define PART_WIDE(entry) PART(entry)
#endif

static enum status composed_add_rmsnorm_forward(void *sum, void *out, float *rstd, const void *x,
                                                const void *w, int64_t n, int64_t c, double eps,
                                                struct stream *stream)
{
    enum status status = OK;
    TRY(PART(add)(sum, x, n * c, stream));
    TRY(PART(rmsnorm_forward)(out, rstd, sum, w, n, c, eps, stream));
out:
    return status;
}

/* db [c] += column sums of dy [n, c]: what a linear layer without inputs does. */
static enum status composed_add_columns(float *db, const void *dy, int64_t n, int64_t c,
                                        struct stream *stream)
{
    return db != NULL ? PART_WIDE(linear_backward_weight)(NULL, db, dy, NULL, n, c, 0, stream) : OK;
}

static enum status composed_rope_backward(void *dqkv, float *dbias, const float *cos,
                                          const float *sin, const int32_t *position, int64_t t,
                                          int64_t h, int64_t kv, int64_t d, void *workspace,
                                          struct stream *stream)
{
    enum status status = OK;
    (void)workspace;
    TRY(PART_WIDE(rope)(dqkv, cos, sin, position, t, h, kv, d, -1, stream));
    TRY(composed_add_columns(dbias, dqkv, t, (h + 2 * kv) * d, stream));
out:
    return status;
}

static enum status composed_gelu_bias_backward(void *dx, float *dbias, const void *dout,
                                               const void *x, int64_t n, int64_t c, void *workspace,
                                               struct stream *stream)
{
    enum status status = OK;
    (void)workspace;
    TRY(PART_WIDE(gelu_backward)(dx, dout, x, n * c, stream));
    TRY(composed_add_columns(dbias, dx, n, c, stream));
out:
    return status;
}

static size_t composed_column_workspace(int64_t n, int64_t c)
{
    (void)n;
    (void)c;
    return 0;
}

#define COMPOSED_ENTRIES                                                                           \
    .add_rmsnorm_forward = composed_add_rmsnorm_forward, .rope_backward = composed_rope_backward,  \
    .gelu_bias_backward = composed_gelu_bias_backward,                                             \
    .column_workspace = composed_column_workspace

#endif
#ifdef ADAMW
#include "base/bf16.h"

/* The optimizer's, always fp32. */
static enum status composed_adamw_parts(float *p, uint16_t *rounded, float *m, float *v,
                                        const float *grad, const struct adamw_part *parts,
                                        int64_t n_parts, const struct adamw_step *steps,
                                        int64_t n_steps, struct stream *stream)
{
    enum status status = OK;
    (void)n_steps;
    for (int64_t i = 0; i < n_parts; i++) {
        const struct adamw_part *a = &parts[i];
        TRY(ADAMW(p + a->weight, m + a->state, v + a->state, grad + a->gradient, a->n,
                  &steps[a->step], stream));
        for (int64_t k = a->weight; rounded != NULL && k < a->weight + a->n; k++)
            rounded[k] = bf16_from_float(p[k]);
    }
out:
    return status;
}
#endif
#endif
