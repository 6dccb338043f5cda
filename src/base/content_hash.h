/* SHA-256: bytes with equal hashes are taken to be equal. */
#ifndef ROBIN_BASE_CONTENT_HASH_H
#define ROBIN_BASE_CONTENT_HASH_H

#include <stddef.h>
#include <stdint.h>

struct content_hash {
    uint64_t words[4]; /* the 32 bytes of the digest, each word little-endian */
};

struct content_hash content_hash(const void *bytes, size_t size);

/* < 0, 0, > 0 */
int content_hash_compare(const struct content_hash *a, const struct content_hash *b);

#endif
