/* See teacher_server.h. A thread a connection (libmicrohttpd); one mutex round what they share. */
#include "support/teacher_server.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/random.h"
#include "base/text_buffer.h"
#include "support/teacher_answer.h"
#include "support/teacher_batches.h"

#define MAX_BODY ((size_t)256 << 20)
#define MAX_PEM  ((size_t)64 << 10)

struct known_call {
    char *key;
    int64_t tries, paid;
};

struct teacher_server {
    struct teacher_server_options options;
    struct teacher_pictures pictures;
    struct teacher_batches batches;
    struct MHD_Daemon *daemon;
    pthread_mutex_t mutex;
    struct known_call *calls;
    int64_t n_calls, n_requests, n_paid;
    unsigned char *certificate, *certificate_key;
};

struct upload { /* of one request */
    struct text_buffer body;
};

/* ---- what is known of a call ---- */

/* Mutex held. */
static struct known_call *call_of(struct teacher_server *server, const char *key)
{
    for (int64_t i = 0; i < server->n_calls; i++)
        if (strcmp(server->calls[i].key, key) == 0) return &server->calls[i];
    server->calls =
        memory_resize(server->calls, (size_t)server->n_calls + 1, sizeof *server->calls);
    server->calls[server->n_calls] = (struct known_call){.key = text_copy(key)};
    return &server->calls[server->n_calls++];
}

static int64_t begin_try(struct teacher_server *server, const char *key)
{
    pthread_mutex_lock(&server->mutex);
    server->n_requests++;
    const int64_t tries = call_of(server, key)->tries++;
    pthread_mutex_unlock(&server->mutex);
    return tries;
}

/* Counted, and on the disk, before the answer leaves. */
void teacher_server_pay(struct teacher_server *server, const char *key)
{
    pthread_mutex_lock(&server->mutex);
    call_of(server, key)->paid++;
    server->n_paid++;
    if (server->options.log != NULL) {
        char *line = text_format("%s\n", key);
        const int fd = open(server->options.log, O_WRONLY | O_APPEND | O_CREAT, 0644);
        if (fd < 0 || write(fd, line, strlen(line)) < 0) perror("teacher server's log");
        if (fd >= 0) close(fd);
        free(line);
    }
    pthread_mutex_unlock(&server->mutex);
}

int64_t teacher_server_paid(struct teacher_server *server, int64_t *n_different_out)
{
    int64_t paid = 0, different = 0;
    pthread_mutex_lock(&server->mutex);
    for (int64_t i = 0; i < server->n_calls; i++) {
        paid += server->calls[i].paid;
        different += server->calls[i].paid > 0;
    }
    pthread_mutex_unlock(&server->mutex);
    *n_different_out = different;
    return paid;
}

int64_t teacher_server_requests(struct teacher_server *server)
{
    pthread_mutex_lock(&server->mutex);
    const int64_t n = server->n_requests;
    pthread_mutex_unlock(&server->mutex);
    return n;
}

static bool is_spent(struct teacher_server *server)
{
    pthread_mutex_lock(&server->mutex);
    const bool spent =
        server->options.quota_after > 0 && server->n_paid >= server->options.quota_after;
    pthread_mutex_unlock(&server->mutex);
    return spent || server->options.faults.quota >= 1;
}

void teacher_server_fill_account(struct teacher_server *server)
{
    pthread_mutex_lock(&server->mutex);
    server->options.quota_after = 0;
    pthread_mutex_unlock(&server->mutex);
}

/* ---- answers ---- */

static enum MHD_Result respond(struct MHD_Connection *connection, unsigned code, const char *text,
                               const char *header, const char *value)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
    MHD_add_response_header(response, "Content-Type", "application/json");
    if (header != NULL) MHD_add_response_header(response, header, value);
    const enum MHD_Result result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result respond_error(struct MHD_Connection *connection, unsigned code,
                                     const char *what)
{
    char *text = text_format("{\"error\":{\"message\":\"%s\",\"code\":\"%s\"}}", what, what);
    const enum MHD_Result result =
        respond(connection, code, text, code == 429 ? "Retry-After" : NULL, "1");
    free(text);
    return result;
}

