/* The vision tower's own operations, channels last: patches, 7x7 depthwise convolution, layer
 * scale. Neighbouring threads are neighbouring channels, so every load is whole lines. */
#ifndef ROBIN_KERNELS_CUDA_CONVOLUTION_CUDA_CUH
#define ROBIN_KERNELS_CUDA_CONVOLUTION_CUDA_CUH

#include "device_code.cuh"

#define PATCH_THREADS 256
#define TAPS          49
#define SPAN          8 /* pixels of a row that one thread makes */
#define DEPTH_LANES   8 /* rows of threads in a block */

/* ---- patches ---- */

/* out [B * Y/K * X/K, C * K * K]; i counts its elements. */
static __global__ void patch_unfold_kernel(real *out, const real *in, int64_t n, int64_t y,
                                           int64_t x, int64_t c, int64_t k)
{
    const int64_t i = (int64_t)blockIdx.x * PATCH_THREADS + threadIdx.x;
    if (i >= n) return;
    const int64_t columns = c * k * k, ny = y / k, nx = x / k;
    const int64_t patch = i / columns, column = i % columns;
    const int64_t channel = column / (k * k), dy = column / k % k, dx = column % k;
    const int64_t image = patch / (ny * nx), py = patch / nx % ny, px = patch % nx;
    out[i] = in[((image * y + py * k + dy) * x + px * k + dx) * c + channel];
}

static __global__ void patch_fold_kernel(real *din, const real *dout, int64_t n, int64_t y,
                                         int64_t x, int64_t c, int64_t k)
{
    const int64_t i = (int64_t)blockIdx.x * PATCH_THREADS + threadIdx.x;
    if (i >= n) return;
    const int64_t channel = i % c, px = i / c % x, py = i / c / x % y, image = i / c / x / y;
    const int64_t ny = y / k, nx = x / k;
    if (py >= ny * k || px >= nx * k) {
        din[i] = from_float<real>(0.0f);
        return;
    }
    const int64_t patch = (image * ny + py / k) * nx + px / k;
    din[i] = dout[patch * c * k * k + (channel * k + py % k) * k + px % k];
}

static enum status patch_unfold(void *out, const void *in, int64_t b, int64_t y, int64_t x,
                                int64_t c, int64_t k, struct stream *stream)
{
    const int64_t n = b * (y / k) * (x / k) * c * k * k;
    if (n == 0) return OK;
    LAUNCH(patch_unfold_kernel, dim3(blocks_of(n, PATCH_THREADS)), dim3(PATCH_THREADS), 0, stream,
           (real *)out, (const real *)in, n, y, x, c, k);
    return launched("patch_unfold");
}

static enum status patch_fold(void *din, const void *dout, int64_t b, int64_t y, int64_t x,
                              int64_t c, int64_t k, struct stream *stream)
{
    const int64_t n = b * y * x * c;
    if (n == 0) return OK;
    LAUNCH(patch_fold_kernel, dim3(blocks_of(n, PATCH_THREADS)), dim3(PATCH_THREADS), 0, stream,
           (real *)din, (const real *)dout, n, y, x, c, k);
    return launched("patch_fold");
}

/* ---- 7x7 depthwise ---- */

/* out (+)= sum over taps of w[tap] in[y + ty - 3, x + tx - 3]; FLIP turns the taps round, which is
 * the gradient of the input. A thread makes SPAN pixels of one row of one channel. Block (32
 * channels, DEPTH_LANES spans), grid (channels / 32, spans of a row, B * Y). */
template <bool FLIP>
static __global__ void depthwise7_kernel(real *out, const real *in, const real *w, const real *bias,
                                         int64_t y, int64_t x, int64_t c, int accumulate)
{
    const int64_t channel = (int64_t)blockIdx.x * WARP_LANES + threadIdx.x;
    const int64_t x0 = ((int64_t)blockIdx.y * DEPTH_LANES + threadIdx.y) * SPAN;
    const int64_t image = blockIdx.z / y, py = blockIdx.z % y;
    if (channel >= c || x0 >= x) return;
    float sums[SPAN];
    for (int i = 0; i < SPAN; i++) sums[i] = bias != nullptr ? to_float(bias[channel]) : 0.0f;
    for (int ty = 0; ty < 7; ty++) {
        const int64_t from_y = py + ty - 3;
        if (from_y < 0 || from_y >= y) continue;
        const real *row = in + (image * y + from_y) * x * c + channel;
        float pixels[SPAN + 6];
        for (int i = 0; i < SPAN + 6; i++) {
            const int64_t from_x = x0 + i - 3;
            pixels[i] = from_x >= 0 && from_x < x ? to_float(row[from_x * c]) : 0.0f;
        }
        for (int tx = 0; tx < 7; tx++) {
            const int tap = FLIP ? TAPS - 1 - (ty * 7 + tx) : ty * 7 + tx;
            const float weight = to_float(w[channel * TAPS + tap]);
            for (int i = 0; i < SPAN; i++) sums[i] = fmaf(weight, pixels[i + tx], sums[i]);
        }
    }
    for (int i = 0; i < SPAN && x0 + i < x; i++) {
        real *to = out + ((image * y + py) * x + x0 + i) * c + channel;
        *to = from_float<real>(sums[i] + (accumulate ? to_float(*to) : 0.0f));
    }
}

