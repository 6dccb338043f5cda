/* The reference backend's table. */
#include "ref.h"

const struct kernels kernels_ref = {
    .name = "ref",
    .dtype = DTYPE_F32,
    .layernorm_forward = ref_layernorm_forward,
    .layernorm_backward = ref_layernorm_backward,
    .gelu_forward = ref_gelu_forward,
    .gelu_backward = ref_gelu_backward,
    .relu_forward = ref_relu_forward,
    .relu_backward = ref_relu_backward,
    .patch_unfold = ref_patch_unfold,
    .patch_fold = ref_patch_fold,
    .depthwise7_forward = ref_depthwise7_forward,
    .depthwise7_backward_input = ref_depthwise7_backward_input,
    .depthwise7_backward_weight = ref_depthwise7_backward_weight,
    .depthwise7_workspace = ref_depthwise7_workspace,
    .layer_scale_forward = ref_layer_scale_forward,
    .layer_scale_backward = ref_layer_scale_backward,
    .mask_resize = ref_mask_resize,
    .mask_pool_forward = ref_mask_pool_forward,
    .mask_pool_backward = ref_mask_pool_backward,
};
