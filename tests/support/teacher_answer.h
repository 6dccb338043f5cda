/* What a request asks, out of its body, and the answer. */
#ifndef ROBIN_TESTS_TEACHER_ANSWER_H
#define ROBIN_TESTS_TEACHER_ANSWER_H

#include <jansson.h>
#include <stdint.h>

#include "base/content_hash.h"
#include "base/status.h"
#include "corpus/shard.h"

struct teacher_pictures { /* zeroed is releasable */
    struct corpus *corpus;
    struct content_hash *hashes; /* [n] of the records' pictures */
    int64_t n;
};
enum status teacher_pictures_open(struct teacher_pictures *pictures, const char *directory);
void teacher_pictures_release(struct teacher_pictures *pictures);

/* The content of the answer to a chat-completions body, to free(). ERR_FORMAT when the body is not
 * what a client of ours sends. */
enum status teacher_answer(char **content_out, const struct teacher_pictures *pictures,
                           const json_t *body, double noise, uint64_t seed);

#endif
