/* Written piece by piece: a picture in base64 inside a JSON tree would be in memory three times. */
#include "sgedit/chat_body.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/content_hash.h"
#include "base/text_buffer.h"

static enum status append_string(struct text_buffer *out, const char *text)
{
    enum status status = OK;
    json_t *value = json_string(text);
    if (value == NULL) FAIL(ERR_FORMAT, "a text for the teacher is not UTF-8: %.60s", text);
    char *quoted = json_dumps(value, JSON_ENCODE_ANY);
    text_append(out, quoted != NULL ? quoted : "\"\"");
    free(quoted);
    json_decref(value);
out:
    return status;
}

static const char *mime_of(const struct teacher_image *image)
{
    return image->size > 1 && image->bytes[0] == 0xff ? "image/jpeg" : "image/png";
}

static enum status append_image(struct text_buffer *out, const struct teacher_image *image,
                                const char *detail)
{
    enum status status = OK;
    text_printf(out, ",{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:%s;base64,",
                mime_of(image));
    base64_append(out, image->bytes, image->size);
    text_append(out, "\",\"detail\":");
    TRY(append_string(out, detail));
    text_append(out, "}}");
out:
    return status;
}

static enum status append_messages(struct text_buffer *out, const struct teacher_request *request,
                                   const struct config_teacher *config)
{
    enum status status = OK;
    text_append(out, "\"messages\":[{\"role\":\"system\",\"content\":");
    TRY(append_string(out, request->system));
    text_append(out, "},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":");
    TRY(append_string(out, request->user));
    text_append(out, "}");
    for (int i = 0; i < request->n_images; i++)
        TRY(append_image(out, &request->images[i], config->detail));
    text_append(out, "]}]");
out:
    return status;
}

static void append_schema(struct text_buffer *out, const struct teacher_request *request)
{
    char *schema = json_dumps(request->schema, JSON_COMPACT);
    text_printf(out,
                ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"%s\","
                "\"strict\":true,\"schema\":%s}}",
                request->schema_name, schema != NULL ? schema : "{}");
    free(schema);
}

static void key_of(unsigned char *key, const void *bytes, size_t size)
{
    const struct content_hash hash = content_hash(bytes, size);
    memcpy(key, hash.words, JOURNAL_KEY_BYTES);
}

enum status chat_body_write(struct teacher_call *call_out, const struct teacher_request *request,
                            const struct config_teacher *config)
{
    enum status status = OK;
    struct text_buffer out = {0};
    struct teacher_call call = {0};
    text_append(&out, "{\"model\":");
    TRY(append_string(&out, config->model));
    text_printf(&out, ",\"temperature\":%g,\"max_tokens\":%" PRId64 ",", config->temperature,
                config->max_tokens);
    TRY(append_messages(&out, request, config));
    append_schema(&out, request);
    text_append(&out, "}");
    /* The attempt is hashed with the body and not sent: an answer asked for again is another. */
    const size_t sent = out.length;
    text_printf(&out, "#%d", request->attempt);
    key_of(call.key, out.text, out.length);
    out.text[sent] = '\0';
    out.length = sent;
    call.size = sent;
    call.tokens_in = (int64_t)(strlen(request->system) + strlen(request->user)) / 2 + 500 +
                     request->n_images * config->image_tokens;
    call.tokens_out = config->max_tokens;
    call.body = text_take(&out);
    *call_out = call;
out:
    text_release(&out);
    return status;
}

void chat_key_text(char text[CHAT_KEY_TEXT_BYTES], const unsigned char *key)
{
    for (int i = 0; i < JOURNAL_KEY_BYTES; i++) snprintf(text + 2 * i, 3, "%02x", key[i]);
}

void chat_local_key(unsigned char *key, const char *teacher, const struct teacher_request *request)
{
    char *text =
        text_format("%s#%s#%s#%d", teacher, request->system, request->user, request->attempt);
    key_of(key, text, strlen(text));
    free(text);
}
