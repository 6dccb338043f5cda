/* RMSNorm and LayerNorm. A row belongs to one warp, or to a whole block where it is long; the
 * second reading of a row comes from cache. Gradients of weights: sums over columns afterwards. */
#ifndef ROBIN_KERNELS_CUDA_NORM_CUDA_CUH
#define ROBIN_KERNELS_CUDA_NORM_CUDA_CUH

#include "device_code.cuh"
#include "elementwise_cuda.cuh"

#define NORM_THREADS  256
#define LONG_ROW_FROM 1024

/* The row of this thread's group of THREADS, and the thread's number in it. */
template <int THREADS> struct row_group {
    int64_t row;
    int lane;
    __device__ row_group()
        : row((int64_t)blockIdx.x * (NORM_THREADS / THREADS) + threadIdx.x / THREADS),
          lane((int)threadIdx.x % THREADS)
    {
    }
};

/* Sum over a row of c elements of what f(column) gives for N neighbours. */
template <int THREADS, int N, class F> static __device__ inline float row_sum(int64_t c, int lane, F f)
{
    float sum = 0;
    for (int64_t k = (int64_t)lane * N; k < c; k += THREADS * N) sum += f(k);
    return group_all<sum_of, THREADS>(sum);
}

template <int THREADS, int N>
static __global__ void rmsnorm_forward_kernel(real *out, float *rstd, const real *x, const real *w,
                                              int64_t n, int64_t c, float eps)
{
    const row_group<THREADS> group;
    if (group.row >= n) return;
    const real *row = x + group.row * c;
    const float squares = row_sum<THREADS, N>(c, group.lane, [=](int64_t k) {
        const pack<real, N> p = load_pack<N>(row + k);
        float sum = 0;
        for (int i = 0; i < N; i++) sum = fmaf(to_float(p.at[i]), to_float(p.at[i]), sum);
        return sum;
    });
    const float r = 1.0f / sqrtf(squares / (float)c + eps);
    if (group.lane == 0) rstd[group.row] = r;
    for (int64_t k = (int64_t)group.lane * N; k < c; k += THREADS * N) {
        const pack<real, N> p = load_pack<N>(row + k), q = load_pack<N>(w + k);
        pack<real, N> y;
        for (int i = 0; i < N; i++)
            y.at[i] = from_float<real>(to_float(p.at[i]) * r * to_float(q.at[i]));
        store_pack(out + group.row * c + k, y);
    }
}

/* dx = r (w dy - x r^2 mean(w dy x)) */
template <int THREADS, int N>
static __global__ void rmsnorm_backward_kernel(real *dx, const real *dout, const real *x,
                                               const real *w, const float *rstd, int64_t n,
                                               int64_t c, int accumulate)
{
    const row_group<THREADS> group;
    if (group.row >= n) return;
    const int64_t start = group.row * c;
    const float r = rstd[group.row];
    const float dot = row_sum<THREADS, N>(c, group.lane, [=](int64_t k) {
        const pack<real, N> p = load_pack<N>(x + start + k), q = load_pack<N>(w + k);
        const pack<real, N> d = load_pack<N>(dout + start + k);
        float sum = 0;
        for (int i = 0; i < N; i++)
            sum = fmaf(to_float(q.at[i]) * to_float(d.at[i]), to_float(p.at[i]), sum);
        return sum;
    });
    const float mean = dot / (float)c * r * r;
    for (int64_t k = (int64_t)group.lane * N; k < c; k += THREADS * N) {
        const pack<real, N> p = load_pack<N>(x + start + k), q = load_pack<N>(w + k);
        const pack<real, N> d = load_pack<N>(dout + start + k);
        pack<real, N> y = {};
        if (accumulate) y = load_pack<N>(dx + start + k);
        for (int i = 0; i < N; i++) {
            const float own = to_float(q.at[i]) * to_float(d.at[i]) - to_float(p.at[i]) * mean;
            y.at[i] = from_float<real>((accumulate ? to_float(y.at[i]) : 0.0f) + r * own);
        }
        store_pack(dx + start + k, y);
    }
}

