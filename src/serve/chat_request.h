/* The body of a request to /v1/chat/completions: OpenAI's messages with a picture as a data URL,
 * and three keys of our own:
 *
 *     "regions"        as in generate/regions_json.h; they become region1, region2, ... in front of
 *                      the text of the message that has the picture
 *     "answer_format"  "free", "graph", "detection", "relations", "boxes", "yes_no": the answer is
 *                      held to that grammar
 *     "goes_on"        true: max_tokens does not cut the answer
 */
#ifndef ROBIN_SERVE_CHAT_REQUEST_H
#define ROBIN_SERVE_CHAT_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "generate/engine.h"
#include "generate/regions_json.h"

#define CHAT_MAX_CHOICES 16
#define CHAT_MAX_STOPS   4

struct chat_limits {
    int64_t pixels;     /* of a picture */
    size_t image_bytes; /* of an encoded one */
    int64_t regions;
    int64_t max_tokens;        /* of an answer, where the request does not say; */
    int64_t most_tokens;       /* at most, where it does */
    double temperature, top_p; /* where the request does not say */
};

struct chat_request { /* zeroed is empty and releasable */
    char *model;      /* as asked for */
    struct conversation prompt;
    uint8_t *picture; /* NULL: none */
    size_t picture_size;
    int64_t height, width;
    struct regions regions; /* with a picture never empty: the whole of it is region1 */
    int64_t n_choices, max_tokens;
    double temperature, top_p;
    bool has_seed, stream, include_usage, goes_on;
    int64_t seed;
    char *stops[CHAT_MAX_STOPS];
    int64_t n_stops;
    enum answer_format format;
};

/* Reads and checks everything but the picture's own pixels. ERR_FORMAT, ERR_SHAPE, ERR_LIMIT or
 * ERR_UNSUPPORTED with a sentence for the client; *parameter_out then names the key it is about, or
 * is NULL. */
enum status chat_request_read(struct chat_request *request_out, const char **parameter_out,
                              const void *body, size_t size, const struct chat_limits *limits,
                              const struct tokenizer *tokenizer);
void chat_request_release(struct chat_request *request);

#endif
