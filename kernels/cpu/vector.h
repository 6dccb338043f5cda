/* Short vectors of floats: what the compiler does not vectorise by itself without -ffast-math
 * (reductions, exp). One lane count per build: 16 with AVX-512, else 8. A loop over n elements
 * does whole vectors and then one partial one, so every element takes the same arithmetic wherever
 * it stands. */
#ifndef ROBIN_KERNELS_CPU_VECTOR_H
#define ROBIN_KERNELS_CPU_VECTOR_H

#include <stdint.h>
#include <string.h>

#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "base/shuffle.h"

/* Everything here is inlined: how a vector would be passed to a function does not matter. */
#pragma GCC diagnostic ignored "-Wpsabi"

#ifdef __AVX512F__
#define VECTOR_LANES 16
#else
#define VECTOR_LANES 8
#endif

typedef float vector_f32 __attribute__((vector_size(VECTOR_LANES * 4)));
typedef int32_t vector_i32 __attribute__((vector_size(VECTOR_LANES * 4)));

#define VECTOR_INLINE static inline __attribute__((always_inline))

VECTOR_INLINE vector_f32 vector_load(const float *p)
{
    vector_f32 v;
    memcpy(&v, p, sizeof v);
    return v;
}

VECTOR_INLINE void vector_store(float *p, vector_f32 v)
{
    memcpy(p, &v, sizeof v);
}

VECTOR_INLINE vector_f32 vector_set(float x)
{
    return x - (vector_f32){0};
}

/* How many lanes of the next vector lie before the end, `left` >= 1 elements away. */
VECTOR_INLINE int64_t vector_part(int64_t left)
{
    return left < VECTOR_LANES ? left : VECTOR_LANES;
}

/* Lanes 0 .. n-1, n <= VECTOR_LANES; those beyond become `fill`. Nothing behind is read. */
VECTOR_INLINE vector_f32 vector_load_partial(const float *p, int64_t n, float fill)
{
#ifdef __AVX512F__
    return (vector_f32)_mm512_mask_loadu_ps((__m512)vector_set(fill), (__mmask16)((1U << n) - 1),
                                            p);
#else
    if (n == VECTOR_LANES) return vector_load(p);
    float lanes[VECTOR_LANES];
    for (int64_t k = 0; k < VECTOR_LANES; k++) lanes[k] = k < n ? p[k] : fill;
    return vector_load(lanes);
#endif
}

/* Lanes 0 .. n-1, n <= VECTOR_LANES; nothing behind is written. */
VECTOR_INLINE void vector_store_partial(float *p, vector_f32 v, int64_t n)
{
#ifdef __AVX512F__
    _mm512_mask_storeu_ps(p, (__mmask16)((1U << n) - 1), (__m512)v);
#else
    if (n == VECTOR_LANES) {
        vector_store(p, v);
        return;
    }
    float lanes[VECTOR_LANES];
    vector_store(lanes, v);
    for (int64_t k = 0; k < n; k++) p[k] = lanes[k];
#endif
}

/* mask lanes are 0 or -1 */
VECTOR_INLINE vector_f32 vector_select(vector_i32 mask, vector_f32 yes, vector_f32 no)
{
    return (vector_f32)((mask & (vector_i32)yes) | (~mask & (vector_i32)no));
}

/* a b + c, rounded once where the machine can. */
VECTOR_INLINE vector_f32 vector_fma(vector_f32 a, vector_f32 b, vector_f32 c)
{
#if defined __AVX512F__
    return (vector_f32)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined __FMA__
    return (vector_f32)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
    return a * b + c;
#endif
}

/* The larger; b where a is NaN. */
VECTOR_INLINE vector_f32 vector_max(vector_f32 a, vector_f32 b)
{
#if defined __AVX512F__
    return (vector_f32)_mm512_max_ps((__m512)a, (__m512)b);
#else
    return vector_select(a > b, a, b);
#endif
}

VECTOR_INLINE vector_f32 vector_min(vector_f32 a, vector_f32 b)
{
#if defined __AVX512F__
    return (vector_f32)_mm512_min_ps((__m512)a, (__m512)b);
#else
    return vector_select(a < b, a, b);
#endif
}

/* The lanes added in pairs, always in the same tree. */
VECTOR_INLINE float vector_sum(vector_f32 v)
{
    float lanes[VECTOR_LANES];
    vector_store(lanes, v);
    for (int width = VECTOR_LANES / 2; width > 0; width /= 2)
        for (int k = 0; k < width; k++) lanes[k] += lanes[k + width];
    return lanes[0];
}

