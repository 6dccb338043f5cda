/* The harness of every kernel test. A test describes one call of an operation: its inputs, outputs
 * and workspace. The harness makes that call on ref and on every other table, and checks
 *   - the outputs against ref, within tolerance.h; and that each bound in use refuses an element
 *     moved by four bounds;
 *   - with pointers aligned to 64 bytes and with pointers one element off;
 *   - the same bits on a second run and with 1, 2 and 3 threads; on an emulated GPU instead with
 *     its threads and blocks in three orders;
 *   - guard words around every buffer, and that inputs are left alone.
 * Tables without the operation are counted and printed as skipped. Inputs are a pure function of
 * (seed, operation, tensor name, size): the seed is printed, ROBIN_TEST_SEED sets another. */
#ifndef ROBIN_TESTS_SUPPORT_KERNEL_TEST_H
#define ROBIN_TESTS_SUPPORT_KERNEL_TEST_H

#include <stdint.h>

#include "kernels.h"
#include "support/tolerance.h"

struct kernel_buffers;

/* One call of the operation, as the callback sees it. */
struct kernel_run {
    const struct kernels *kernels; /* the table to call */
    struct stream *stream;
    const int64_t *dims; /* the row of sizes under test */
    struct kernel_buffers *buffers;
};

/* Buffers of the call; each name once. `n` elements, 0 is allowed (a pointer that must not be
 * followed). All live until the harness has compared them. Those without a type in their name are
 * tensors of the table's type: drawn as fp32, rounded to it, and ref is given the rounded ones. The
 * pointers are for the kernel: on a GPU the host cannot follow them. */
const void *kernel_input(struct kernel_run *run, const char *name, int64_t n, double min,
                         double max);
const float *kernel_input_f32(struct kernel_run *run, const char *name, int64_t n, double min,
                              double max);
/* Integers min .. max (both included). */
const int32_t *kernel_input_i32(struct kernel_run *run, const char *name, int64_t n, int32_t min,
                                int32_t max);
/* Records of a kernel's table (struct adamw_part), always aligned as the allocator would. */
const void *kernel_input_records(struct kernel_run *run, const char *name, int64_t bytes,
                                 const void *records);
/* Given integers, for indices with a meaning (sequence starts, permutations). */
const int32_t *kernel_input_i32_values(struct kernel_run *run, const char *name, int64_t n,
                                       const int32_t *values);
/* Given floats. */
const void *kernel_input_values(struct kernel_run *run, const char *name, int64_t n,
                                const float *values);
const float *kernel_input_values_f32(struct kernel_run *run, const char *name, int64_t n,
                                     const float *values);
/* 0 or 1, 1 with probability `share`. */
const uint8_t *kernel_input_u8(struct kernel_run *run, const char *name, int64_t n, double share);
/* What an input of floats holds, as fp32 and for the host. */
const float *kernel_values(const struct kernel_run *run, const char *name);

/* Written by the operation: full of NaN before. `terms` as in tolerance.h. */
void *kernel_output(struct kernel_run *run, const char *name, int64_t n, int64_t terms);
float *kernel_output_f32(struct kernel_run *run, const char *name, int64_t n, int64_t terms);
/* In host memory on every table. */
double *kernel_output_f64(struct kernel_run *run, const char *name, int64_t n, int64_t terms);
/* Added to or changed in place: random in min .. max before. */
void *kernel_inout(struct kernel_run *run, const char *name, int64_t n, double min, double max,
                   int64_t terms);
float *kernel_inout_f32(struct kernel_run *run, const char *name, int64_t n, double min, double max,
                        int64_t terms);
/* The size of what cancels in this output, where that is larger than the output itself. */
void kernel_magnitude(struct kernel_run *run, const char *name, double magnitude);

/* Scratch of that many bytes, aligned to 64 and full of NaN; NULL for 0. */
void *kernel_workspace(struct kernel_run *run, size_t bytes);

/* Asserts that the call returned OK, printing its sentence. */
void kernel_ok(enum status status);

struct kernel_test {
    const char *op; /* the entry's name, for messages and the seed */
    size_t entry;   /* offsetof(struct kernels, ENTRY) */
    void (*call)(struct kernel_run *run);
};
#define KERNEL_TEST(ENTRY, CALL)                                                                   \
    (&(struct kernel_test){#ENTRY, offsetof(struct kernels, ENTRY), CALL})

/* Runs the test at each of the n_sizes rows of `sizes`, n_dims numbers each. */
void kernel_test_run(const struct kernel_test *test, const int64_t *sizes, size_t n_sizes,
                     size_t n_dims);
/* The same with a two-dimensional array. */
#define KERNEL_TEST_SIZES(TEST, SIZES)                                                             \
    kernel_test_run(TEST, &(SIZES)[0][0], sizeof(SIZES) / sizeof(SIZES)[0],                        \
                    sizeof(SIZES)[0] / sizeof(int64_t))

/* Checks a gradient of ref by central differences with one extrapolation (error O(step^4)). `loss`
 * is evaluated with x[k] moved to x[k] +- step and +- 2 step; `gradient` [n] must be within
 * tolerance * max |gradient| of the result at every k (at 64 of them, spread evenly, if n is
 * larger); and the check must refuse a gradient that is four times that off. */
struct gradient_check {
    const char *name;
    float *x;
    const float *gradient;
    int64_t n;
    double (*loss)(void *context);
    void *context;
    double step;      /* about 1/32 for inputs of size 1 */
    double tolerance; /* about 1e-4: what rounding of fp32 outputs leaves */
};
void kernel_gradient_check(const struct gradient_check *check);

/* n floats in min .. max, a pure function of (seed, name), for gradient checks: to free(). */
float *kernel_random(const char *name, int64_t n, double min, double max);
/* sum_k a_k b_k in double: the loss of a gradient check is the dot product with a cotangent. */
double kernel_dot(const float *a, const float *b, int64_t n);
/* The seed in use; printed at the first call. */
uint64_t kernel_seed(void);

#endif
