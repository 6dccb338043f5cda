/* A secret: read from the environment or a file, sent in one header, and taken out of every text
 * that could be written anywhere. */
#ifndef ROBIN_SGEDIT_API_KEY_H
#define ROBIN_SGEDIT_API_KEY_H

#include <stddef.h>

#include "base/status.h"

struct api_key { /* zeroed is none and releasable */
    char *text;  /* NULL: none */
};

/* From `file` if it is not "", else from the environment variable `env` if that is not "".
 * ERR_ARGUMENT for a missing or empty one, one with characters that no header can hold, and a file
 * that others than its owner may read; ERR_IO. No sentence holds any of it. A process that has read
 * a key leaves no core behind when it crashes: the key, and the environment, would be in it. */
enum status api_key_read(struct api_key *key, const char *env, const char *file);
/* Overwrites the memory. */
void api_key_release(struct api_key *key);

/* Every copy of the key in the bytes becomes '*', in place, the length unchanged. */
void api_key_blank(const struct api_key *key, char *bytes, size_t size);

#endif
