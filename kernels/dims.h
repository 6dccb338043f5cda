/* The one legend of tensor dims, used in every comment. Row-major, last dim contiguous.
 *
 *   T        tokens of a packed micro-batch (all sequences behind each other)
 *   S        sequences (samples) in it; sequence s is rows seq_start[s] .. seq_start[s+1]-1
 *   N        rows of any matrix
 *   I, O     input and output features of a linear layer; weights are [O, I]
 *   C        channels or hidden size
 *   F        feed-forward size (one of gate and up)
 *   V        vocabulary; Vc a chunk of it, starting at v0
 *   H, KV    query heads, key/value heads; D head size
 *   B        images; Y, X rows and columns of pixels or of a feature grid
 *   Q        regions; K patch size; M side of the extractor's position grid
 *   _loc     the share of a sharded size that this rank holds
 *
 * Images and feature maps are channels-last: [B, Y, X, C]. Convolution weights keep the reference's
 * order: patch convolutions [O, C, K, K], depthwise [C, 1, 7, 7].
 */
#ifndef ROBIN_KERNELS_DIMS_H
#define ROBIN_KERNELS_DIMS_H

#include <stddef.h>

enum dtype { DTYPE_F32, DTYPE_BF16, DTYPE_F16, DTYPE_F64, DTYPE_I32, DTYPE_I64, DTYPE_U8 };

/* Bytes of one element. */
static inline size_t dtype_size(enum dtype dtype)
{
    switch (dtype) {
    case DTYPE_F64:
    case DTYPE_I64: return 8;
    case DTYPE_F32:
    case DTYPE_I32: return 4;
    case DTYPE_BF16:
    case DTYPE_F16: return 2;
    case DTYPE_U8: return 1;
    }
    return 0;
}

#endif
