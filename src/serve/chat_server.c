/* See chat_server.h and chat_server_state.h: the HTTP thread, and the life of a server. */
#include "serve/chat_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/text_buffer.h"
#include "serve/chat_server_state.h"

#define BODIES_TOGETHER 16

void call_destroy(struct call *call)
{
    for (int64_t i = 0; call->choices != NULL && i < call->request.n_choices; i++)
        chat_choice_release(&call->choices[i]);
    free(call->choices);
    text_release(&call->events);
    text_release(&call->body);
    chat_request_release(&call->request);
    free(call->reply);
    free(call);
}

/* ---- replies ---- */

static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned code, const char *text,
                                 const char *type)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (code == MHD_HTTP_TOO_MANY_REQUESTS || code == MHD_HTTP_SERVICE_UNAVAILABLE)
        MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, "1");
    if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, POST");
    const enum MHD_Result result = MHD_queue_response(connection, code, response);
    MHD_destroy_response(response);
    return result;
}

static const char *error_type(unsigned code)
{
    if (code == MHD_HTTP_TOO_MANY_REQUESTS) return "rate_limit_error";
    return code >= 500 ? "server_error" : "invalid_request_error";
}

void call_set_error(struct call *call, unsigned code, const char *sentence, const char *parameter,
                    const char *word)
{
    free(call->reply);
    call->code = code;
    call->reply = chat_reply_error(sentence, error_type(code), parameter, word);
}

void call_wake(struct call *call)
{
    if (!call->asleep) return;
    call->asleep = false;
    MHD_resume_connection(call->connection);
}

/* What of a stream has not been sent; where there is nothing yet, the connection sleeps. */
static ssize_t give_events(void *context, uint64_t at, char *bytes, size_t room)
{
    struct call *call = context;
    ssize_t given = 0;
    (void)at;
    pthread_mutex_lock(&call->server->lock);
    const size_t left = call->events.length - call->sent;
    if (left > 0) {
        given = (ssize_t)(left < room ? left : room);
        memcpy(bytes, call->events.text + call->sent, (size_t)given);
        call->sent += (size_t)given;
        if (call->sent == call->events.length) {
            text_clear(&call->events);
            call->sent = 0;
        }
    } else if (call->ended) {
        given = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        call->asleep = true;
        MHD_suspend_connection(call->connection);
    }
    pthread_mutex_unlock(&call->server->lock);
    return given;
}

