/* Region masks on feature grids. */
#ifndef ROBIN_KERNELS_CUDA_MASK_CUDA_CUH
#define ROBIN_KERNELS_CUDA_MASK_CUDA_CUH

#include "device_code.cuh"

#include "mask_tap.h"

#define MASK_THREADS 256
#define POOL_LANES   8 /* threads that share a channel of a region */

static __global__ void mask_resize_kernel(float *out, const uint8_t *mask, int64_t n, int64_t y,
                                          int64_t x, int64_t oy, int64_t ox)
{
    const int64_t i = (int64_t)blockIdx.x * MASK_THREADS + threadIdx.x;
    if (i >= n) return;
    const uint8_t *m = mask + i / (oy * ox) * y * x;
    const struct mask_tap v = mask_tap_at(i / ox % oy, y, oy), u = mask_tap_at(i % ox, x, ox);
    const float v0 = 1.0f - v.weight_high, u0 = 1.0f - u.weight_high;
    const float low = u0 * m[v.low * x + u.low] + u.weight_high * m[v.low * x + u.high];
    const float high = u0 * m[v.high * x + u.low] + u.weight_high * m[v.high * x + u.high];
    out[i] = v0 * low + v.weight_high * high;
}

/* counts [Q] = cells of each footprint that are set; a block counts one */
static __global__ void footprint_counts_kernel(float *counts, const uint8_t *footprint, int64_t p)
{
    const uint8_t *cells = footprint + (int64_t)blockIdx.x * p;
    float count = 0; /* whole numbers below 2^24: exact */
    for (int64_t cell = threadIdx.x; cell < p; cell += MASK_THREADS) count += cells[cell] != 0;
    count = group_all<sum_of, MASK_THREADS>(count);
    if (threadIdx.x == 0) counts[blockIdx.x] = count;
}

/* A block is of one region and 32 channels. */
static __global__ void mask_pool_forward_kernel(float *out, const real *feature,
                                                const uint8_t *footprint, const float *counts,
                                                const int32_t *image_of, int64_t b, int64_t p,
                                                int64_t c)
{
    __shared__ float sums[POOL_LANES][WARP_LANES];
    const int64_t region = blockIdx.y, image = image_of[region];
    const int64_t channel = (int64_t)blockIdx.x * WARP_LANES + threadIdx.x;
    const uint8_t *cells = footprint + region * p;
    float sum = 0;
    DEVICE_ASSERT(image >= 0 && image < b);
    for (int64_t cell = threadIdx.y; channel < c && cell < p; cell += POOL_LANES)
        if (cells[cell] != 0) sum += to_float(feature[(image * p + cell) * c + channel]);
    sums[threadIdx.y][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y != 0 || channel >= c) return;
    sum = 0;
    for (int lane = 0; lane < POOL_LANES; lane++) sum += sums[lane][threadIdx.x];
    out[region * c + channel] = sum / (counts[region] + 1e-8f);
}

/* A thread owns one element of the feature map and goes through the regions in order. */
static __global__ void mask_pool_backward_kernel(real *dfeature, const float *dout,
                                                 const uint8_t *footprint, const float *counts,
                                                 const int32_t *image_of, int64_t q, int64_t b,
                                                 int64_t p, int64_t c)
{
    const int64_t i = (int64_t)blockIdx.x * MASK_THREADS + threadIdx.x;
    if (i >= b * p * c) return;
    const int64_t image = i / (p * c), cell = i / c % p, channel = i % c;
    float sum = to_float(dfeature[i]);
    bool any = false;
    for (int64_t region = 0; region < q; region++) {
        if (image_of[region] != image || footprint[region * p + cell] == 0) continue;
        sum += dout[region * c + channel] / (counts[region] + 1e-8f);
        any = true;
    }
    if (any) dfeature[i] = from_float<real>(sum);
}

static enum status mask_resize(float *out, const uint8_t *mask, int64_t q, int64_t y, int64_t x,
                               int64_t oy, int64_t ox, struct stream *stream)
{
    const int64_t n = q * oy * ox;
    if (n == 0) return OK;
    LAUNCH(mask_resize_kernel, dim3(blocks_of(n, MASK_THREADS)), dim3(MASK_THREADS), 0, stream, out,
           mask, n, y, x, oy, ox);
    return launched("mask_resize");
}

/* Into the stream's scratch. */
static enum status count_footprints(const uint8_t *footprint, int64_t q, int64_t p, float **counts,
                                    struct stream *stream)
{
    *counts = (float *)stream->cuda->scratch;
    if ((size_t)q * sizeof(float) > stream->cuda->scratch_bytes)
        return status_fail(ERR_LIMIT, "%lld regions are more than a batch on a GPU can have",
                           (long long)q);
    LAUNCH(footprint_counts_kernel, dim3(blocks_of(q, 1)), dim3(MASK_THREADS), 0, stream, *counts,
           footprint, p);
    return launched("footprint counts");
}

static enum status mask_pool_forward(float *out, const void *feature, const uint8_t *footprint,
                                     const int32_t *image_of, int64_t q, int64_t b, int64_t p,
                                     int64_t c, struct stream *stream)
{
    float *counts = NULL;
    if (q * c == 0) return OK;
    const enum status status = count_footprints(footprint, q, p, &counts, stream);
    if (status != OK) return status;
    LAUNCH(mask_pool_forward_kernel, dim3(blocks_of(c, WARP_LANES), (unsigned)q),
           dim3(WARP_LANES, POOL_LANES), 0, stream, out, (const real *)feature, footprint, counts,
           image_of, b, p, c);
    return launched("mask_pool_forward");
}

static enum status mask_pool_backward(void *dfeature, const float *dout, const uint8_t *footprint,
                                      const int32_t *image_of, int64_t q, int64_t b, int64_t p,
                                      int64_t c, struct stream *stream)
{
    float *counts = NULL;
    if (q * b * p * c == 0) return OK;
    const enum status status = count_footprints(footprint, q, p, &counts, stream);
    if (status != OK) return status;
    LAUNCH(mask_pool_backward_kernel, dim3(blocks_of(b * p * c, MASK_THREADS)), dim3(MASK_THREADS),
           0, stream, (real *)dfeature, dout, footprint, counts, image_of, q, b, p, c);
    return launched("mask_pool_backward");
}

#endif
