/* The operations on bf16 tensors, by a table of fp32: what is read is widened, what is written is
 * rounded once. A file of a backend says what OVER(entry) is called there and includes this;
 * without that there is nothing here. */
#ifndef ROBIN_KERNELS_BF16_OPERATIONS_H
#define ROBIN_KERNELS_BF16_OPERATIONS_H
#ifdef OVER

#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/bf16.h"
#include "kernels.h"

/* ---- operands ---- */

#define MAX_OPERANDS 6

/* Tensors of one call, widened. */
struct call {
    struct {
        float *wide;
        uint16_t *written; /* NULL: only read */
        int64_t n;
    } operands[MAX_OPERANDS];
    int n;
    enum status status; /* of the memory */
};

static float *take(struct call *call, uint16_t *written, int64_t n)
{
    float *wide = malloc(((size_t)n + 1) * sizeof *wide);
    ASSERT(call->n < MAX_OPERANDS, "%d tensors in one call", call->n);
    if (wide == NULL && call->status == OK)
        call->status = status_fail(ERR_MEMORY, "no memory to widen %lld elements", (long long)n);
    call->operands[call->n].wide = wide;
    call->operands[call->n].written = written;
    call->operands[call->n].n = n;
    call->n++;
    return wide;
}

static void widen_all(float *wide, const uint16_t *narrow, int64_t n)
{
    for (int64_t k = 0; wide != NULL && k < n; k++) wide[k] = bf16_to_float(narrow[k]);
}

static const float *reads(struct call *call, const void *narrow, int64_t n)
{
    if (narrow == NULL) return NULL;
    float *wide = take(call, NULL, n);
    widen_all(wide, narrow, n);
    return wide;
}

static float *writes(struct call *call, void *narrow, int64_t n)
{
    return take(call, narrow, n);
}

static float *updates(struct call *call, void *narrow, int64_t n)
{
    float *wide = take(call, narrow, n);
    widen_all(wide, narrow, n);
    return wide;
}

/* Rounds what was written and gives the memory back. */
static enum status end(struct call *call, enum status status)
{
    for (int i = 0; i < call->n; i++) {
        const float *wide = call->operands[i].wide;
        uint16_t *written = call->operands[i].written;
        for (int64_t k = 0; status == OK && written != NULL && k < call->operands[i].n; k++)
            written[k] = bf16_from_float(wide[k]);
        free(call->operands[i].wide);
    }
    return status;
}

#define END(CALL, EXPRESSION) end(&(CALL), (CALL).status == OK ? (EXPRESSION) : (CALL).status)

/* ---- between the types, and rows: nothing to compute ---- */

static enum status widen(float *out, const void *x, int64_t n, struct stream *stream)
{
    (void)stream;
    widen_all(out, x, n);
    return OK;
}

static enum status narrow(void *out, const float *x, int64_t n, struct stream *stream)
{
    (void)stream;
    uint16_t *to = out;
    for (int64_t k = 0; k < n; k++) to[k] = bf16_from_float(x[k]);
    return OK;
}

static enum status embedding_forward(void *out, const void *table, const int32_t *ids, int64_t n,
                                     int64_t v, int64_t c, struct stream *stream)
{
    (void)stream;
    uint16_t *to = out;
    const uint16_t *from = table;
    const size_t bytes = (size_t)c * sizeof *to;
    for (int64_t row = 0; row < n; row++) {
        const int64_t id = ids[row];
        ASSERT(id >= -1 && id < v, "index %lld of row %lld is not below %lld", (long long)id,
               (long long)row, (long long)v);
        if (id >= 0)
            memcpy(to + row * c, from + id * c, bytes);
        else
            memset(to + row * c, 0, bytes);
    }
    return OK;
}

static enum status rows_gather(void *dst, const void *src, const int32_t *index, int64_t t,
                               int64_t n, int64_t c, struct stream *stream)
{
    return embedding_forward(dst, src, index, n, t, c, stream);
}

static enum status rows_scatter(void *dst, const void *src, const int32_t *index, int64_t t,
                                int64_t n, int64_t c, struct stream *stream)
{
    (void)stream;
    uint16_t *to = dst;
    const uint16_t *from = src;
    for (int64_t row = 0; row < n; row++) {
        ASSERT(index[row] >= -1 && index[row] < t, "index %d of row %lld is not below %lld",
               (int)index[row], (long long)row, (long long)t);
        if (index[row] >= 0) memcpy(to + index[row] * c, from + row * c, (size_t)c * sizeof *to);
    }
    return OK;
}

