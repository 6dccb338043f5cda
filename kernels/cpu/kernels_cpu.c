/* The table of the production CPU backend. */
#include "cpu.h"

const struct kernels kernels_cpu = {
    .name = "cpu",
    .dtype = DTYPE_F32,

    /* linear */
    .linear_forward = cpu_linear_forward,
    .linear_backward_input = cpu_linear_backward_input,
    .linear_backward_weight = cpu_linear_backward_weight,

    /* rows */

    /* norms */
    .norm_workspace = cpu_norm_workspace,
    .layernorm_forward = cpu_layernorm_forward,
    .layernorm_backward = cpu_layernorm_backward,

    /* attention */

    /* element by element */
    .gelu_forward = cpu_gelu_forward,
    .gelu_backward = cpu_gelu_backward,
    .relu_forward = cpu_relu_forward,
    .relu_backward = cpu_relu_backward,

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

    /* optimizer */
};
