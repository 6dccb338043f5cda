/* Rotary positions, in place in the rows of qkv. */
#ifndef ROBIN_KERNELS_CUDA_ROPE_CUDA_CUH
#define ROBIN_KERNELS_CUDA_ROPE_CUDA_CUH

#include "device_code.cuh"

#define ROPE_THREADS 128

/* A block rotates the q and k heads of one token. */
static __global__ void rope_kernel(real *qkv, const float *cosines, const float *sines,
                                   const int32_t *position, int64_t heads, int64_t row_heads,
                                   int64_t d, float sign)
{
    const int64_t half = d / 2, token = blockIdx.x, at = position[token];
    real *row = qkv + token * row_heads * d;
    for (int64_t i = threadIdx.x; i < heads * half; i += ROPE_THREADS) {
        const int64_t j = i % half;
        real *x = row + i / half * d + j;
        const float c = cosines[at * half + j], s = sign * sines[at * half + j];
        const float low = to_float(x[0]), high = to_float(x[half]);
        x[0] = from_float<real>(low * c - high * s);
        x[half] = from_float<real>(high * c + low * s);
    }
}

static enum status rope(void *qkv, const float *cosines, const float *sines,
                        const int32_t *position, int64_t t, int64_t h, int64_t kv, int64_t d,
                        int direction, struct stream *stream)
{
    if (t * d == 0) return OK;
    LAUNCH(rope_kernel, dim3(blocks_of(t, 1)), dim3(ROPE_THREADS), 0, stream, (real *)qkv, cosines,
           sines, position, h + kv, h + 2 * kv, d, (float)direction);
    return launched("rope");
}

#endif
