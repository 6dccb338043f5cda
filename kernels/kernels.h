/* The table of every operation the model is made of: one const table per backend, the same answer
 * from each.
 *
 * Conventions
 *   - `void *` tensors are in the table's `dtype`; `float *` is always fp32 (weight gradients,
 *     statistics, losses).
 *   - Arguments: out, in, weights, dims from outer to inner, scalars, stream. Nothing may overlap
 *     unless said.
 *   - Gradients of weights are ADDED to (fp32); gradients of activations are WRITTEN, unless
 *     `accumulate` is 1: added.
 *   - Any N, T, B, Q may be 0: nothing is read or written.
 *   - Results do not depend on the number of threads of the stream; a second run gives the same
 *     bits.
 *   - A NULL entry means that the backend cannot do it; kernels_missing() names those at start.
 *   - `*_workspace` give the bytes of scratch to pass; 0 means that NULL may be passed. They depend
 *     on dims alone. A workspace is aligned to 64 bytes.
 * The specification of each entry is kernels/ref/NAME_ref.c: plain loops, double accumulation.
 */
#ifndef ROBIN_KERNELS_KERNELS_H
#define ROBIN_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "dims.h"

struct stream;

/* AdamW's scalars for one step (torch.optim.AdamW). */
struct adamw_step {
    double lr, beta1, beta2, eps, weight_decay;
    int64_t step;      /* counts from 1: the bias corrections are 1 - beta^step */
    double grad_scale; /* the gradient is multiplied by this first (clipping, averaging) */
};

/* A run of elements that one such step is for: where it begins in each buffer. */
struct adamw_part {
    int64_t weight, state, gradient, n;
    int64_t step; /* which of the call's steps */
};
#define ADAMW_MAX_STEPS 16

/* Rows of sequences whose keys and values lie in a cache. Each sequence has consecutive rows and a
 * row of the table with its blocks in order. */
struct cached_rows {
    int64_t block;            /* tokens of a block: 16, 32 or 64 */
    int64_t n_sequences;      /* S */
    const int32_t *row_start; /* [S + 1]: rows of sequence s */
    const int32_t *position;  /* [T]: row t sees keys 0 .. position[t] of its sequence */
    const int32_t *table;     /* [S, table_width] */
    int64_t table_width;
    /* Consecutive sequences that begin alike may be one group: keys 0 .. shared[g] - 1 lie in the
     * same blocks for all of them, and all of their rows see them. It changes no bit. */
    int64_t n_groups;           /* G */
    const int32_t *group_start; /* [G + 1]: sequences of group g */
    const int32_t *shared;      /* [G] */
};

/* How the next token of each row is chosen. */
struct token_choice {
    const uint32_t *const *allowed; /* [N]: bit v of word v / 32: token v may come; NULL: all may */
    const float *temperature;       /* [N]; 0: the most likely one, the lowest of equals */
    const float *top_p;   /* [N]: of the smallest set of most likely tokens with so much */
    const float *uniform; /* [N] in [0, 1): the draw */
};

/* Who computes attention: the faster of the two; cuDNN; the backend's own kernels. */
enum attention_by { ATTENTION_MEASURED, ATTENTION_CUDNN, ATTENTION_OWN };
struct attention_ways {
    enum attention_by forward, backward;
    bool any_order; /* the backward may add in another order every time: faster, other last bits */
};

/* A linear layer: rows [N, I] go in, [N, O] come out. */
struct linear_size {
    int64_t n, o, i;
    bool has_bias;
};

struct kernels {
    const char *name;   /* "ref", "cpu", "cuda"; the same in bf16: "ref-bf16" ... */
    const char *device; /* "cpu" or "cuda": whose memory its pointers lead to (device/device.h) */
    enum dtype dtype;

    /* ---- linear: y = x W^T + b (torch.nn.Linear) ---- */