template <int THREADS, int N>
static __global__ void layernorm_forward_kernel(real *out, float *mean, float *rstd, const real *x,
                                                const real *w, const real *b, int64_t n, int64_t c,
                                                float eps)
{
    const row_group<THREADS> group;
    if (group.row >= n) return;
    const real *row = x + group.row * c;
    const float total = row_sum<THREADS, N>(c, group.lane, [=](int64_t k) {
        const pack<real, N> p = load_pack<N>(row + k);
        float sum = 0;
        for (int i = 0; i < N; i++) sum += to_float(p.at[i]);
        return sum;
    });
    const float m = total / (float)c;
    const float squares = row_sum<THREADS, N>(c, group.lane, [=](int64_t k) {
        const pack<real, N> p = load_pack<N>(row + k);
        float sum = 0;
        for (int i = 0; i < N; i++) {
            const float off = to_float(p.at[i]) - m;
            sum = fmaf(off, off, sum);
        }
        return sum;
    });
    const float r = 1.0f / sqrtf(squares / (float)c + eps);
    if (group.lane == 0) {
        mean[group.row] = m;
        rstd[group.row] = r;
    }
    for (int64_t k = (int64_t)group.lane * N; k < c; k += THREADS * N) {
        const pack<real, N> p = load_pack<N>(row + k), q = load_pack<N>(w + k);
        const pack<real, N> bias = load_pack<N>(b + k);
        pack<real, N> y;
        for (int i = 0; i < N; i++)
            y.at[i] = from_float<real>((to_float(p.at[i]) - m) * r * to_float(q.at[i]) +
                                       to_float(bias.at[i]));
        store_pack(out + group.row * c + k, y);
    }
}

/* With x' = (x - m) r and g = w dy:  dx = r (g - mean(g) - x' mean(g x')) */
template <int THREADS, int N>
static __global__ void layernorm_backward_kernel(real *dx, const real *dout, const real *x,
                                                 const real *w, const float *mean,
                                                 const float *rstd, int64_t n, int64_t c,
                                                 int accumulate)
{
    const row_group<THREADS> group;
    if (group.row >= n) return;
    const int64_t start = group.row * c;
    const float m = mean[group.row], r = rstd[group.row];
    const float g_sum = row_sum<THREADS, N>(c, group.lane, [=](int64_t k) {
        const pack<real, N> q = load_pack<N>(w + k), d = load_pack<N>(dout + start + k);
        float sum = 0;
        for (int i = 0; i < N; i++) sum = fmaf(to_float(q.at[i]), to_float(d.at[i]), sum);
        return sum;
    });
    const float gx_sum = row_sum<THREADS, N>(c, group.lane, [=](int64_t k) {
        const pack<real, N> q = load_pack<N>(w + k), d = load_pack<N>(dout + start + k);
        const pack<real, N> p = load_pack<N>(x + start + k);
        float sum = 0;
        for (int i = 0; i < N; i++)
            sum = fmaf(to_float(q.at[i]) * to_float(d.at[i]), (to_float(p.at[i]) - m) * r, sum);
        return sum;
    });
    const float g_mean = g_sum / (float)c, gx_mean = gx_sum / (float)c;
    for (int64_t k = (int64_t)group.lane * N; k < c; k += THREADS * N) {
        const pack<real, N> q = load_pack<N>(w + k), d = load_pack<N>(dout + start + k);
        const pack<real, N> p = load_pack<N>(x + start + k);
        pack<real, N> y = {};
        if (accumulate) y = load_pack<N>(dx + start + k);
        for (int i = 0; i < N; i++) {
            const float normal = (to_float(p.at[i]) - m) * r;
            const float own = to_float(q.at[i]) * to_float(d.at[i]) - g_mean - normal * gx_mean;
            y.at[i] = from_float<real>((accumulate ? to_float(y.at[i]) : 0.0f) + r * own);
        }
        store_pack(dx + start + k, y);
    }
}

/* KERNEL for rows of c elements, wide or not, on a warp or on a block. */
#define LAUNCH_ROWS(KERNEL, WIDE, N, C, STREAM, ...)                                               \
    do {                                                                                           \
        const bool long_rows = (C) > LONG_ROW_FROM;                                                \
        auto kernel = (WIDE) ? (long_rows ? KERNEL<NORM_THREADS, WIDTH<real>>                      \
                                          : KERNEL<WARP_LANES, WIDTH<real>>)                       \
                             : (long_rows ? KERNEL<NORM_THREADS, 1> : KERNEL<WARP_LANES, 1>);      \
        const int64_t rows = long_rows ? 1 : NORM_THREADS / WARP_LANES;                            \
        LAUNCH(kernel, dim3(blocks_of(N, rows)), dim3(NORM_THREADS), 0, STREAM, __VA_ARGS__);      \
    } while (0)

#include "rmsnorm_rows_cuda.cuh"

