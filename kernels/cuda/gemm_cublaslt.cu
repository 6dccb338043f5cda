/* Matrix products by cuBLASLt. The algorithm for a product is the first that the library's
 * heuristics give, asked once per shape and kept: the same bits in every run on the same kind of
 * GPU with the same library. */
#include <cublasLt.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

extern "C" {
#include "cuda/gemm.h"
#include "cuda/shared_library.h"
#include "device/cuda_stream.h"
#include "device/stream.h"
}

#define MAX_PRODUCTS 512

#define LT_FUNCTIONS(DO)                                                                           \
    DO(cublasLtCreate)                                                                             \
    DO(cublasLtDestroy)                                                                            \
    DO(cublasLtMatmul)                                                                             \
    DO(cublasLtMatmulAlgoGetHeuristic)                                                             \
    DO(cublasLtMatmulDescCreate)                                                                   \
    DO(cublasLtMatmulDescDestroy)                                                                  \
    DO(cublasLtMatmulDescSetAttribute)                                                             \
    DO(cublasLtMatrixLayoutCreate)                                                                 \
    DO(cublasLtMatrixLayoutDestroy)                                                               \
    DO(cublasLtMatrixLayoutSetAttribute)                                                           \
    DO(cublasLtMatmulPreferenceCreate)                                                             \
    DO(cublasLtMatmulPreferenceDestroy)                                                            \
    DO(cublasLtMatmulPreferenceSetAttribute)                                                       \
    DO(cublasLtGetStatusString)

struct lt_functions {
#define FIELD(NAME) decltype(&::NAME) NAME;
    LT_FUNCTIONS(FIELD)
#undef FIELD
};

/* A product of one shape. */
struct product {
    struct gemm shape; /* bias: only whether there is one; n: computed_as, if that is set */
    uint32_t alignment[3];
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t a, b, d;
    cublasLtMatmulAlgo_t algorithm;
};

struct products {
    lt_functions lt;
    cublasLtHandle_t handle;
    struct product list[MAX_PRODUCTS];
    int n;
};

static enum status lt_failed(const struct products *products, cublasStatus_t error,
                             const struct gemm *gemm)
{
    return status_fail(ERR_UNSUPPORTED, "cuBLASLt on a product of %lld x %lld x %lld: %s",
                       (long long)gemm->m, (long long)gemm->n, (long long)gemm->k,
                       products->lt.cublasLtGetStatusString(error));
}

static void release_product(const lt_functions *lt, struct product *product)
{
    if (product->operation != nullptr) lt->cublasLtMatmulDescDestroy(product->operation);
    if (product->a != nullptr) lt->cublasLtMatrixLayoutDestroy(product->a);
    if (product->b != nullptr) lt->cublasLtMatrixLayoutDestroy(product->b);
    if (product->d != nullptr) lt->cublasLtMatrixLayoutDestroy(product->d);
    *product = {};
}

static void products_destroy(void *state)
{
    struct products *products = (struct products *)state;
    for (int i = 0; i < products->n; i++) release_product(&products->lt, &products->list[i]);
    if (products->handle != nullptr) products->lt.cublasLtDestroy(products->handle);
    free(products);
}

static enum status products_create(struct products **products_out)
{
    static const char *const names[] = {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so",
                                        NULL};
    struct products *products = (struct products *)calloc(1, sizeof *products);
    if (products == nullptr) return status_fail(ERR_MEMORY, "no memory for matrix products");
    const struct library_symbol symbols[] = {
#define SYMBOL(NAME) {#NAME, (void **)&products->lt.NAME},
        LT_FUNCTIONS(SYMBOL)
#undef SYMBOL
    };
    enum status status = library_open(names, symbols, (int)(sizeof symbols / sizeof *symbols));
    if (status == OK && products->lt.cublasLtCreate(&products->handle) != CUBLAS_STATUS_SUCCESS)
        status = status_fail(ERR_UNSUPPORTED, "cuBLASLt cannot start on this GPU");
    if (status != OK)
        products_destroy(products);
    else
        *products_out = products;
    return status;
}