    /* out [N, O] = x [N, I] w [O, I]^T + bias [O] (NULL: none) */
    enum status (*linear_forward)(void *out, const void *x, const void *w, const void *bias,
                                  int64_t n, int64_t o, int64_t i, struct stream *stream);
    /* dx [N, I] (+)= dy [N, O] w [O, I] */
    enum status (*linear_backward_input)(void *dx, const void *dy, const void *w, int64_t n,
                                         int64_t o, int64_t i, int accumulate,
                                         struct stream *stream);
    /* dw [O, I] += dy [N, O]^T x [N, I];  dbias [O] += column sums of dy (NULL: none). I may be 0.
     */
    enum status (*linear_backward_weight)(float *dw, float *dbias, const void *dy, const void *x,
                                          int64_t n, int64_t o, int64_t i, struct stream *stream);

    /* ---- rows: embedding, splice ---- */

    /* out [N, C]: row n = table [V, C] row ids[n]; zeros where ids[n] == -1. Ids outside -1 .. V-1
     * are our error. */
    enum status (*embedding_forward)(void *out, const void *table, const int32_t *ids, int64_t n,
                                     int64_t v, int64_t c, struct stream *stream);
    /* dtable [V, C] row ids[n] += dout [N, C] row n, in order of n; -1 is passed over. */
    enum status (*embedding_backward)(float *dtable, const void *dout, const int32_t *ids,
                                      int64_t n, int64_t v, int64_t c, struct stream *stream);
    /* dst [T, C]: row index[n] = src [N, C] row n; -1 is passed over; no index may appear twice. */
    enum status (*rows_scatter)(void *dst, const void *src, const int32_t *index, int64_t t,
                                int64_t n, int64_t c, struct stream *stream);
    /* dst [N, C]: row n = src [T, C] row index[n]; zeros where -1. (The adjoint of rows_scatter.)
     */
    enum status (*rows_gather)(void *dst, const void *src, const int32_t *index, int64_t t,
                               int64_t n, int64_t c, struct stream *stream);

    /* ---- norms ---- */

    /* out [N, C] = x * rstd * w, rstd [N] = 1 / sqrt(mean(x^2) + eps) (Qwen2RMSNorm) */
    enum status (*rmsnorm_forward)(void *out, float *rstd, const void *x, const void *w, int64_t n,
                                   int64_t c, double eps, struct stream *stream);
    /* dx [N, C] (+)=; dw [C] += (NULL: frozen) */
    enum status (*rmsnorm_backward)(void *dx, float *dw, const void *dout, const void *x,
                                    const void *w, const float *rstd, int64_t n, int64_t c,
                                    int accumulate, void *workspace, struct stream *stream);
    /* out [N, C] = (x - mean) * rstd * w + b; biased variance; mean, rstd [N] */
    enum status (*layernorm_forward)(void *out, float *mean, float *rstd, const void *x,
                                     const void *w, const void *b, int64_t n, int64_t c, double eps,
                                     struct stream *stream);
    /* dx (+)=; dw, db [C] += (both NULL: frozen) */
    enum status (*layernorm_backward)(void *dx, float *dw, float *db, const void *dout,
                                      const void *x, const void *w, const float *mean,
                                      const float *rstd, int64_t n, int64_t c, int accumulate,
                                      void *workspace, struct stream *stream);
    size_t (*norm_workspace)(int64_t n, int64_t c); /* of both backwards */
    /* A sum of residuals and its norm: sum [N, C] += x [N, C], then rmsnorm_forward of sum as it
     * is stored. */
    enum status (*add_rmsnorm_forward)(void *sum, void *out, float *rstd, const void *x,
                                       const void *w, int64_t n, int64_t c, double eps,
                                       struct stream *stream);

    /* ---- attention ---- */

