/* See service_error.h. */
#include "sgedit/service_error.h"

#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"

#define SAID_BYTES 200 /* of a body */

char *service_error_text(const struct http_response *response)
{
    struct text_buffer out = {0};
    if (response->code == 0) return text_copy(response->failure);
    const size_t n = response->size < SAID_BYTES ? response->size : SAID_BYTES;
    for (size_t i = 0; i < n; i++) {
        const char c = response->body[i];
        text_append_char(&out, c >= ' ' && c <= '~' ? c : ' ');
    }
    return text_take(&out);
}

bool service_error_is_spent(const json_t *error)
{
    static const char *const codes[] = {"insufficient_quota", "credit_balance_exhausted",
                                        "billing_hard_limit_reached"};
    static const char *const fields[] = {"code", "type"};
    for (size_t f = 0; f < sizeof fields / sizeof fields[0]; f++) {
        const char *said = json_string_value(json_object_get(error, fields[f]));
        for (size_t i = 0; said != NULL && i < sizeof codes / sizeof codes[0]; i++)
            if (strcmp(said, codes[i]) == 0) return true;
    }
    return false;
}

enum status service_error_spent(void)
{
    return status_fail(ERR_LIMIT,
                       "the teacher's account is spent (insufficient_quota); nothing finished is "
                       "lost, pay and start again to go on");
}

static bool body_says_spent(const struct http_response *response)
{
    json_error_t error;
    json_t *root = json_loadb(response->body, response->size, 0, &error);
    const bool spent = service_error_is_spent(json_object_get(root, "error"));
    json_decref(root);
    return spent;
}

enum status service_error_check(const struct http_response *response, const char *text)
{
    enum status status = OK;
    if (response->not_trusted) FAIL(ERR_ARGUMENT, "teacher.url: %s", text);
    if (response->code == 401 || response->code == 403)
        FAIL(ERR_ARGUMENT, "the teacher does not accept the key: %ld %s", response->code, text);
    if (response->code == 404)
        FAIL(ERR_ARGUMENT, "the teacher knows no such model or address: %ld %s", response->code,
             text);
    if (response->code == 429 && body_says_spent(response)) status = service_error_spent();
out:
    return status;
}