/* ---- linear ---- */

static enum status linear_forward(void *out, const void *x, const void *w, const void *bias,
                                  int64_t n, int64_t o, int64_t i, struct stream *stream)
{
    struct call call = {0};
    float *out_wide = writes(&call, out, n * o);
    const float *x_wide = reads(&call, x, n * i);
    const float *w_wide = reads(&call, w, o * i);
    const float *bias_wide = reads(&call, bias, o);
    return END(call, OVER(linear_forward)(out_wide, x_wide, w_wide, bias_wide, n, o, i, stream));
}

static enum status linear_backward_input(void *dx, const void *dy, const void *w, int64_t n,
                                         int64_t o, int64_t i, int accumulate,
                                         struct stream *stream)
{
    struct call call = {0};
    float *dx_wide = accumulate ? updates(&call, dx, n * i) : writes(&call, dx, n * i);
    const float *dy_wide = reads(&call, dy, n * o);
    const float *w_wide = reads(&call, w, o * i);
    return END(call,
               OVER(linear_backward_input)(dx_wide, dy_wide, w_wide, n, o, i, accumulate, stream));
}

static enum status linear_backward_weight(float *dw, float *dbias, const void *dy, const void *x,
                                          int64_t n, int64_t o, int64_t i, struct stream *stream)
{
    struct call call = {0};
    const float *dy_wide = reads(&call, dy, n * o);
    const float *x_wide = reads(&call, x, n * i);
    return END(call, OVER(linear_backward_weight)(dw, dbias, dy_wide, x_wide, n, o, i, stream));
}

/* ---- rows ---- */

static enum status embedding_backward(float *dtable, const void *dout, const int32_t *ids,
                                      int64_t n, int64_t v, int64_t c, struct stream *stream)
{
    struct call call = {0};
    const float *dout_wide = reads(&call, dout, n * c);
    return END(call, OVER(embedding_backward)(dtable, dout_wide, ids, n, v, c, stream));
}

/* ---- norms ---- */

static enum status rmsnorm_forward(void *out, float *rstd, const void *x, const void *w, int64_t n,
                                   int64_t c, double eps, struct stream *stream)
{
    struct call call = {0};
    float *out_wide = writes(&call, out, n * c);
    const float *x_wide = reads(&call, x, n * c);
    const float *w_wide = reads(&call, w, c);
    return END(call, OVER(rmsnorm_forward)(out_wide, rstd, x_wide, w_wide, n, c, eps, stream));
}

static enum status rmsnorm_backward(void *dx, float *dw, const void *dout, const void *x,
                                    const void *w, const float *rstd, int64_t n, int64_t c,
                                    int accumulate, void *workspace, struct stream *stream)
{
    struct call call = {0};
    float *dx_wide = accumulate ? updates(&call, dx, n * c) : writes(&call, dx, n * c);
    const float *dout_wide = reads(&call, dout, n * c);
    const float *x_wide = reads(&call, x, n * c);
    const float *w_wide = reads(&call, w, c);
    return END(call, OVER(rmsnorm_backward)(dx_wide, dw, dout_wide, x_wide, w_wide, rstd, n, c,
                                            accumulate, workspace, stream));
}

static enum status layernorm_forward(void *out, float *mean, float *rstd, const void *x,
                                     const void *w, const void *b, int64_t n, int64_t c, double eps,
                                     struct stream *stream)
{
    struct call call = {0};
    float *out_wide = writes(&call, out, n * c);
    const float *x_wide = reads(&call, x, n * c);
    const float *w_wide = reads(&call, w, c);
    const float *b_wide = reads(&call, b, c);
    return END(call, OVER(layernorm_forward)(out_wide, mean, rstd, x_wide, w_wide, b_wide, n, c,
                                             eps, stream));
}

