/* See chat_server.h. A request's life: its body is gathered by the HTTP thread, which reads it,
 * queues it and puts the connection to sleep; the engine's thread takes it from the queue, answers,
 * and wakes the connection; the HTTP thread sends the reply and forgets it. Everything in struct
 * call but its state is the property of the side whose turn it is; states change under the lock. */
#include "serve/chat_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/text_buffer.h"
#include "serve/chat_reply.h"

#define WAIT_NANOSECONDS 100000000
#define BODIES_TOGETHER  16

enum call_state { CALL_READS, CALL_WAITS, CALL_WORKS, CALL_ANSWERED, CALL_ABANDONED };

struct call {
    struct call *next; /* in the server's list: calls that wait, work, or were abandoned */
    enum call_state state;
    uint64_t number;
    struct MHD_Connection *connection;
    struct text_buffer body;
    size_t counted; /* of the body, in the server's sum */
    bool refused;   /* the rest of the body is passed over */
    struct chat_request request;
    unsigned code; /* of the reply */
    char *reply;
};

struct chat_server {
    struct chat_server_options options;
    struct engine *engine;
    const struct tokenizer *tokenizer;
    struct MHD_Daemon *daemon;
    int64_t port;
    int64_t created;
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    struct call *first; /* guarded, as everything below */
    int64_t n_calls;
    int64_t n_unsent; /* replies that connections have not taken yet */
    size_t body_bytes;
    uint64_t next_number;
    bool stopping;
};

