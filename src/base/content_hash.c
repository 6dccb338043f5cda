/* See content_hash.h; the algorithm is nettle's. */
#include "base/content_hash.h"

#include <nettle/sha2.h>

struct content_hash content_hash(const void *bytes, size_t size)
{
    struct content_hash hash = {{0}};
    struct sha256_ctx context;
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_init(&context);
    sha256_update(&context, size, bytes);
    sha256_digest(&context, sizeof digest, digest);
    for (int i = 0; i < SHA256_DIGEST_SIZE; i++)
        hash.words[i / 8] |= (uint64_t)digest[i] << (8 * (i % 8));
    return hash;
}

int content_hash_compare(const struct content_hash *a, const struct content_hash *b)
{
    for (int i = 0; i < 4; i++)
        if (a->words[i] != b->words[i]) return a->words[i] < b->words[i] ? -1 : 1;
    return 0;
}
