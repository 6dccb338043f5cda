/* RMSNorm on the CPU, and the workspace that all norms share. */
#include "cpu.h"

int64_t cpu_norm_blocks(int64_t n)
{
    return (n + CPU_NORM_BLOCK_ROWS - 1) / CPU_NORM_BLOCK_ROWS;
}

size_t cpu_norm_workspace(int64_t n, int64_t c)
{
    return (size_t)(cpu_norm_blocks(n) * 2 * c) * sizeof(float);
}
