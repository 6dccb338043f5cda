/* Cross-entropy over chunks of the vocabulary. A block works on one row. */
#ifndef ROBIN_KERNELS_CUDA_CROSS_ENTROPY_CUDA_CUH
#define ROBIN_KERNELS_CUDA_CROSS_ENTROPY_CUDA_CUH

#include "device_code.cuh"

#define LOSS_THREADS 256

static __global__ void stats_kernel(float *row_max, float *row_sum, float *target_logit,
                                    const real *logits, const int32_t *target, int64_t vc,
                                    int64_t v0)
{
    const int64_t row = blockIdx.x;
    const real *l = logits + row * vc;
    float top = v0 == 0 ? -INFINITY : row_max[row];
    const float old_top = top, old_sum = v0 == 0 ? 0.0f : row_sum[row];
    for (int64_t k = threadIdx.x; k < vc; k += LOSS_THREADS) top = fmaxf(top, to_float(l[k]));
    top = group_all<max_of, LOSS_THREADS>(top);
    float sum = 0;
    for (int64_t k = threadIdx.x; k < vc; k += LOSS_THREADS) sum += expf(to_float(l[k]) - top);
    sum = group_all<sum_of, LOSS_THREADS>(sum);
    if (threadIdx.x != 0) return;
    const int64_t word = target[row] - v0;
    row_max[row] = top;
    row_sum[row] = sum + (old_sum > 0 ? old_sum * expf(old_top - top) : 0.0f);
    if (v0 == 0) target_logit[row] = 0;
    if (word >= 0 && word < vc) target_logit[row] = to_float(l[word]);
}

static __global__ void rescale_kernel(float *row_max, float *row_sum, const float *common_max,
                                      int64_t n)
{
    const int64_t row = (int64_t)blockIdx.x * LOSS_THREADS + threadIdx.x;
    if (row >= n) return;
    row_sum[row] *= expf(row_max[row] - common_max[row]);
    row_max[row] = common_max[row];
}

static __global__ void loss_kernel(float *loss, const float *row_max, const float *row_sum,
                                   const float *target_logit, int64_t n)
{
    const int64_t row = (int64_t)blockIdx.x * LOSS_THREADS + threadIdx.x;
    if (row < n) loss[row] = row_max[row] - target_logit[row] + logf(row_sum[row]);
}

template <int N>
static __global__ void loss_gradient_kernel(real *logits, const float *row_max,
                                            const float *row_sum, const int32_t *target,
                                            const float *row_scale, int64_t vc, int64_t v0)
{
    const int64_t row = blockIdx.x, word = target[row] - v0;
    const float top = row_max[row], factor = row_scale[row], sum = row_sum[row];
    real *l = logits + row * vc;
    for (int64_t k = (int64_t)threadIdx.x * N; k < vc; k += LOSS_THREADS * N) {
        pack<real, N> p = load_pack<N>(l + k);
        for (int i = 0; i < N; i++) {
            const float share = expf(to_float(p.at[i]) - top) / sum;
            p.at[i] = from_float<real>(factor * (share - (k + i == word ? 1.0f : 0.0f)));
        }
        store_pack(l + k, p);
    }
}

static enum status cross_entropy_stats(float *row_max, float *row_sum, float *target_logit,
                                       const void *logits, const int32_t *target, int64_t n,
                                       int64_t vc, int64_t v0, struct stream *stream)
{
    if (n == 0) return OK;
    LAUNCH(stats_kernel, dim3(blocks_of(n, 1)), dim3(LOSS_THREADS), 0, stream, row_max, row_sum,
           target_logit, (const real *)logits, target, vc, v0);
    return launched("cross_entropy_stats");
}

static enum status cross_entropy_rescale(float *row_max, float *row_sum, const float *common_max,
                                         int64_t n, struct stream *stream)
{
    if (n == 0) return OK;
    LAUNCH(rescale_kernel, dim3(blocks_of(n, LOSS_THREADS)), dim3(LOSS_THREADS), 0, stream, row_max,
           row_sum, common_max, n);
    return launched("cross_entropy_rescale");
}

static enum status cross_entropy_loss(float *loss, const float *row_max, const float *row_sum,
                                      const float *target_logit, int64_t n, struct stream *stream)
{
    if (n == 0) return OK;
    LAUNCH(loss_kernel, dim3(blocks_of(n, LOSS_THREADS)), dim3(LOSS_THREADS), 0, stream, loss,
           row_max, row_sum, target_logit, n);
    return launched("cross_entropy_loss");
}

static enum status cross_entropy_gradient(void *logits, const float *row_max, const float *row_sum,
                                          const int32_t *target, const float *row_scale, int64_t n,
                                          int64_t vc, int64_t v0, struct stream *stream)
{
    const bool wide = is_wide<real>(vc, (const real *)logits);
    auto kernel = wide ? loss_gradient_kernel<WIDTH<real>> : loss_gradient_kernel<1>;
    if (n == 0) return OK;
    LAUNCH(kernel, dim3(blocks_of(n, 1)), dim3(LOSS_THREADS), 0, stream, (real *)logits, row_max,
           row_sum, target, row_scale, vc, v0);
    return launched("cross_entropy_gradient");
}

#endif
