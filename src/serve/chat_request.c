/* See chat_request.h. */
#include "serve/chat_request.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/text_buffer.h"
#include "text/prompts.h"

#define MAX_MESSAGES   256
#define MAX_TEXT_BYTES (1 << 20)

struct reader {
    struct chat_request *request;
    const struct chat_limits *limits;
    const struct tokenizer *tokenizer;
    const char *parameter; /* what is being read */
    int64_t picture_turn;  /* the turn that holds the picture; -1: none */
};

void chat_request_release(struct chat_request *request)
{
    free(request->model);
    conversation_release(&request->prompt);
    free(request->picture);
    regions_release(&request->regions);
    for (int64_t i = 0; i < request->n_stops; i++) free(request->stops[i]);
    *request = (struct chat_request){0};
}

/* ---- plain fields ---- */

/* Leaves the value as it is where the key is missing or null. */
static enum status read_number(struct reader *r, double *value, const json_t *root, const char *key,
                               double min, double max)
{
    enum status status = OK;
    const json_t *field = json_object_get(root, key);
    r->parameter = key;
    if (field == NULL || json_is_null(field)) goto out;
    if (!json_is_number(field)) FAIL(ERR_FORMAT, "%s is not a number", key);
    const double number = json_number_value(field);
    if (!(number >= min && number <= max))
        FAIL(ERR_FORMAT, "%s is %g; %g to %g", key, number, min, max);
    *value = number;
out:
    return status;
}

static enum status read_integer(struct reader *r, int64_t *value, const json_t *root,
                                const char *key, int64_t min, int64_t max)
{
    enum status status = OK;
    const json_t *field = json_object_get(root, key);
    r->parameter = key;
    if (field == NULL || json_is_null(field)) goto out;
    if (!json_is_integer(field)) FAIL(ERR_FORMAT, "%s is not a whole number", key);
    if (json_integer_value(field) < min || json_integer_value(field) > max)
        FAIL(ERR_FORMAT, "%s is %" JSON_INTEGER_FORMAT "; %" PRId64 " to %" PRId64, key,
             json_integer_value(field), min, max);
    *value = json_integer_value(field);
out:
    return status;
}

static enum status read_flag(struct reader *r, bool *value, const json_t *root, const char *key)
{
    enum status status = OK;
    const json_t *field = json_object_get(root, key);
    r->parameter = key;
    if (field == NULL || json_is_null(field)) goto out;
    if (!json_is_boolean(field)) FAIL(ERR_FORMAT, "%s is neither true nor false", key);
    *value = json_is_true(field);
out:
    return status;
}

static enum status add_stop(struct chat_request *request, const json_t *stop)
{
    enum status status = OK;
    const char *text = json_string_value(stop);
    if (text == NULL || text[0] == '\0') FAIL(ERR_FORMAT, "stop holds something that is no text");
    if (request->n_stops == CHAT_MAX_STOPS)
        FAIL(ERR_LIMIT, "stop has more than %d texts", CHAT_MAX_STOPS);
    request->stops[request->n_stops++] = text_copy(text);
out:
    return status;
}

static enum status read_stops(struct reader *r, const json_t *root)
{
    enum status status = OK;
    const json_t *stop = json_object_get(root, "stop");
    r->parameter = "stop";
    if (stop == NULL || json_is_null(stop)) goto out;
    if (!json_is_array(stop)) TRY(add_stop(r->request, stop));
    for (size_t i = 0; i < json_array_size(stop); i++)
        TRY(add_stop(r->request, json_array_get(stop, i)));
out:
    return status;
}

static enum status read_format(struct reader *r, const json_t *root)
{
    enum status status = OK;
    static const char *const names[] = {"free",      "graph", "detection",
                                        "relations", "boxes", "yes_no"};
    const json_t *field = json_object_get(root, "answer_format");
    r->parameter = "answer_format";
    if (field == NULL || json_is_null(field)) goto out;
    for (int f = 0; f < (int)(sizeof names / sizeof names[0]); f++) {
        r->request->format = (enum answer_format)f;
        if (json_is_string(field) && strcmp(json_string_value(field), names[f]) == 0) goto out;
    }
    FAIL(ERR_FORMAT,
         "answer_format is none of free, graph, detection, relations, boxes and yes_no");
out:
    return status;
}

/* What clients can ask for and this server cannot do. */
static enum status refuse_unsupported(struct reader *r, const json_t *root)
{
    enum status status = OK;
    static const char *const keys[] = {"tools", "functions", "logit_bias", "audio", "prediction"};
    double zero = 0;
    bool off = false;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const json_t *field = json_object_get(root, r->parameter = keys[i]);
        if (json_array_size(field) > 0 || json_object_size(field) > 0)
            FAIL(ERR_UNSUPPORTED, "%s is not supported here", keys[i]);
    }
    TRY(read_flag(r, &off, root, "logprobs"));
    if (off) FAIL(ERR_UNSUPPORTED, "logprobs is not supported here");
    TRY(read_number(r, &zero, root, "frequency_penalty", 0, 0));
    TRY(read_number(r, &zero, root, "presence_penalty", 0, 0));
    const json_t *format = json_object_get(root, r->parameter = "response_format");
    const char *type = json_string_value(json_object_get(format, "type"));
    if (format != NULL && !json_is_null(format) && (type == NULL || strcmp(type, "text") != 0))
        FAIL(ERR_UNSUPPORTED, "response_format can be text only; answer_format holds answers to a "
                              "grammar");