static enum status layernorm_backward(void *dx, float *dw, float *db, const void *dout,
                                      const void *x, const void *w, const float *mean,
                                      const float *rstd, int64_t n, int64_t c, int accumulate,
                                      void *workspace, struct stream *stream)
{
    struct call call = {0};
    float *dx_wide = accumulate ? updates(&call, dx, n * c) : writes(&call, dx, n * c);
    const float *dout_wide = reads(&call, dout, n * c);
    const float *x_wide = reads(&call, x, n * c);
    const float *w_wide = reads(&call, w, c);
    return END(call, OVER(layernorm_backward)(dx_wide, dw, db, dout_wide, x_wide, w_wide, mean,
                                              rstd, n, c, accumulate, workspace, stream));
}

/* ---- attention ---- */

static enum status rope(void *qkv, const float *cos, const float *sin, const int32_t *position,
                        int64_t t, int64_t h, int64_t kv, int64_t d, int direction,
                        struct stream *stream)
{
    struct call call = {0};
    float *qkv_wide = updates(&call, qkv, t * (h + 2 * kv) * d);
    return END(call, OVER(rope)(qkv_wide, cos, sin, position, t, h, kv, d, direction, stream));
}

static enum status attention_forward(void *out, float *lse, const void *qkv,
                                     const int32_t *seq_start, int64_t s, int64_t t, int64_t h,
                                     int64_t kv, int64_t d, double scale, void *workspace,
                                     struct stream *stream)
{
    struct call call = {0};
    float *out_wide = writes(&call, out, t * h * d);
    const float *qkv_wide = reads(&call, qkv, t * (h + 2 * kv) * d);
    return END(call, OVER(attention_forward)(out_wide, lse, qkv_wide, seq_start, s, t, h, kv, d,
                                             scale, workspace, stream));
}

static enum status attention_backward(void *dqkv, const void *dout, const void *out,
                                      const float *lse, const void *qkv, const int32_t *seq_start,
                                      int64_t s, int64_t t, int64_t h, int64_t kv, int64_t d,
                                      double scale, void *workspace, struct stream *stream)
{
    struct call call = {0};
    float *dqkv_wide = writes(&call, dqkv, t * (h + 2 * kv) * d);
    const float *dout_wide = reads(&call, dout, t * h * d);
    const float *out_wide = reads(&call, out, t * h * d);
    const float *qkv_wide = reads(&call, qkv, t * (h + 2 * kv) * d);
    return END(call, OVER(attention_backward)(dqkv_wide, dout_wide, out_wide, lse, qkv_wide,
                                              seq_start, s, t, h, kv, d, scale, workspace, stream));
}

/* ---- element by element ---- */

static enum status swiglu_forward(void *out, const void *gate_up, int64_t n, int64_t f,
                                  struct stream *stream)
{
    struct call call = {0};
    float *out_wide = writes(&call, out, n * f);
    const float *gate_up_wide = reads(&call, gate_up, n * 2 * f);
    return END(call, OVER(swiglu_forward)(out_wide, gate_up_wide, n, f, stream));
}

static enum status swiglu_backward(void *dgate_up, const void *dout, const void *gate_up, int64_t n,
                                   int64_t f, struct stream *stream)
{
    struct call call = {0};
    float *dgate_up_wide = writes(&call, dgate_up, n * 2 * f);
    const float *dout_wide = reads(&call, dout, n * f);
    const float *gate_up_wide = reads(&call, gate_up, n * 2 * f);
    return END(call, OVER(swiglu_backward)(dgate_up_wide, dout_wide, gate_up_wide, n, f, stream));
}

static enum status gelu_forward(void *out, const void *x, int64_t n, struct stream *stream)
{
    struct call call = {0};
    float *out_wide = writes(&call, out, n);
    const float *x_wide = reads(&call, x, n);
    return END(call, OVER(gelu_forward)(out_wide, x_wide, n, stream));
}

static enum status gelu_backward(void *dx, const void *dout, const void *x, int64_t n,
                                 struct stream *stream)
{
    struct call call = {0};
    float *dx_wide = writes(&call, dx, n);
    const float *dout_wide = reads(&call, dout, n);
    const float *x_wide = reads(&call, x, n);
    return END(call, OVER(gelu_backward)(dx_wide, dout_wide, x_wide, n, stream));
}

static enum status relu_forward(void *out, const void *x, int64_t n, struct stream *stream)
{
    struct call call = {0};
    float *out_wide = writes(&call, out, n);
    const float *x_wide = reads(&call, x, n);
    return END(call, OVER(relu_forward)(out_wide, x_wide, n, stream));
}