/* partial [chunks, 50, C]: gradients of 49 taps and of the bias over the chunk's rows of pixels,
 * the 7 taps of a row of taps at a time, sliding along the row. Block (32 channels, DEPTH_LANES
 * rows), grid (channels / 32, chunks, 8 rows of taps, the last being the bias). */
static __global__ void depthwise7_weight_kernel(float *partial, const real *dout, const real *in,
                                                int64_t n_rows, int64_t y, int64_t x, int64_t c,
                                                int64_t chunk)
{
    __shared__ float shared[DEPTH_LANES][7][WARP_LANES];
    const int64_t channel = (int64_t)blockIdx.x * WARP_LANES + threadIdx.x;
    const int64_t first = (int64_t)blockIdx.y * chunk;
    const int64_t end = first + chunk < n_rows ? first + chunk : n_rows;
    const int ty = (int)blockIdx.z;
    float sums[7] = {0};
    for (int64_t row = first + threadIdx.y; channel < c && row < end; row += DEPTH_LANES) {
        const int64_t from_y = row % y + ty - 3;
        const real *d = dout + row * x * c + channel;
        if (ty == 7) {
            for (int64_t px = 0; px < x; px++) sums[0] += to_float(d[px * c]);
            continue;
        }
        if (from_y < 0 || from_y >= y) continue;
        const real *from = in + (row / y * y + from_y) * x * c + channel;
        float pixels[7] = {0};
        for (int i = 0; i < 3; i++) pixels[i + 4] = i < x ? to_float(from[i * c]) : 0.0f;
        for (int64_t px = 0; px < x; px++) {
            for (int i = 0; i < 6; i++) pixels[i] = pixels[i + 1];
            pixels[6] = px + 3 < x ? to_float(from[(px + 3) * c]) : 0.0f;
            const float gradient = to_float(d[px * c]);
            for (int i = 0; i < 7; i++) sums[i] = fmaf(gradient, pixels[i], sums[i]);
        }
    }
    for (int i = 0; i < 7; i++) shared[threadIdx.y][i][threadIdx.x] = sums[i];
    __syncthreads();
    if (threadIdx.y >= (ty == 7 ? 1 : 7) || channel >= c) return;
    float sum = 0;
    for (int lane = 0; lane < DEPTH_LANES; lane++) sum += shared[lane][threadIdx.y][threadIdx.x];
    partial[((int64_t)blockIdx.y * (TAPS + 1) + ty * 7 + threadIdx.y) * c + channel] = sum;
}

/* dw [C, 49] and dbias [C] += the chunks' sums, in order */
static __global__ void depthwise7_finish_kernel(float *dw, float *dbias, const float *partial,
                                                int64_t c, int64_t chunks)
{
    const int64_t i = (int64_t)blockIdx.x * PATCH_THREADS + threadIdx.x;
    const int64_t tap = i / c, channel = i % c;
    float sum = 0;
    if (tap > TAPS) return;
    for (int64_t k = 0; k < chunks; k++) sum += partial[(k * (TAPS + 1) + tap) * c + channel];
    if (tap < TAPS)
        dw[channel * TAPS + tap] += sum;
    else if (dbias != nullptr)
        dbias[channel] += sum;
}

/* Rows of pixels in a chunk of the weight gradient. */
static int64_t depthwise7_chunk(int64_t n_rows)
{
    const int64_t chunk = (n_rows + 127) / 128;
    return chunk > 2 * DEPTH_LANES ? chunk : 2 * DEPTH_LANES;
}

static size_t depthwise7_workspace(int64_t b, int64_t y, int64_t x, int64_t c)
{
    (void)x;
    const int64_t n_rows = b * y;
    if (n_rows == 0) return 0;
    const int64_t chunk = depthwise7_chunk(n_rows);
    return (size_t)((n_rows + chunk - 1) / chunk * (TAPS + 1) * c) * sizeof(float);
}

