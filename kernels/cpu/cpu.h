/* The functions behind kernels_cpu. Contracts stand in kernels.h. */
#ifndef ROBIN_KERNELS_CPU_CPU_H
#define ROBIN_KERNELS_CPU_CPU_H

#include "kernels.h"

/* ---- linear (linear_cpu.c) ---- */
enum status cpu_linear_forward(void *out, const void *x, const void *w, const void *bias, int64_t n,
                               int64_t o, int64_t i, struct stream *stream);
enum status cpu_linear_backward_input(void *dx, const void *dy, const void *w, int64_t n, int64_t o,
                                      int64_t i, int accumulate, struct stream *stream);
enum status cpu_linear_backward_weight(float *dw, float *dbias, const void *dy, const void *x,
                                       int64_t n, int64_t o, int64_t i, struct stream *stream);

/* ---- rows (rows_cpu.c) ---- */

/* ---- norms (rmsnorm_cpu.c) ---- */
/* Weight gradients of norms and of the layer scale are summed per fixed block of rows into the
 * workspace [cpu_norm_blocks(n), 2, C] f32, then over blocks in order. */
#define CPU_NORM_BLOCK_ROWS 64
int64_t cpu_norm_blocks(int64_t n);
size_t cpu_norm_workspace(int64_t n, int64_t c);

/* ---- attention (rope_cpu.c, attention_cpu.c) ---- */

/* ---- element by element (swiglu_cpu.c) ---- */

/* ---- convolutions ---- */

/* ---- masks ---- */

/* ---- loss (cross_entropy_cpu.c) ---- */

/* ---- optimizer (optimizer_cpu.c) ---- */

#endif
