/* See cublaslt_emulation.hh. */
#include "emulation/cublaslt_emulation.hh"

#include <cblas.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "emulation/emulation_parts.hh"

#define N_ALGORITHMS 3
#define MARK         0x6e6f6e7572626f72ULL /* in algorithms of this library */
#define SPLIT        1                     /* of them: sums in two halves, and takes scratch */
#define SPLIT_BYTES  4096

struct emulated_lt {
    double ms[N_ALGORITHMS];
};
struct emulated_product {
    bool turn_a, turn_b, has_bias;
    const void *bias;
    cudaDataType_t bias_type;
};
struct emulated_layout {
    cudaDataType_t type;
    uint64_t rows, columns;
    int64_t ld;
    bool is_resized; /* columns must not depend on each other */
};
struct emulated_preference {
    uint64_t scratch_bytes;
};

size_t cublasLtGetVersion()
{
    return 1;
}

const char *cublasLtGetStatusString(cublasStatus_t status)
{
    return status == CUBLAS_STATUS_SUCCESS         ? "CUBLAS_STATUS_SUCCESS"
           : status == CUBLAS_STATUS_NOT_SUPPORTED ? "CUBLAS_STATUS_NOT_SUPPORTED"
                                                   : "CUBLAS_STATUS_INVALID_VALUE";
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    const char *text = std::getenv("ROBIN_EMULATED_PRODUCT_MS");
    *handle = new emulated_lt{{80, 60, 100}};
    double *ms = (*handle)->ms;
    if (text != nullptr) (void)std::sscanf(text, "%lf %lf %lf", &ms[0], &ms[1], &ms[2]);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

/* ---- descriptions ---- */

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *made, cublasComputeType_t compute,
                                        cudaDataType_t scale)
{
    if (compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F) return CUBLAS_STATUS_INVALID_VALUE;
    *made = new emulated_product{};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t made)
{
    delete made;
    return CUBLAS_STATUS_SUCCESS;
}

template <typename T> static bool read_value(T *to, const void *value, size_t bytes)
{
    if (bytes == sizeof *to) std::memcpy(to, value, bytes);
    return bytes == sizeof *to;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t made,
                                              cublasLtMatmulDescAttributes_t name,
                                              const void *value, size_t bytes)
{
    cublasOperation_t operation = CUBLAS_OP_N;
    cublasLtEpilogue_t epilogue;
    bool right = false;
    switch (name) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
        right = read_value(&operation, value, bytes);
        made->turn_a = operation == CUBLAS_OP_T;
        break;
    case CUBLASLT_MATMUL_DESC_TRANSB:
        right = read_value(&operation, value, bytes);
        made->turn_b = operation == CUBLAS_OP_T;
        break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
        right = read_value(&epilogue, value, bytes) && epilogue == CUBLASLT_EPILOGUE_BIAS;
        made->has_bias = right;
        break;
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: right = read_value(&made->bias, value, bytes); break;
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
        right = read_value(&made->bias_type, value, bytes);
        break;
    }
    return right ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *made, cudaDataType_t type,
                                          uint64_t rows, uint64_t columns, int64_t ld)
{
    if (ld < (int64_t)rows) return CUBLAS_STATUS_INVALID_VALUE;
    *made = new emulated_layout{type, rows, columns, ld, false};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t made)
{
    delete made;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t made,
                                                cublasLtMatrixLayoutAttribute_t, const void *value,
                                                size_t bytes)
{
    made->is_resized = true;
    return read_value(&made->columns, value, bytes) ? CUBLAS_STATUS_SUCCESS
                                                    : CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *made)
{
    *made = new emulated_preference{};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t made)
{
    delete made;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t made,
                                                    cublasLtMatmulPreferenceAttributes_t name,
                                                    const void *value, size_t bytes)
{
    uint32_t alignment = 0;
    const bool right = name == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES
                           ? read_value(&made->scratch_bytes, value, bytes)
                           : read_value(&alignment, value, bytes);
    return right ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

/* ---- algorithms ---- */

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t,
                                       cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                       cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                       const cublasLtMatmulAlgo_t *algorithm,
                                       cublasLtMatmulHeuristicResult_t *result)
{
    if (algorithm->data[0] >= N_ALGORITHMS || algorithm->data[1] != MARK)
        return CUBLAS_STATUS_INVALID_VALUE;
    *result = {};
    result->algo = *algorithm;
    result->workspaceSize = algorithm->data[0] == SPLIT ? SPLIT_BYTES : 0;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatmulPreference_t preference, int room,
                                              cublasLtMatmulHeuristicResult_t *found, int *n)
{
    *n = 0;
    for (uint64_t i = 0; i < N_ALGORITHMS && *n < room; i++) {
        if (i == SPLIT && preference->scratch_bytes < SPLIT_BYTES) continue;
        found[*n] = {};
        found[*n].algo.data[0] = i;
        found[*n].algo.data[1] = MARK;
        found[*n].workspaceSize = i == SPLIT ? SPLIT_BYTES : 0;
        ++*n;
    }
    return CUBLAS_STATUS_SUCCESS;
}

