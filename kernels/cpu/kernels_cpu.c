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

    /* attention */

    /* element by element */

    /* convolutions */

    /* masks */

    /* loss */

    /* optimizer */
};