    /* Rotates q and k inside qkv [T, H + 2 KV, D] in place, rotate-half convention: with half = D /
     * 2, (x_j, x_{j+half}) -> (x_j cos - x_{j+half} sin, x_{j+half} cos + x_j sin); cos, sin [P,
     * D/2]; position [T] < P. direction +1 forward, -1 backward (the transpose). */
    enum status (*rope)(void *qkv, const float *cos, const float *sin, const int32_t *position,
                        int64_t t, int64_t h, int64_t kv, int64_t d, int direction,
                        struct stream *stream);
    /* rope with direction -1 on gradients, and what they give to the bias under qkv: dbias
     * [(H + 2 KV) D] += column sums of dqkv afterwards (NULL: none). */
    enum status (*rope_backward)(void *dqkv, float *dbias, const float *cos, const float *sin,
                                 const int32_t *position, int64_t t, int64_t h, int64_t kv,
                                 int64_t d, void *workspace, struct stream *stream);
    size_t (*column_workspace)(int64_t n, int64_t c); /* of this, c being (H + 2 KV) D, and of
                                                         gelu_bias_backward */
    /* Causal grouped-query self-attention over packed sequences; query head j uses key/value head j
     * / (H / KV). out [T, H, D], lse f32 [H, T] (log-sum-exp of the scaled scores), qkv [T, H + 2
     * KV, D] = q heads, k heads, v heads Tiled with an online softmax; no T x T matrix. ERR_SHAPE
     * if H % KV != 0. Dao 2023 (FlashAttention-2), algorithm 1. */
    enum status (*attention_forward)(void *out, float *lse, const void *qkv,
                                     const int32_t *seq_start, int64_t s, int64_t t, int64_t h,
                                     int64_t kv, int64_t d, double scale, void *workspace,
                                     struct stream *stream);
    /* dqkv [T, H + 2 KV, D] written. Algorithm 2 of the same. */
    enum status (*attention_backward)(void *dqkv, const void *dout, const void *out,
                                      const float *lse, const void *qkv, const int32_t *seq_start,
                                      int64_t s, int64_t t, int64_t h, int64_t kv, int64_t d,
                                      double scale, void *workspace, struct stream *stream);
    size_t (*attention_workspace)(int64_t t, int64_t h, int64_t kv, int64_t d); /* of both */

    /* ---- element by element ---- */

    /* out [N, F] = silu(gate) * up;  gate_up [N, 2 F]: gate in columns 0 .. F-1, up in F .. 2F-1 */
    enum status (*swiglu_forward)(void *out, const void *gate_up, int64_t n, int64_t f,
                                  struct stream *stream);
    /* dgate_up [N, 2 F] written; may be the same memory as gate_up */
    enum status (*swiglu_backward)(void *dgate_up, const void *dout, const void *gate_up, int64_t n,
                                   int64_t f, struct stream *stream);
    /* out [N] = x / 2 (1 + erf(x / sqrt 2)); out may be x */
    enum status (*gelu_forward)(void *out, const void *x, int64_t n, struct stream *stream);
    /* dx [N] = dout gelu'(x); dx may be dout */
    enum status (*gelu_backward)(void *dx, const void *dout, const void *x, int64_t n,
                                 struct stream *stream);
    /* gelu_backward of [N, C], and what it gives to the bias under x: dbias [C] += column sums of
     * dx (NULL: none). */
    enum status (*gelu_bias_backward)(void *dx, float *dbias, const void *dout, const void *x,
                                      int64_t n, int64_t c, void *workspace, struct stream *stream);
    /* out [N] = max(x, 0); out may be x */
    enum status (*relu_forward)(void *out, const void *x, int64_t n, struct stream *stream);
    /* dx = dout where out > 0 else 0; takes the forward's OUTPUT; dx may be dout */
    enum status (*relu_backward)(void *dx, const void *dout, const void *out, int64_t n,
                                 struct stream *stream);
    /* y [N] += x [N] */
    enum status (*add)(void *y, const void *x, int64_t n, struct stream *stream);
    /* out [N] = x [N]: from the table's type to fp32, which is exact; and from fp32 to the table's,
     * rounded to the nearest, ties to even. */
    enum status (*widen)(float *out, const void *x, int64_t n, struct stream *stream);
    enum status (*narrow)(void *out, const float *x, int64_t n, struct stream *stream);