out:
    return status;
}

/* ---- messages ---- */

/* Text of others holds no control tokens but those of boxes and phrases. */
static enum status check_text(const struct reader *r, const char *text, int64_t message)
{
    enum status status = OK;
    static const char *const harmless[] = {"<|box_start|>", "<|box_end|>", "<|object_ref_start|>",
                                           "<|object_ref_end|>"};
    for (const char *added; (added = tokenizer_find_added(r->tokenizer, text, strlen(text)));) {
        bool is_harmless = false;
        for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++)
            is_harmless = is_harmless || strcmp(added, harmless[i]) == 0;
        if (!is_harmless)
            FAIL(ERR_FORMAT, "messages[%" PRId64 "] holds the control token %s", message, added);
        text = strstr(text, added) + strlen(added);
    }
    if (strstr(text, "<image>") != NULL)
        FAIL(ERR_FORMAT, "messages[%" PRId64 "] holds the control token <image>", message);
out:
    return status;
}

static enum status read_picture(struct reader *r, const json_t *part, int64_t message)
{
    enum status status = OK;
    const json_t *field = json_object_get(part, "image_url");
    const char *url =
        json_string_value(json_is_string(field) ? field : json_object_get(field, "url"));
    const char *comma = url != NULL ? strstr(url, ";base64,") : NULL;
    if (r->picture_turn >= 0)
        FAIL(ERR_UNSUPPORTED, "messages[%" PRId64 "] holds a second picture; one is supported",
             message);
    if (url == NULL || strncmp(url, "data:image/", 11) != 0 || comma == NULL)
        FAIL(ERR_FORMAT,
             "messages[%" PRId64 "]: image_url is not a data URL (data:image/jpeg;base64,...); "
             "nothing is fetched",
             message);
    TRY_WHERE(base64_decode(&r->request->picture, &r->request->picture_size, comma + 8,
                            r->limits->image_bytes),
              "messages[%" PRId64 "]", message);
    TRY(image_probe(&r->request->height, &r->request->width, r->request->picture,
                    r->request->picture_size, "image_url"));
    if (r->request->height * r->request->width > r->limits->pixels)
        FAIL(ERR_LIMIT,
             "the picture has %" PRId64 " x %" PRId64 " pixels; %" PRId64 " are taken at most",
             r->request->width, r->request->height, r->limits->pixels);
    r->picture_turn = r->request->prompt.n_turns;
out:
    return status;
}

static enum status read_part(struct reader *r, struct text_buffer *text, const json_t *part,
                             bool is_user, int64_t message)
{
    enum status status = OK;
    const char *type = json_string_value(json_object_get(part, "type"));
    const char *words = json_string_value(json_object_get(part, "text"));
    if (type != NULL && strcmp(type, "image_url") == 0 && is_user) {
        TRY(read_picture(r, part, message));
    } else if (type != NULL && strcmp(type, "text") == 0 && words != NULL) {
        if (text->length > 0) text_append_char(text, '\n');
        text_append(text, words);
    } else {
        FAIL(ERR_FORMAT,
             "messages[%" PRId64 "]: a part of content is neither text nor, of a user, image_url",
             message);
    }
out:
    return status;
}

static enum status read_content(struct reader *r, struct text_buffer *text, const json_t *content,
                                bool is_user, int64_t message)
{
    enum status status = OK;
    if (json_is_string(content)) {
        text_append(text, json_string_value(content));
    } else if (json_is_array(content) && json_array_size(content) > 0) {
        for (size_t i = 0; i < json_array_size(content); i++)
            TRY(read_part(r, text, json_array_get(content, i), is_user, message));
    } else {
        FAIL(ERR_FORMAT, "messages[%" PRId64 "]: content is neither text nor a list of parts",
             message);
    }
    if (text->length > MAX_TEXT_BYTES)
        FAIL(ERR_LIMIT, "messages[%" PRId64 "] has more than %d bytes of text", message,
             MAX_TEXT_BYTES);
    TRY(check_text(r, text_of(text), message));
out:
    return status;
}

static enum status read_message(struct reader *r, const json_t *message, int64_t index)
{
    enum status status = OK;
    struct text_buffer text = {0};
    static const struct {
        const char *name;
        enum chat_role role;
    } roles[] = {{"user", CHAT_USER},
                 {"assistant", CHAT_ASSISTANT},
                 {"system", CHAT_SYSTEM},
                 {"developer", CHAT_SYSTEM}};
    const char *name = json_string_value(json_object_get(message, "role"));
    int role = -1;
    for (int i = 0; name != NULL && i < 4; i++)
        if (strcmp(name, roles[i].name) == 0) role = (int)roles[i].role;
    if (role < 0)
        FAIL(ERR_FORMAT, "messages[%" PRId64 "]: role is none of system, user and assistant",
             index);
    TRY(read_content(r, &text, json_object_get(message, "content"), role == CHAT_USER, index));
    conversation_add(&r->request->prompt, (enum chat_role)role, text_of(&text));
out:
    text_release(&text);
    return status;
}

