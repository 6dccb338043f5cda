/* The table "cuda": fp32 throughout, without TF32. */
#include "device_code.cuh"

typedef float real;
#define REAL_DTYPE DTYPE_F32

#include "kernels_cuda_table.cuh"

extern "C" const struct kernels kernels_cuda = CUDA_TABLE("cuda");
