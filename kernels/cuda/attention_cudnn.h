/* Attention by cuDNN, in bf16: packed sequences, causal, grouped queries. attention_cuda.cuh asks
 * it first where attention_prepare chose it for the stream. */
#ifndef ROBIN_KERNELS_CUDA_ATTENTION_CUDNN_H
#define ROBIN_KERNELS_CUDA_ATTENTION_CUDNN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "kernels.h"

struct stream;

/* One call, as in kernels.h. */
struct attention_call {
    const int32_t *seq_start;
    int64_t s, t, h, kv, d;
    double scale;
};

#define ATTENTION_PLAN_BYTES    ((size_t)2 << 30)
#define ATTENTION_MAX_SEQUENCES 64 /* of one execution; a plan for more than there are costs 3 % */

/* What a plan of the backward in a fixed order takes for one sequence: dS of all pairs. */
static inline size_t attention_fixed_order_bytes(int64_t longest, int64_t h)
{
    const size_t rows = (size_t)(longest + 63) / 64 * 64;
    const size_t columns = (size_t)(longest + 127) / 128 * 128;
    return (size_t)h * rows * columns * 2;
}

/* Sequences that one execution of the backward takes; 0: not even one fits. */
static inline int64_t attention_backward_batch(int64_t t, int64_t longest, int64_t h,
                                               bool any_order)
{
    const int64_t fit = (int64_t)(ATTENTION_PLAN_BYTES / attention_fixed_order_bytes(longest, h));
    int64_t batch = any_order ? t : (t + longest - 1) / longest;
    if (batch > ATTENTION_MAX_SEQUENCES) batch = ATTENTION_MAX_SEQUENCES;
    return any_order || batch < fit ? batch : fit;
}

/* Bytes that cuDNN's attention takes beside the caller's tensors, but for what its plans take
 * otherwise (less than 0.1 MB of cuDNN 9.19). */
static inline size_t attention_cudnn_bytes(int64_t t, int64_t longest, int64_t h, int64_t kv,
                                           int64_t d, bool any_order)
{
    const int64_t batch = attention_backward_batch(t, longest, h, any_order);
    const size_t offsets = (size_t)(4 * t + ATTENTION_MAX_SEQUENCES + 4) * 36;
    const size_t statistics = (size_t)(t * h) * 8, gradients = (size_t)(t * kv * d) * 4;
    const size_t of_heads = h > kv ? (size_t)(t * h * d) * 4 : 0;
    const size_t sum = any_order ? (size_t)(t * (h + 2 * kv) * d) * 4
                                 : (size_t)batch * attention_fixed_order_bytes(longest, h);
    return offsets + statistics + (batch > 0 ? gradients + of_heads + sum : 0) + 12 * 256;
}

/* For calls of up to t rows in sequences of up to `longest`: opens the library, builds its plans,
 * takes its memory. Of `ways` what is to be measured is settled: by cuDNN if it is there and takes
 * no longer than `own` does. */
struct attention_own {
    enum status (*forward)(void *out, float *lse, const void *qkv,
                           const struct attention_call *call, struct stream *stream);
    enum status (*backward)(void *dqkv, const void *dout, const void *out, const float *lse,
                            const void *qkv, const struct attention_call *call, void *workspace,
                            struct stream *stream);
};
enum status attention_cudnn_prepare(struct attention_ways *ways, const struct attention_own *own,
                                    int64_t t, int64_t longest, const struct attention_call *heads,
                                    struct stream *stream);
/* Whether this stream's attention of such heads, forward or backward, is cuDNN's. */
bool attention_cudnn_takes(const struct stream *stream, const struct attention_call *call,
                           bool backward);
enum status attention_cudnn_forward(void *out, float *lse, const void *qkv,
                                    const struct attention_call *call, struct stream *stream);
enum status attention_cudnn_backward(void *dqkv, const void *dout, const void *out,
                                     const float *lse, const void *qkv,
                                     const struct attention_call *call, struct stream *stream);

#endif
