/* Lanes of vectors (of the compiler's vector extension) picked by an index vector: gcc has it for
 * an index that is not written out as numbers, clang has not. */
#ifndef ROBIN_BASE_SHUFFLE_H
#define ROBIN_BASE_SHUFFLE_H

#if defined __clang__
/* Lane k is lane index[k] % lanes of `a`. */
#define SHUFFLE(a, index) SHUFFLE_TWO(a, a, index)
/* Lane k is lane index[k] % (2 lanes) of `a` and `b`, one after the other. */
#define SHUFFLE_TWO(a, b, index)                                                                   \
    __extension__({                                                                                \
        __typeof__(a) first_ = (a), second_ = (b), picked_ = first_;                               \
        __typeof__(index) lane_ = (index);                                                         \
        const int n_ = (int)(sizeof picked_ / sizeof picked_[0]);                                  \
        for (int k_ = 0; k_ < n_; k_++) {                                                          \
            int from_ = (int)lane_[k_] & (2 * n_ - 1);                                             \
            picked_[k_] = from_ < n_ ? first_[from_] : second_[from_ - n_];                        \
        }                                                                                          \
        picked_;                                                                                   \
    })
#else
#define SHUFFLE(a, index)        __builtin_shuffle(a, index)
#define SHUFFLE_TWO(a, b, index) __builtin_shuffle(a, b, index)
#endif

#endif
