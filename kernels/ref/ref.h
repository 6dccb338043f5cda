/* The functions behind kernels_ref. Contracts stand in kernels.h, equations in the .c files. */
#ifndef ROBIN_KERNELS_REF_REF_H
#define ROBIN_KERNELS_REF_REF_H

#include "kernels.h"

/* ---- linear (linear_ref.c) ---- */
enum status ref_linear_forward(void *out, const void *x, const void *w, const void *bias, int64_t n,
                               int64_t o, int64_t i, struct stream *stream);
enum status ref_linear_backward_input(void *dx, const void *dy, const void *w, int64_t n, int64_t o,
                                      int64_t i, int accumulate, struct stream *stream);
enum status ref_linear_backward_weight(float *dw, float *dbias, const void *dy, const void *x,
                                       int64_t n, int64_t o, int64_t i, struct stream *stream);

/* ---- rows (rows_ref.c) ---- */
enum status ref_embedding_forward(void *out, const void *table, const int32_t *ids, int64_t n,
                                  int64_t v, int64_t c, struct stream *stream);
enum status ref_embedding_backward(float *dtable, const void *dout, const int32_t *ids, int64_t n,
                                   int64_t v, int64_t c, struct stream *stream);
enum status ref_rows_scatter(void *dst, const void *src, const int32_t *index, int64_t t, int64_t n,
                             int64_t c, struct stream *stream);
enum status ref_rows_gather(void *dst, const void *src, const int32_t *index, int64_t t, int64_t n,
                            int64_t c, struct stream *stream);

/* ---- norms (rmsnorm_ref.c) ---- */
enum status ref_rmsnorm_forward(void *out, float *rstd, const void *x, const void *w, int64_t n,
                                int64_t c, double eps, struct stream *stream);
enum status ref_rmsnorm_backward(void *dx, float *dw, const void *dout, const void *x,
                                 const void *w, const float *rstd, int64_t n, int64_t c,
                                 int accumulate, void *workspace, struct stream *stream);
size_t ref_norm_workspace(int64_t n, int64_t c);

/* layernorm_ref.c */
enum status ref_layernorm_forward(void *out, float *mean, float *rstd, const void *x, const void *w,
                                  const void *b, int64_t n, int64_t c, double eps,
                                  struct stream *stream);
enum status ref_layernorm_backward(void *dx, float *dw, float *db, const void *dout, const void *x,
                                   const void *w, const float *mean, const float *rstd, int64_t n,
                                   int64_t c, int accumulate, void *workspace,
                                   struct stream *stream);

/* ---- attention (rope_ref.c, attention_ref.c) ---- */
enum status ref_rope(void *qkv, const float *cos, const float *sin, const int32_t *position,
                     int64_t t, int64_t h, int64_t kv, int64_t d, int direction,
                     struct stream *stream);
enum status ref_attention_forward(void *out, float *lse, const void *qkv, const int32_t *seq_start,
                                  int64_t s, int64_t t, int64_t h, int64_t kv, int64_t d,
                                  double scale, void *workspace, struct stream *stream);
enum status ref_attention_backward(void *dqkv, const void *dout, const void *out, const float *lse,
                                   const void *qkv, const int32_t *seq_start, int64_t s, int64_t t,
                                   int64_t h, int64_t kv, int64_t d, double scale, void *workspace,
                                   struct stream *stream);
size_t ref_attention_workspace(int64_t t, int64_t h, int64_t kv, int64_t d);

/* ---- element by element (swiglu_ref.c) ---- */
enum status ref_swiglu_forward(void *out, const void *gate_up, int64_t n, int64_t f,
                               struct stream *stream);
enum status ref_swiglu_backward(void *dgate_up, const void *dout, const void *gate_up, int64_t n,
                                int64_t f, struct stream *stream);
enum status ref_add(void *y, const void *x, int64_t n, struct stream *stream);
enum status ref_widen(float *out, const void *x, int64_t n, struct stream *stream);
enum status ref_narrow(void *out, const float *x, int64_t n, struct stream *stream);

/* activation_ref.c */
enum status ref_gelu_forward(void *out, const void *x, int64_t n, struct stream *stream);
enum status ref_gelu_backward(void *dx, const void *dout, const void *x, int64_t n,
                              struct stream *stream);
enum status ref_relu_forward(void *out, const void *x, int64_t n, struct stream *stream);
enum status ref_relu_backward(void *dx, const void *dout, const void *out, int64_t n,
                              struct stream *stream);

/* ---- convolutions ---- */

/* patch_ref.c */
enum status ref_patch_unfold(void *out, const void *in, int64_t b, int64_t y, int64_t x, int64_t c,
                             int64_t k, struct stream *stream);
