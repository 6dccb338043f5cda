/* The table of the production CPU backend. */
#include "cpu.h"

const struct kernels kernels_cpu = {
    .name = "cpu",
    .dtype = DTYPE_F32,

    /* linear */

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
