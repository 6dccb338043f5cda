/* The table of the production CPU backend. */
#include "cpu.h"

#define PART(entry) cpu_##entry
#define ADAMW       cpu_adamw
#include "composed_operations.h"

const struct kernels kernels_cpu = {
    .name = "cpu",
    .device = "cpu",
    .dtype = DTYPE_F32,

    /* linear */
    .linear_forward = cpu_linear_forward,
    .linear_backward_input = cpu_linear_backward_input,
    .linear_backward_weight = cpu_linear_backward_weight,

    /* rows */
    .embedding_forward = cpu_embedding_forward,
    .embedding_backward = cpu_embedding_backward,
    .rows_scatter = cpu_rows_scatter,
    .rows_gather = cpu_rows_gather,

    /* norms */
    .rmsnorm_forward = cpu_rmsnorm_forward,
    .rmsnorm_backward = cpu_rmsnorm_backward,
    .norm_workspace = cpu_norm_workspace,
    .layernorm_forward = cpu_layernorm_forward,
    .layernorm_backward = cpu_layernorm_backward,

    /* attention */
    .rope = cpu_rope,
    .attention_forward = cpu_attention_forward,
    .attention_backward = cpu_attention_backward,
    .attention_workspace = cpu_attention_workspace,

    /* element by element */
    .gelu_forward = cpu_gelu_forward,
    .gelu_backward = cpu_gelu_backward,
    .relu_forward = cpu_relu_forward,
    .relu_backward = cpu_relu_backward,
    .swiglu_forward = cpu_swiglu_forward,
    .swiglu_backward = cpu_swiglu_backward,
    .add = cpu_add,
    .widen = cpu_widen,
    .narrow = cpu_narrow,

    /* in one pass on a GPU */
    COMPOSED_ENTRIES,

    /* convolutions */
    .patch_unfold = cpu_patch_unfold,
    .patch_fold = cpu_patch_fold,
    .depthwise7_forward = cpu_depthwise7_forward,
    .depthwise7_backward_input = cpu_depthwise7_backward_input,
    .depthwise7_backward_weight = cpu_depthwise7_backward_weight,
    .depthwise7_workspace = cpu_depthwise7_workspace,
    .layer_scale_forward = cpu_layer_scale_forward,
    .layer_scale_backward = cpu_layer_scale_backward,

    /* masks */
    .mask_resize = cpu_mask_resize,
    .mask_pool_forward = cpu_mask_pool_forward,
    .mask_pool_backward = cpu_mask_pool_backward,

    /* loss */
    .cross_entropy_stats = cpu_cross_entropy_stats,
    .cross_entropy_rescale = cpu_cross_entropy_rescale,
    .cross_entropy_loss = cpu_cross_entropy_loss,
    .cross_entropy_gradient = cpu_cross_entropy_gradient,

    /* optimizer */
    .adamw_parts = composed_adamw_parts,
    .sum_squares = cpu_sum_squares,
    .sum_squares_blocks = cpu_sum_squares_blocks,
    .running_mean = cpu_running_mean,
    .scale = cpu_scale,

    /* decoding */
    .linear_rows = cpu_linear_rows,
    .cache_bytes = cpu_cache_bytes,
    .cache_store = cpu_cache_store,
    .cache_copy = cpu_cache_copy,
    .attention_cached = cpu_attention_cached,
    .choose_tokens = cpu_choose_tokens,
};