static enum status read_messages(struct reader *r, const json_t *root)
{
    enum status status = OK;
    const json_t *messages = json_object_get(root, "messages");
    const size_t n = json_array_size(messages);
    r->parameter = "messages";
    if (!json_is_array(messages) || n == 0) FAIL(ERR_FORMAT, "messages is not a list with any");
    if (n > MAX_MESSAGES) FAIL(ERR_LIMIT, "%zu messages; at most %d", n, MAX_MESSAGES);
    for (size_t i = 0; i < n; i++) TRY(read_message(r, json_array_get(messages, i), (int64_t)i));
    if (r->request->prompt.turns[n - 1].role != CHAT_USER)
        FAIL(ERR_FORMAT, "the last message is not the user's");
out:
    return status;
}

/* ---- the picture's place ---- */

/* The message with the picture begins as the model knows it: picture, list of regions, text. */
static enum status place_picture(struct reader *r, const json_t *root)
{
    enum status status = OK;
    struct chat_request *request = r->request;
    struct text_buffer text = {0};
    const json_t *regions = json_object_get(root, "regions");
    if (json_is_null(regions)) regions = NULL;
    const bool has_regions = regions != NULL && json_array_size(regions) > 0;
    r->parameter = "regions";
    if (request->picture == NULL && regions != NULL)
        FAIL(ERR_FORMAT, "there are regions but no picture");
    if (request->picture == NULL) goto out;
    if (regions != NULL)
        TRY(regions_from_json(&request->regions, regions, r->limits->regions, request->height,
                              request->width, "body"));
    const struct box all = {0, 0, (double)request->width, (double)request->height};
    if (!has_regions) TRY(regions_add_box(&request->regions, all, request->height, request->width));
    const struct region_list list = {.n = request->regions.n};
    struct chat_turn *turn = &request->prompt.turns[r->picture_turn];
    TRY(prompt_first_message(&text, has_regions ? &list : NULL, 0, turn->text, true));
    free(turn->text);
    turn->text = text_take(&text);
out:
    text_release(&text);
    return status;
}

static enum status read_fields(struct reader *r, const json_t *root)
{
    enum status status = OK;
    struct chat_request *request = r->request;
    const json_t *model = json_object_get(root, "model");
    r->parameter = "model";
    if (!json_is_string(model)) FAIL(ERR_FORMAT, "model is missing, or not a text");
    request->model = text_copy(json_string_value(model));
    TRY(refuse_unsupported(r, root));
    TRY(read_integer(r, &request->n_choices, root, "n", 1, CHAT_MAX_CHOICES));
    TRY(read_integer(r, &request->max_tokens, root, "max_tokens", 1, r->limits->most_tokens));
    TRY(read_integer(r, &request->max_tokens, root, "max_completion_tokens", 1,
                     r->limits->most_tokens));
    TRY(read_number(r, &request->temperature, root, "temperature", 0, 2));
    TRY(read_number(r, &request->top_p, root, "top_p", 1e-6, 1));
    request->has_seed = json_is_integer(json_object_get(root, "seed"));
    TRY(read_integer(r, &request->seed, root, "seed", INT64_MIN, INT64_MAX));
    TRY(read_flag(r, &request->stream, root, "stream"));
    TRY(read_flag(r, &request->include_usage, json_object_get(root, "stream_options"),
                  "include_usage"));
    TRY(read_flag(r, &request->goes_on, root, "goes_on"));
    TRY(read_stops(r, root));
    TRY(read_format(r, root));
    TRY(read_messages(r, root));
    TRY(place_picture(r, root));
out:
    return status;
}

enum status chat_request_read(struct chat_request *request_out, const char **parameter_out,
                              const void *body, size_t size, const struct chat_limits *limits,
                              const struct tokenizer *tokenizer)
{
    enum status status = OK;
    struct chat_request request = {.n_choices = 1,
                                   .max_tokens = limits->max_tokens,
                                   .temperature = limits->temperature,
                                   .top_p = limits->top_p};
    struct reader reader = {
        .request = &request, .limits = limits, .tokenizer = tokenizer, .picture_turn = -1};
    json_error_t error;
    json_t *root = json_loadb(body, size, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        FAIL(ERR_FORMAT, "the body is not valid JSON: line %d, column %d: %s", error.line,
             error.column, error.text);
    if (!json_is_object(root)) FAIL(ERR_FORMAT, "the body is not a JSON object");
    TRY(read_fields(&reader, root));
    *request_out = request;
    request = (struct chat_request){0};
out:
    *parameter_out = reader.parameter;
    chat_request_release(&request);
    json_decref(root);
    return status;
}
