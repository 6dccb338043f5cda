/* AdamW and the sum of squares, always fp32. AdamW gives the specification's bits: the same
 * operations in the same order, none contracted. */
#ifndef ROBIN_KERNELS_CUDA_OPTIMIZER_CUDA_CUH
#define ROBIN_KERNELS_CUDA_OPTIMIZER_CUDA_CUH

#include "device_code.cuh"

#define ADAMW_THREADS   256
#define SQUARES_THREADS 256
#define SQUARES_BLOCKS  1024

/* The step's scalars, each rounded once, as in kernels/ref/optimizer_ref.c. */
struct adamw_scalars {
    float grad_scale, decay, beta2, one_minus_beta1, one_minus_beta2, step_size, correction2, eps;
};

static __device__ inline void adamw_one(float &p, float &m, float &v, float grad,
                                        const adamw_scalars &s)
{
    const float g = grad * s.grad_scale;
    m = m + s.one_minus_beta1 * (g - m);
    v = v * s.beta2 + s.one_minus_beta2 * g * g;
    p = p * s.decay + s.step_size * m / (sqrtf(v) / s.correction2 + s.eps);
}

static adamw_scalars scalars_of(const struct adamw_step *step)
{
    adamw_scalars s;
    s.grad_scale = (float)step->grad_scale;
    s.decay = (float)(1.0 - step->lr * step->weight_decay);
    s.beta2 = (float)step->beta2;
    s.one_minus_beta1 = (float)(1.0 - step->beta1);
    s.one_minus_beta2 = (float)(1.0 - step->beta2);
    s.step_size = (float)(-step->lr / (1.0 - pow(step->beta1, (double)step->step)));
    s.correction2 = (float)sqrt(1.0 - pow(step->beta2, (double)step->step));
    s.eps = (float)step->eps;
    return s;
}

struct adamw_steps {
    adamw_scalars of[ADAMW_MAX_STEPS];
};

/* A block for each part: sixteen bytes at a time where all of its places allow. */
static __global__ void adamw_parts_kernel(float *p, bf16 *rounded, float *m, float *v,
                                          const float *grad, const adamw_part *parts,
                                          adamw_steps steps)
{
    constexpr int N = WIDTH<float>;
    const adamw_part a = parts[blockIdx.x];
    const adamw_scalars s = steps.of[a.step];
    float *ps = p + a.weight, *ms = m + a.state, *vs = v + a.state;
    const float *gs = grad + a.gradient;
    bf16 *rs = rounded == nullptr ? nullptr : rounded + a.weight;
    const uintptr_t places = (uintptr_t)ps | (uintptr_t)ms | (uintptr_t)vs | (uintptr_t)gs |
                             (uintptr_t)rs * 2; /* half as wide */
    const int64_t whole = places % 16 == 0 ? a.n / N * N : 0;
    for (int64_t i = (int64_t)threadIdx.x * N; i < whole; i += ADAMW_THREADS * N) {
        pack<float, N> pp = load_pack<N>(ps + i), mp = load_pack<N>(ms + i);
        pack<float, N> vp = load_pack<N>(vs + i);
        const pack<float, N> gp = load_pack<N>(gs + i);
        for (int k = 0; k < N; k++) adamw_one(pp.at[k], mp.at[k], vp.at[k], gp.at[k], s);
        store_pack(ps + i, pp);
        store_pack(ms + i, mp);
        store_pack(vs + i, vp);
        if (rs == nullptr) continue;
        pack<bf16, N> rp;
        for (int k = 0; k < N; k++) rp.at[k] = from_float<bf16>(pp.at[k]);
        store_pack(rs + i, rp);
    }
    for (int64_t i = whole + threadIdx.x; i < a.n; i += ADAMW_THREADS) {
        adamw_one(ps[i], ms[i], vs[i], gs[i], s);
        if (rs != nullptr) rs[i] = from_float<bf16>(ps[i]);
    }
}

static enum status adamw_parts(float *p, uint16_t *rounded, float *m, float *v, const float *grad,
                               const struct adamw_part *parts, int64_t n_parts,
                               const struct adamw_step *steps, int64_t n_steps,
                               struct stream *stream)
{
    adamw_steps all = {};
    ASSERT(n_steps <= ADAMW_MAX_STEPS, "%lld steps of AdamW in one call", (long long)n_steps);
    for (int64_t i = 0; i < n_steps; i++) all.of[i] = scalars_of(&steps[i]);
    if (n_parts == 0) return OK;
    LAUNCH(adamw_parts_kernel, dim3(blocks_of(n_parts, 1)), dim3(ADAMW_THREADS), 0, stream, p,
           (bf16 *)rounded, m, v, grad, parts, all);
    return launched("adamw_parts");
}

/* partial [blocks] = sums of squares of the block's part of x, in double */
static __global__ void squares_kernel(double *partial, const float *x, int64_t n, int64_t per_block)
{
    const int64_t first = (int64_t)blockIdx.x * per_block;
    const int64_t end = first + per_block < n ? first + per_block : n;
    double sum = 0;
    for (int64_t k = first + threadIdx.x; k < end; k += SQUARES_THREADS)
        sum += (double)x[k] * (double)x[k];
    sum = group_all<sum_of, SQUARES_THREADS>(sum);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

static __global__ void squares_finish_kernel(double *out, const double *partial, int64_t n)
{
    double sum = 0;
    for (int64_t k = threadIdx.x; k < n; k += SQUARES_THREADS) sum += partial[k];
    sum = group_all<sum_of, SQUARES_THREADS>(sum);
    if (threadIdx.x == 0) *out = sum;
}

static enum status sum_squares(double *out, const float *x, int64_t n, struct stream *stream)
{
    const int64_t most = SQUARES_THREADS * 16;
    const int64_t blocks =
        (n + most - 1) / most < SQUARES_BLOCKS ? (n + most - 1) / most : SQUARES_BLOCKS;
    double *partial = (double *)stream->cuda->scratch, *result = partial + SQUARES_BLOCKS;
    *out = 0;
    if (n == 0) return OK;
    LAUNCH(squares_kernel, dim3((unsigned)blocks), dim3(SQUARES_THREADS), 0, stream, partial, x, n,
           (n + blocks - 1) / blocks);
    LAUNCH(squares_finish_kernel, dim3(1), dim3(SQUARES_THREADS), 0, stream, result, partial,
           blocks);
    const enum status status = launched("sum_squares");
    if (status != OK) return status;
    return stream_read(stream, out, result, sizeof *out);
}

/* A block of threads for each block of elements, as many at a time as the scratch holds. */
static enum status sum_squares_blocks(double *out, const float *x, int64_t n, int64_t block,
                                      struct stream *stream)
{
    enum status status = OK;
    double *partial = (double *)stream->cuda->scratch;
    const int64_t blocks = (n + block - 1) / block;
    for (int64_t first = 0; first < blocks; first += SQUARES_BLOCKS) {
        const int64_t left = blocks - first, some = left < SQUARES_BLOCKS ? left : SQUARES_BLOCKS;
        LAUNCH(squares_kernel, dim3((unsigned)some), dim3(SQUARES_THREADS), 0, stream, partial,
               x + first * block, n - first * block, block);
        status = launched("sum_squares_blocks");
        if (status != OK) return status;
        status = stream_copy(stream, out + first, partial, (size_t)some * sizeof *out);
        if (status != OK) return status;
    }
    return status;
}

#endif
