/* SHA-256 (FIPS 180-4), which the reference folders give of pictures and masks. */
#ifndef ROBIN_TESTS_GOLDEN_SHA256_H
#define ROBIN_TESTS_GOLDEN_SHA256_H

#include <stddef.h>

/* 64 hexadecimal digits and a NUL. */
void sha256_hex(char hex[65], const void *bytes, size_t size);

#endif