struct partial { /* a body that is not given as it should */
    char *text;
    size_t whole; /* what Content-Length says */
    size_t end;   /* where it stops with an error */
    int pause_ms; /* between bytes */
    bool endless; /* the text again and again */
};

static ssize_t give_part(void *context, uint64_t at, char *bytes, size_t room)
{
    const struct partial *partial = context;
    const size_t n = strlen(partial->text);
    if (at >= partial->end) return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t size = partial->end - at < room ? partial->end - at : room;
    if (partial->pause_ms > 0) {
        usleep((useconds_t)partial->pause_ms * 1000);
        size = 1;
    }
    for (size_t i = 0; i < size; i++) bytes[i] = partial->text[(at + i) % n];
    return (ssize_t)size;
}

static void free_partial(void *context)
{
    struct partial *partial = context;
    free(partial->text);
    free(partial);
}

static enum MHD_Result respond_partial(struct MHD_Connection *connection, struct partial partial)
{
    struct partial *kept = memory_new(1, sizeof *kept);
    *kept = partial;
    struct MHD_Response *response =
        MHD_create_response_from_callback(partial.whole, 64 << 10, give_part, kept, free_partial);
    const enum MHD_Result result = MHD_queue_response(connection, 200, response);
    MHD_destroy_response(response);
    return result;
}