static enum status rmsnorm_forward(void *out, float *rstd, const void *x, const void *w, int64_t n,
                                   int64_t c, double eps, struct stream *stream)
{
    const bool wide = is_wide<real>(c, (const real *)out, x, w);
    if (n * c == 0) return OK;
    if (wide && fits_registers(c))
        return launch_rms_forward<false>((real *)out, rstd, (real *)const_cast<void *>(x), nullptr,
                                         (const real *)w, {n, c, (float)eps}, stream);
    LAUNCH_ROWS(rmsnorm_forward_kernel, wide, n, c, stream, (real *)out, rstd, (const real *)x,
                (const real *)w, n, c, (float)eps);
    return launched("rmsnorm_forward");
}

static enum status add_rmsnorm_forward(void *sum, void *out, float *rstd, const void *x,
                                       const void *w, int64_t n, int64_t c, double eps,
                                       struct stream *stream)
{
    const bool wide =
        is_wide<real>(c, (const real *)out, x, w) && is_wide<real>(c, (const real *)sum);
    if (n * c == 0) return OK;
    if (wide && fits_registers(c))
        return launch_rms_forward<true>((real *)out, rstd, (real *)sum, (const real *)x,
                                        (const real *)w, {n, c, (float)eps}, stream);
    const enum status status = add(sum, x, n * c, stream);
    return status == OK ? rmsnorm_forward(out, rstd, sum, w, n, c, eps, stream) : status;
}

struct rms_weight_gradient {
    const real *dout, *x;
    const float *rstd;
    int64_t c;
    __device__ void operator()(int64_t row, int64_t column, float *sums) const
    {
        const int64_t i = row * c + column;
        sums[0] += to_float(dout[i]) * (to_float(x[i]) * rstd[row]);
    }
};

static enum status rmsnorm_backward(void *dx, float *dw, const void *dout, const void *x,
                                    const void *w, const float *rstd, int64_t n, int64_t c,
                                    int accumulate, void *workspace, struct stream *stream)
{
    const bool wide = is_wide<real>(c, (const real *)dx, dout, x, w);
    const rms_weight_gradient gradient = {(const real *)dout, (const real *)x, rstd, c};
    if (n * c == 0) return OK;
    if (wide && fits_registers(c) && dw != NULL)
        return launch_rms_backward((real *)dx, dw, (const real *)dout, (const real *)x,
                                   (const real *)w, rstd, {n, c, 0.0f}, accumulate,
                                   (float *)workspace, stream);
    LAUNCH_ROWS(rmsnorm_backward_kernel, wide, n, c, stream, (real *)dx, (const real *)dout,
                (const real *)x, (const real *)w, rstd, n, c, accumulate);
    if (dw == NULL) return launched("rmsnorm_backward");
    return add_column_sums<1>(dw, nullptr, gradient, n, c, (float *)workspace, stream);
}

static enum status layernorm_forward(void *out, float *mean, float *rstd, const void *x,
                                     const void *w, const void *b, int64_t n, int64_t c, double eps,
                                     struct stream *stream)
{
    const bool wide = is_wide<real>(c, (const real *)out, x, w, b);
    if (n * c == 0) return OK;
    LAUNCH_ROWS(layernorm_forward_kernel, wide, n, c, stream, (real *)out, mean, rstd,
                (const real *)x, (const real *)w, (const real *)b, n, c, (float)eps);
    return launched("layernorm_forward");
}

struct layer_weight_gradient {
    const real *dout, *x;
    const float *mean, *rstd;
    int64_t c;
    __device__ void operator()(int64_t row, int64_t column, float *sums) const
    {
        const int64_t i = row * c + column;
        const float d = to_float(dout[i]);
        sums[0] += d * ((to_float(x[i]) - mean[row]) * rstd[row]);
        sums[1] += d;
    }
};

static enum status layernorm_backward(void *dx, float *dw, float *db, const void *dout,
                                      const void *x, const void *w, const float *mean,
                                      const float *rstd, int64_t n, int64_t c, int accumulate,
                                      void *workspace, struct stream *stream)
{
    const bool wide = is_wide<real>(c, (const real *)dx, dout, x, w);
    const layer_weight_gradient gradient = {(const real *)dout, (const real *)x, mean, rstd, c};
    if (n * c == 0) return OK;
    LAUNCH_ROWS(layernorm_backward_kernel, wide, n, c, stream, (real *)dx, (const real *)dout,
                (const real *)x, (const real *)w, mean, rstd, n, c, accumulate);
    if (dw == NULL) return launched("layernorm_backward");
    return add_column_sums<2>(dw, db, gradient, n, c, (float *)workspace, stream);
}

static size_t norm_workspace(int64_t n, int64_t c)
{
    const size_t apart = column_bytes(n, c, 2), walking = walk_bytes(n, c);
    return walking > apart ? walking : apart;
}

#endif
