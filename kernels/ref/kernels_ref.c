/* The table of the specification: slow, plain, and what every other backend is measured against. */
#include "ref.h"

#define PART(entry) ref_##entry
#define ADAMW       ref_adamw
#include "composed_operations.h"

const struct kernels kernels_ref = {
    .name = "ref",
    .device = "cpu",
    .dtype = DTYPE_F32,

    /* linear */
    .linear_forward = ref_linear_forward,
    .linear_backward_input = ref_linear_backward_input,
    .linear_backward_weight = ref_linear_backward_weight,

    /* rows */
    .embedding_forward = ref_embedding_forward,
    .embedding_backward = ref_embedding_backward,
    .rows_scatter = ref_rows_scatter,
    .rows_gather = ref_rows_gather,

    /* norms */
    .rmsnorm_forward = ref_rmsnorm_forward,
    .rmsnorm_backward = ref_rmsnorm_backward,
    .layernorm_forward = ref_layernorm_forward,
    .layernorm_backward = ref_layernorm_backward,
    .norm_workspace = ref_norm_workspace,

    /* attention */
    .rope = ref_rope,
    .attention_forward = ref_attention_forward,
    .attention_backward = ref_attention_backward,
    .attention_workspace = ref_attention_workspace,

    /* element by element */
    .swiglu_forward = ref_swiglu_forward,
    .swiglu_backward = ref_swiglu_backward,
    .gelu_forward = ref_gelu_forward,
    .gelu_backward = ref_gelu_backward,
    .relu_forward = ref_relu_forward,
    .relu_backward = ref_relu_backward,
    .add = ref_add,
    .widen = ref_widen,
    .narrow = ref_narrow,

    /* in one pass on a GPU */
    COMPOSED_ENTRIES,

    /* convolutions */
    .patch_unfold = ref_patch_unfold,
    .patch_fold = ref_patch_fold,
    .depthwise7_forward = ref_depthwise7_forward,
    .depthwise7_backward_input = ref_depthwise7_backward_input,
    .depthwise7_backward_weight = ref_depthwise7_backward_weight,
    .depthwise7_workspace = ref_depthwise7_workspace,
    .layer_scale_forward = ref_layer_scale_forward,
    .layer_scale_backward = ref_layer_scale_backward,

    /* masks */
    .mask_resize = ref_mask_resize,
    .mask_pool_forward = ref_mask_pool_forward,
    .mask_pool_backward = ref_mask_pool_backward,

    /* loss */
    .cross_entropy_stats = ref_cross_entropy_stats,
    .cross_entropy_rescale = ref_cross_entropy_rescale,
    .cross_entropy_loss = ref_cross_entropy_loss,
    .cross_entropy_gradient = ref_cross_entropy_gradient,

    /* optimizer */
    .adamw_parts = composed_adamw_parts,
    .sum_squares = ref_sum_squares,
    .sum_squares_blocks = ref_sum_squares_blocks,
    .running_mean = ref_running_mean,
    .scale = ref_scale,

    /* decoding */
    .linear_rows = ref_linear_forward,
    .cache_bytes = ref_cache_bytes,
    .cache_store = ref_cache_store,
    .cache_copy = ref_cache_copy,
    .attention_cached = ref_attention_cached,
    .choose_tokens = ref_choose_tokens,
};
