/* Requests to one service, many at once (libcurl's multi interface). What an answer means is for
 * others; here are limits of size and time, TLS, and the key. */
#ifndef ROBIN_SGEDIT_HTTP_CLIENT_H
#define ROBIN_SGEDIT_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define HTTP_MAX_REPLY_BYTES ((size_t)16 << 20)
#define HTTP_MAX_FILE_BYTES  ((size_t)1 << 30) /* of a batch's results */

struct http_client;

struct http_options {
    const char *url;                          /* base: "https://host/v1" */
    const char *key_env, *key_file, *ca_file; /* "" none */
    double timeout_seconds;
};
/* ERR_ARGUMENT for a URL that is none, for http to another machine, for a key that is not there;
 * ERR_IO for a ca_file that cannot be read.
 * No sentence of this module holds the key. */
enum status http_client_create(struct http_client **client_out, const struct http_options *options);
void http_client_destroy(struct http_client *client);

struct http_request {
    const char *path; /* behind the base: "/chat/completions" */
    const char *content_type;
    const char *body; /* NULL: GET; borrowed until the response is collected */
    size_t size;
    const char *call_key; /* sent as Idempotency-Key; NULL none */
    size_t max_reply;     /* 0: HTTP_MAX_REPLY_BYTES */
    int64_t tag;
};
struct http_response { /* zeroed is releasable */
    int64_t tag;
    long code;        /* 200 ...; 0: no whole response came */
    char *failure;    /* of code 0: "timed out after 180 s" */
    bool not_sent;    /* of code 0: nothing of the request reached the service */
    bool not_trusted; /* of code 0: its certificate is not accepted; another try changes nothing */
    char *body;       /* NUL behind it */
    size_t size;
    double retry_after_seconds; /* < 0: not said */
};
void http_response_release(struct http_response *response);

enum status http_client_start(struct http_client *client, const struct http_request *request);
/* A response if one is there, waiting `wait_ms` at most. */
enum status http_client_collect(struct http_client *client, int wait_ms,
                                struct http_response *response_out, bool *got);
int64_t http_client_n_flying(const struct http_client *client);
/* Takes the key out of bytes that are to be kept. */
void http_client_blank(const struct http_client *client, char *bytes, size_t size);

#endif