static cudaDataType_t data_type(enum dtype dtype)
{
    return dtype == DTYPE_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

/* The largest power of two up to `most` that divides the address. */
static uint32_t alignment_of(const void *address, uint32_t most)
{
    uint32_t alignment = most;
    while ((uintptr_t)address % alignment != 0) alignment /= 2;
    return alignment;
}

static cublasStatus_t describe(const lt_functions *lt, struct product *p)
{
    const struct gemm *g = &p->shape;
    const cublasOperation_t turned = CUBLAS_OP_T;
    const cudaDataType_t in = data_type(g->in), out = data_type(g->out);
    const int64_t a_columns = g->transpose_a ? g->m : g->k;
    const int64_t b_columns = g->transpose_b ? g->k : g->n;
    const int64_t a_rows = g->transpose_a ? g->k : g->m, b_rows = g->transpose_b ? g->n : g->k;
    cublasStatus_t error = lt->cublasLtMatmulDescCreate(&p->operation, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    if (error == CUBLAS_STATUS_SUCCESS && g->transpose_a)
        error = lt->cublasLtMatmulDescSetAttribute(p->operation, CUBLASLT_MATMUL_DESC_TRANSA,
                                                   &turned, sizeof turned);
    if (error == CUBLAS_STATUS_SUCCESS && g->transpose_b)
        error = lt->cublasLtMatmulDescSetAttribute(p->operation, CUBLASLT_MATMUL_DESC_TRANSB,
                                                   &turned, sizeof turned);
    if (error == CUBLAS_STATUS_SUCCESS && g->bias != nullptr) {
        const cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
        error = lt->cublasLtMatmulDescSetAttribute(p->operation, CUBLASLT_MATMUL_DESC_EPILOGUE,
                                                   &epilogue, sizeof epilogue);
        if (error == CUBLAS_STATUS_SUCCESS)
            error = lt->cublasLtMatmulDescSetAttribute(
                p->operation, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &in, sizeof in);
    }
    if (error == CUBLAS_STATUS_SUCCESS)
        error = lt->cublasLtMatrixLayoutCreate(&p->a, in, a_rows, a_columns, g->lda);
    if (error == CUBLAS_STATUS_SUCCESS)
        error = lt->cublasLtMatrixLayoutCreate(&p->b, in, b_rows, b_columns, g->ldb);
    if (error == CUBLAS_STATUS_SUCCESS)
        error = lt->cublasLtMatrixLayoutCreate(&p->d, out, g->m, g->n, g->m);
    return error;
}

static cublasStatus_t choose(const struct products *products, struct product *p,
                             size_t scratch_bytes)
{
    static const cublasLtMatmulPreferenceAttributes_t attributes[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES};
    const lt_functions *lt = &products->lt;
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulHeuristicResult_t found;
    int n_found = 0;
    cublasStatus_t error = lt->cublasLtMatmulPreferenceCreate(&preference);
    if (error != CUBLAS_STATUS_SUCCESS) return error;
    error = lt->cublasLtMatmulPreferenceSetAttribute(preference,
                                                     CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                     &scratch_bytes, sizeof scratch_bytes);
    for (int i = 0; i < 4 && error == CUBLAS_STATUS_SUCCESS; i++)
        error = lt->cublasLtMatmulPreferenceSetAttribute(
            preference, attributes[i], &p->alignment[i < 2 ? i : 2], sizeof p->alignment[0]);
    if (error == CUBLAS_STATUS_SUCCESS)
        error = lt->cublasLtMatmulAlgoGetHeuristic(products->handle, p->operation, p->a, p->b, p->d,
                                                   p->d, preference, 1, &found, &n_found);
    if (error == CUBLAS_STATUS_SUCCESS && n_found == 0) error = CUBLAS_STATUS_NOT_SUPPORTED;
    if (error == CUBLAS_STATUS_SUCCESS) p->algorithm = found.algo;
    lt->cublasLtMatmulPreferenceDestroy(preference);
    return error;
}

static bool same_shape(const struct product *p, const struct product *q)
{
    const struct gemm *g = &p->shape, *h = &q->shape;
    return g->m == h->m && g->n == h->n && g->k == h->k && g->transpose_a == h->transpose_a &&
           g->transpose_b == h->transpose_b && g->lda == h->lda && g->ldb == h->ldb &&
           g->in == h->in && g->out == h->out && g->accumulate == h->accumulate && g->computed_as == h->computed_as &&
           (g->bias == nullptr) == (h->bias == nullptr) &&
           memcmp(p->alignment, q->alignment, sizeof p->alignment) == 0;
}

static enum status find_product(struct products *products, const struct product *wanted,
                                size_t scratch_bytes, struct product **product_out)
{
    for (int i = 0; i < products->n; i++)
        if (same_shape(&products->list[i], wanted)) {
            *product_out = &products->list[i];
            return OK;
        }
    if (products->n == MAX_PRODUCTS) { /* shapes that keep changing: begin anew */
        for (int i = 0; i < products->n; i++) release_product(&products->lt, &products->list[i]);
        products->n = 0;
    }
    struct product *product = &products->list[products->n];
    *product = *wanted;
    cublasStatus_t error = describe(&products->lt, product);
    if (error == CUBLAS_STATUS_SUCCESS) error = choose(products, product, scratch_bytes);
    if (error != CUBLAS_STATUS_SUCCESS) {
        release_product(&products->lt, product);
        return lt_failed(products, error, &wanted->shape);
    }
    products->n++;
    *product_out = product;
    return OK;
}

/* Sums in parts take scratch for every column: the algorithm must do with what is left for one of
 * the columns that it is chosen for, when there are GEMM_MAX_COLUMNS. */
static size_t scratch_for(const struct gemm *gemm, size_t scratch_bytes)
{
    if (gemm->computed_as == 0) return scratch_bytes;
    return scratch_bytes / GEMM_MAX_COLUMNS * (size_t)gemm->computed_as;
}

/* The true number of columns, where the algorithm is another one's. */
static cublasStatus_t set_columns(const struct products *products, const struct product *product,
                                  const struct gemm *gemm)
{
    const uint64_t n = (uint64_t)gemm->n;
    if (gemm->computed_as == 0) return CUBLAS_STATUS_SUCCESS;
    const cublasStatus_t error = products->lt.cublasLtMatrixLayoutSetAttribute(
        product->b, CUBLASLT_MATRIX_LAYOUT_COLS, &n, sizeof n);
    if (error != CUBLAS_STATUS_SUCCESS) return error;
    return products->lt.cublasLtMatrixLayoutSetAttribute(product->d, CUBLASLT_MATRIX_LAYOUT_COLS,
                                                         &n, sizeof n);
}

extern "C" enum status gemm_run(const struct gemm *gemm, void *d, const void *a, const void *b,
                     struct stream *stream)
{
    struct cuda_stream *cuda = stream->cuda;
    auto *library = &cuda->libraries[CUDA_LIBRARY_GEMM];
    struct product wanted = {}, *product = nullptr;
    const float alpha = 1, beta = gemm->accumulate ? 1 : 0;
    enum status status = OK;
    if (library->state == nullptr) {
        struct products *products = nullptr;
        status = products_create(&products);
        if (status != OK) return status;
        library->state = products;
        library->destroy = products_destroy;
    }
    struct products *products = (struct products *)library->state;
    wanted.shape = *gemm;
    if (gemm->computed_as > 0) wanted.shape.n = gemm->computed_as;
    const uint32_t most = gemm->computed_as > 0 ? 16 : 256; /* not what happens to be there */
    wanted.alignment[0] = alignment_of(a, most);
    wanted.alignment[1] = alignment_of(b, most);
    wanted.alignment[2] = alignment_of(d, most);
    status = find_product(products, &wanted, scratch_for(gemm, cuda->scratch_bytes), &product);
    if (status != OK) return status;
    cublasStatus_t error = set_columns(products, product, gemm);
    if (error == CUBLAS_STATUS_SUCCESS && gemm->bias != nullptr)
        error = products->lt.cublasLtMatmulDescSetAttribute(product->operation,
                                                            CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                                            &gemm->bias, sizeof gemm->bias);
    if (error == CUBLAS_STATUS_SUCCESS)
        error = products->lt.cublasLtMatmul(products->handle, product->operation, &alpha, a,
                                            product->a, b, product->b, &beta, d, product->d, d,
                                            product->d, &product->algorithm, cuda->scratch,
                                            cuda->scratch_bytes, (cudaStream_t)cuda->handle);
    return error == CUBLAS_STATUS_SUCCESS ? OK : lt_failed(products, error, gemm);
}