/* The connection ends as if the machine had gone. */
static enum MHD_Result reset(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    if (info != NULL) {
        setsockopt(info->connect_fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        shutdown(info->connect_fd, SHUT_RDWR);
    }
    return MHD_NO;
}

/* ---- faults ---- */

/* True with that probability; the same for the same (key, n, what). */
static bool drawn(const struct teacher_server *server, const char *key, int64_t n, int what,
                  double probability)
{
    if (probability <= 0) return false;
    const struct random_stream stream = random_stream(server->options.seed, key);
    return random_uniform(stream, (uint64_t)n * 64 + (uint64_t)what) < probability;
}

/* Faults of the way; false: none was drawn. */
static bool fail_on_the_way(const struct teacher_server *server, struct MHD_Connection *connection,
                            const char *key, int64_t n, enum MHD_Result *result)
{
    const struct teacher_server_faults *faults = &server->options.faults;
    const int slow = server->options.slow_ms;
    static const char text[] = "{\"choices\": [{\"index\": 0, ";
    *result = MHD_NO;
    if (drawn(server, key, n, 1, faults->rate_limit))
        return *result = respond_error(connection, 429, "rate_limit_exceeded"), true;
    if (drawn(server, key, n, 9, faults->quota))
        return *result = respond_error(connection, 429, "insufficient_quota"), true;
    if (drawn(server, key, n, 2, faults->error_500))
        return *result = respond_error(connection, 500, "server_error"), true;
    if (drawn(server, key, n, 3, faults->overload_503))
        return *result = respond_error(connection, 503, "server_is_overloaded"), true;
    if (drawn(server, key, n, 4, faults->timeout)) {
        usleep((useconds_t)slow * 1000);
        return *result = respond_error(connection, 500, "too late"), true;
    }
    struct partial partial = {.whole = 1000, .end = sizeof text - 1};
    bool wanted = drawn(server, key, n, 5, faults->half_body);
    if (!wanted && drawn(server, key, n, 6, faults->drip)) {
        wanted = true;
        partial.end = partial.whole;
        partial.pause_ms = slow / 10;
    }
    if (!wanted && drawn(server, key, n, 7, faults->huge)) {
        wanted = true;
        partial.whole = partial.end = (size_t)32 << 20;
    }
    if (wanted) {
        partial.text = text_copy(text);
        return *result = respond_partial(connection, partial), true;
    }
    if (drawn(server, key, n, 8, faults->reset)) return *result = reset(connection), true;
    return false;
}

static char *completion(const char *content, const char *refusal, const char *finish)
{
    json_t *root = json_pack("{s:s, s:[{s:i, s:s, s:{s:s, s:s?, s:s?}}], s:{s:i, s:i}}", "object",
                             "chat.completion", "choices", "index", 0, "finish_reason", finish,
                             "message", "role", "assistant", "content", content, "refusal", refusal,
                             "usage", "prompt_tokens", 1500, "completion_tokens", 300);
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    return text;
}

/* Edits of things that are not there, beside the true ones. */
static char *with_wrong_ids(const char *content)
{
    json_t *root = json_loads(content, 0, NULL), *edits = json_object_get(root, "edit");
    if (json_is_array(edits)) {
        json_array_append_new(edits, json_pack("{s:s, s:s, s:[{s:s, s:[i,i]}], s:[]}", "obj_id",
                                               "900", "name", "<|im_end|>", "add", "rel", "near",
                                               "obj_ids", 1, 2, "remove"));
        json_array_append_new(edits, json_pack("{s:s, s:s, s:[{s:s, s:[i]}], s:[]}", "obj_id",
                                               "zero", "name", "", "add", "rel", "near", "obj_ids",
                                               901, "remove"));
    }
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    return text;
}

char *teacher_server_complete(struct teacher_server *server, const char *key, const json_t *body,
                              unsigned *code_out)
{
    const struct teacher_server_faults *faults = &server->options.faults;
    char *content = NULL, *text = NULL;
    *code_out = 429;
    if (is_spent(server))
        return text_copy("{\"error\":{\"message\":\"no money\",\"type\":\"insufficient_quota\"}}");
    *code_out = 200;
    if (drawn(server, key, 0, 20, faults->broken_json)) return text_copy("{\"choices\": [{");
    if (drawn(server, key, 0, 21, faults->wrong_schema))
        return completion("{\"edits\": []}", NULL, "stop");
    if (drawn(server, key, 0, 22, faults->refusal))
        return completion(NULL, "I will not look at this.", "stop");
    if (teacher_answer(&content, &server->pictures, body, server->options.noise,
                       server->options.seed) != OK) {
        *code_out = 400;
        return text_format("{\"error\":{\"message\":\"%s\"}}", status_message());
    }
    if (drawn(server, key, 0, 23, faults->wrong_ids)) {
        char *wrong = with_wrong_ids(content);
        free(content);
        content = wrong;
    }
    text = completion(content, NULL, "stop");
    free(content);
    return text;
}

static enum MHD_Result answer_chat(struct teacher_server *server, struct MHD_Connection *connection,
                                   const struct upload *upload)
{
    const char *key = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Idempotency-Key");
    enum MHD_Result result = MHD_NO;
    unsigned code = 200;
    json_error_t error;
    if (key == NULL) return respond_error(connection, 400, "no key of the call");
    const int64_t n = begin_try(server, key);
    if (fail_on_the_way(server, connection, key, n, &result)) return result;
    json_t *body = json_loadb(upload->body.text, upload->body.length, 0, &error);
    char *text = teacher_server_complete(server, key, body, &code);
    usleep((useconds_t)server->options.delay_ms * 1000);
    if (code == 200) teacher_server_pay(server, key);
    result = respond(connection, code, text, NULL, NULL);
    free(text);
    json_decref(body);
    return result;
}

/* ---- requests ---- */

static bool bears_the_key(const struct teacher_server *server, struct MHD_Connection *connection)
{
    const char *given = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
    if (server->options.key == NULL) return true;
    char *wanted = text_format("Bearer %s", server->options.key);
    const bool same = given != NULL && strcmp(given, wanted) == 0;
    free(wanted);
    return same;
}

/* A service that says the key in its error, as some do. */
static enum MHD_Result refuse_key(struct MHD_Connection *connection)
{
    const char *given = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
    char *text = text_format("Incorrect API key provided: %s", given != NULL ? given : "none");
    const enum MHD_Result result = respond_error(connection, 401, text);
    free(text);
    return result;
}

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **request)
{
    struct teacher_server *server = context;
    struct upload *upload = *request;
    (void)version;
    if (upload == NULL) {
        *request = memory_new(1, sizeof *upload);
        return MHD_YES;
    }
    if (*size > 0) {
        if (upload->body.length + *size > MAX_BODY) return MHD_NO;
        text_append_bytes(&upload->body, data, *size);
        *size = 0;
        return MHD_YES;
    }
    if (!bears_the_key(server, connection)) return refuse_key(connection);
    if (strcmp(url, "/v1/chat/completions") == 0 && strcmp(method, "POST") == 0)
        return answer_chat(server, connection, upload);
    unsigned code = 404;
    char *text = NULL;
    pthread_mutex_lock(&server->mutex);
    server->n_requests++;
    pthread_mutex_unlock(&server->mutex);
    if (strcmp(method, "POST") == 0 && is_spent(server))
        return respond_error(connection, 429, "insufficient_quota");
    text = teacher_batches_answer(&server->batches, server, url, method, &upload->body, &code);
    const enum MHD_Result result = respond(connection, code, text, NULL, NULL);
    free(text);
    return result;
}

