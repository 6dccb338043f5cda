/* GELU (exact) and ReLU on the CPU: bound by memory, so the mathematics may be accurate. */
#include "blocks.h"
#include "cpu.h"
#include "vector.h"

struct elements {
    float *out;
    const float *a, *b;
    int64_t n;
};

struct normal {
    vector_f32 cdf, pdf;
};

/* The standard normal distribution, Phi(x) and phi(x) = exp(-x^2 / 2) / sqrt(2 pi).
 *
 * Up to |x| = 1: Phi = 1/2 + x C(x^2), C of degree 5. Beyond, with z = |x|: Phi(-z) =
 * exp(-z^2 / 2) R(z), and R (half of the scaled complementary error function at z / sqrt 2) is
 * smooth: a polynomial of degree 10 in t = (z - 4) / (z + 4). Both are fitted to the least largest
 * relative error on Chebyshev nodes of their range (7.2e-10 and 4.2e-9, below fp32's rounding).
 * z^2 / 2 is used to twice the precision, or the exponential would lose digits in the tail. So the
 * relative error stays near rounding for both signs, where (1 + erf) / 2 cancels. gelu_test.c
 * measures 1.5 ulp for x > 0, 3.6 down to -4, 9.2 in the tail below; of the derivative 1.1 ulp of
 * 1. */
VECTOR_INLINE struct normal normal_at(vector_f32 x)
{
    vector_f32 z = (vector_f32)((vector_i32)x & INT32_MAX);
    z = vector_select(z > 15.0F, vector_set(15.0F), z);
    vector_f32 half_z = 0.5F * z, square = half_z * z;
    vector_f32 square_low = vector_fma(half_z, z, -square);
    vector_f32 e = vector_exp(-square);
    e = vector_fma(-square_low, e, e);

    vector_f32 t = (z - 4.0F) / (z + 4.0F);
    vector_f32 r = vector_set(0x1.7e355ap-17F);
    r = vector_fma(r, t, vector_set(-0x1.93b91cp-15F));
    r = vector_fma(r, t, vector_set(-0x1.6bde7ep-13F));
    r = vector_fma(r, t, vector_set(0x1.50f3e2p-11F));
    r = vector_fma(r, t, vector_set(0x1.07c020p-11F));
    r = vector_fma(r, t, vector_set(-0x1.164e86p-7F));
    r = vector_fma(r, t, vector_set(0x1.f9b33ap-6F));
    r = vector_fma(r, t, vector_set(-0x1.25b68ep-4F));
    r = vector_fma(r, t, vector_set(0x1.fd7510p-4F));
    r = vector_fma(r, t, vector_set(-0x1.5cf97cp-3F));
    r = vector_fma(r, t, vector_set(0x1.82b4bcp-4F));

    vector_f32 tail = e * r, cdf = vector_select(x > 0.0F, 1.0F - tail, tail);

    vector_f32 s = z * z, p = vector_set(-0x1.00b9b4p-17F);
    p = vector_fma(p, s, vector_set(0x1.dbf748p-14F));
    p = vector_fma(p, s, vector_set(-0x1.36fce0p-10F));
    p = vector_fma(p, s, vector_set(0x1.46ce4ap-7F));
    p = vector_fma(p, s, vector_set(-0x1.105832p-4F));
    p = vector_fma(p, s, vector_set(0x1.988454p-2F));
    cdf = vector_select(z < 1.0F, vector_fma(p, x, vector_set(0.5F)), cdf);
    return (struct normal){.cdf = cdf, .pdf = e * 0.3989422804F}; /* 1 / sqrt(2 pi) */
}

VECTOR_INLINE vector_f32 gelu(vector_f32 x)
{
    return x * normal_at(x).cdf;
}

/* gelu'(x) = Phi(x) + x phi(x) */
VECTOR_INLINE vector_f32 gelu_slope(vector_f32 x)
{
    struct normal normal = normal_at(x);
    return vector_fma(x, normal.pdf, normal.cdf);
}

static void gelu_forward_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct elements *e = argument;
    int64_t i = block * BLOCK_ELEMENTS, end = smaller(i + BLOCK_ELEMENTS, e->n);
    for (; i + VECTOR_LANES <= end; i += VECTOR_LANES)
        vector_store(e->out + i, gelu(vector_load(e->a + i)));
    if (i < end)
        vector_store_partial(e->out + i, gelu(vector_load_partial(e->a + i, end - i, 0)), end - i);
}

enum status cpu_gelu_forward(void *out, const void *x, int64_t n, struct stream *stream)
{
    struct elements elements = {.out = out, .a = x, .n = n};
    run_blocks(stream, n, BLOCK_ELEMENTS, gelu_forward_block, &elements);
    return OK;
}

static void gelu_backward_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct elements *e = argument;
    int64_t i = block * BLOCK_ELEMENTS, end = smaller(i + BLOCK_ELEMENTS, e->n);
    for (; i + VECTOR_LANES <= end; i += VECTOR_LANES)
        vector_store(e->out + i, vector_load(e->a + i) * gelu_slope(vector_load(e->b + i)));
    if (i == end) return;
    vector_f32 slope = gelu_slope(vector_load_partial(e->b + i, end - i, 0));
    vector_store_partial(e->out + i, vector_load_partial(e->a + i, end - i, 0) * slope, end - i);
}

enum status cpu_gelu_backward(void *dx, const void *dout, const void *x, int64_t n,
                              struct stream *stream)
{
    struct elements elements = {.out = dx, .a = dout, .b = x, .n = n};
    run_blocks(stream, n, BLOCK_ELEMENTS, gelu_backward_block, &elements);
    return OK;
}

static void relu_forward_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct elements *e = argument;
    int64_t first = block * LIGHT_BLOCK_ELEMENTS, end = smaller(first + LIGHT_BLOCK_ELEMENTS, e->n);
    for (int64_t i = first; i < end; i++) e->out[i] = e->a[i] < 0 ? 0 : e->a[i];
}

enum status cpu_relu_forward(void *out, const void *x, int64_t n, struct stream *stream)
{
    struct elements elements = {.out = out, .a = x, .n = n};
    run_blocks(stream, n, LIGHT_BLOCK_ELEMENTS, relu_forward_block, &elements);
    return OK;
}

static void relu_backward_block(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct elements *e = argument;
    int64_t first = block * LIGHT_BLOCK_ELEMENTS, end = smaller(first + LIGHT_BLOCK_ELEMENTS, e->n);
    for (int64_t i = first; i < end; i++) e->out[i] = e->b[i] > 0 ? e->a[i] : 0;
}

enum status cpu_relu_backward(void *dx, const void *dout, const void *out, int64_t n,
                              struct stream *stream)
{
    struct elements elements = {.out = dx, .a = dout, .b = out, .n = n};
    run_blocks(stream, n, LIGHT_BLOCK_ELEMENTS, relu_backward_block, &elements);
    return OK;
}