static enum status relu_backward(void *dx, const void *dout, const void *out, int64_t n,
                                 struct stream *stream)
{
    struct call call = {0};
    float *dx_wide = writes(&call, dx, n);
    const float *dout_wide = reads(&call, dout, n);
    const float *out_wide = reads(&call, out, n);
    return END(call, OVER(relu_backward)(dx_wide, dout_wide, out_wide, n, stream));
}

static enum status add(void *y, const void *x, int64_t n, struct stream *stream)
{
    struct call call = {0};
    float *y_wide = updates(&call, y, n);
    const float *x_wide = reads(&call, x, n);
    return END(call, OVER(add)(y_wide, x_wide, n, stream));
}

/* ---- convolutions ---- */

static enum status patch_unfold(void *out, const void *in, int64_t b, int64_t y, int64_t x,
                                int64_t c, int64_t k, struct stream *stream)
{
    struct call call = {0};
    float *out_wide = writes(&call, out, b * (y / k) * (x / k) * c * k * k);
    const float *in_wide = reads(&call, in, b * y * x * c);
    return END(call, OVER(patch_unfold)(out_wide, in_wide, b, y, x, c, k, stream));
}

static enum status patch_fold(void *din, const void *dout, int64_t b, int64_t y, int64_t x,
                              int64_t c, int64_t k, struct stream *stream)
{
    struct call call = {0};
    float *din_wide = writes(&call, din, b * y * x * c);
    const float *dout_wide = reads(&call, dout, b * (y / k) * (x / k) * c * k * k);
    return END(call, OVER(patch_fold)(din_wide, dout_wide, b, y, x, c, k, stream));
}

static enum status depthwise7_forward(void *out, const void *in, const void *w, const void *bias,
                                      int64_t b, int64_t y, int64_t x, int64_t c, void *workspace,
                                      struct stream *stream)
{
    struct call call = {0};
    float *out_wide = writes(&call, out, b * y * x * c);
    const float *in_wide = reads(&call, in, b * y * x * c);
    const float *w_wide = reads(&call, w, c * 49);
    const float *bias_wide = reads(&call, bias, c);
    return END(call, OVER(depthwise7_forward)(out_wide, in_wide, w_wide, bias_wide, b, y, x, c,
                                              workspace, stream));
}

static enum status depthwise7_backward_input(void *din, const void *dout, const void *w, int64_t b,
                                             int64_t y, int64_t x, int64_t c, int accumulate,
                                             void *workspace, struct stream *stream)
{
    struct call call = {0};
    float *din_wide =
        accumulate ? updates(&call, din, b * y * x * c) : writes(&call, din, b * y * x * c);
    const float *dout_wide = reads(&call, dout, b * y * x * c);
    const float *w_wide = reads(&call, w, c * 49);
    return END(call, OVER(depthwise7_backward_input)(din_wide, dout_wide, w_wide, b, y, x, c,
                                                     accumulate, workspace, stream));
}

static enum status depthwise7_backward_weight(float *dw, float *dbias, const void *dout,
                                              const void *in, int64_t b, int64_t y, int64_t x,
                                              int64_t c, void *workspace, struct stream *stream)
{
    struct call call = {0};
    const float *dout_wide = reads(&call, dout, b * y * x * c);
    const float *in_wide = reads(&call, in, b * y * x * c);
    return END(call, OVER(depthwise7_backward_weight)(dw, dbias, dout_wide, in_wide, b, y, x, c,
                                                      workspace, stream));
}

static enum status layer_scale_forward(void *out, const void *shortcut, const void *branch,
                                       const void *gamma, const float *keep, int64_t b, int64_t p,
                                       int64_t c, struct stream *stream)
{
    struct call call = {0};
    float *out_wide = writes(&call, out, b * p * c);
    const float *shortcut_wide = reads(&call, shortcut, b * p * c);
    const float *branch_wide = reads(&call, branch, b * p * c);
    const float *gamma_wide = reads(&call, gamma, c);
    return END(call, OVER(layer_scale_forward)(out_wide, shortcut_wide, branch_wide, gamma_wide,
                                               keep, b, p, c, stream));
}

