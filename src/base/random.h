/* Counter-based random numbers: every draw is a pure function of (seed, name, index), so no layout,
 * thread count or resume can change one. Also the fill that computes reference weights (names are
 * tensor names there).
 *
 *     h = FNV-1a 64 of the name;  z = mix64(h + seed * 0xD1342543DE82EF95 + (index + 1) *
 * 0x9E3779B97F4A7C15) u = (z >> 40) * 2^-24 in [0, 1), exact in fp32
 */
#ifndef ROBIN_BASE_RANDOM_H
#define ROBIN_BASE_RANDOM_H

#include <stdint.h>

struct random_stream {
    uint64_t key; /* hash of the name plus the seed's share */
};

uint64_t hash_fnv1a(const void *bytes, uint64_t size);
uint64_t hash_mix64(uint64_t z);

struct random_stream random_stream(uint64_t seed, const char *name);

/* A stream below another one: streams of (seed, name, n), e.g. one per sample or per layer and
 * step. */
struct random_stream random_substream(struct random_stream stream, uint64_t n);

uint64_t random_u64(struct random_stream stream, uint64_t index);
/* [0, 1), 24 bits. */
double random_uniform(struct random_stream stream, uint64_t index);
/* Standard normal (Box-Muller over two draws of the same index). */
double random_normal(struct random_stream stream, uint64_t index);
/* Unbiased within 2^-32: 0 .. n-1; n >= 1. */
uint64_t random_below(struct random_stream stream, uint64_t index, uint64_t n);

/* A permutation of 0 .. n-1 evaluated at one index, without a table (Feistel network, cycle
 * walking). */
uint64_t random_permute(struct random_stream stream, uint64_t index, uint64_t n);

/* out[i] = (float)(centre + amplitude * (2 u_i - 1)), u of index first + i; computed in double, no
 * FMA. */
void random_fill(float *out, uint64_t n, uint64_t first, struct random_stream stream, double centre,
                 double amplitude);

#endif
