/* Matrix products on a GPU, in the column-major terms of the libraries. linear_cuda.cuh says which
 * product of a linear layer is which; gemm_cublaslt.cu does them. */
#ifndef ROBIN_KERNELS_CUDA_GEMM_H
#define ROBIN_KERNELS_CUDA_GEMM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "dims.h"

struct stream;

/* D [m, n] = op(A) [m, k] op(B) [k, n] (+ bias [m] in every column) (+ D). Column-major: A is
 * stored [lda, ...], D [m, n] without gaps. */
struct gemm {
    int64_t m, n, k;
    bool transpose_a, transpose_b;
    int64_t lda, ldb;
    enum dtype in, out; /* bias has the type of `in` */
    bool accumulate;
    const void *bias; /* NULL: none */
    /* Not 0: the way of computing is that of a product with so many columns, whatever n up to
     * GEMM_MAX_COLUMNS is, so that a column of D depends on that column of B alone. No
     * transpose_b. */
    int64_t computed_as;
};
#define GEMM_MAX_COLUMNS 1024

/* fp32 is computed as fp32 (no TF32); bf16 is summed in fp32. */
enum status gemm_run(const struct gemm *gemm, void *d, const void *a, const void *b,
                     struct stream *stream);

/* ---- which algorithm computes which product ---- */

#define GEMM_KEY_BYTES    96
#define GEMM_CHOICE_BYTES 320

/* What kind of product it is: sizes, types; of the dimension that counts tokens (k with
 * transpose_b, else n) the next power of two. The same text, the same algorithm. */
void gemm_key(char key[GEMM_KEY_BYTES], const struct gemm *gemm);
/* Times what the library proposes for such a product, each for a while, as only then a GPU computes
 * as fast as it will in the long run; `line` is the choice, for gemm_use. Waits for the stream.
 * ERR_MEMORY where its matrices have no place. */
enum status gemm_measure(char line[GEMM_CHOICE_BYTES], const struct gemm *gemm,
                         struct stream *stream);
/* From now on products of the kinds in these lines are computed as chosen, others by the first
 * algorithm that the library proposes; so is a choice that the library refuses, e.g. for scratch.
 * Lines of another form are ERR_FORMAT. */
enum status gemm_use(const char *lines, struct stream *stream);
/* The GPU, its driver and the library: what choices are good for. */
enum status gemm_identity(char text[GEMM_CHOICE_BYTES], struct stream *stream);

#endif
