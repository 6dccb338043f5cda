/* What the endpoint says, as JSON in OpenAI's shapes. Every text is to free(). */
#ifndef ROBIN_SERVE_CHAT_REPLY_H
#define ROBIN_SERVE_CHAT_REPLY_H

#include <stdint.h>

#include "serve/chat_request.h"

struct chat_name { /* what a reply says of itself */
    const char *model;
    uint64_t number;
    int64_t created; /* seconds since 1970 */
};

/* {"object": "chat.completion", ...}, or with request->stream the events of a stream that comes as
 * one piece. Texts are cut at the request's stops. */
char *chat_reply_answers(const struct chat_name *name, const struct chat_request *request,
                         const struct engine_result *result);
/* {"error": {...}} */
char *chat_reply_error(const char *sentence, const char *type, const char *parameter,
                       const char *code);
/* {"object": "list", "data": [...]}; `alone`: the one entry by itself. */
char *chat_reply_models(const struct chat_name *name, bool alone);

#endif
