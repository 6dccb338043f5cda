/* Random numbers without state. See random.h for the formula. */
#include "base/random.h"

#include <math.h>

#include "base/assertion.h"

#define SEED_FACTOR  0xD1342543DE82EF95u
#define INDEX_FACTOR 0x9E3779B97F4A7C15u

uint64_t hash_fnv1a(const void *bytes, uint64_t size)
{
    const unsigned char *byte = bytes;
    uint64_t hash = 0xcbf29ce484222325u;
    for (uint64_t i = 0; i < size; i++) {
        hash ^= byte[i];
        hash *= 0x100000001b3u;
    }
    return hash;
}

uint64_t hash_mix64(uint64_t z)
{
    z ^= z >> 30;
    z *= 0xBF58476D1CE4E5B9u;
    z ^= z >> 27;
    z *= 0x94D049BB133111EBu;
    z ^= z >> 31;
    return z;
}

struct random_stream random_stream(uint64_t seed, const char *name)
{
    uint64_t length = 0;
    while (name[length] != '\0') length++;
    return (struct random_stream){.key = hash_fnv1a(name, length) + seed * SEED_FACTOR};
}

struct random_stream random_substream(struct random_stream stream, uint64_t n)
{
    /* n is mixed before it meets the key: else substream n and draw n of the parent would be one
     * number. */
    uint64_t inner = hash_mix64(n * INDEX_FACTOR + SEED_FACTOR);
    return (struct random_stream){.key = hash_mix64(stream.key ^ inner)};
}

uint64_t random_u64(struct random_stream stream, uint64_t index)
{
    return hash_mix64(stream.key + (index + 1) * INDEX_FACTOR);
}

double random_uniform(struct random_stream stream, uint64_t index)
{
    return (double)(random_u64(stream, index) >> 40) * 0x1p-24;
}

double random_normal(struct random_stream stream, uint64_t index)
{
    const double two_pi = 6.283185307179586476925;
    uint64_t first = random_u64(stream, index);
    uint64_t second = hash_mix64(first + INDEX_FACTOR);
    double radius_draw = (double)((first >> 11) + 1) * 0x1p-53; /* (0, 1]: its log is finite */
    double angle_draw = (double)(second >> 11) * 0x1p-53;
    return sqrt(-2.0 * log(radius_draw)) * cos(two_pi * angle_draw);
}

/* The high half of a 64 x 64 bit product: where in 0 .. n-1 the fraction z / 2^64 falls. */
static uint64_t multiply_high(uint64_t a, uint64_t b)
{
    return (uint64_t)(((unsigned __int128)a * b) >> 64);
}

uint64_t random_below(struct random_stream stream, uint64_t index, uint64_t n)
{
    ASSERT(n >= 1, "a draw below %llu has no value", (unsigned long long)n);
    return multiply_high(random_u64(stream, index), n);
}

#define FEISTEL_ROUNDS 8

/* One pass of the network over 2 * half_bits bits: a bijection whatever the round function. */
static uint64_t feistel(struct random_stream stream, uint64_t value, int half_bits)
{
    uint64_t mask = (UINT64_C(1) << half_bits) - 1;
    uint64_t left = value >> half_bits;
    uint64_t right = value & mask;
    for (int round = 0; round < FEISTEL_ROUNDS; round++) {
        uint64_t keyed = hash_mix64(stream.key + (uint64_t)(round + 1) * SEED_FACTOR + right);
        uint64_t next = left ^ ((keyed >> 17) & mask);
        left = right;
        right = next;
    }
    return left << half_bits | right;
}

uint64_t random_permute(struct random_stream stream, uint64_t index, uint64_t n)
{
    ASSERT(index < n, "index %llu of a permutation of %llu", (unsigned long long)index,
           (unsigned long long)n);
    int half_bits = 1;
    while (half_bits < 32 && (UINT64_C(1) << (2 * half_bits)) < n) half_bits++;
    /* The network permutes 4^half_bits values, at most 4 n: values beyond n walk on along their
     * cycle, which must lead back below n. */
    uint64_t value = index;
    do {
        value = feistel(stream, value, half_bits);
    } while (value >= n);
    return value;
}

void random_fill(float *out, uint64_t n, uint64_t first, struct random_stream stream, double centre,
                 double amplitude)
{
    for (uint64_t i = 0; i < n; i++) {
        double offset = amplitude * (2.0 * random_uniform(stream, first + i) - 1.0);
        out[i] = (float)(centre + offset);
    }
}
