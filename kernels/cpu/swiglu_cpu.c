/* SwiGLU and the residual addition. */
#include "cpu.h"

#include <float.h>
#include <string.h>

#include "blocks.h"
#include "vector.h"

struct swiglu {
    float *out; /* of the backward: dgate_up, which may be gate_up itself */
    const float *gate_up, *dout;
    int64_t n, f;
};

/* sigma(x), and 1 - sigma(x) without cancellation; e^-x is kept finite, so that the product of an
 * infinity and a zero cannot arise. */
VECTOR_INLINE vector_f32 sigmoid(vector_f32 x, vector_f32 *complement)
{
    vector_f32 e = vector_min(vector_set(FLT_MAX), vector_exp(-x));
    vector_f32 sigma = vector_set(1.0f) / (e + 1.0f);
    *complement = e * sigma;
    return sigma;
}

VECTOR_INLINE vector_f32 silu(vector_f32 x)
{
    vector_f32 complement;
    return x * sigmoid(x, &complement);
}

static void forward_row(float *out, const float *gate, const float *up, int64_t f)
{
    int64_t k = 0;
    for (; k + VECTOR_LANES <= f; k += VECTOR_LANES) {
        vector_f32 g = vector_load(gate + k);
        vector_store(out + k, silu(g) * vector_load(up + k));
    }
    if (k == f) return;
    vector_f32 g = vector_load_partial(gate + k, f - k, 0.0f);
    vector_f32 u = vector_load_partial(up + k, f - k, 0.0f);
    vector_store_partial(out + k, silu(g) * u, f - k);
}

static void forward_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct swiglu *s = argument;
    int64_t rows = block_rows(s->f), end = smaller(s->n, (block + 1) * rows);
    for (int64_t row = block * rows; row < end; row++) {
        const float *gate = s->gate_up + row * 2 * s->f;
        forward_row(s->out + row * s->f, gate, gate + s->f, s->f);
    }
}

enum status cpu_swiglu_forward(void *out, const void *gate_up, int64_t n, int64_t f,
                               struct stream *stream)
{
    struct swiglu s = {out, gate_up, NULL, n, f};
    run_blocks(stream, n, block_rows(f), forward_block, &s);
    return OK;
}

/* dg = dout u sigma (1 + g (1 - sigma)), du = dout g sigma */
VECTOR_INLINE void derivative(vector_f32 *dg, vector_f32 *du, vector_f32 dout, vector_f32 g,
                              vector_f32 u)
{
    vector_f32 complement, sigma = sigmoid(g, &complement);
    *dg = dout * u * sigma * vector_fma(g, complement, vector_set(1.0f));
    *du = dout * g * sigma;
}

static void backward_row(float *dgate, float *dup, const float *dout, const float *gate,
                         const float *up, int64_t f)
{
    vector_f32 dg, du;
    int64_t k = 0;
    for (; k + VECTOR_LANES <= f; k += VECTOR_LANES) {
        derivative(&dg, &du, vector_load(dout + k), vector_load(gate + k), vector_load(up + k));
        vector_store(dgate + k, dg);
        vector_store(dup + k, du);
    }
    if (k == f) return;
    derivative(&dg, &du, vector_load_partial(dout + k, f - k, 0.0f),
               vector_load_partial(gate + k, f - k, 0.0f),
               vector_load_partial(up + k, f - k, 0.0f));
    vector_store_partial(dgate + k, dg, f - k);
    vector_store_partial(dup + k, du, f - k);
}

static void backward_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct swiglu *s = argument;
    int64_t rows = block_rows(s->f), end = smaller(s->n, (block + 1) * rows);
    for (int64_t row = block * rows; row < end; row++) {
        const float *gate = s->gate_up + row * 2 * s->f;
        float *dgate = s->out + row * 2 * s->f;
        backward_row(dgate, dgate + s->f, s->dout + row * s->f, gate, gate + s->f, s->f);
    }
}

enum status cpu_swiglu_backward(void *dgate_up, const void *dout, const void *gate_up, int64_t n,
                                int64_t f, struct stream *stream)
{
    struct swiglu s = {dgate_up, gate_up, dout, n, f};
    run_blocks(stream, n, block_rows(f), backward_block, &s);
    return OK;
}

struct add {
    float *y;
    const float *x;
    int64_t n;
};

static void add_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct add *a = argument;
    float *restrict y = a->y;
    const float *restrict x = a->x;
    int64_t end = smaller(a->n, (block + 1) * LIGHT_BLOCK_ELEMENTS);
    for (int64_t k = block * LIGHT_BLOCK_ELEMENTS; k < end; k++) y[k] += x[k];
}

enum status cpu_add(void *y, const void *x, int64_t n, struct stream *stream)
{
    struct add a = {y, x, n};
    run_blocks(stream, n, LIGHT_BLOCK_ELEMENTS, add_block, &a);
    return OK;
}

static void copy_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct add *a = argument;
    const int64_t first = block * LIGHT_BLOCK_ELEMENTS;
    const int64_t end = smaller(a->n, first + LIGHT_BLOCK_ELEMENTS);
    memcpy(a->y + first, a->x + first, (size_t)(end - first) * sizeof *a->y);
}

/* Tensors of this table are fp32 already. */
enum status cpu_widen(float *out, const void *x, int64_t n, struct stream *stream)
{
    struct add a = {out, x, n};
    run_blocks(stream, n, LIGHT_BLOCK_ELEMENTS, copy_block, &a);
    return OK;
}

enum status cpu_narrow(void *out, const float *x, int64_t n, struct stream *stream)
{
    return cpu_widen(out, x, n, stream);
}
