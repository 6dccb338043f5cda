/* See chat_reply.h. */
#include "serve/chat_reply.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/text_buffer.h"

/* Takes the value over. Model text is made valid UTF-8 by the tokenizer, so nothing here can fail
 * but memory. */
static char *dump(json_t *root)
{
    char *text = json_dumps(root, JSON_COMPACT);
    ASSERT(text != NULL, "a reply could not be written as JSON");
    json_decref(root);
    return text;
}

static json_t *usage(const struct chat_request *request, const struct chat_choice *choices,
                     int64_t prompt_tokens)
{
    int64_t n = 0;
    for (int64_t i = 0; i < request->n_choices; i++) n += choices[i].n_tokens;
    return json_pack("{s:I, s:I, s:I, s:{s:I}}", "prompt_tokens", (json_int_t)prompt_tokens,
                     "completion_tokens", (json_int_t)n, "total_tokens",
                     (json_int_t)(prompt_tokens + n), "prompt_tokens_details", "cached_tokens",
                     (json_int_t)0);
}

static json_t *head(const struct chat_name *name, const char *object, json_t *choices)
{
    char *id = text_format("chatcmpl-%016" PRIx64, name->number);
    json_t *root = json_pack("{s:s, s:s, s:I, s:s, s:o}", "id", id, "object", object, "created",
                             (json_int_t)name->created, "model", name->model, "choices", choices);
    ASSERT(root != NULL, "a reply could not be made");
    free(id);
    return root;
}

/* A choice of which `part`, "message" or "delta", is given; `finish` NULL: not ended. */
static json_t *choice_json(int64_t index, const char *part, json_t *message, const char *finish)
{
    json_t *root = json_pack("{s:I, s:o, s:n, s:s?}", "index", (json_int_t)index, part, message,
                             "logprobs", "finish_reason", finish);
    ASSERT(root != NULL, "a choice could not be made");
    return root;
}

static const char *finish_of(const struct chat_choice *choice)
{
    return choice->cut ? "length" : "stop";
}

char *chat_reply_answers(const struct chat_name *name, const struct chat_request *request,
                         const struct chat_choice *choices, int64_t prompt_tokens)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < request->n_choices; i++) {
        const struct chat_choice *choice = &choices[i];
        json_t *message = json_pack("{s:s, s:s%, s:n}", "role", "assistant", "content",
                                    text_of(&choice->text), choice->text.length, "refusal");
        ASSERT(message != NULL, "a message could not be made");
        if (choice->has_yes) json_object_set_new(message, "yes", json_real(choice->yes));
        json_array_append_new(list, choice_json(i, "message", message, finish_of(choice)));
    }
    json_t *root = head(name, "chat.completion", list);
    json_object_set_new(root, "usage", usage(request, choices, prompt_tokens));
    return dump(root);
}

/* ---- streams ---- */

static void append_event(struct text_buffer *out, json_t *root)
{
    char *text = dump(root);
    text_printf(out, "data: %s\n\n", text);
    free(text);
}

/* Where the usage was asked for, every other chunk says that it is not that of the usage. */
static void append_chunk(struct text_buffer *out, const struct chat_name *name,
                         const struct chat_request *request, json_t *choices, json_t *used)
{
    json_t *root = head(name, "chat.completion.chunk", choices);
    if (request->include_usage)
        json_object_set_new(root, "usage", used != NULL ? used : json_null());
    append_event(out, root);
}

void chat_events_begin(struct text_buffer *out, const struct chat_name *name,
                       const struct chat_request *request)
{
    for (int64_t i = 0; i < request->n_choices; i++) {
        json_t *delta = json_pack("{s:s, s:s}", "role", "assistant", "content", "");
        json_t *choice = choice_json(i, "delta", delta, NULL);
        append_chunk(out, name, request, json_pack("[o]", choice), NULL);
    }
}

void chat_events_add(struct text_buffer *out, const struct chat_name *name,
                     const struct chat_request *request, struct chat_choice *choices)
{
    for (int64_t i = 0; i < request->n_choices; i++) {
        struct chat_choice *choice = &choices[i];
        const size_t sure = chat_choice_sure(choice, request);
        if (sure > choice->told) {
            json_t *delta = json_pack("{s:s%}", "content", text_of(&choice->text) + choice->told,
                                      sure - choice->told);
            ASSERT(delta != NULL, "a part of an answer is no UTF-8");
            append_chunk(out, name, request, json_pack("[o]", choice_json(i, "delta", delta, NULL)),
                         NULL);
            choice->told = sure;
        }
        if (!choice->ended || choice->end_told) continue;
        json_t *delta = json_object();
        if (choice->has_yes) json_object_set_new(delta, "yes", json_real(choice->yes));
        json_t *last = choice_json(i, "delta", delta, finish_of(choice));
        append_chunk(out, name, request, json_pack("[o]", last), NULL);
        choice->end_told = true;
    }
}

void chat_events_end(struct text_buffer *out, const struct chat_name *name,
                     const struct chat_request *request, const struct chat_choice *choices,
                     int64_t prompt_tokens)
{
    if (request->include_usage)
        append_chunk(out, name, request, json_array(), usage(request, choices, prompt_tokens));
    text_append(out, "data: [DONE]\n\n");
}

void chat_events_break(struct text_buffer *out, const char *sentence, const char *type)
{
    char *text = chat_reply_error(sentence, type, NULL, NULL);
    text_printf(out, "data: %s\n\n", text);
    free(text);
}

char *chat_reply_error(const char *sentence, const char *type, const char *parameter,
                       const char *code)
{
    json_t *error = json_pack("{s:s, s:s, s:s?, s:s?}", "message", sentence, "type", type, "param",
                              parameter, "code", code);
    if (error == NULL) /* a sentence that quotes what is no UTF-8 */
        error = json_pack("{s:s, s:s, s:s?, s:s?}", "message", "the request is malformed", "type",
                          type, "param", parameter, "code", code);
    return dump(json_pack("{s:o}", "error", error));
}

char *chat_reply_models(const struct chat_name *name, bool alone)
{
    json_t *model = json_pack("{s:s, s:s, s:I, s:s}", "id", name->model, "object", "model",
                              "created", (json_int_t)name->created, "owned_by", "robin-dist");
    ASSERT(model != NULL, "the name of the model is no UTF-8");
    if (alone) return dump(model);
    return dump(json_pack("{s:s, s:[o]}", "object", "list", "data", model));
}
