/* See http_client.h. */
#include "sgedit/http_client.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assertion.h"
#include "base/text_buffer.h"
#include "sgedit/api_key.h"

struct transfer {
    CURL *easy;
    struct curl_slist *headers;
    char *url;
    struct text_buffer body;
    size_t max_reply;
    bool too_large;
    char said[CURL_ERROR_SIZE]; /* libcurl's own words for what went wrong */
    int64_t tag;
    struct http_client *client;
    struct transfer *next;
};

struct http_client {
    CURLM *multi;
    char *base, *host, *ca_file;
    char *authorization; /* the header with the key, or NULL */
    struct api_key key;
    double timeout_seconds;
    int64_t n_flying;
    struct transfer *idle; /* handles to use again, with their connections */
    struct transfer *flying;
};

void http_response_release(struct http_response *response)
{
    free(response->failure);
    free(response->body);
    *response = (struct http_response){0};
}

/* "localhost", "127.x.y.z" or "[::1]". */
static bool is_loopback(const char *host)
{
    struct in_addr four;
    if (strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0) return true;
    return inet_pton(AF_INET, host, &four) == 1 && (ntohl(four.s_addr) >> 24) == 127;
}

/* The host of a URL that may be used, to free(). */
static enum status check_url(char **host_out, const char *text)
{
    enum status status = OK;
    char *scheme = NULL, *host = NULL, *user = NULL;
    CURLU *url = curl_url();
    if (url == NULL) FAIL(ERR_MEMORY, "no memory for a URL");
    if (curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
        (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
        FAIL(ERR_ARGUMENT, "teacher.url must be an http or https URL, as https://host/v1");
    if (curl_url_get(url, CURLUPART_USER, &user, 0) == CURLUE_OK)
        FAIL(ERR_ARGUMENT, "teacher.url holds a user; keys go into teacher.key_env or key_file");
    if (strcmp(scheme, "http") == 0 && !is_loopback(host))
        FAIL(ERR_ARGUMENT,
             "teacher.url is http to another machine, which sends the key for all to read; use "
             "https");
    *host_out = text_copy(host);
out:
    curl_free(scheme);
    curl_free(host);
    curl_free(user);
    curl_url_cleanup(url);
    return status;
}

enum status http_client_create(struct http_client **client_out, const struct http_options *options)
{
    enum status status = OK;
    struct http_client *client = memory_new(1, sizeof *client);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0) FAIL(ERR_MEMORY, "libcurl does not start");
    TRY(check_url(&client->host, options->url));
    if (options->ca_file[0] != '\0' && access(options->ca_file, R_OK) != 0)
        FAIL(ERR_IO, "cannot read teacher.ca_file %s: %s", options->ca_file, strerror(errno));
    TRY(api_key_read(&client->key, options->key_env, options->key_file));
    client->multi = curl_multi_init();
    if (client->multi == NULL) FAIL(ERR_MEMORY, "libcurl does not start");
    client->base = text_copy(options->url);
    const size_t n = strlen(client->base);
    if (n > 0 && client->base[n - 1] == '/') client->base[n - 1] = '\0';
    client->ca_file = text_copy(options->ca_file);
    client->timeout_seconds = options->timeout_seconds;
    if (client->key.text != NULL)
        client->authorization = text_format("Authorization: Bearer %s", client->key.text);
    *client_out = client;
    client = NULL;
out:
    http_client_destroy(client);
    return status;
}

/* curl copies header lines; they are overwritten before they are freed. */
static void forget_headers(struct transfer *transfer)
{
    for (struct curl_slist *at = transfer->headers; at != NULL; at = at->next)
        explicit_bzero(at->data, strlen(at->data));
    curl_slist_free_all(transfer->headers);
    transfer->headers = NULL;
}

static void transfers_release(struct http_client *client, struct transfer *transfer)
{
    while (transfer != NULL) {
        struct transfer *next = transfer->next;
        curl_multi_remove_handle(client->multi, transfer->easy);
        curl_easy_cleanup(transfer->easy);
        forget_headers(transfer);
        text_release(&transfer->body);
        free(transfer->url);
        free(transfer);
        transfer = next;
    }
}

void http_client_destroy(struct http_client *client)
{
    if (client == NULL) return;
    transfers_release(client, client->flying);
    transfers_release(client, client->idle);
    if (client->multi != NULL) curl_multi_cleanup(client->multi);
    if (client->authorization != NULL)
        explicit_bzero(client->authorization, strlen(client->authorization));
    free(client->authorization);
    api_key_release(&client->key);
    free(client->base);
    free(client->host);
    free(client->ca_file);
    free(client);
}

int64_t http_client_n_flying(const struct http_client *client)
{
    return client->n_flying;
}

void http_client_blank(const struct http_client *client, char *bytes, size_t size)
{
    api_key_blank(&client->key, bytes, size);
}

static size_t take_bytes(char *bytes, size_t one, size_t n, void *argument)
{
    struct transfer *transfer = argument;
    const size_t size = one * n;
    if (size > transfer->max_reply - transfer->body.length) {
        transfer->too_large = true;
        return 0; /* ends the transfer */
    }
    text_append_bytes(&transfer->body, bytes, size);
    return size;
}

static enum status take_transfer(struct http_client *client, struct transfer **transfer_out)
{
    enum status status = OK;
    struct transfer *transfer = client->idle;
    if (transfer != NULL) {
        client->idle = transfer->next;
        curl_easy_reset(transfer->easy);
    } else {
        transfer = memory_new(1, sizeof *transfer);
        transfer->easy = curl_easy_init();
        if (transfer->easy == NULL) {
            free(transfer);
            FAIL(ERR_MEMORY, "no memory for a request");
        }
    }
    text_clear(&transfer->body);
    transfer->too_large = false;
    *transfer_out = transfer;
out:
    return status;
}

static void set_headers(struct transfer *transfer, const struct http_request *request)
{
    if (transfer->client->authorization != NULL)
        transfer->headers = curl_slist_append(NULL, transfer->client->authorization);
    if (request->body != NULL) {
        char *type = text_format("Content-Type: %s", request->content_type);
        transfer->headers = curl_slist_append(transfer->headers, type);
        free(type);
        transfer->headers = curl_slist_append(transfer->headers, "Expect:");
    }
    if (request->call_key != NULL) {
        char *key = text_format("Idempotency-Key: %s", request->call_key);
        transfer->headers = curl_slist_append(transfer->headers, key);
        free(key);
    }
    curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
}

static void set_options(struct transfer *transfer, const struct http_request *request)
{
    CURL *easy = transfer->easy;
    const struct http_client *client = transfer->client;
    transfer->said[0] = '\0';
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->said);
    curl_easy_setopt(easy, CURLOPT_URL, transfer->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L); /* the key goes nowhere else */
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    if (client->ca_file[0] != '\0') curl_easy_setopt(easy, CURLOPT_CAINFO, client->ca_file);
    if (strncmp(transfer->url, "http:", 5) == 0) curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(client->timeout_seconds * 1000));
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    if (request->body != NULL) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->size);
    }
}