    /* ---- convolutions ---- */

    /* Unfolds patches for a convolution with kernel K = stride: out [B * (Y/K) * (X/K), C * K * K],
     * column order (channel, row, column) as in the weight; in [B, Y, X, C]; rows and columns
     * beyond the last whole patch are unused. */
    enum status (*patch_unfold)(void *out, const void *in, int64_t b, int64_t y, int64_t x,
                                int64_t c, int64_t k, struct stream *stream);
    /* The adjoint: din [B, Y, X, C] written (zeros in unused rows and columns). */
    enum status (*patch_fold)(void *din, const void *dout, int64_t b, int64_t y, int64_t x,
                              int64_t c, int64_t k, struct stream *stream);
    /* 7x7 depthwise, padding 3: out, in [B, Y, X, C], w [C, 1, 7, 7], bias [C] */
    enum status (*depthwise7_forward)(void *out, const void *in, const void *w, const void *bias,
                                      int64_t b, int64_t y, int64_t x, int64_t c, void *workspace,
                                      struct stream *stream);
    enum status (*depthwise7_backward_input)(void *din, const void *dout, const void *w, int64_t b,
                                             int64_t y, int64_t x, int64_t c, int accumulate,
                                             void *workspace, struct stream *stream);
    enum status (*depthwise7_backward_weight)(float *dw, float *dbias, const void *dout,
                                              const void *in, int64_t b, int64_t y, int64_t x,
                                              int64_t c, void *workspace, struct stream *stream);
    size_t (*depthwise7_workspace)(int64_t b, int64_t y, int64_t x, int64_t c); /* of all three */

    /* out [B, P, C] = shortcut + keep[b] * gamma [C] * branch;  keep [B] is 0 or 1 / (1 - rate)
     * (DropPath), NULL: all 1. out may be shortcut. P = Y * X. */
    enum status (*layer_scale_forward)(void *out, const void *shortcut, const void *branch,
                                       const void *gamma, const float *keep, int64_t b, int64_t p,
                                       int64_t c, struct stream *stream);
    /* dbranch = keep gamma dout; dgamma += sum keep branch dout (NULL: frozen). d(shortcut) is dout
     * itself. */
    enum status (*layer_scale_backward)(void *dbranch, float *dgamma, const void *dout,
                                        const void *branch, const void *gamma, const float *keep,
                                        int64_t b, int64_t p, int64_t c, void *workspace,
                                        struct stream *stream);
    /* norm_workspace(b * p, c) serves layer_scale_backward too. */

    /* ---- masks ---- */

    /* Bilinear, align_corners false, no antialias, coordinates in fp32 as torch's interpolate: out
     * f32 [Q, OY, OX] from mask u8 0/1 [Q, Y, X]. Same size: a copy. */
    enum status (*mask_resize)(float *out, const uint8_t *mask, int64_t q, int64_t y, int64_t x,
                               int64_t oy, int64_t ox, struct stream *stream);
    /* out f32 [Q, C]: mean of feature [B, P, C] rows of image image_of[q] where footprint u8 [Q, P]
     * is 1, computed as sum / (count + 1e-8); an empty footprint gives exact zeros. */
    enum status (*mask_pool_forward)(float *out, const void *feature, const uint8_t *footprint,
                                     const int32_t *image_of, int64_t q, int64_t b, int64_t p,
                                     int64_t c, struct stream *stream);
    /* dfeature [B, P, C] is added to, in order of q. */
    enum status (*mask_pool_backward)(void *dfeature, const float *dout, const uint8_t *footprint,
                                      const int32_t *image_of, int64_t q, int64_t b, int64_t p,
                                      int64_t c, struct stream *stream);

    /* ---- loss ---- */