static enum status layer_scale_backward(void *dbranch, float *dgamma, const void *dout,
                                        const void *branch, const void *gamma, const float *keep,
                                        int64_t b, int64_t p, int64_t c, void *workspace,
                                        struct stream *stream)
{
    struct call call = {0};
    float *dbranch_wide = writes(&call, dbranch, b * p * c);
    const float *dout_wide = reads(&call, dout, b * p * c);
    const float *branch_wide = reads(&call, branch, b * p * c);
    const float *gamma_wide = reads(&call, gamma, c);
    return END(call, OVER(layer_scale_backward)(dbranch_wide, dgamma, dout_wide, branch_wide,
                                                gamma_wide, keep, b, p, c, workspace, stream));
}

/* ---- masks ---- */

static enum status mask_pool_forward(float *out, const void *feature, const uint8_t *footprint,
                                     const int32_t *image_of, int64_t q, int64_t b, int64_t p,
                                     int64_t c, struct stream *stream)
{
    struct call call = {0};
    const float *feature_wide = reads(&call, feature, b * p * c);
    return END(call,
               OVER(mask_pool_forward)(out, feature_wide, footprint, image_of, q, b, p, c, stream));
}

static enum status mask_pool_backward(void *dfeature, const float *dout, const uint8_t *footprint,
                                      const int32_t *image_of, int64_t q, int64_t b, int64_t p,
                                      int64_t c, struct stream *stream)
{
    struct call call = {0};
    float *dfeature_wide = updates(&call, dfeature, b * p * c);
    return END(call, OVER(mask_pool_backward)(dfeature_wide, dout, footprint, image_of, q, b, p, c,
                                              stream));
}

/* ---- loss ---- */

static enum status cross_entropy_stats(float *row_max, float *row_sum, float *target_logit,
                                       const void *logits, const int32_t *target, int64_t n,
                                       int64_t vc, int64_t v0, struct stream *stream)
{
    struct call call = {0};
    const float *logits_wide = reads(&call, logits, n * vc);
    return END(call, OVER(cross_entropy_stats)(row_max, row_sum, target_logit, logits_wide, target,
                                               n, vc, v0, stream));
}

static enum status cross_entropy_gradient(void *logits, const float *row_max, const float *row_sum,
                                          const int32_t *target, const float *row_scale, int64_t n,
                                          int64_t vc, int64_t v0, struct stream *stream)
{
    struct call call = {0};
    float *logits_wide = updates(&call, logits, n * vc);
    return END(call, OVER(cross_entropy_gradient)(logits_wide, row_max, row_sum, target, row_scale,
                                                  n, vc, v0, stream));
}

/* ---- decoding: the cache is fp32 ---- */

static enum status linear_rows(void *out, const void *x, const void *w, const void *bias, int64_t n,
                               int64_t o, int64_t i, struct stream *stream)
{
    struct call call = {0};
    float *out_wide = writes(&call, out, n * o);
    const float *x_wide = reads(&call, x, n * i);
    const float *w_wide = reads(&call, w, o * i);
    const float *bias_wide = reads(&call, bias, o);
    return END(call, OVER(linear_rows)(out_wide, x_wide, w_wide, bias_wide, n, o, i, stream));
}

static enum status cache_store(void *cache, const void *qkv, const int32_t *slot, int64_t t,
                               int64_t h, int64_t kv, int64_t d, int64_t block,
                               struct stream *stream)
{
    struct call call = {0};
    const float *qkv_wide = reads(&call, qkv, t * (h + 2 * kv) * d);
    return END(call, OVER(cache_store)(cache, qkv_wide, slot, t, h, kv, d, block, stream));
}

static enum status attention_cached(void *out, const void *qkv, const void *cache,
                                    const struct cached_rows *rows, int64_t t, int64_t h,
                                    int64_t kv, int64_t d, double scale, struct stream *stream)
{
    struct call call = {0};
    float *out_wide = writes(&call, out, t * h * d);
    const float *qkv_wide = reads(&call, qkv, t * (h + 2 * kv) * d);
    return END(call,
               OVER(attention_cached)(out_wide, qkv_wide, cache, rows, t, h, kv, d, scale, stream));
}

static enum status choose_tokens(int32_t *token, float *log_probability, float *margin,
                                 const void *logits, const struct token_choice *choice, int64_t n,
                                 int64_t v, struct stream *stream)
{
    struct call call = {0};
    const float *logits_wide = reads(&call, logits, n * v);
    return END(call, OVER(choose_tokens)(token, log_probability, margin, logits_wide, choice, n, v,
                                         stream));
}

