/* Linear layers as products of the matrix library. A row-major [N, C] is a column-major [C, N], so
 * every product is written transposed. */
#ifndef ROBIN_KERNELS_CUDA_LINEAR_CUDA_CUH
#define ROBIN_KERNELS_CUDA_LINEAR_CUDA_CUH

#include "device_code.cuh"

#include <cstring>

extern "C" {
#include "base/log.h"
#include "base/text_buffer.h"
#include "cuda/gemm.h"
}

/* Y^T [O, N] = (W^T)^T X^T */
static struct gemm forward_product(const void *bias, int64_t n, int64_t o, int64_t i)
{
    struct gemm gemm = {};
    gemm.m = o;
    gemm.n = n;
    gemm.k = i;
    gemm.transpose_a = true;
    gemm.lda = i;
    gemm.ldb = i;
    gemm.in = gemm.out = REAL_DTYPE;
    gemm.bias = bias;
    return gemm;
}

static enum status linear_forward(void *out, const void *x, const void *w, const void *bias,
                                  int64_t n, int64_t o, int64_t i, struct stream *stream)
{
    const struct gemm gemm = forward_product(bias, n, o, i);
    if (n * o == 0) return OK;
    return gemm_run(&gemm, out, w, x, stream);
}

/* Rows that linear_rows computes as if there were so many: what a full batch of decoding has. */
#define ROWS_COMPUTED_AS 256

static enum status linear_rows(void *out, const void *x, const void *w, const void *bias, int64_t n,
                               int64_t o, int64_t i, struct stream *stream)
{
    enum status status = OK;
    if (o == 0) return OK;
    for (int64_t at = 0; at < n && status == OK; at += GEMM_MAX_COLUMNS) {
        const int64_t left = n - at;
        struct gemm gemm =
            forward_product(bias, left < GEMM_MAX_COLUMNS ? left : GEMM_MAX_COLUMNS, o, i);
        gemm.computed_as = ROWS_COMPUTED_AS;
        status = gemm_run(&gemm, (real *)out + at * o, w, (const real *)x + at * i, stream);
    }
    return status;
}

/* dX^T [I, N] (+)= W^T dY^T */
static struct gemm input_product(int64_t n, int64_t o, int64_t i, int accumulate)
{
    struct gemm gemm = {};
    gemm.m = i;
    gemm.n = n;
    gemm.k = o;
    gemm.lda = i;
    gemm.ldb = o;
    gemm.in = gemm.out = REAL_DTYPE;
    gemm.accumulate = accumulate != 0;
    return gemm;
}

static enum status linear_backward_input(void *dx, const void *dy, const void *w, int64_t n,
                                         int64_t o, int64_t i, int accumulate,
                                         struct stream *stream)
{
    const struct gemm gemm = input_product(n, o, i, accumulate);
    if (n * i == 0) return OK;
    return gemm_run(&gemm, dx, w, dy, stream);
}

struct bias_gradient {
    const real *dy;
    int64_t c;
    __device__ void operator()(int64_t row, int64_t column, float *sums) const
    {
        sums[0] += to_float(dy[row * c + column]);
    }
};

/* dW^T [I, O] += X^T (dY^T)^T, in fp32 */
static struct gemm weight_product(int64_t n, int64_t o, int64_t i)
{
    struct gemm gemm = {};
    gemm.m = i;
    gemm.n = o;
    gemm.k = n;
    gemm.transpose_b = true;
    gemm.lda = i;
    gemm.ldb = o;
    gemm.in = REAL_DTYPE;
    gemm.out = DTYPE_F32;
    gemm.accumulate = true;
    return gemm;
}

static enum status linear_backward_weight(float *dw, float *dbias, const void *dy, const void *x,
                                          int64_t n, int64_t o, int64_t i, struct stream *stream)
{
    const bias_gradient gradient = {(const real *)dy, o};
    const struct gemm gemm = weight_product(n, o, i);
    if (n * o == 0) return OK;
    const enum status status = i > 0 ? gemm_run(&gemm, dw, x, dy, stream) : OK;
    if (status != OK || dbias == NULL) return status;
    if (column_bytes(n, o, 1) > stream->cuda->scratch_bytes)
        return status_fail(ERR_LIMIT, "the gradient of a bias [%lld] over %lld rows needs more "
                           "scratch than the stream's %zu bytes", (long long)o, (long long)n,
                           stream->cuda->scratch_bytes);
    return add_column_sums<1>(dbias, nullptr, gradient, n, o, (float *)stream->cuda->scratch,
                              stream);
}

/* ---- choices ---- */

static enum status add_choice(struct text_buffer *choices, const struct gemm *gemm,
                              struct stream *stream)
{
    char key[GEMM_KEY_BYTES], line[GEMM_CHOICE_BYTES];
    gemm_key(key, gemm);
    const size_t length = strlen(key);
    for (const char *at = text_of(choices); (at = strstr(at, key)) != NULL; at++)
        if ((at == text_of(choices) || at[-1] == '\n') && at[length] == ':') return OK;
    const enum status status = gemm_measure(line, gemm, stream);
    if (status == ERR_MEMORY) {
        log_warn("the product %s is not timed: %s", key, status_message());
        return OK;
    }
    if (status == OK) text_append(choices, line);
    return status;
}

static enum status products_measure(char **choices_out, const char *known,
                                    const struct linear_size *layers, int64_t n_layers,
                                    struct stream *stream)
{
    enum status status = OK;
    struct text_buffer choices = {};
    text_append(&choices, known);
    for (int64_t l = 0; l < n_layers && status == OK; l++) {
        const struct linear_size *s = &layers[l];
        const struct gemm products[] = {forward_product(s->has_bias ? s : NULL, s->n, s->o, s->i),
                                        input_product(s->n, s->o, s->i, 0),
                                        weight_product(s->n, s->o, s->i)};
        for (int i = 0; i < 3 && status == OK; i++)
            status = add_choice(&choices, &products[i], stream);
    }
    if (status == OK)
        *choices_out = text_take(&choices);
    else
        text_release(&choices);
    return status;
}

static enum status products_use(const char *choices, struct stream *stream)
{
    return gemm_use(choices, stream);
}

static enum status products_identity(char **text_out, struct stream *stream)
{
    char text[GEMM_CHOICE_BYTES];
    const enum status status = gemm_identity(text, stream);
    if (status == OK) *text_out = text_copy(text);
    return status;
}

#endif