enum status ref_patch_fold(void *din, const void *dout, int64_t b, int64_t y, int64_t x, int64_t c,
                           int64_t k, struct stream *stream);

/* depthwise7_ref.c */
enum status ref_depthwise7_forward(void *out, const void *in, const void *w, const void *bias,
                                   int64_t b, int64_t y, int64_t x, int64_t c, void *workspace,
                                   struct stream *stream);
enum status ref_depthwise7_backward_input(void *din, const void *dout, const void *w, int64_t b,
                                          int64_t y, int64_t x, int64_t c, int accumulate,
                                          void *workspace, struct stream *stream);
enum status ref_depthwise7_backward_weight(float *dw, float *dbias, const void *dout,
                                           const void *in, int64_t b, int64_t y, int64_t x,
                                           int64_t c, void *workspace, struct stream *stream);
size_t ref_depthwise7_workspace(int64_t b, int64_t y, int64_t x, int64_t c);

/* layer_scale_ref.c */
enum status ref_layer_scale_forward(void *out, const void *shortcut, const void *branch,
                                    const void *gamma, const float *keep, int64_t b, int64_t p,
                                    int64_t c, struct stream *stream);
enum status ref_layer_scale_backward(void *dbranch, float *dgamma, const void *dout,
                                     const void *branch, const void *gamma, const float *keep,
                                     int64_t b, int64_t p, int64_t c, void *workspace,
                                     struct stream *stream);

/* ---- masks ---- */

/* mask_ref.c */
enum status ref_mask_resize(float *out, const uint8_t *mask, int64_t q, int64_t y, int64_t x,
                            int64_t oy, int64_t ox, struct stream *stream);
enum status ref_mask_pool_forward(float *out, const void *feature, const uint8_t *footprint,
                                  const int32_t *image_of, int64_t q, int64_t b, int64_t p,
                                  int64_t c, struct stream *stream);
enum status ref_mask_pool_backward(void *dfeature, const float *dout, const uint8_t *footprint,
                                   const int32_t *image_of, int64_t q, int64_t b, int64_t p,
                                   int64_t c, struct stream *stream);

/* ---- loss (cross_entropy_ref.c) ---- */
enum status ref_cross_entropy_stats(float *row_max, float *row_sum, float *target_logit,
                                    const void *logits, const int32_t *target, int64_t n,
                                    int64_t vc, int64_t v0, struct stream *stream);
enum status ref_cross_entropy_rescale(float *row_max, float *row_sum, const float *common_max,
                                      int64_t n, struct stream *stream);
enum status ref_cross_entropy_loss(float *loss, const float *row_max, const float *row_sum,
                                   const float *target_logit, int64_t n, struct stream *stream);
enum status ref_cross_entropy_gradient(void *logits, const float *row_max, const float *row_sum,
                                       const int32_t *target, const float *row_scale, int64_t n,
                                       int64_t vc, int64_t v0, struct stream *stream);

/* ---- optimizer (optimizer_ref.c) ---- */
enum status ref_adamw(float *p, float *m, float *v, const float *grad, int64_t n,
                      const struct adamw_step *step, struct stream *stream);
enum status ref_sum_squares(double *out, const float *x, int64_t n, struct stream *stream);
enum status ref_sum_squares_blocks(double *out, const float *x, int64_t n, int64_t block,
                                   struct stream *stream);
enum status ref_running_mean(float *mean, const float *x, int64_t n, double decay,
                             struct stream *stream);
enum status ref_scale(float *x, int64_t n, double factor, struct stream *stream);

/* ---- decoding (cache_ref.c, choose_ref.c; linear_rows is linear_forward) ---- */
size_t ref_cache_bytes(int64_t n_blocks, int64_t block, int64_t kv, int64_t d);
enum status ref_cache_store(void *cache, const void *qkv, const int32_t *slot, int64_t t, int64_t h,
                            int64_t kv, int64_t d, int64_t block, struct stream *stream);
enum status ref_cache_copy(void *cache, const int32_t *to_from, int64_t n, int64_t block,
                           int64_t kv, int64_t d, struct stream *stream);
enum status ref_attention_cached(void *out, const void *qkv, const void *cache,
                                 const struct cached_rows *rows, int64_t t, int64_t h, int64_t kv,
                                 int64_t d, double scale, struct stream *stream);
enum status ref_choose_tokens(int32_t *token, float *log_probability, float *margin,
                              const void *logits, const struct token_choice *choice, int64_t n,
                              int64_t v, struct stream *stream);

#endif
