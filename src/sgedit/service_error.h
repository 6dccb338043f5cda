/* What a service's errors mean, the same for calls one by one and for batches. */
#ifndef ROBIN_SGEDIT_SERVICE_ERROR_H
#define ROBIN_SGEDIT_SERVICE_ERROR_H

#include <jansson.h>
#include <stdbool.h>

#include "base/status.h"
#include "sgedit/http_client.h"

/* What may be told people of an answer that is not 200: printable, short; to free(). */
char *service_error_text(const struct http_response *response);

/* OK, or an error after which asking again cannot help: ERR_ARGUMENT for a certificate, key, model
 * or address that is not accepted, ERR_LIMIT for a spent account. `text` of service_error_text. */
enum status service_error_check(const struct http_response *response, const char *text);

/* Whether a JSON error object {code, type, message} says that the account is spent. */
bool service_error_is_spent(const json_t *error);
/* ERR_LIMIT, which says so. */
enum status service_error_spent(void);

#endif
