/* Matrix products by cuBLASLt. The algorithm for a product is the one that gemm_use was given for its
 * kind, else the first that the library's heuristics give, asked once per shape and kept: the same
 * bits in every run on the same kind of GPU with the same library and choices. */
#ifdef ROBIN_CUDA_EMULATED
#include "emulation/cublaslt_emulation.hh"
#else
#include <cublasLt.h>
#endif

#include "device_code.cuh"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

extern "C" {
#include "cuda/gemm.h"
#include "cuda/shared_library.h"
#include "device/cuda_stream.h"
#include "device/stream.h"
}

#define MAX_PRODUCTS   512
#define MAX_CHOICES    256
#define MAX_ALGORITHMS 16
#define CHOICE_ALIGNED 16  /* bytes: what chosen algorithms need of pointers */
#define STEADY_MS      250 /* that each algorithm runs for to be timed */
#define MAX_REPEATS    1000
#define CLEARLY        0.99 /* of the time of the best so far: then it is better */

#define LT_FUNCTIONS(DO)                                                                           \
    DO(cublasLtCreate)                                                                             \
    DO(cublasLtDestroy)                                                                            \
    DO(cublasLtMatmul)                                                                             \
    DO(cublasLtMatmulAlgoCheck)                                                                    \
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
    DO(cublasLtGetStatusString)                                                                    \
    DO(cublasLtGetVersion)

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

/* What gemm_use was given for a kind of product. */
struct gemm_choice {
    char key[GEMM_KEY_BYTES];
    cublasLtMatmulAlgo_t algorithm;
};