static void finish(void *context, struct MHD_Connection *connection, void **request,
                   enum MHD_RequestTerminationCode code)
{
    struct upload *upload = *request;
    (void)context, (void)connection, (void)code;
    if (upload == NULL) return;
    text_release(&upload->body);
    free(upload);
    *request = NULL;
}

static enum status read_certificate(struct teacher_server *server)
{
    enum status status = OK;
    const struct teacher_server_options *options = &server->options;
    size_t size = 0;
    if (options->certificate == NULL) return OK;
    TRY(file_read(&server->certificate, &size, options->certificate, MAX_PEM));
    TRY(file_read(&server->certificate_key, &size, options->certificate_key, MAX_PEM));
out:
    return status;
}

enum status teacher_server_start(struct teacher_server **server_out,
                                 const struct teacher_server_options *options)
{
    enum status status = OK;
    struct teacher_server *server = memory_new(1, sizeof *server);
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)options->port),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    server->options = *options;
    pthread_mutex_init(&server->mutex, NULL);
    teacher_batches_init(&server->batches, options->expire_first_batch, options->fail_first_batch);
    TRY(teacher_pictures_open(&server->pictures, options->corpus));
    TRY(read_certificate(server));
    const unsigned tls = server->certificate != NULL ? MHD_USE_TLS : 0;
    server->daemon = MHD_start_daemon(
        MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | tls, 0, NULL, NULL,
        answer, server, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u,
        MHD_OPTION_NOTIFY_COMPLETED, finish, NULL,
        tls != 0 ? MHD_OPTION_HTTPS_MEM_CERT : MHD_OPTION_END, server->certificate,
        MHD_OPTION_HTTPS_MEM_KEY, server->certificate_key, MHD_OPTION_END);
    if (server->daemon == NULL) FAIL(ERR_IO, "no server: %s", strerror(errno));
    *server_out = server;
    server = NULL;
out:
    teacher_server_stop(server);
    return status;
}

int teacher_server_port(const struct teacher_server *server)
{
    return MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

void teacher_server_stop(struct teacher_server *server)
{
    if (server == NULL) return;
    if (server->daemon != NULL) MHD_stop_daemon(server->daemon);
    teacher_pictures_release(&server->pictures);
    teacher_batches_release(&server->batches);
    for (int64_t i = 0; i < server->n_calls; i++) free(server->calls[i].key);
    free(server->calls);
    free(server->certificate);
    free(server->certificate_key);
    pthread_mutex_destroy(&server->mutex);
    free(server);
}
