/* Where a bilinear resize without antialias and with align_corners false reads: the one piece of
 * arithmetic that every backend must do bit for bit alike, so it stands here once. */
#ifndef ROBIN_KERNELS_MASK_TAP_H
#define ROBIN_KERNELS_MASK_TAP_H

#include <stdint.h>

#ifdef __CUDACC__
#define MASK_TAP_FUNCTION static inline __host__ __device__
#else
#define MASK_TAP_FUNCTION static inline
#endif

/* Source indices `low` and `high`, and the weight of `high`. In fp32 on purpose: torch computes
 * coordinates so, and `value > 0` must be decided alike. */
struct mask_tap {
    int64_t low, high;
    float weight_high;
};

/* src = max(0, scale (dst + 0.5) - 0.5), scale = in / out; 0 <= dst < out */
MASK_TAP_FUNCTION struct mask_tap mask_tap_at(int64_t dst, int64_t in, int64_t out)
{
    float scale = (float)in / (float)out;
    float src = scale * ((float)dst + 0.5F) - 0.5F;
    if (src < 0) src = 0;
    int64_t low = (int64_t)src;
    if (low > in - 1) low = in - 1;
    float weight = src - (float)low;
    struct mask_tap tap = {low, low < in - 1 ? low + 1 : low, weight < 1 ? weight : 1};
    return tap;
}

#endif
