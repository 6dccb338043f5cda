/* Operations element by element: bound by memory, so 16 bytes a load where addresses allow. */
#ifndef ROBIN_KERNELS_CUDA_ELEMENTWISE_CUDA_CUH
#define ROBIN_KERNELS_CUDA_ELEMENTWISE_CUDA_CUH

#include "device_code.cuh"

#define MAP_THREADS 256

/* out_i = f(a_i, b_i); b may be NULL for functions of one argument, out may be a or b. */
template <typename T, int N, class F>
static __global__ void map_kernel(T *out, const T *a, const T *b, int64_t n, F f)
{
    const int64_t first = ((int64_t)blockIdx.x * MAP_THREADS + threadIdx.x) * N;
    if (first + N <= n) {
        const pack<T, N> x = load_pack<N>(a + first);
        const pack<T, N> y = b != nullptr ? load_pack<N>(b + first) : x;
        pack<T, N> z;
        for (int i = 0; i < N; i++) z.at[i] = from_float<T>(f(to_float(x.at[i]), to_float(y.at[i])));
        store_pack(out + first, z);
    } else {
        for (int64_t i = first; i < n; i++)
            out[i] = from_float<T>(f(to_float(a[i]), to_float((b != nullptr ? b : a)[i])));
    }
}

template <typename T, class F>
static enum status map(const char *what, T *out, const T *a, const T *b, int64_t n, const F &f,
                       struct stream *stream)
{
    const bool wide = is_wide<T>(WIDTH<T>, out, a, b);
    const int per_thread = wide ? WIDTH<T> : 1;
    auto kernel = wide ? map_kernel<T, WIDTH<T>, F> : map_kernel<T, 1, F>;
    if (n == 0) return OK;
    LAUNCH(kernel, dim3(blocks_of(n, (int64_t)MAP_THREADS * per_thread)), dim3(MAP_THREADS), 0,
           stream, out, a, b, n, f);
    return launched(what);
}

/* Phi(x) = (1 + erf(x / sqrt 2)) / 2, without cancellation far below 0 */
static __device__ inline float normal_below(float x)
{
    return 0.5f * erfcf(x * -0.70710678118654752f);
}

struct gelu_of {
    __device__ float operator()(float x, float) const
    {
        return x * normal_below(x);
    }
};
/* dout (Phi(x) + x phi(x)) */
struct gelu_slope {
    __device__ float operator()(float dout, float x) const
    {
        const float square = x * x, lost = fmaf(x, x, -square); /* e^-10 shows its roundings */
        float phi = 0.3989422804014327f * expf(-0.5f * square);
        phi = fmaf(phi, -0.5f * lost, phi);
        return dout * (normal_below(x) + x * phi);
    }
};
struct relu_of {
    __device__ float operator()(float x, float) const
    {
        return x > 0 ? x : 0;
    }
};
struct relu_slope {
    __device__ float operator()(float dout, float out) const
    {
        return out > 0 ? dout : 0;
    }
};
struct sum_both {
    __device__ float operator()(float y, float x) const
    {
        return y + x;
    }
};
struct times {
    float factor;
    __device__ float operator()(float x, float) const
    {
        return x * factor;
    }
};
struct toward {
    float rest;
    __device__ float operator()(float mean, float x) const
    {
        return mean + rest * (x - mean);
    }
};

static enum status gelu_forward(void *out, const void *x, int64_t n, struct stream *stream)
{
    return map("gelu_forward", (real *)out, (const real *)x, (const real *)nullptr, n, gelu_of(),
               stream);
}

static enum status gelu_backward(void *dx, const void *dout, const void *x, int64_t n,
                                 struct stream *stream)
{
    return map("gelu_backward", (real *)dx, (const real *)dout, (const real *)x, n, gelu_slope(),
               stream);
}

/* gelu_backward of rows of c elements; partial [chunks, c] = sums over the chunk's rows. Grid (parts
 * of a row, chunks). */
