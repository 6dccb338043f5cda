/* AdamW, the gradient norm and scaling. */
#include "cpu.h"

#include <math.h>

#include "blocks.h"

/* The leaves of the tree of a sum of squares: enough for any number of cores, few enough for the
 * stack. */
#define SUM_BLOCKS 64
#define SUM_LANES  16

struct adamw {
    float *p, *m, *v;
    const float *grad;
    int64_t n;
    float grad_scale, decay, one_minus_beta1, beta2, one_minus_beta2, step_size, correction2, eps;
};

/* The operations and their order are the specification's (optimizer_ref.c): the same bits. */
static void adamw_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct adamw a = *(const struct adamw *)argument;
    int64_t first = block * BLOCK_ELEMENTS, count = smaller(a.n - first, BLOCK_ELEMENTS);
    float *restrict p = a.p + first, *restrict m = a.m + first, *restrict v = a.v + first;
    const float *restrict grad = a.grad + first;
    for (int64_t k = 0; k < count; k++) {
        float g = grad[k] * a.grad_scale;
        float m_k = m[k] + a.one_minus_beta1 * (g - m[k]);
        float v_k = v[k] * a.beta2 + a.one_minus_beta2 * g * g;
        float denominator = sqrtf(v_k) / a.correction2 + a.eps;
        m[k] = m_k;
        v[k] = v_k;
        p[k] = p[k] * a.decay + a.step_size * m_k / denominator;
    }
}

enum status cpu_adamw(float *p, float *m, float *v, const float *grad, int64_t n,
                      const struct adamw_step *step, struct stream *stream)
{
    struct adamw a = {
        .p = p,
        .m = m,
        .v = v,
        .grad = grad,
        .n = n,
        .grad_scale = (float)step->grad_scale,
        .decay = (float)(1.0 - step->lr * step->weight_decay),
        .one_minus_beta1 = (float)(1.0 - step->beta1),
        .beta2 = (float)step->beta2,
        .one_minus_beta2 = (float)(1.0 - step->beta2),
        .step_size = (float)(-step->lr / (1.0 - pow(step->beta1, (double)step->step))),
        .correction2 = (float)sqrt(1.0 - pow(step->beta2, (double)step->step)),
        .eps = (float)step->eps,
    };
    run_blocks(stream, n, BLOCK_ELEMENTS, adamw_block, &a);
    return OK;
}

struct sum_squares {
    double partial[SUM_BLOCKS];
    const float *x;
    int64_t n, block_size;
};

static void sum_squares_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    struct sum_squares *s = argument;
    int64_t k = block * s->block_size, end = smaller(s->n, k + s->block_size);
    double lanes[SUM_LANES] = {0};
    for (; k + SUM_LANES <= end; k += SUM_LANES)
        for (int64_t j = 0; j < SUM_LANES; j++)
            lanes[j] += (double)s->x[k + j] * (double)s->x[k + j];
    for (; k < end; k++) lanes[0] += (double)s->x[k] * (double)s->x[k];
    double sum = 0;
    for (int64_t j = 0; j < SUM_LANES; j++) sum += lanes[j];
    s->partial[block] = sum;
}

enum status cpu_sum_squares(double *out, const float *x, int64_t n, struct stream *stream)
{
    struct sum_squares s = {.x = x, .n = n};
    s.block_size = larger(LIGHT_BLOCK_ELEMENTS, ceil_divide(n, SUM_BLOCKS));
    int64_t n_blocks = ceil_divide(n, s.block_size);
    run_blocks(stream, n, s.block_size, sum_squares_block, &s);
    double sum = 0;
    for (int64_t block = 0; block < n_blocks; block++) sum += s.partial[block];
    *out = sum;
    return OK;
}

enum status cpu_sum_squares_blocks(double *out, const float *x, int64_t n, int64_t block,
                                   struct stream *stream)
{
    enum status status = OK;
    for (int64_t first = 0; first < n; first += block, out++)
        TRY(cpu_sum_squares(out, x + first, n - first < block ? n - first : block, stream));
out:
    return status;
}

struct running_mean {
    float *mean, rest;
    const float *x;
    int64_t n;
};

static void running_mean_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct running_mean *r = argument;
    float *restrict mean = r->mean;
    const float *restrict x = r->x;
    const float rest = r->rest;
    int64_t end = smaller(r->n, (block + 1) * LIGHT_BLOCK_ELEMENTS);
    for (int64_t k = block * LIGHT_BLOCK_ELEMENTS; k < end; k++) mean[k] += rest * (x[k] - mean[k]);
}

enum status cpu_running_mean(float *mean, const float *x, int64_t n, double decay,
                             struct stream *stream)
{
    struct running_mean r = {mean, (float)(1.0 - decay), x, n};
    run_blocks(stream, n, LIGHT_BLOCK_ELEMENTS, running_mean_block, &r);
    return OK;
}

struct scale {
    float *x, factor;
    int64_t n;
};

static void scale_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct scale *s = argument;
    float *x = s->x, factor = s->factor;
    int64_t end = smaller(s->n, (block + 1) * LIGHT_BLOCK_ELEMENTS);
    for (int64_t k = block * LIGHT_BLOCK_ELEMENTS; k < end; k++) x[k] *= factor;
}

enum status cpu_scale(float *x, int64_t n, double factor, struct stream *stream)
{
    struct scale s = {x, (float)factor, n};
    run_blocks(stream, n, LIGHT_BLOCK_ELEMENTS, scale_block, &s);
    return OK;
}
