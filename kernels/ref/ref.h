/* The reference backend: every operation as plain loops with double accumulation, fp32 tensors.
 * It is the specification that the other backends are tested against: slow, single-threaded, and
 * obvious. What an operation means, its dims and its errors stand in kernels.h. */
#ifndef ROBIN_KERNELS_REF_H
#define ROBIN_KERNELS_REF_H

#include "kernels.h"

/* layernorm_ref.c */
enum status ref_layernorm_forward(void *out, float *mean, float *rstd, const void *x, const void *w,
                                  const void *b, int64_t n, int64_t c, double eps,
                                  struct stream *stream);
enum status ref_layernorm_backward(void *dx, float *dw, float *db, const void *dout, const void *x,
                                   const void *w, const float *mean, const float *rstd, int64_t n,
                                   int64_t c, int accumulate, void *workspace,
                                   struct stream *stream);

/* activation_ref.c */
enum status ref_gelu_forward(void *out, const void *x, int64_t n, struct stream *stream);
enum status ref_gelu_backward(void *dx, const void *dout, const void *x, int64_t n,
                              struct stream *stream);
enum status ref_relu_forward(void *out, const void *x, int64_t n, struct stream *stream);
enum status ref_relu_backward(void *dx, const void *dout, const void *out, int64_t n,
                              struct stream *stream);

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

/* mask_ref.c */
enum status ref_mask_resize(float *out, const uint8_t *mask, int64_t q, int64_t y, int64_t x,
                            int64_t oy, int64_t ox, struct stream *stream);
enum status ref_mask_pool_forward(float *out, const void *feature, const uint8_t *footprint,
                                  const int32_t *image_of, int64_t q, int64_t b, int64_t p,
                                  int64_t c, struct stream *stream);
enum status ref_mask_pool_backward(void *dfeature, const float *dout, const uint8_t *footprint,
                                   const int32_t *image_of, int64_t q, int64_t b, int64_t p,
                                   int64_t c, struct stream *stream);

#endif