static enum MHD_Result send_stream(struct call *call)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16 << 10, give_events, call, NULL);
    if (response == NULL) return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                            "text/event-stream; charset=utf-8");
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
    MHD_add_response_header(response, "X-Accel-Buffering", "no"); /* proxies pass events on */
    const enum MHD_Result result = MHD_queue_response(call->connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result send_call(struct call *call)
{
    if (call->streams) return send_stream(call);
    return send_text(call->connection, call->code, call->reply, "application/json");
}

static enum MHD_Result send_error(struct MHD_Connection *connection, unsigned code,
                                  const char *sentence)
{
    char *text = chat_reply_error(sentence, error_type(code), NULL, NULL);
    const enum MHD_Result result = send_text(connection, code, text, "application/json");
    free(text);
    return result;
}

/* ---- the HTTP thread ---- */

/* A piece of the body. What is too much is passed over, and said when all has come. */
static void gather(struct chat_server *server, struct call *call, const char *data, size_t size)
{
    if (call->refused) return;
    pthread_mutex_lock(&server->lock);
    const size_t most = (size_t)server->options.body_bytes;
    const bool crowded = server->body_bytes + size > BODIES_TOGETHER * most;
    const bool large = call->body.length + size > most;
    if (!crowded && !large) {
        server->body_bytes += size;
        call->counted += size;
    }
    pthread_mutex_unlock(&server->lock);
    if (!crowded && !large) {
        text_append_bytes(&call->body, data, size);
        return;
    }
    call->refused = true;
    char *sentence =
        text_format("the body has more than %" PRId64 " bytes", server->options.body_bytes);
    if (large)
        call_set_error(call, MHD_HTTP_CONTENT_TOO_LARGE, sentence, NULL, NULL);
    else
        call_set_error(call, MHD_HTTP_TOO_MANY_REQUESTS, "too many requests at once", NULL, NULL);
    free(sentence);
}

/* The whole body is there: read, then queued or refused. */
static void read_call(struct chat_server *server, struct call *call)
{
    const char *parameter = NULL;
    call->refused = true;
    if (chat_request_read(&call->request, &parameter, text_of(&call->body), call->body.length,
                          &server->options.limits, server->tokenizer) != OK) {
        call_set_error(call, MHD_HTTP_BAD_REQUEST, status_message(), parameter, NULL);
        status_clear();
        return;
    }
    if (strcmp(call->request.model, server->options.model) != 0) {
        char *sentence = text_format("there is no model %s here, only %s", call->request.model,
                                     server->options.model);
        call_set_error(call, MHD_HTTP_NOT_FOUND, sentence, "model", "model_not_found");
        free(sentence);
        return;
    }
    call->refused = false;
}

/* True if the connection sleeps now. */
static bool queue_call(struct chat_server *server, struct call *call)
{
    pthread_mutex_lock(&server->lock);
    const bool stopping = server->stopping, full = server->n_calls >= server->options.queue;
    if (!stopping && !full) {
        struct call **end = &server->first;
        while (*end != NULL) end = &(*end)->next;
        *end = call;
        call->state = CALL_WAITS;
        call->name = (struct chat_name){
            .model = server->options.model, .number = server->next_number++, .created = time(NULL)};
        server->n_calls++;
        call->asleep = true;
        MHD_suspend_connection(call->connection);
        pthread_cond_signal(&server->arrived);
    }
    pthread_mutex_unlock(&server->lock);
    if (stopping)
        call_set_error(call, MHD_HTTP_SERVICE_UNAVAILABLE, "the server is stopping", NULL, NULL);
    else if (full)
        call_set_error(call, MHD_HTTP_TOO_MANY_REQUESTS, "the queue is full; come again", NULL,
                       NULL);
    return !stopping && !full;
}

static enum MHD_Result serve_completions(struct chat_server *server, struct call *call,
                                         const char *data, size_t *size)
{
    if (*size > 0) {
        gather(server, call, data, *size);
        *size = 0;
        return MHD_YES;
    }
    if (call->state == CALL_READS && !call->refused) {
        read_call(server, call);
        if (!call->refused && queue_call(server, call)) return MHD_YES;
    }
    return send_call(call);
}

static enum MHD_Result serve_models(const struct chat_server *server,
                                    struct MHD_Connection *connection, const char *url)
{
    const struct chat_name name = {.model = server->options.model, .created = server->created};
    const char *alone = url + strlen("/v1/models");
    const bool is_ours = alone[0] == '/' && strcmp(alone + 1, name.model) == 0;
    if (alone[0] != '\0' && !is_ours)
        return send_error(connection, MHD_HTTP_NOT_FOUND, "there is no such model here");
    char *text = chat_reply_models(&name, is_ours);
    const enum MHD_Result result = send_text(connection, MHD_HTTP_OK, text, "application/json");
    free(text);
    return result;
}

static enum MHD_Result serve_health(struct chat_server *server, struct MHD_Connection *connection)
{
    pthread_mutex_lock(&server->lock);
    char *text = text_format("{\"status\":\"ok\",\"requests\":{\"open\":%" PRId64
                             ",\"answered\":%" PRId64 ",\"gone\":%" PRId64 "}}",
                             server->n_calls, server->n_answered, server->n_gone);
    pthread_mutex_unlock(&server->lock);
    const enum MHD_Result result = send_text(connection, MHD_HTTP_OK, text, "application/json");
    free(text);
    return result;
}

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **call_out)
{
    struct chat_server *server = context;
    struct call *call = *call_out;
    (void)version;
    if (call == NULL) { /* only the heading is there yet */
        call = *call_out = memory_new(1, sizeof *call);
        call->server = server;
        call->connection = connection;
        call->socket =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        return MHD_YES;
    }
    const bool gets = strcmp(method, "GET") == 0, posts = strcmp(method, "POST") == 0;
    if (strcmp(url, "/v1/chat/completions") == 0 && posts)
        return serve_completions(server, call, data, size);
    if (*size > 0) { /* a body that nobody reads */
        *size = 0;
        return MHD_YES;
    }
    const bool is_models = strcmp(url, "/v1/models") == 0 || strncmp(url, "/v1/models/", 11) == 0;
    if (gets && is_models) return serve_models(server, connection, url);
    if (gets && strcmp(url, "/health") == 0) return serve_health(server, connection);
    if (is_models || strcmp(url, "/v1/chat/completions") == 0 || strcmp(url, "/health") == 0)
        return send_error(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "that method has no use here");
    return send_error(connection, MHD_HTTP_NOT_FOUND, "there is nothing at this address");
}