/* ---- in one pass on a GPU ---- */

/* The sum is rounded before its norm is made, as if by itself; columns are summed unrounded. */
#define PART(entry)      entry
#define PART_WIDE(entry) OVER(entry)
#define ADAMW            OVER(adamw)
#include "composed_operations.h"

static enum status rope_backward(void *dqkv, float *dbias, const float *cos, const float *sin,
                                 const int32_t *position, int64_t t, int64_t h, int64_t kv,
                                 int64_t d, void *workspace, struct stream *stream)
{
    struct call call = {0};
    float *wide = updates(&call, dqkv, t * (h + 2 * kv) * d);
    return END(call, composed_rope_backward(wide, dbias, cos, sin, position, t, h, kv, d, workspace,
                                            stream));
}

static enum status gelu_bias_backward(void *dx, float *dbias, const void *dout, const void *x,
                                      int64_t n, int64_t c, void *workspace, struct stream *stream)
{
    struct call call = {0};
    float *dx_wide = writes(&call, dx, n * c);
    const float *dout_wide = reads(&call, dout, n * c);
    const float *x_wide = reads(&call, x, n * c);
    return END(call, composed_gelu_bias_backward(dx_wide, dbias, dout_wide, x_wide, n, c, workspace,
                                                 stream));
}

#define BF16_TABLE(NAME)                                                                           \
    {                                                                                              \
        .name = NAME, .device = "cpu", .dtype = DTYPE_BF16, .linear_forward = linear_forward,      \
        .linear_backward_input = linear_backward_input,                                            \
        .linear_backward_weight = linear_backward_weight, .embedding_forward = embedding_forward,  \
        .embedding_backward = embedding_backward, .rows_scatter = rows_scatter,                    \
        .rows_gather = rows_gather, .rmsnorm_forward = rmsnorm_forward,                            \
        .rmsnorm_backward = rmsnorm_backward, .layernorm_forward = layernorm_forward,              \
        .layernorm_backward = layernorm_backward, .norm_workspace = OVER(norm_workspace),          \
        .rope = rope, .attention_forward = attention_forward,                                      \
        .attention_backward = attention_backward,                                                  \
        .attention_workspace = OVER(attention_workspace), .swiglu_forward = swiglu_forward,        \
        .swiglu_backward = swiglu_backward, .gelu_forward = gelu_forward,                          \
        .gelu_backward = gelu_backward, .relu_forward = relu_forward,                              \
        .relu_backward = relu_backward, .add = add, .widen = widen, .narrow = narrow,              \
        .patch_unfold = patch_unfold, .patch_fold = patch_fold,                                    \
        .depthwise7_forward = depthwise7_forward,                                                  \
        .depthwise7_backward_input = depthwise7_backward_input,                                    \
        .depthwise7_backward_weight = depthwise7_backward_weight,                                  \
        .depthwise7_workspace = OVER(depthwise7_workspace),                                        \
        .layer_scale_forward = layer_scale_forward, .layer_scale_backward = layer_scale_backward,  \
        .mask_resize = OVER(mask_resize), .mask_pool_forward = mask_pool_forward,                  \
        .mask_pool_backward = mask_pool_backward, .cross_entropy_stats = cross_entropy_stats,      \
        .cross_entropy_rescale = OVER(cross_entropy_rescale),                                      \
        .cross_entropy_loss = OVER(cross_entropy_loss),                                            \
        .cross_entropy_gradient = cross_entropy_gradient,                                          \
        .add_rmsnorm_forward = composed_add_rmsnorm_forward, .rope_backward = rope_backward,       \
        .gelu_bias_backward = gelu_bias_backward, .column_workspace = composed_column_workspace,   \
        .adamw_parts = composed_adamw_parts, .sum_squares = OVER(sum_squares),                     \
        .sum_squares_blocks = OVER(sum_squares_blocks), .running_mean = OVER(running_mean),        \
        .scale = OVER(scale), .linear_rows = linear_rows, .cache_bytes = OVER(cache_bytes),        \
        .cache_store = cache_store, .cache_copy = OVER(cache_copy),                                \
        .attention_cached = attention_cached, .choose_tokens = choose_tokens,                      \
    }

#endif
#endif