    /* Online softmax statistics over a vocabulary chunk v0 .. v0+Vc-1 of the logits [N, Vc]:
     * row_max, row_sum (sum of exp(logit - row_max)) and target_logit [N] are merged with what they
     * hold, or started when v0 == 0. target [N] in 0 .. V-1. */
    enum status (*cross_entropy_stats)(float *row_max, float *row_sum, float *target_logit,
                                       const void *logits, const int32_t *target, int64_t n,
                                       int64_t vc, int64_t v0, struct stream *stream);
    /* Statistics of some of the words become parts of those of all: row_sum [N] *= exp(row_max -
     * common_max), row_max = common_max, which is the larger one. */
    enum status (*cross_entropy_rescale)(float *row_max, float *row_sum, const float *common_max,
                                         int64_t n, struct stream *stream);
    /* loss [N] = row_max + log(row_sum) - target_logit */
    enum status (*cross_entropy_loss)(float *loss, const float *row_max, const float *row_sum,
                                      const float *target_logit, int64_t n, struct stream *stream);
    /* In place: logits [N, Vc] becomes row_scale[n] * (softmax - onehot(target)). */
    enum status (*cross_entropy_gradient)(void *logits, const float *row_max, const float *row_sum,
                                          const int32_t *target, const float *row_scale, int64_t n,
                                          int64_t vc, int64_t v0, struct stream *stream);

    /* ---- optimizer, always fp32 ---- */

    /* p *= 1 - lr wd; p -= lr / (1 - b1^k) m / (sqrt(v) / sqrt(1 - b2^k) + eps), after updating m
     * and v, for n_parts parts of buffers at once, with n_steps <= ADAMW_MAX_STEPS steps, which
     * differ in lr and weight_decay alone. `rounded`, NULL: nowhere: what p has then, in bf16, at
     * the same places. `parts` where the kernels reach it, `steps` on the host. No two parts
     * overlap. */
    enum status (*adamw_parts)(float *p, uint16_t *rounded, float *m, float *v, const float *grad,
                               const struct adamw_part *parts, int64_t n_parts,
                               const struct adamw_step *steps, int64_t n_steps,
                               struct stream *stream);
    /* *out = sum of squares of x [N] in double, over a fixed tree of blocks: the same bits for any
     * thread count. Host memory; waits for the result. */
    enum status (*sum_squares)(double *out, const float *x, int64_t n, struct stream *stream);
    /* out [ceil(N / block)] = such sums of x in blocks of so many elements, the last one maybe
     * shorter. Host memory; complete when the stream was waited for. */
    enum status (*sum_squares_blocks)(double *out, const float *x, int64_t n, int64_t block,
                                      struct stream *stream);
    /* mean [N] += (1 - decay) (x - mean) */
    enum status (*running_mean)(float *mean, const float *x, int64_t n, double decay,
                                struct stream *stream);
    /* x [N] *= factor */
    enum status (*scale)(float *x, int64_t n, double factor, struct stream *stream);

    /* ---- decoding ----
     * A model can do without (kernels_missing does not name them). A row of the results depends on
     * that row of the inputs alone: the same bits whatever other rows are in the call, and wherever
     * its keys lie. rmsnorm_forward, rope, swiglu_forward, add and the rows above keep that, too;
     * linear_forward and attention_forward do not. */