static enum status depthwise7(void *out, const void *in, const void *w, const void *bias,
                              const int64_t dims[4], bool flip, int accumulate,
                              struct stream *stream)
{
    const int64_t b = dims[0], y = dims[1], x = dims[2], c = dims[3];
    auto kernel = flip ? depthwise7_kernel<true> : depthwise7_kernel<false>;
    if (b * y * x * c == 0) return OK;
    if (b * y > 65535)
        return status_fail(ERR_LIMIT, "%lld rows of pixels in a batch, a GPU takes 65535",
                           (long long)(b * y));
    LAUNCH(kernel,
           dim3(blocks_of(c, WARP_LANES), blocks_of(x, SPAN * DEPTH_LANES), (unsigned)(b * y)),
           dim3(WARP_LANES, DEPTH_LANES), 0, stream, (real *)out, (const real *)in,
           (const real *)w, (const real *)bias, y, x, c, accumulate);
    return launched("depthwise7");
}

static enum status depthwise7_forward(void *out, const void *in, const void *w, const void *bias,
                                      int64_t b, int64_t y, int64_t x, int64_t c, void *workspace,
                                      struct stream *stream)
{
    (void)workspace;
    const int64_t dims[4] = {b, y, x, c};
    return depthwise7(out, in, w, bias, dims, false, 0, stream);
}

static enum status depthwise7_backward_input(void *din, const void *dout, const void *w, int64_t b,
                                             int64_t y, int64_t x, int64_t c, int accumulate,
                                             void *workspace, struct stream *stream)
{
    (void)workspace;
    const int64_t dims[4] = {b, y, x, c};
    return depthwise7(din, dout, w, NULL, dims, true, accumulate, stream);
}

static enum status depthwise7_backward_weight(float *dw, float *dbias, const void *dout,
                                              const void *in, int64_t b, int64_t y, int64_t x,
                                              int64_t c, void *workspace, struct stream *stream)
{
    const int64_t n_rows = b * y;
    float *partial = (float *)workspace;
    if (n_rows * x * c == 0) return OK;
    const int64_t chunk = depthwise7_chunk(n_rows), chunks = (n_rows + chunk - 1) / chunk;
    LAUNCH(depthwise7_weight_kernel, dim3(blocks_of(c, WARP_LANES), (unsigned)chunks, 8),
           dim3(WARP_LANES, DEPTH_LANES), 0, stream, partial, (const real *)dout, (const real *)in,
           n_rows, y, x, c, chunk);
    LAUNCH(depthwise7_finish_kernel, dim3(blocks_of((TAPS + 1) * c, PATCH_THREADS)),
           dim3(PATCH_THREADS), 0, stream, dw, dbias, partial, c, chunks);
    return launched("depthwise7_backward_weight");
}

/* ---- layer scale ---- */

static __global__ void layer_scale_kernel(real *out, const real *shortcut, const real *branch,
                                          const real *gamma, const float *keep, int64_t n,
                                          int64_t image, int64_t c)
{
    const int64_t i = (int64_t)blockIdx.x * PATCH_THREADS + threadIdx.x;
    if (i >= n) return;
    const float factor = (keep != nullptr ? keep[i / image] : 1.0f) * to_float(gamma[i % c]);
    const float base = shortcut != nullptr ? to_float(shortcut[i]) : 0.0f;
    out[i] = from_float<real>(base + factor * to_float(branch[i]));
}

struct gamma_gradient {
    const real *dout, *branch;
    const float *keep;
    int64_t points, c;
    __device__ void operator()(int64_t row, int64_t column, float *sums) const
    {
        const int64_t i = row * c + column;
        const float factor = keep != nullptr ? keep[row / points] : 1.0f;
        sums[0] += factor * to_float(branch[i]) * to_float(dout[i]);
    }
};

static enum status layer_scale_forward(void *out, const void *shortcut, const void *branch,
                                       const void *gamma, const float *keep, int64_t b, int64_t p,
                                       int64_t c, struct stream *stream)
{
    const int64_t n = b * p * c;
    if (n == 0) return OK;
    LAUNCH(layer_scale_kernel, dim3(blocks_of(n, PATCH_THREADS)), dim3(PATCH_THREADS), 0, stream,
           (real *)out, (const real *)shortcut, (const real *)branch, (const real *)gamma, keep, n,
           p * c, c);
    return launched("layer_scale_forward");
}

static enum status layer_scale_backward(void *dbranch, float *dgamma, const void *dout,
                                        const void *branch, const void *gamma, const float *keep,
                                        int64_t b, int64_t p, int64_t c, void *workspace,
                                        struct stream *stream)
{
    const int64_t n = b * p * c;
    const gamma_gradient gradient = {(const real *)dout, (const real *)branch, keep, p, c};
    if (n == 0) return OK;
    LAUNCH(layer_scale_kernel, dim3(blocks_of(n, PATCH_THREADS)), dim3(PATCH_THREADS), 0, stream,
           (real *)dbranch, (const real *)nullptr, (const real *)dout, (const real *)gamma, keep, n,
           p * c, c);
    if (dgamma == NULL) return launched("layer_scale_backward");
    return add_column_sums<1>(dgamma, nullptr, gradient, b * p, c, (float *)workspace, stream);
}

#endif
