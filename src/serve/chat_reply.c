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

static json_t *usage(const struct engine_result *result)
{
    int64_t prompt = result->prompt_tokens / result->n_branches; /* once, however many choices */
    return json_pack("{s:I, s:I, s:I, s:{s:I}}", "prompt_tokens", (json_int_t)prompt,
                     "completion_tokens", (json_int_t)result->answer_tokens, "total_tokens",
                     (json_int_t)(prompt + result->answer_tokens), "prompt_tokens_details",
                     "cached_tokens", (json_int_t)0);
}

/* The text up to the first stop. */
static size_t text_length(const struct chat_request *request, const char *text)
{
    size_t length = strlen(text);
    for (int64_t i = 0; i < request->n_stops; i++) {
        const char *at = strstr(text, request->stops[i]);
        if (at != NULL && (size_t)(at - text) < length) length = (size_t)(at - text);
    }
    return length;
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

/* A choice: `part` "message" with text, "delta" with text, or "delta" that ends. */
static json_t *choice(const struct chat_request *request, const struct engine_result *result,
                      int64_t index, const char *part, bool ends)
{
    const struct engine_answer *answer = &result->branches[index].answers[0];
    const size_t length = text_length(request, answer->text);
    const bool cut = answer->truncated && length == strlen(answer->text);
    const bool whole = strcmp(part, "message") == 0;
    json_t *message = json_object();
    if (whole || !ends) {
        json_object_set_new(message, "role", json_string("assistant"));
        json_object_set_new(message, "content", json_stringn(answer->text, length));
    }
    if (whole) json_object_set_new(message, "refusal", json_null());
    if (answer->yes >= 0 && !ends) json_object_set_new(message, "yes", json_real(answer->yes));
    if (answer->yes >= 0 && whole) json_object_set_new(message, "yes", json_real(answer->yes));
    json_t *root =
        json_pack("{s:I, s:o, s:n}", "index", (json_int_t)index, part, message, "logprobs");
    ASSERT(root != NULL, "a choice could not be made");
    json_object_set_new(root, "finish_reason",
                        ends ? json_string(cut ? "length" : "stop") : json_null());
    return root;
}

static json_t *choices(const struct chat_request *request, const struct engine_result *result,
                       const char *part, bool ends)
{
    json_t *list = json_array();
    for (int64_t b = 0; b < result->n_branches; b++)
        json_array_append_new(list, choice(request, result, b, part, ends));
    return list;
}

static void append_event(struct text_buffer *out, json_t *root)
{
    char *text = dump(root);
    text_printf(out, "data: %s\n\n", text);
    free(text);
}

char *chat_reply_answers(const struct chat_name *name, const struct chat_request *request,
                         const struct engine_result *result)
{
    if (!request->stream) {
        json_t *root = head(name, "chat.completion", choices(request, result, "message", true));
        json_object_set_new(root, "usage", usage(result));
        return dump(root);
    }
    static const char object[] = "chat.completion.chunk";
    struct text_buffer out = {0};
    append_event(&out, head(name, object, choices(request, result, "delta", false)));
    append_event(&out, head(name, object, choices(request, result, "delta", true)));
    if (request->include_usage) {
        json_t *root = head(name, object, json_array());
        json_object_set_new(root, "usage", usage(result));
        append_event(&out, root);
    }
    text_append(&out, "data: [DONE]\n\n");
    return text_take(&out);
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
