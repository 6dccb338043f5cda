/* The table of one type: `real` and REAL_DTYPE are set by the file that includes this. */
#ifndef ROBIN_KERNELS_CUDA_KERNELS_CUDA_TABLE_CUH
#define ROBIN_KERNELS_CUDA_KERNELS_CUDA_TABLE_CUH

#include "device_code.cuh"

#include "attention_cuda.cuh"
#include "cache_cuda.cuh"
#include "choose_cuda.cuh"
#include "convolution_cuda.cuh"
#include "cross_entropy_cuda.cuh"
#include "elementwise_cuda.cuh"
#include "linear_cuda.cuh"
#include "mask_cuda.cuh"
#include "norm_cuda.cuh"
#include "optimizer_cuda.cuh"
#include "rope_cuda.cuh"
#include "rows_cuda.cuh"

#define CUDA_TABLE(NAME)                                                                           \
    {                                                                                              \
        .name = NAME, .device = "cuda", .dtype = REAL_DTYPE,                                       \
                                                                                                   \
        .linear_forward = linear_forward, .linear_backward_input = linear_backward_input,          \
        .linear_backward_weight = linear_backward_weight,                                          \
                                                                                                   \
        .embedding_forward = embedding_forward, .embedding_backward = embedding_backward,          \
        .rows_scatter = rows_scatter, .rows_gather = rows_gather,                                  \
                                                                                                   \
        .rmsnorm_forward = rmsnorm_forward, .rmsnorm_backward = rmsnorm_backward,                  \
        .layernorm_forward = layernorm_forward, .layernorm_backward = layernorm_backward,          \
        .norm_workspace = norm_workspace, .add_rmsnorm_forward = add_rmsnorm_forward,              \
                                                                                                   \
        .rope = rope, .rope_backward = rope_backward, .column_workspace = column_workspace,        \
        .attention_forward = attention_forward, .attention_backward = attention_backward,          \
        .attention_workspace = attention_workspace,                                                \
                                                                                                   \
        .swiglu_forward = swiglu_forward, .swiglu_backward = swiglu_backward,                      \
        .gelu_forward = gelu_forward, .gelu_backward = gelu_backward,                              \
        .gelu_bias_backward = gelu_bias_backward, .relu_forward = relu_forward,                    \
        .relu_backward = relu_backward, .add = add, .widen = widen, .narrow = narrow,              \
                                                                                                   \
        .patch_unfold = patch_unfold, .patch_fold = patch_fold,                                    \
        .depthwise7_forward = depthwise7_forward,                                                  \
        .depthwise7_backward_input = depthwise7_backward_input,                                    \
        .depthwise7_backward_weight = depthwise7_backward_weight,                                  \
        .depthwise7_workspace = depthwise7_workspace, .layer_scale_forward = layer_scale_forward,  \
        .layer_scale_backward = layer_scale_backward,                                              \
                                                                                                   \
        .mask_resize = mask_resize, .mask_pool_forward = mask_pool_forward,                        \
        .mask_pool_backward = mask_pool_backward,                                                  \
                                                                                                   \
        .cross_entropy_stats = cross_entropy_stats,                                                \
        .cross_entropy_rescale = cross_entropy_rescale, .cross_entropy_loss = cross_entropy_loss,  \
        .cross_entropy_gradient = cross_entropy_gradient,                                          \
                                                                                                   \
        .adamw_parts = adamw_parts, .sum_squares = sum_squares,                                    \
        .sum_squares_blocks = sum_squares_blocks, .running_mean = running_mean, .scale = scale,    \
                                                                                                   \
        .linear_rows = linear_rows, .cache_bytes = cache_bytes, .cache_store = cache_store,        \
        .cache_copy = cache_copy, .attention_cached = attention_cached,                            \
        .choose_tokens = choose_tokens,                                                            \
                                                                                                   \
        .attention_prepare = attention_prepare, .products_measure = products_measure,              \
        .products_use = products_use, .products_identity = products_identity,                      \
    }

#endif