template <int N>
static __global__ void gelu_sums_kernel(real *dx, float *partial, const real *dout, const real *x,
                                        int64_t n, int64_t c, int64_t rows)
{
    const int64_t column = ((int64_t)blockIdx.x * MAP_THREADS + threadIdx.x) * N;
    const int64_t first = (int64_t)blockIdx.y * rows, end = first + rows < n ? first + rows : n;
    const gelu_slope slope;
    float sums[N] = {};
    if (column >= c) return;
    for (int64_t row = first; row < end; row++) {
        const pack<real, N> d = load_pack<N>(dout + row * c + column);
        const pack<real, N> y = load_pack<N>(x + row * c + column);
        pack<real, N> z;
        for (int i = 0; i < N; i++) {
            const float value = slope(to_float(d.at[i]), to_float(y.at[i]));
            z.at[i] = from_float<real>(value);
            sums[i] += value;
        }
        store_pack(dx + row * c + column, z);
    }
    for (int i = 0; i < N; i++) partial[blockIdx.y * c + column + i] = sums[i];
}

static enum status gelu_bias_backward(void *dx, float *dbias, const void *dout, const void *x,
                                      int64_t n, int64_t c, void *workspace,
                                      struct stream *stream)
{
    const bool wide = is_wide<real>(c, (const real *)dx, dout, x);
    auto kernel = wide ? gelu_sums_kernel<WIDTH<real>> : gelu_sums_kernel<1>;
    if (dbias == NULL || n * c == 0) return gelu_backward(dx, dout, x, n * c, stream);
    LAUNCH(kernel,
           dim3(blocks_of(c, MAP_THREADS * (wide ? WIDTH<real> : 1)), (unsigned)walk_chunks(n)),
           dim3(MAP_THREADS), 0, stream, (real *)dx, (float *)workspace, (const real *)dout,
           (const real *)x, n, c, walk_rows(n));
    finish_columns<1>(dbias, nullptr, (const float *)workspace, c, walk_chunks(n), stream);
    return launched("gelu_bias_backward");
}

static enum status relu_forward(void *out, const void *x, int64_t n, struct stream *stream)
{
    return map("relu_forward", (real *)out, (const real *)x, (const real *)nullptr, n, relu_of(),
               stream);
}

static enum status relu_backward(void *dx, const void *dout, const void *out, int64_t n,
                                 struct stream *stream)
{
    return map("relu_backward", (real *)dx, (const real *)dout, (const real *)out, n, relu_slope(),
               stream);
}

static enum status add(void *y, const void *x, int64_t n, struct stream *stream)
{
    return map("add", (real *)y, (const real *)y, (const real *)x, n, sum_both(), stream);
}

/* Between number types, four elements a thread where addresses allow. */
template <typename TO, typename FROM, int N>
static __global__ void convert_kernel(TO *out, const FROM *x, int64_t n)
{
    const int64_t first = ((int64_t)blockIdx.x * MAP_THREADS + threadIdx.x) * N;
    if (first + N <= n) {
        const pack<FROM, N> from = load_pack<N>(x + first);
        pack<TO, N> to;
        for (int i = 0; i < N; i++) to.at[i] = from_float<TO>(to_float(from.at[i]));
        store_pack(out + first, to);
    } else {
        for (int64_t i = first; i < n; i++) out[i] = from_float<TO>(to_float(x[i]));
    }
}

template <typename TO, typename FROM>
static enum status convert(const char *what, TO *out, const FROM *x, int64_t n,
                           struct stream *stream)
{
    const bool wide = ((uintptr_t)out | (uintptr_t)x) % 16 == 0;
    const int per_thread = wide ? 4 : 1; /* 16 bytes of fp32 */
    auto kernel = wide ? convert_kernel<TO, FROM, 4> : convert_kernel<TO, FROM, 1>;
    if (n == 0) return OK;
    LAUNCH(kernel, dim3(blocks_of(n, (int64_t)MAP_THREADS * per_thread)), dim3(MAP_THREADS), 0,
           stream, out, x, n);
    return launched(what);
}

static enum status widen(float *out, const void *x, int64_t n, struct stream *stream)
{
    return convert("widen", out, (const real *)x, n, stream);
}

static enum status narrow(void *out, const float *x, int64_t n, struct stream *stream)
{
    return convert("narrow", (real *)out, x, n, stream);
}

