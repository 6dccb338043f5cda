/* What a chat completion says. */
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/text_buffer.h"
#include "sgedit/teacher.h"

void teacher_reply_release(struct teacher_reply *reply)
{
    free(reply->raw);
    free(reply->content);
    free(reply->why);
    *reply = (struct teacher_reply){0};
}

void teacher_call_release(struct teacher_call *call)
{
    free(call->body);
    *call = (struct teacher_call){0};
}

static void end(struct teacher_reply *reply, enum teacher_outcome outcome, const char *why)
{
    free(reply->why);
    reply->outcome = outcome;
    reply->why = text_copy(why);
}

static int64_t count_of(const json_t *usage, const char *key)
{
    const json_int_t n = json_integer_value(json_object_get(usage, key));
    return n > 0 && n < (json_int_t)1 << 31 ? n : 0;
}

/* The public interface: choices[0].message.{content, refusal}, choices[0].finish_reason. */
static void read_choice(struct teacher_reply *reply, const json_t *root)
{
    const json_t *choice = json_array_get(json_object_get(root, "choices"), 0);
    const json_t *message = json_object_get(choice, "message");
    const char *content = json_string_value(json_object_get(message, "content"));
    const char *refusal = json_string_value(json_object_get(message, "refusal"));
    const char *finish = json_string_value(json_object_get(choice, "finish_reason"));
    if (refusal != NULL || (finish != NULL && strcmp(finish, "content_filter") == 0))
        end(reply, TEACHER_REFUSED, "the teacher refused to answer");
    else if (finish != NULL && strcmp(finish, "length") == 0)
        end(reply, TEACHER_UNUSABLE, "the answer was cut at teacher.max_tokens");
    else if (content == NULL)
        end(reply, TEACHER_UNUSABLE, "the reply holds no choices[0].message.content");
    else
        reply->content = text_copy(content);
}

void teacher_reply_read(struct teacher_reply *reply, const char *raw, size_t size)
{
    json_error_t error;
    json_t *root = json_loadb(raw, size, 0, &error);
    reply->outcome = TEACHER_ANSWERED;
    if (root == NULL) {
        end(reply, TEACHER_UNUSABLE, "the reply is not JSON");
        return;
    }
    const json_t *usage = json_object_get(root, "usage");
    reply->tokens_in = count_of(usage, "prompt_tokens");
    reply->tokens_out = count_of(usage, "completion_tokens");
    read_choice(reply, root);
    json_decref(root);
}

char *teacher_reply_write(const char *content, const char *model)
{
    json_t *root =
        json_pack("{s:s, s:s, s:[{s:i, s:s, s:{s:s, s:s}}]}", "object", "chat.completion", "model",
                  model, "choices", "index", 0, "finish_reason", "stop", "message", "role",
                  "assistant", "content", content);
    ASSERT(root != NULL, "a reply could not be made");
    char *text = json_dumps(root, JSON_COMPACT);
    ASSERT(text != NULL, "a reply could not be written");
    json_decref(root);
    return text;
}
