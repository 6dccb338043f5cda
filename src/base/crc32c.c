/* CRC-32C by the SSE 4.2 instruction, or by a table where there is none. */
#include "base/crc32c.h"

#include <pthread.h>
#include <string.h>
#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

#define POLYNOMIAL 0x82F63B78u

static uint32_t table[256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void build_table(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t remainder = byte;
        for (int bit = 0; bit < 8; bit++)
            remainder = remainder >> 1 ^ (remainder & 1 ? POLYNOMIAL : 0);
        table[byte] = remainder;
    }
}

uint32_t crc32c_portable(uint32_t crc, const void *bytes, size_t size)
{
    pthread_once(&table_once, build_table);
    const unsigned char *byte = bytes;
    crc = ~crc;
    for (size_t i = 0; i < size; i++) crc = crc >> 8 ^ table[(crc ^ byte[i]) & 0xFF];
    return ~crc;
}

#if defined(__x86_64__)
/* The instruction takes three cycles, and one can begin in each: three stretches of STRETCH bytes
 * are taken side by side. The remainders of the first two then move on over the stretches behind
 * them, which is linear in their bits: a table for each of their four bytes. */
#define STRETCH 2048

static uint32_t moved_on[4][256]; /* a byte of a remainder, STRETCH zero bytes later */
static pthread_once_t moved_on_once = PTHREAD_ONCE_INIT;

static void build_moved_on(void)
{
    pthread_once(&table_once, build_table);
    for (uint32_t place = 0; place < 4; place++) {
        for (uint32_t byte = 0; byte < 256; byte++) {
            uint32_t remainder = byte << 8 * place;
            for (int i = 0; i < STRETCH; i++) remainder = remainder >> 8 ^ table[remainder & 0xFF];
            moved_on[place][byte] = remainder;
        }
    }
}

static uint32_t move_on(uint64_t remainder)
{
    return moved_on[0][remainder & 0xFF] ^ moved_on[1][remainder >> 8 & 0xFF] ^
           moved_on[2][remainder >> 16 & 0xFF] ^ moved_on[3][remainder >> 24 & 0xFF];
}

__attribute__((target("sse4.2"))) static uint64_t three_stretches(uint64_t state,
                                                                  const unsigned char *byte)
{
    uint64_t second = 0, third = 0, word[3];
    for (size_t i = 0; i < STRETCH; i += 8) {
        memcpy(&word[0], byte + i, 8);
        memcpy(&word[1], byte + STRETCH + i, 8);
        memcpy(&word[2], byte + 2 * STRETCH + i, 8);
        state = _mm_crc32_u64(state, word[0]);
        second = _mm_crc32_u64(second, word[1]);
        third = _mm_crc32_u64(third, word[2]);
    }
    return move_on(move_on(state) ^ second) ^ third;
}

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const void *bytes,
                                                                 size_t size)
{
    const unsigned char *byte = bytes;
    uint64_t state = ~crc;
    if (size >= 3 * STRETCH) pthread_once(&moved_on_once, build_moved_on);
    for (; size >= 3 * STRETCH; size -= 3 * STRETCH, byte += 3 * STRETCH)
        state = three_stretches(state, byte);
    for (; size >= 8; size -= 8, byte += 8) {
        uint64_t word;
        memcpy(&word, byte, 8);
        state = _mm_crc32_u64(state, word);
    }
    uint32_t tail = (uint32_t)state;
    for (; size > 0; size--, byte++) tail = _mm_crc32_u8(tail, *byte);
    return ~tail;
}
#endif

uint32_t crc32c(uint32_t crc, const void *bytes, size_t size)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) return by_instruction(crc, bytes, size);
#endif
    return crc32c_portable(crc, bytes, size);
}