/* Sums of neighbouring runs of h lanes of a, then of b: of runs 0 and 1, 2 and 3, ... */
VECTOR_INLINE vector_f32 vector_add_runs(vector_f32 a, vector_f32 b, const int h)
{
#if VECTOR_LANES == 16
    const vector_i32 lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#else
    const vector_i32 lane = {0, 1, 2, 3, 4, 5, 6, 7};
#endif
    const vector_i32 low = lane + (lane & -h);
    return SHUFFLE_TWO(a, b, low) + SHUFFLE_TWO(a, b, low + h);
}

/* vector_sums of n = 1, 2, 4, .. VECTOR_LANES vectors. */
VECTOR_INLINE void vector_sums_of(float *out, vector_f32 *v, const int n)
{
#pragma GCC unroll 4
    for (int level = 1; level < VECTOR_LANES; level *= 2) {
        const int h = VECTOR_LANES / 2 / level, left = n > level ? n / level : 1;
        for (int k = 0; k < (left > 1 ? left / 2 : 1); k++)
            v[k] = vector_add_runs(v[2 * k], v[left > 1 ? 2 * k + 1 : 0], h);
    }
    memcpy(out, v, (size_t)n * sizeof *out);
}

/* out [n] = vector_sum of each of n vectors, the same bits with less to do; v is used up. `n` is a
 * constant where this is called. */
VECTOR_INLINE void vector_sums(float *out, vector_f32 *v, const int n)
{
    int done = 0;
#pragma GCC unroll 4
    for (; n - done >= VECTOR_LANES; done += VECTOR_LANES)
        vector_sums_of(out + done, v + done, VECTOR_LANES);
#pragma GCC unroll 4
    for (int part = VECTOR_LANES / 2; part > 0; part /= 2)
        if ((n & part) != 0) {
            vector_sums_of(out + done, v + done, part);
            done += part;
        }
}

VECTOR_INLINE float vector_largest(vector_f32 v)
{
    float lanes[VECTOR_LANES];
    vector_store(lanes, v);
    for (int width = VECTOR_LANES / 2; width > 0; width /= 2)
        for (int k = 0; k < width; k++)
            lanes[k] = lanes[k] > lanes[k + width] ? lanes[k] : lanes[k + width];
    return lanes[0];
}

/* e^x. With FMA at most 1 ulp off for every float (vector_test.c walks through them); 0 below
 * -103.98, infinity above 88.73, gradual underflow between; NaN stays NaN.
 * x = n ln 2 + r, |r| <= ln 2 / 2; e^r = 1 + r + r^2 q(r) with q of degree 4, fitted to 3e-9. */
VECTOR_INLINE vector_f32 vector_exp(vector_f32 x)
{
    const vector_f32 round = vector_set(0x1.8p23f); /* adding it leaves an integer's bits */
    /* NaN passes: both comparisons are false for it in this order of operands. */
    vector_f32 clamped = vector_max(vector_set(-110.0f), vector_min(vector_set(95.0f), x));
    vector_f32 n = vector_fma(clamped, vector_set(0x1.715476p+0f), round) - round;
    vector_f32 r = vector_fma(n, vector_set(-0x1.62e4p-1f), clamped);
    r = vector_fma(n, vector_set(-0x1.7f7d1cp-20f), r);
    vector_f32 q = vector_set(0x1.6a23fep-10f);
    q = vector_fma(q, r, vector_set(0x1.123a22p-7f));
    q = vector_fma(q, r, vector_set(0x1.5558f2p-5f));
    q = vector_fma(q, r, vector_set(0x1.555492p-3f));
    q = vector_fma(q, r, vector_set(0x1.fffffcp-2f));
    vector_f32 p = vector_fma(r * r, q, r) + 1.0f;
#ifdef __AVX512F__
    return (vector_f32)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
    /* 2^n in two factors, so that neither leaves the range of a float's exponent. */
    vector_i32 whole = __builtin_convertvector(n, vector_i32);
    vector_i32 half = whole >> 1;
    vector_f32 factor1 = (vector_f32)((half + 127) << 23);
    vector_f32 factor2 = (vector_f32)((whole - half + 127) << 23);
    return p * factor1 * factor2;
#endif
}

#endif
