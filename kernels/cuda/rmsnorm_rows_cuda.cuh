/* RMSNorm of long rows that a block holds in its registers: nothing is read twice. Forward with the
 * sum of residuals before it; backward with the gradient of the weights in the same pass. Included
 * by norm_cuda.cuh, which has the rows that do not fit. */
#ifndef ROBIN_KERNELS_CUDA_RMSNORM_ROWS_CUDA_CUH
#define ROBIN_KERNELS_CUDA_RMSNORM_ROWS_CUDA_CUH

/* Elements that the block takes at a time; a thread has up to MAX_PACKS packs of a row. */
#define ROW_STEP  (NORM_THREADS * WIDTH<real>)
#define MAX_PACKS 4

struct rms_dims {
    int64_t n, c;
    float eps;
};

static bool fits_registers(int64_t c)
{
    return c > LONG_ROW_FROM && c <= MAX_PACKS * ROW_STEP;
}

/* out = norm of `x`, of which ADD first becomes the sum with `other`. */
template <int PACKS, bool ADD>
static __global__ void rms_forward_rows_kernel(real *out, float *rstd, real *x, const real *other,
                                               const real *w, rms_dims dims)
{
    constexpr int N = WIDTH<real>;
    const int64_t start = (int64_t)blockIdx.x * dims.c, lane = (int64_t)threadIdx.x * N;
    pack<real, N> row[PACKS];
    float squares = 0;
#pragma unroll
    for (int p = 0; p < PACKS; p++) {
        const int64_t k = p * ROW_STEP + lane;
        if (k >= dims.c) continue;
        row[p] = load_pack<N>(x + start + k);
        if (ADD) {
            const pack<real, N> more = load_pack<N>(other + start + k);
            for (int i = 0; i < N; i++)
                row[p].at[i] = from_float<real>(to_float(row[p].at[i]) + to_float(more.at[i]));
            store_pack(x + start + k, row[p]);
        }
        for (int i = 0; i < N; i++)
            squares = fmaf(to_float(row[p].at[i]), to_float(row[p].at[i]), squares);
    }
    squares = group_all<sum_of, NORM_THREADS>(squares);
    const float r = 1.0f / sqrtf(squares / (float)dims.c + dims.eps);
    if (threadIdx.x == 0) rstd[blockIdx.x] = r;
#pragma unroll
    for (int p = 0; p < PACKS; p++) {
        const int64_t k = p * ROW_STEP + lane;
        if (k >= dims.c) continue;
        const pack<real, N> weight = load_pack<N>(w + k);
        pack<real, N> y;
        for (int i = 0; i < N; i++)
            y.at[i] = from_float<real>(to_float(row[p].at[i]) * r * to_float(weight.at[i]));
        store_pack(out + start + k, y);
    }
}

/* dx as rmsnorm_backward_kernel; partial [chunks, c] = sums of dout x rstd over the block's rows. */
template <int PACKS>
static __global__ void rms_backward_rows_kernel(real *dx, float *partial, const real *dout,
                                                const real *x, const real *w, const float *rstd,
                                                rms_dims dims, int accumulate, int64_t rows)
{
    constexpr int N = WIDTH<real>;
    const int64_t lane = (int64_t)threadIdx.x * N, first = (int64_t)blockIdx.x * rows;
    const int64_t end = first + rows < dims.n ? first + rows : dims.n;
    float sums[PACKS][N] = {};
    for (int64_t at = first; at < end; at++) {
        const int64_t start = at * dims.c;
        const float r = rstd[at];
        pack<real, N> xs[PACKS], ds[PACKS];
        float dot = 0;
#pragma unroll
        for (int p = 0; p < PACKS; p++) {
            const int64_t k = p * ROW_STEP + lane;
            if (k >= dims.c) continue;
            const pack<real, N> weight = load_pack<N>(w + k);
            xs[p] = load_pack<N>(x + start + k);
            ds[p] = load_pack<N>(dout + start + k);
            for (int i = 0; i < N; i++) {
                const float d = to_float(ds[p].at[i]), value = to_float(xs[p].at[i]);
                dot = fmaf(to_float(weight.at[i]) * d, value, dot);
                sums[p][i] += d * (value * r);
            }
        }
        const float mean = group_all<sum_of, NORM_THREADS>(dot) / (float)dims.c * r * r;
#pragma unroll
        for (int p = 0; p < PACKS; p++) {
            const int64_t k = p * ROW_STEP + lane;
            if (k >= dims.c) continue;
            const pack<real, N> weight = load_pack<N>(w + k);
            pack<real, N> y = {};
            if (accumulate) y = load_pack<N>(dx + start + k);
            for (int i = 0; i < N; i++) {
                const float own = to_float(weight.at[i]) * to_float(ds[p].at[i]) -
                                  to_float(xs[p].at[i]) * mean;
                y.at[i] = from_float<real>((accumulate ? to_float(y.at[i]) : 0.0f) + r * own);
            }
            store_pack(dx + start + k, y);
        }
    }
#pragma unroll
    for (int p = 0; p < PACKS; p++) {
        const int64_t k = p * ROW_STEP + lane;
        if (k >= dims.c) continue;
        for (int i = 0; i < N; i++) partial[blockIdx.x * dims.c + k + i] = sums[p][i];
    }
}

/* ---- launching ---- */

template <bool ADD>
static enum status launch_rms_forward(real *out, float *rstd, real *x, const real *other,
                                      const real *w, rms_dims dims, struct stream *stream)
{
    const int64_t packs = (dims.c + ROW_STEP - 1) / ROW_STEP;
    auto kernel = packs == 1   ? rms_forward_rows_kernel<1, ADD>
                  : packs == 2 ? rms_forward_rows_kernel<2, ADD>
                               : rms_forward_rows_kernel<MAX_PACKS, ADD>;
    LAUNCH(kernel, dim3(blocks_of(dims.n, 1)), dim3(NORM_THREADS), 0, stream, out, rstd, x, other,
           w, dims);
    return launched("rmsnorm_forward");
}

static enum status launch_rms_backward(real *dx, float *dw, const real *dout, const real *x,
                                       const real *w, const float *rstd, rms_dims dims,
                                       int accumulate, float *partial, struct stream *stream)
{
    const int64_t packs = (dims.c + ROW_STEP - 1) / ROW_STEP, chunks = walk_chunks(dims.n);
    auto kernel = packs == 1   ? rms_backward_rows_kernel<1>
                  : packs == 2 ? rms_backward_rows_kernel<2>
                               : rms_backward_rows_kernel<MAX_PACKS>;
    LAUNCH(kernel, dim3((unsigned)chunks), dim3(NORM_THREADS), 0, stream, dx, partial, dout, x, w,
           rstd, dims, accumulate, walk_rows(dims.n));
    finish_columns<1>(dw, nullptr, partial, dims.c, chunks, stream);
    return launched("rmsnorm_backward");
}

#endif