    /* linear_forward */
    enum status (*linear_rows)(void *out, const void *x, const void *w, const void *bias, int64_t n,
                               int64_t o, int64_t i, struct stream *stream);
    /* Bytes of the keys and values of one layer in so many blocks; how they lie there is the
     * table's own affair. */
    size_t (*cache_bytes)(int64_t n_blocks, int64_t block, int64_t kv, int64_t d);
    /* Keys and values of qkv [T, H + 2 KV, D] go to their slots: slot[t] = number of the block *
     * block + place in it; no slot twice. */
    enum status (*cache_store)(void *cache, const void *qkv, const int32_t *slot, int64_t t,
                               int64_t h, int64_t kv, int64_t d, int64_t block,
                               struct stream *stream);
    /* Block to_from[2 n] becomes a copy of block to_from[2 n + 1]; none is both. */
    enum status (*cache_copy)(void *cache, const int32_t *to_from, int64_t n, int64_t block,
                              int64_t kv, int64_t d, struct stream *stream);
    /* out [T, H, D]: grouped-query attention of the queries in qkv [T, H + 2 KV, D] over the
     * cache, which holds their own keys and values already. The softmax runs over pieces of 64
     * keys, in order. */
    enum status (*attention_cached)(void *out, const void *qkv, const void *cache,
                                    const struct cached_rows *rows, int64_t t, int64_t h,
                                    int64_t kv, int64_t d, double scale, struct stream *stream);
    /* token [N] from logits [N, V]; log_probability [N] of it at temperature 1, all tokens allowed;
     * margin [N]: the largest logit less the next, all allowed. At another temperature than 0 token
     * v has the probability p_v ~ exp(logit_v / temperature) among the allowed ones; those are kept
     * whose more likely ones (lower ids first among equals) have less than top_p together; the
     * token is the first in order of ids whose sum of kept p up to it is above uniform * the sum of
     * all kept. Token -1 where nothing is allowed, or the largest allowed logit is not finite. */
    enum status (*choose_tokens)(int32_t *token, float *log_probability, float *margin,
                                 const void *logits, const struct token_choice *choice, int64_t n,
                                 int64_t v, struct stream *stream);

    /* ---- choices ---- */

    /* How this stream's attention of such heads is computed from now on, for up to t rows in
     * sequences of up to `longest`; takes its memory. What is ATTENTION_MEASURED in `ways` becomes
     * one of the others; with the same of these two the results have the same bits on all ranks.
     * NULL: there is no choice; where it was never called, the backend's own kernels compute.
     * ERR_UNSUPPORTED where cuDNN must and cannot. */
    enum status (*attention_prepare)(struct attention_ways *ways, int64_t t, int64_t longest,
                                     int64_t h, int64_t kv, int64_t d, struct stream *stream);
    /* Which algorithms compute the products of linear layers, forward and both gradients: measured
     * for those that `known`, lines of an earlier call, lacks; *choices_out, to free(), has all.
     * Rows up to the next power of two are computed alike. Takes memory for a while; what finds
     * none is left out. NULL, as the next two: there is no choice. */
    enum status (*products_measure)(char **choices_out, const char *known,
                                    const struct linear_size *layers, int64_t n_layers,
                                    struct stream *stream);
    /* Lets this stream compute so; with the same choices on the same machines the bits are the
     * same. ERR_FORMAT where that are no choices. */
    enum status (*products_use)(const char *choices, struct stream *stream);
    /* What the choices hold for: GPU, driver, library; to free(). */
    enum status (*products_identity)(char **text_out, struct stream *stream);
};

extern const struct kernels kernels_ref;
extern const struct kernels kernels_cpu;
/* Of bf16 tensors, by the fp32 functions of those two: arithmetic and sums as there, every result
 * rounded once. What a GPU's bf16 is compared with; not made to be fast. */
extern const struct kernels kernels_ref_bf16;
extern const struct kernels kernels_cpu_bf16;
/* Not linked into builds without CUDA: their address is NULL there. Pointers are a GPU's. */
extern const struct kernels kernels_cuda __attribute__((weak));      /* fp32, no TF32 */
extern const struct kernels kernels_cuda_bf16 __attribute__((weak)); /* sums in fp32 */

/* The table called "ref", "cpu", "cuda", or one of these with "-bf16"; NULL if this build has none
 * so called. */
const struct kernels *kernels_find(const char *name);
/* The table of the same backend for tensors of that type; NULL if there is none. */
const struct kernels *kernels_in(const struct kernels *kernels, enum dtype dtype);
/* Whether its pointers are a GPU's, which the host cannot follow. */
bool kernels_on_gpu(const struct kernels *kernels);
/* Comma-separated names of entries that are NULL, but for those of decoding, to free(); NULL if the
 * table is complete. */
char *kernels_missing(const struct kernels *kernels);
/* The same of those of decoding. */
char *kernels_missing_decoding(const struct kernels *kernels);

#endif