static enum status scale(float *x, int64_t n, double factor, struct stream *stream)
{
    const times f = {(float)factor};
    return map("scale", x, (const float *)x, (const float *)nullptr, n, f, stream);
}

static enum status running_mean(float *mean, const float *x, int64_t n, double decay,
                                struct stream *stream)
{
    const toward f = {(float)(1.0 - decay)};
    return map("running_mean", mean, (const float *)mean, x, n, f, stream);
}

/* ---- SwiGLU: out = g sigmoid(g) u, gate and up being halves of a row ---- */

/* sigmoid(x), and 1 minus it without cancellation */
static __device__ inline float sigmoid(float x, float *rest)
{
    const float small = expf(-fabsf(x)), large_part = 1.0f / (1.0f + small);
    *rest = x < 0 ? large_part : small * large_part;
    return x < 0 ? small * large_part : large_part;
}

template <int N>
static __global__ void swiglu_forward_kernel(real *out, const real *gate_up, int64_t n, int64_t f)
{
    const int64_t index = ((int64_t)blockIdx.x * MAP_THREADS + threadIdx.x) * N;
    if (index >= n * f) return;
    const int64_t row = index / f, column = index % f;
    const pack<real, N> gate = load_pack<N>(gate_up + row * 2 * f + column);
    const pack<real, N> up = load_pack<N>(gate_up + row * 2 * f + f + column);
    pack<real, N> y;
    for (int i = 0; i < N; i++) {
        float rest;
        const float g = to_float(gate.at[i]);
        y.at[i] = from_float<real>(g * sigmoid(g, &rest) * to_float(up.at[i]));
    }
    store_pack(out + index, y);
}

/* dg = dy u sigmoid(g) (1 + g (1 - sigmoid(g))),  du = dy g sigmoid(g) */
template <int N>
static __global__ void swiglu_backward_kernel(real *dgate_up, const real *dout,
                                              const real *gate_up, int64_t n, int64_t f)
{
    const int64_t index = ((int64_t)blockIdx.x * MAP_THREADS + threadIdx.x) * N;
    if (index >= n * f) return;
    const int64_t at = index / f * 2 * f + index % f;
    const pack<real, N> gate = load_pack<N>(gate_up + at), up = load_pack<N>(gate_up + at + f);
    const pack<real, N> dy = load_pack<N>(dout + index);
    pack<real, N> dgate, dup;
    for (int i = 0; i < N; i++) {
        float rest;
        const float g = to_float(gate.at[i]), d = to_float(dy.at[i]), s = sigmoid(g, &rest);
        dgate.at[i] = from_float<real>(d * to_float(up.at[i]) * s * fmaf(g, rest, 1.0f));
        dup.at[i] = from_float<real>(d * g * s);
    }
    store_pack(dgate_up + at, dgate);
    store_pack(dgate_up + at + f, dup);
}

static enum status swiglu_forward(void *out, const void *gate_up, int64_t n, int64_t f,
                                  struct stream *stream)
{
    const bool wide = is_wide<real>(f, (const real *)out, gate_up);
    auto kernel = wide ? swiglu_forward_kernel<WIDTH<real>> : swiglu_forward_kernel<1>;
    if (n * f == 0) return OK;
    LAUNCH(kernel, dim3(blocks_of(n * f, MAP_THREADS * (wide ? WIDTH<real> : 1))),
           dim3(MAP_THREADS), 0, stream, (real *)out, (const real *)gate_up, n, f);
    return launched("swiglu_forward");
}

static enum status swiglu_backward(void *dgate_up, const void *dout, const void *gate_up, int64_t n,
                                   int64_t f, struct stream *stream)
{
    const bool wide = is_wide<real>(f, (const real *)dgate_up, dout, gate_up);
    auto kernel = wide ? swiglu_backward_kernel<WIDTH<real>> : swiglu_backward_kernel<1>;
    if (n * f == 0) return OK;
    LAUNCH(kernel, dim3(blocks_of(n * f, MAP_THREADS * (wide ? WIDTH<real> : 1))),
           dim3(MAP_THREADS), 0, stream, (real *)dgate_up, (const real *)dout,
           (const real *)gate_up, n, f);
    return launched("swiglu_backward");
}

#endif