static void call_destroy(struct call *call)
{
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

static void set_error(struct call *call, unsigned code, const char *sentence, const char *parameter,
                      const char *word)
{
    free(call->reply);
    call->code = code;
    call->reply = chat_reply_error(sentence, error_type(code), parameter, word);
}

static enum MHD_Result send_call(struct call *call)
{
    const bool stream = call->request.stream && call->code == MHD_HTTP_OK;
    return send_text(call->connection, call->code, call->reply,
                     stream ? "text/event-stream" : "application/json");
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
        set_error(call, MHD_HTTP_CONTENT_TOO_LARGE, sentence, NULL, NULL);
    else
        set_error(call, MHD_HTTP_TOO_MANY_REQUESTS, "too many requests at once", NULL, NULL);
    free(sentence);
}

/* The whole body is there: read, then queued or refused. */
static void read_call(struct chat_server *server, struct call *call)
{
    const char *parameter = NULL;
    call->refused = true;
    if (chat_request_read(&call->request, &parameter, text_of(&call->body), call->body.length,
                          &server->options.limits, server->tokenizer) != OK) {
        set_error(call, MHD_HTTP_BAD_REQUEST, status_message(), parameter, NULL);
        status_clear();
        return;
    }
    if (strcmp(call->request.model, server->options.model) != 0) {
        char *sentence = text_format("there is no model %s here, only %s", call->request.model,
                                     server->options.model);
        set_error(call, MHD_HTTP_NOT_FOUND, sentence, "model", "model_not_found");
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
        call->number = server->next_number++;
        server->n_calls++;
        MHD_suspend_connection(call->connection);
        pthread_cond_signal(&server->arrived);
    }
    pthread_mutex_unlock(&server->lock);
    if (stopping)
        set_error(call, MHD_HTTP_SERVICE_UNAVAILABLE, "the server is stopping", NULL, NULL);
    else if (full)
        set_error(call, MHD_HTTP_TOO_MANY_REQUESTS, "the queue is full; come again", NULL, NULL);
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

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **call_out)
{
    struct chat_server *server = context;
    struct call *call = *call_out;
    (void)version;
    if (call == NULL) { /* only the heading is there yet */
        call = *call_out = memory_new(1, sizeof *call);
        call->connection = connection;
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
    if (gets && strcmp(url, "/health") == 0)
        return send_text(connection, MHD_HTTP_OK, "{\"status\":\"ok\"}", "application/json");
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

/* Wakes every sleeping connection: a daemon cannot be stopped with any. */
static void wake_all(struct chat_server *server)
{
    pthread_mutex_lock(&server->lock);
    for (struct call *call = server->first; call != NULL; call = call->next) {
        if (call->state != CALL_WAITS && call->state != CALL_WORKS) continue;
        set_error(call, MHD_HTTP_SERVICE_UNAVAILABLE, "the server has stopped", NULL, NULL);
        MHD_resume_connection(call->connection);
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

/* ---- the engine's thread ---- */

/* Takes the call out of the list and gives it back to its connection, or to nobody. */
static void let_go(struct chat_server *server, struct call *call)
{
    pthread_mutex_lock(&server->lock);
    struct call **link = &server->first;
    while (*link != call) link = &(*link)->next;
    *link = call->next;
    server->n_calls--;
    const bool abandoned = call->state == CALL_ABANDONED;
    if (!abandoned) {
        call->state = CALL_ANSWERED;
        server->n_unsent++;
        MHD_resume_connection(call->connection);
    }
    pthread_mutex_unlock(&server->lock);
    if (abandoned) call_destroy(call);
}

static enum status submit(struct chat_server *server, struct call *call)
{
    enum status status = OK;
    const struct chat_request *request = &call->request;
    struct engine_branch branches[CHAT_MAX_CHOICES];
    const struct engine_turn turn = {.format = request->format,
                                     .constrained = request->format != ANSWER_FREE,
                                     .max_tokens = request->max_tokens,
                                     .goes_on = request->goes_on,
                                     .temperature = request->temperature,
                                     .top_p = request->top_p};
    for (int64_t b = 0; b < request->n_choices; b++)
        branches[b] = (struct engine_branch){
            .object = b, .prompt = &request->prompt, .turns = &turn, .n_turns = 1};
    /* the id is what draws come from: of the seed, or of this request alone */
    char *id = request->has_seed ? text_format("seed %" PRId64, request->seed)
                                 : text_format("request %" PRIx64, call->number);
    const struct engine_request made = {
        .tag = call->number,
        .id = id,
        .picture = {request->picture, request->picture_size, "image_url"},
        .masks = request->regions.masks,
        .n_masks = request->regions.n,
        .branches = branches,
        .n_branches = request->n_choices};
    TRY(engine_submit(server->engine, &made));
out:
    free(id);
    return status;
}

/* The next call that waits; abandoned ones before it are let go. */
static struct call *next_waiting(struct chat_server *server)
{
    pthread_mutex_lock(&server->lock);
    struct call *call = server->first;
    while (call != NULL && call->state != CALL_WAITS) call = call->next;
    if (call != NULL) call->state = CALL_WORKS;
    pthread_mutex_unlock(&server->lock);
    return call;
}

static void drop_abandoned(struct chat_server *server)
{
    for (;;) {
        pthread_mutex_lock(&server->lock);
        struct call *call = server->first;
        while (call != NULL && call->state != CALL_ABANDONED) call = call->next;
        pthread_mutex_unlock(&server->lock);
        if (call == NULL) return;
        engine_cancel(server->engine, call->number);
        let_go(server, call);
    }
}

static struct call *call_of(struct chat_server *server, uint64_t number)
{
    pthread_mutex_lock(&server->lock);
    struct call *call = server->first;
    while (call != NULL && call->number != number) call = call->next;
    pthread_mutex_unlock(&server->lock);
    return call;
}

static void reply(struct chat_server *server, struct engine_result *result)
{
    struct call *call = call_of(server, result->tag);
    if (call != NULL) {
        const struct chat_name name = {
            .model = server->options.model, .number = call->number, .created = time(NULL)};
        call->code = MHD_HTTP_OK;
        call->reply = chat_reply_answers(&name, &call->request, result);
        let_go(server, call);
    }
    engine_result_release(result);
}

static void wait_for_calls(struct chat_server *server)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += WAIT_NANOSECONDS;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&server->lock);
    if (server->first == NULL) pthread_cond_timedwait(&server->arrived, &server->lock, &until);
    pthread_mutex_unlock(&server->lock);
}

enum status chat_server_work(struct chat_server *server)
{
    enum status status = OK;
    struct engine_result result;
    struct call *call;
    drop_abandoned(server);
    while (engine_has_room(server->engine) && (call = next_waiting(server)) != NULL) {
        if (submit(server, call) == OK) continue;
        set_error(call, MHD_HTTP_BAD_REQUEST, status_message(), NULL, NULL);
        status_clear();
        let_go(server, call);
    }
    if (engine_is_idle(server->engine)) wait_for_calls(server);
    TRY(engine_step(server->engine));
    while (engine_take(server->engine, &result)) reply(server, &result);
out:
    return status;
}