/* ---- computing ---- */

static float read_as(const void *values, int64_t i, cudaDataType_t type)
{
    return type == CUDA_R_16BF ? __bfloat162float(((const __nv_bfloat16 *)values)[i])
                               : ((const float *)values)[i];
}

static std::vector<float> read_matrix(const void *values, const emulated_layout &l)
{
    std::vector<float> matrix((size_t)l.ld * l.columns);
    for (uint64_t column = 0; column < l.columns; column++)
        for (uint64_t row = 0; row < l.rows; row++) {
            const int64_t at = (int64_t)column * l.ld + (int64_t)row;
            matrix[(size_t)at] = read_as(values, at, l.type);
        }
    return matrix;
}

/* ds [m, n] = op(a) op(b), over terms first .. end of the sum */
static void multiply(std::vector<float> *ds, const emulated_product &p, const float *a,
                     const emulated_layout &al, const float *b, const emulated_layout &bl,
                     int64_t first, int64_t end, bool add)
{
    const int64_t m = (int64_t)(p.turn_a ? al.columns : al.rows);
    const int64_t n = (int64_t)(p.turn_b ? bl.rows : bl.columns);
    const int64_t at_once = bl.is_resized ? 1 : n;
    const float *from_a = a + first * (p.turn_a ? 1 : al.ld);
    const float *from_b = b + first * (p.turn_b ? bl.ld : 1);
    if (end == first) return;
    for (int64_t j = 0; j < n; j += at_once)
        cblas_sgemm(CblasColMajor, p.turn_a ? CblasTrans : CblasNoTrans,
                    p.turn_b ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)at_once,
                    (blasint)(end - first), 1.0f, from_a, (blasint)al.ld,
                    from_b + j * (p.turn_b ? 1 : bl.ld), (blasint)bl.ld, add ? 1.0f : 0.0f,
                    ds->data() + j * m, (blasint)m);
}

struct work {
    emulated_product p;
    emulated_layout a, b, d;
    uint64_t algorithm;
    float beta;
};

static void run(const work &w, const void *a, const void *b, void *d, void *scratch)
{
    const std::vector<float> as = read_matrix(a, w.a), bs = read_matrix(b, w.b);
    const int64_t m = (int64_t)w.d.rows, n = (int64_t)w.d.columns;
    const int64_t k = (int64_t)(w.p.turn_a ? w.a.rows : w.a.columns);
    const int64_t half = w.algorithm == SPLIT ? k / 2 : k;
    std::vector<float> ds((size_t)(m * n));
    if (w.algorithm == SPLIT) std::memset(scratch, 0xff, SPLIT_BYTES);
    multiply(&ds, w.p, as.data(), w.a, bs.data(), w.b, 0, half, false);
    multiply(&ds, w.p, as.data(), w.a, bs.data(), w.b, half, k, half > 0);
    for (int64_t i = 0; i < m * n; i++) {
        float value = ds[(size_t)i];
        if (w.beta != 0) value += w.beta * read_as(d, i, w.d.type);
        if (w.p.has_bias) value += read_as(w.p.bias, i % m, w.p.bias_type);
        if (w.d.type == CUDA_R_16BF)
            ((__nv_bfloat16 *)d)[i] = __float2bfloat16_rn(value);
        else
            ((float *)d)[i] = value;
    }
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t product,
                              const void *alpha, const void *a, cublasLtMatrixLayout_t al,
                              const void *b, cublasLtMatrixLayout_t bl, const void *beta,
                              const void *c, cublasLtMatrixLayout_t, void *d,
                              cublasLtMatrixLayout_t dl, const cublasLtMatmulAlgo_t *algorithm,
                              void *scratch, size_t scratch_bytes, cudaStream_t stream)
{
    const uint64_t number = algorithm->data[0];
    const uint64_t m = product->turn_a ? al->columns : al->rows;
    const uint64_t n = product->turn_b ? bl->rows : bl->columns;
    const uint64_t k = product->turn_a ? al->rows : al->columns;
    const uint64_t other_k = product->turn_b ? bl->columns : bl->rows;
    if (number >= N_ALGORITHMS || algorithm->data[1] != MARK || c != d || k != other_k ||
        m != dl->rows || n != dl->columns || al->type != bl->type ||
        *(const float *)alpha != 1 || dl->ld != (int64_t)dl->rows ||
        (product->has_bias && product->bias == nullptr) ||
        (number == SPLIT && (scratch == nullptr || scratch_bytes < SPLIT_BYTES)))
        return CUBLAS_STATUS_INVALID_VALUE;
    const work w = {*product, *al, *bl, *dl, number, *(const float *)beta};
    emulation::enqueue_work(stream, [=]() { run(w, a, b, d, scratch); });
    emulation::spend(stream, handle->ms[number]);
    return CUBLAS_STATUS_SUCCESS;
}