/* The connection has had its reply, or is gone. */
static void complete(void *context, struct MHD_Connection *connection, void **call_out,
                     enum MHD_RequestTerminationCode code)
{
    struct chat_server *server = context;
    struct call *call = *call_out;
    (void)connection;
    (void)code;
    if (call == NULL) return;
    *call_out = NULL;
    pthread_mutex_lock(&server->lock);
    server->body_bytes -= call->counted;
    const bool listed = call->state == CALL_WAITS || call->state == CALL_WORKS;
    if (listed) call->state = CALL_ABANDONED; /* the engine's thread lets go of it */
    if (call->state == CALL_ANSWERED) server->n_unsent--;
    pthread_mutex_unlock(&server->lock);
    if (!listed) call_destroy(call);
}

/* ---- life ---- */

static void log_http(void *context, const char *format, va_list arguments)
{
    (void)context;
    struct text_buffer line = {0};
    text_vprintf(&line, format, arguments);
    log_debug("http: %s", text_of(&line));
    text_release(&line);
}

static enum status listen_on(struct chat_server *server)
{
    enum status status = OK;
    const struct chat_server_options *o = &server->options;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)o->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)o->port)};
    const bool is_v4 = inet_pton(AF_INET, o->host, &v4.sin_addr) == 1;
    const bool is_v6 = !is_v4 && inet_pton(AF_INET6, o->host, &v6.sin6_addr) == 1;
    if (!is_v4 && !is_v6)
        FAIL(ERR_ARGUMENT, "%s is no numeric address, such as 127.0.0.1 or ::1", o->host);
    const unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_ALLOW_SUSPEND_RESUME |
                           MHD_USE_ERROR_LOG | (is_v6 ? MHD_USE_IPv6 : 0);
    const void *address = is_v4 ? (const void *)&v4 : (const void *)&v6;
    server->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, answer, server, MHD_OPTION_EXTERNAL_LOGGER, log_http, NULL,
        MHD_OPTION_SOCK_ADDR, address, MHD_OPTION_NOTIFY_COMPLETED, complete, server,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)o->connections, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)o->idle_seconds, MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
    if (server->daemon == NULL)
        FAIL(ERR_IO, "cannot listen on %s port %" PRId64 ": %s; is another server there?", o->host,
             o->port, strerror(errno));
    server->port = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
out:
    return status;
}

enum status chat_server_open(struct chat_server **server_out, struct engine *engine,
                             const struct tokenizer *tokenizer,
                             const struct chat_server_options *options)
{
    enum status status = OK;
    struct chat_server *server = memory_new(1, sizeof *server);
    server->options = *options;
    server->engine = engine;
    server->tokenizer = tokenizer;
    server->created = (int64_t)time(NULL);
    server->next_number = (uint64_t)server->created << 24;
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->arrived, NULL);
    TRY(listen_on(server));
    *server_out = server;
    server = NULL;
out:
    chat_server_close(server);
    return status;
}

/* Wakes every sleeping connection: a daemon cannot be stopped with any. None falls asleep again. */
static void wake_all(struct chat_server *server)
{
    static const char said[] = "the server has stopped";
    pthread_mutex_lock(&server->lock);
    server->stopping = true;
    for (struct call *call = server->first; call != NULL; call = call->next) {
        if (call->state != CALL_WAITS && call->state != CALL_WORKS) continue;
        if (call->streams)
            chat_events_break(&call->events, said, "server_error");
        else
            call_set_error(call, MHD_HTTP_SERVICE_UNAVAILABLE, said, NULL, NULL);
        call->ended = true;
        call_wake(call);
    }
    pthread_mutex_unlock(&server->lock);
}

void chat_server_close(struct chat_server *server)
{
    if (server == NULL) return;
    wake_all(server);
    if (server->daemon != NULL) MHD_stop_daemon(server->daemon);
    while (server->first != NULL) {
        struct call *call = server->first;
        server->first = call->next;
        call_destroy(call);
    }
    pthread_cond_destroy(&server->arrived);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

int64_t chat_server_port(const struct chat_server *server)
{
    return server->port;
}

void chat_server_stop(struct chat_server *server)
{
    pthread_mutex_lock(&server->lock);
    server->stopping = true;
    pthread_mutex_unlock(&server->lock);
}

bool chat_server_is_idle(struct chat_server *server)
{
    pthread_mutex_lock(&server->lock);
    const bool idle = server->n_calls == 0 && server->n_unsent == 0;
    pthread_mutex_unlock(&server->lock);
    return idle;
}
