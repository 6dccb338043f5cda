/* The table "cpu-bf16": bf16 tensors, computed by the functions of "cpu". */
#include "cpu.h"

#define OVER(entry) cpu_##entry
#include "bf16_operations.h"

const struct kernels kernels_cpu_bf16 = BF16_TABLE("cpu-bf16");
