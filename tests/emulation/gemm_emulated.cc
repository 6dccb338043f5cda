/* The matrix library's place on the emulated GPU: OpenBLAS in fp32, rounded where the result is
 * bf16. It reads gemm.h as the library does, so what linear_cuda.cuh asks for is tested. */
#include <cblas.h>

#include <vector>

#include "emulation/emulation_parts.hh"

extern "C" {
#include "cuda/gemm.h"
#include "device/cuda_stream.h"
#include "device/stream.h"
}

static float read_as(const void *values, int64_t i, enum dtype dtype)
{
    return dtype == DTYPE_BF16 ? __bfloat162float(((const __nv_bfloat16 *)values)[i])
                               : ((const float *)values)[i];
}

static std::vector<float> read_matrix(const void *values, int64_t ld, int64_t columns,
                                      int64_t rows, enum dtype dtype)
{
    std::vector<float> matrix((size_t)(ld * columns));
    for (int64_t column = 0; column < columns; column++)
        for (int64_t row = 0; row < rows; row++)
            matrix[(size_t)(column * ld + row)] = read_as(values, column * ld + row, dtype);
    return matrix;
}

static void run(const struct gemm &g, void *d, const void *a, const void *b)
{
    const std::vector<float> as = read_matrix(a, g.lda, g.transpose_a ? g.m : g.k,
                                              g.transpose_a ? g.k : g.m, g.in);
    const std::vector<float> bs = read_matrix(b, g.ldb, g.transpose_b ? g.k : g.n,
                                              g.transpose_b ? g.n : g.k, g.in);
    std::vector<float> ds((size_t)(g.m * g.n));
    /* Column by column where a column's bits must not depend on the others. */
    const int64_t columns = g.computed_as > 0 ? 1 : g.n;
    for (int64_t n = 0; n < g.n; n += columns)
        cblas_sgemm(CblasColMajor, g.transpose_a ? CblasTrans : CblasNoTrans,
                    g.transpose_b ? CblasTrans : CblasNoTrans, (blasint)g.m, (blasint)columns,
                    (blasint)g.k, 1.0f, as.data(), (blasint)g.lda, bs.data() + n * g.ldb,
                    (blasint)g.ldb, 0.0f, ds.data() + n * g.m, (blasint)g.m);
    for (int64_t i = 0; i < g.m * g.n; i++) {
        float value = ds[(size_t)i];
        if (g.accumulate) value += read_as(d, i, g.out);
        if (g.bias != nullptr) value += read_as(g.bias, i % g.m, g.in);
        if (g.out == DTYPE_BF16)
            ((__nv_bfloat16 *)d)[i] = __float2bfloat16_rn(value);
        else
            ((float *)d)[i] = value;
    }
}

extern "C" enum status gemm_run(const struct gemm *gemm, void *d, const void *a, const void *b,
                                struct stream *stream)
{
    const struct gemm g = *gemm;
    emulation::enqueue_work((cudaStream_t)stream->cuda->handle, [=]() { run(g, d, a, b); });
    return OK;
}