enum status http_client_start(struct http_client *client, const struct http_request *request)
{
    enum status status = OK;
    struct transfer *transfer = NULL;
    TRY(take_transfer(client, &transfer));
    transfer->client = client;
    transfer->tag = request->tag;
    transfer->max_reply = request->max_reply > 0 ? request->max_reply : HTTP_MAX_REPLY_BYTES;
    free(transfer->url);
    transfer->url = text_format("%s%s", client->base, request->path);
    set_headers(transfer, request);
    set_options(transfer, request);
    transfer->next = client->flying;
    client->flying = transfer;
    client->n_flying++;
    const CURLMcode code = curl_multi_add_handle(client->multi, transfer->easy);
    if (code != CURLM_OK) FAIL(ERR_MEMORY, "libcurl: %s", curl_multi_strerror(code));
out:
    return status;
}

static void unlink_flying(struct http_client *client, struct transfer *transfer)
{
    struct transfer **at = &client->flying;
    while (*at != transfer) at = &(*at)->next;
    *at = transfer->next;
    client->n_flying--;
}

static bool is_not_trusted(CURLcode code)
{
    return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_ISSUER_ERROR ||
           code == CURLE_SSL_CACERT_BADFILE;
}

static char *failure_text(const struct transfer *transfer, CURLcode code)
{
    const struct http_client *client = transfer->client;
    if (code == CURLE_SSL_CACERT_BADFILE)
        return text_format("teacher.ca_file %s holds no certificates that can be read",
                           client->ca_file);
    if (is_not_trusted(code))
        return text_format("the certificate of %s is not accepted: %s; one of your own is trusted "
                           "if teacher.ca_file names who signed it",
                           client->host, transfer->said);
    if (transfer->too_large)
        return text_format("the reply is larger than %zu bytes", transfer->max_reply);
    if (code == CURLE_OPERATION_TIMEDOUT)
        return text_format("no whole reply within %g s", client->timeout_seconds);
    return text_copy(curl_easy_strerror(code));
}

static bool before_sending(CURLcode code)
{
    return code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_CONNECT ||
           code == CURLE_SSL_CONNECT_ERROR || is_not_trusted(code);
}

static void finish(struct http_client *client, struct transfer *transfer, CURLcode code,
                   struct http_response *response)
{
    curl_off_t retry_after = -1;
    *response = (struct http_response){.tag = transfer->tag, .retry_after_seconds = -1};
    if (code == CURLE_OK) {
        curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &response->code);
        curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &retry_after);
        if (retry_after > 0) response->retry_after_seconds = (double)retry_after;
    } else {
        response->failure = failure_text(transfer, code);
        response->not_sent = before_sending(code);
        response->not_trusted = is_not_trusted(code);
    }
    response->size = transfer->body.length;
    response->body = text_take(&transfer->body);
    api_key_blank(&client->key, response->body, response->size);
    curl_multi_remove_handle(client->multi, transfer->easy);
    unlink_flying(client, transfer);
    forget_headers(transfer);
    transfer->next = client->idle;
    client->idle = transfer;
}

static bool take_done(struct http_client *client, struct http_response *response)
{
    int n_left = 0;
    CURLMsg *message;
    while ((message = curl_multi_info_read(client->multi, &n_left)) != NULL) {
        if (message->msg != CURLMSG_DONE) continue;
        char *transfer = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
        finish(client, (struct transfer *)(void *)transfer, message->data.result, response);
        return true;
    }
    return false;
}

enum status http_client_collect(struct http_client *client, int wait_ms,
                                struct http_response *response_out, bool *got)
{
    enum status status = OK;
    int n_running = 0;
    *got = take_done(client, response_out);
    if (*got || client->n_flying == 0) return OK;
    for (int round = 0; round < 2 && !*got; round++) {
        const CURLMcode code = curl_multi_perform(client->multi, &n_running);
        if (code != CURLM_OK) FAIL(ERR_IO, "libcurl: %s", curl_multi_strerror(code));
        *got = take_done(client, response_out);
        if (!*got && round == 0 && wait_ms > 0)
            curl_multi_poll(client->multi, NULL, 0, wait_ms, NULL);
    }
out:
    return status;
}