struct products {
    lt_functions lt;
    cublasLtHandle_t handle;
    struct gemm_choice choices[MAX_CHOICES];
    int n_choices;
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

static enum status open_library(lt_functions *lt)
{
#ifdef ROBIN_CUDA_EMULATED
#define LINKED(NAME) lt->NAME = ::NAME;
    LT_FUNCTIONS(LINKED)
#undef LINKED
    return OK;
#else
    static const char *const names[] = {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so",
                                        NULL};
    const struct library_symbol symbols[] = {
#define SYMBOL(NAME) {#NAME, (void **)&lt->NAME},
        LT_FUNCTIONS(SYMBOL)
#undef SYMBOL
    };
    return library_open(names, symbols, (int)(sizeof symbols / sizeof *symbols));
#endif
}

static enum status products_create(struct products **products_out)
{
    struct products *products = (struct products *)calloc(1, sizeof *products);
    if (products == nullptr) return status_fail(ERR_MEMORY, "no memory for matrix products");
    enum status status = open_library(&products->lt);
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

/* ---- algorithms ---- */

static int64_t power_of_two(int64_t n)
{
    int64_t power = 1;
    while (power < n) power *= 2;
    return power;
}

extern "C" void gemm_key(char key[GEMM_KEY_BYTES], const struct gemm *g)
{
    (void)snprintf(key, GEMM_KEY_BYTES, "%lld %lld %lld %s%s %s %s%s%s", (long long)g->m,
                   (long long)(g->transpose_b ? g->n : power_of_two(g->n)),
                   (long long)(g->transpose_b ? power_of_two(g->k) : g->k),
                   g->transpose_a ? "t" : "n", g->transpose_b ? "t" : "n",
                   g->in == DTYPE_BF16 ? "bf16" : "f32", g->out == DTYPE_BF16 ? "bf16" : "f32",
                   g->accumulate ? " add" : "", g->bias != nullptr ? " bias" : "");
}

/* What the library proposes, best first as it believes. */
static cublasStatus_t propose(const struct products *products, const struct product *p,
                              size_t scratch_bytes, int room,
                              cublasLtMatmulHeuristicResult_t *found, int *n_found)
{
    static const cublasLtMatmulPreferenceAttributes_t attributes[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES};
    const lt_functions *lt = &products->lt;
    cublasLtMatmulPreference_t preference;
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
                                                   p->d, preference, room, found, n_found);
    if (error == CUBLAS_STATUS_SUCCESS && *n_found == 0) error = CUBLAS_STATUS_NOT_SUPPORTED;
    lt->cublasLtMatmulPreferenceDestroy(preference);
    return error;
}

/* Whether its kind has a choice that can compute it, which it then is. */
static bool take_choice(const struct products *products, struct product *p, size_t scratch_bytes)
{
    char key[GEMM_KEY_BYTES];
    cublasLtMatmulHeuristicResult_t result = {};
    if (p->shape.computed_as != 0) return false; /* its algorithm must not change with a file */
    for (int i = 0; i < 3; i++)
        if (p->alignment[i] < CHOICE_ALIGNED) return false;
    gemm_key(key, &p->shape);
    for (int i = 0; i < products->n_choices; i++) {
        if (strcmp(products->choices[i].key, key) != 0) continue;
        const cublasStatus_t error = products->lt.cublasLtMatmulAlgoCheck(
            products->handle, p->operation, p->a, p->b, p->d, p->d,
            &products->choices[i].algorithm, &result);
        if (error != CUBLAS_STATUS_SUCCESS || result.workspaceSize > scratch_bytes) return false;
        p->algorithm = products->choices[i].algorithm;
        return true;
    }
    return false;
}

static cublasStatus_t choose(const struct products *products, struct product *p,
                             size_t scratch_bytes)
{
    cublasLtMatmulHeuristicResult_t found;
    int n_found = 0;
    if (take_choice(products, p, scratch_bytes)) return CUBLAS_STATUS_SUCCESS;
    const cublasStatus_t error = propose(products, p, scratch_bytes, 1, &found, &n_found);
    if (error == CUBLAS_STATUS_SUCCESS) p->algorithm = found.algo;
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

static enum status products_of(struct stream *stream, struct products **products_out)
{
    auto *library = &stream->cuda->libraries[CUDA_LIBRARY_GEMM];
    if (library->state == nullptr) {
        struct products *products = nullptr;
        const enum status status = products_create(&products);
        if (status != OK) return status;
        library->state = products;
        library->destroy = products_destroy;
    }
    *products_out = (struct products *)library->state;
    return OK;
}

static cublasStatus_t multiply(const struct products *products, const struct product *p,
                               const cublasLtMatmulAlgo_t *algorithm, void *d, const void *a,
                               const void *b, struct stream *stream)
{
    const float alpha = 1, beta = p->shape.accumulate ? 1 : 0;
    const struct cuda_stream *cuda = stream->cuda;
    return products->lt.cublasLtMatmul(products->handle, p->operation, &alpha, a, p->a, b, p->b,
                                       &beta, d, p->d, d, p->d, algorithm, cuda->scratch,
                                       cuda->scratch_bytes, (cudaStream_t)cuda->handle);
}

static cublasStatus_t set_bias(const struct products *products, const struct product *p,
                               const void *bias)
{
    if (bias == nullptr) return CUBLAS_STATUS_SUCCESS;
    return products->lt.cublasLtMatmulDescSetAttribute(
        p->operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias);
}

extern "C" enum status gemm_run(const struct gemm *gemm, void *d, const void *a, const void *b,
                     struct stream *stream)
{
    struct product wanted = {}, *product = nullptr;
    struct products *products = nullptr;
    enum status status = products_of(stream, &products);
    if (status != OK) return status;
    wanted.shape = *gemm;
    if (gemm->computed_as > 0) wanted.shape.n = gemm->computed_as;
    const uint32_t most = gemm->computed_as > 0 ? 16 : 256; /* not what happens to be there */
    wanted.alignment[0] = alignment_of(a, most);
    wanted.alignment[1] = alignment_of(b, most);
    wanted.alignment[2] = alignment_of(d, most);
    status = find_product(products, &wanted, scratch_for(gemm, stream->cuda->scratch_bytes),
                          &product);
    if (status != OK) return status;
    cublasStatus_t error = set_columns(products, product, gemm);
    if (error == CUBLAS_STATUS_SUCCESS) error = set_bias(products, product, gemm->bias);
    if (error == CUBLAS_STATUS_SUCCESS)
        error = multiply(products, product, &product->algorithm, d, a, b, stream);
    return error == CUBLAS_STATUS_SUCCESS ? OK : lt_failed(products, error, gemm);
}

/* ---- timing ---- */

#define FILL_THREADS 256

/* Numbers from -1 to 1 without a pattern: what a product takes depends on its bits, by the power. */
template <typename T> static __global__ void fill_kernel(T *to, int64_t n)
{
    const int64_t i = (int64_t)blockIdx.x * FILL_THREADS + threadIdx.x;
    const uint32_t mixed = (uint32_t)i * 2654435761U;
    if (i < n) to[i] = from_float<T>((float)((mixed ^ mixed >> 15) & 0xffff) / 32768.0f - 1.0f);
}

static enum status take_filled(void **matrix_out, int64_t n, enum dtype dtype,
                               struct stream *stream)
{
    const enum status status = stream_take(stream, matrix_out, (size_t)n * dtype_size(dtype),
                                           "a matrix of a product that is to be timed");
    if (status != OK) return status;
    const dim3 blocks = dim3(blocks_of(n, FILL_THREADS)), threads = dim3(FILL_THREADS);
    auto wide = fill_kernel<float>;
    auto narrow = fill_kernel<bf16>;
    if (dtype == DTYPE_BF16)
        LAUNCH(narrow, blocks, threads, 0, stream, (bf16 *)*matrix_out, n);
    else
        LAUNCH(wide, blocks, threads, 0, stream, (float *)*matrix_out, n);
    return launched("the filling of a matrix");
}

/* Milliseconds of one of n runs in a row. */
struct stopwatch {
    cudaEvent_t from, to;
};
template <class Run>
static enum status time_runs(double *ms_out, const struct stopwatch *watch, int n, const Run &run,
                             struct stream *stream)
{
    float ms = 0;
    cublasStatus_t error = CUBLAS_STATUS_SUCCESS;
    (void)cudaEventRecord(watch->from, cuda_handle(stream));
    for (int i = 0; i < n && error == CUBLAS_STATUS_SUCCESS; i++) error = run();
    (void)cudaEventRecord(watch->to, cuda_handle(stream));
    const enum status status = stream_wait(stream);
    if (status != OK) return status;
    if (error != CUBLAS_STATUS_SUCCESS) /* not one that can compute this: never the best */
        *ms_out = INFINITY;
    else if (cudaEventElapsedTime(&ms, watch->from, watch->to) == cudaSuccess)
        *ms_out = ms / n;
    else
        return status_fail(ERR_UNSUPPORTED, "the GPU cannot tell how long a product took");
    return OK;
}

/* The best of those proposed: the first one, unless another is clearly faster. */
static enum status time_all(const struct products *products, const struct product *p,
                            const cublasLtMatmulHeuristicResult_t *found, int n_found,
                            void *const matrices[3], struct stream *stream, int *best_out,
                            double best_ms[2])
{
    struct stopwatch watch = {};
    double best = INFINITY;
    enum status status = OK;
    *best_out = 0;
    (void)cudaEventCreateWithFlags(&watch.from, cudaEventDefault);
    (void)cudaEventCreateWithFlags(&watch.to, cudaEventDefault);
    for (int i = 0; i < n_found && status == OK; i++) {
        double ms = 0;
        const auto run = [&]() {
            return multiply(products, p, &found[i].algo, matrices[2], matrices[0], matrices[1],
                            stream);
        };
        status = time_runs(&ms, &watch, 1, run, stream);
        if (status == OK) status = time_runs(&ms, &watch, 1, run, stream);
        const double repeats = STEADY_MS / (ms + 1e-3);
        const int n = repeats < 1 ? 1 : repeats > MAX_REPEATS ? MAX_REPEATS : (int)repeats;
        if (status == OK && ms < INFINITY) status = time_runs(&ms, &watch, n, run, stream);
        if (i == 0) best_ms[0] = ms;
        if (ms >= best * CLEARLY) continue;
        best = ms;
        *best_out = i;
    }
    best_ms[1] = best;
    (void)cudaEventDestroy(watch.from);
    (void)cudaEventDestroy(watch.to);
    return status;
}

static void write_choice(char line[GEMM_CHOICE_BYTES], const struct gemm *gemm,
                         const cublasLtMatmulAlgo_t *algorithm, const double ms[2])
{
    char key[GEMM_KEY_BYTES];
    const unsigned char *bytes = (const unsigned char *)algorithm;
    gemm_key(key, gemm);
    int at = snprintf(line, GEMM_CHOICE_BYTES, "%s: ", key);
    for (size_t i = 0; i < sizeof *algorithm; i++)
        at += snprintf(line + at, (size_t)(GEMM_CHOICE_BYTES - at), "%02x", bytes[i]);
    (void)snprintf(line + at, (size_t)(GEMM_CHOICE_BYTES - at), " %.4f ms, the first %.4f ms\n",
                   ms[1], ms[0]);
}

extern "C" enum status gemm_measure(char line[GEMM_CHOICE_BYTES], const struct gemm *gemm,
                                    struct stream *stream)
{
    cublasLtMatmulHeuristicResult_t found[MAX_ALGORITHMS];
    int n_found = 0, best = 0;
    double ms[2] = {};
    void *matrices[4] = {};
    struct products *products = nullptr;
    struct product p = {};
    p.shape = *gemm;
    for (uint32_t &alignment : p.alignment) alignment = CHOICE_ALIGNED;
    const int64_t a_columns = gemm->transpose_a ? gemm->m : gemm->k;
    const int64_t b_columns = gemm->transpose_b ? gemm->k : gemm->n;
    enum status status = products_of(stream, &products);
    if (status == OK)
        status = take_filled(&matrices[0], gemm->lda * a_columns, gemm->in, stream);
    if (status == OK)
        status = take_filled(&matrices[1], gemm->ldb * b_columns, gemm->in, stream);
    if (status == OK) status = take_filled(&matrices[2], gemm->m * gemm->n, gemm->out, stream);
    if (status == OK) status = take_filled(&matrices[3], gemm->m, gemm->in, stream);
    if (status == OK) {
        cublasStatus_t error = describe(&products->lt, &p);
        if (error == CUBLAS_STATUS_SUCCESS)
            error = set_bias(products, &p, gemm->bias != nullptr ? matrices[3] : nullptr);
        if (error == CUBLAS_STATUS_SUCCESS)
            error = propose(products, &p, stream->cuda->scratch_bytes, MAX_ALGORITHMS, found,
                            &n_found);
        if (error != CUBLAS_STATUS_SUCCESS) status = lt_failed(products, error, gemm);
    }
    if (status == OK)
        status = time_all(products, &p, found, n_found, matrices, stream, &best, ms);
    if (status == OK) write_choice(line, gemm, &found[best].algo, ms);
    if (products != nullptr) release_product(&products->lt, &p);
    for (void *matrix : matrices)
        if (matrix != nullptr) stream_give(stream, matrix);
    return status;
}

/* ---- choices ---- */

/* "KEY: HEX MS ms, ...\n"; the end of the line, or NULL. */
static const char *read_choice(struct gemm_choice *choice, const char *line)
{
    const char *end = strchr(line, '\n'), *colon = strstr(line, ": ");
    unsigned char *bytes = (unsigned char *)&choice->algorithm;
    if (end == nullptr || colon == nullptr || colon > end) return nullptr;
    if (colon - line >= GEMM_KEY_BYTES) return nullptr;
    memcpy(choice->key, line, (size_t)(colon - line));
    choice->key[colon - line] = 0;
    const char *hex = colon + 2;
    for (size_t i = 0; i < sizeof choice->algorithm; i++, hex += 2) {
        static const char digits[] = "0123456789abcdef";
        const char *high = hex < end ? strchr(digits, hex[0]) : nullptr;
        const char *low = hex + 1 < end ? strchr(digits, hex[1]) : nullptr;
        if (high == nullptr || low == nullptr) return nullptr;
        bytes[i] = (unsigned char)((high - digits) * 16 + (low - digits));
    }
    return hex < end && *hex == ' ' ? end + 1 : nullptr;
}

extern "C" enum status gemm_use(const char *lines, struct stream *stream)
{
    struct products *products = nullptr;
    const enum status status = products_of(stream, &products);
    if (status != OK) return status;
    products->n_choices = 0;
    for (const char *line = lines; *line != 0;) {
        const char *next = products->n_choices < MAX_CHOICES
                               ? read_choice(&products->choices[products->n_choices], line)
                               : nullptr;
        if (next == nullptr) {
            products->n_choices = 0;
            return status_fail(ERR_FORMAT, "this is no choice of an algorithm: '%.60s'", line);
        }
        products->n_choices++;
        line = next;
    }
    for (int i = 0; i < products->n; i++) release_product(&products->lt, &products->list[i]);
    products->n = 0;
    return OK;
}

extern "C" enum status gemm_identity(char text[GEMM_CHOICE_BYTES], struct stream *stream)
{
    int device = 0, driver = 0;
    cudaDeviceProp properties;
    struct products *products = nullptr;
    const enum status status = products_of(stream, &products);
    if (status != OK) return status;
    if (cudaGetDevice(&device) != cudaSuccess ||
        cudaGetDeviceProperties(&properties, device) != cudaSuccess ||
        cudaDriverGetVersion(&driver) != cudaSuccess)
        return status_fail(ERR_UNSUPPORTED, "the GPU does not say what it is");
    (void)snprintf(text, GEMM_CHOICE_BYTES, "%s, %d multiprocessors, driver %d, cuBLASLt %zu",
                   properties.name, properties.multiProcessorCount, driver,
                   products->lt.cublasLtGetVersion());
    return OK;
}
