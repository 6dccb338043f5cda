/* What the endpoint says, as JSON in OpenAI's shapes: whole, or as the events of a stream ("data: "
 * and JSON, an empty line). Every text is to free(). */
#ifndef ROBIN_SERVE_CHAT_REPLY_H
#define ROBIN_SERVE_CHAT_REPLY_H

#include <stdint.h>

#include "serve/chat_choice.h"
#include "serve/chat_request.h"

struct chat_name { /* what a reply says of itself, the same in all events of a stream */
    const char *model;
    uint64_t number;
    int64_t created; /* seconds since 1970 */
};

/* {"object": "chat.completion", ...} of choices[request->n_choices], all ended. */
char *chat_reply_answers(const struct chat_name *name, const struct chat_request *request,
                         const struct chat_choice *choices, int64_t prompt_tokens);
/* {"error": {...}} */
char *chat_reply_error(const char *sentence, const char *type, const char *parameter,
                       const char *code);
/* {"object": "list", "data": [...]}; `alone`: the one entry by itself. */
char *chat_reply_models(const struct chat_name *name, bool alone);

/* A stream: a chat.completion.chunk that names the role of each choice; */
void chat_events_begin(struct text_buffer *out, const struct chat_name *name,
                       const struct chat_request *request);
/* for each choice a chunk of what is new and sure, and one for its end; */
void chat_events_add(struct text_buffer *out, const struct chat_name *name,
                     const struct chat_request *request, struct chat_choice *choices);
/* with stream_options.include_usage the usage, then "[DONE]"; */
void chat_events_end(struct text_buffer *out, const struct chat_name *name,
                     const struct chat_request *request, const struct chat_choice *choices,
                     int64_t prompt_tokens);
/* or, when something breaks in the middle, an error and no "[DONE]". */
void chat_events_break(struct text_buffer *out, const char *sentence, const char *type);

#endif
