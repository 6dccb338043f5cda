/* The table "cuda-bf16": tensors in bf16, arithmetic and sums in fp32. */
#include "device_code.cuh"

typedef bf16 real;
#define REAL_DTYPE DTYPE_BF16
#define REAL_ON_TENSOR_CORES

#include "kernels_cuda_table.cuh"

extern "C" const struct kernels kernels_cuda_bf16 = CUDA_TABLE("cuda-bf16");
