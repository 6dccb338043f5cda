/* See chat_server.h and chat_server_state.h: the engine's thread. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "base/text_buffer.h"
#include "serve/chat_server_state.h"

#define WAIT_NANOSECONDS   100000000
#define HTTP_CLIENT_CLOSED 499 /* as nginx says it; nobody is there to read it */

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
        call->ended = true;
        server->n_unsent++;
        call_wake(call);
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
                                 : text_format("request %" PRIx64, call->name.number);
    const struct engine_request made = {
        .tag = call->name.number,
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
        server->n_gone += call != NULL;
        pthread_mutex_unlock(&server->lock);
        if (call == NULL) return;
        engine_cancel(server->engine, call->name.number);
        let_go(server, call);
    }
}

/* The other side has closed, or reset, the connection. Lock held: it is not closed here. */
static bool is_gone(const struct call *call)
{
    char byte;
    const ssize_t n = recv(call->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

/* Nobody else sees that the client of a connection that sleeps has gone. */
static void drop_gone(struct chat_server *server)
{
    for (;;) {
        pthread_mutex_lock(&server->lock);
        struct call *call = server->first;
        while (call != NULL && (!call->asleep || !is_gone(call))) call = call->next;
        if (call != NULL && !call->streams)
            call_set_error(call, HTTP_CLIENT_CLOSED, "the connection was closed", NULL, NULL);
        server->n_gone += call != NULL;
        pthread_mutex_unlock(&server->lock);
        if (call == NULL) return;
        engine_cancel(server->engine, call->name.number);
        let_go(server, call);
    }
}

/* ---- answers ---- */

static struct call *call_of(struct chat_server *server, uint64_t number)
{
    pthread_mutex_lock(&server->lock);
    struct call *call = server->first;
    while (call != NULL && call->name.number != number) call = call->next;
    pthread_mutex_unlock(&server->lock);
    return call;
}

static void begin_answer(struct chat_server *server, struct call *call)
{
    call->choices = memory_new((size_t)call->request.n_choices, sizeof *call->choices);
    if (!call->request.stream) return;
    pthread_mutex_lock(&server->lock);
    chat_events_begin(&call->events, &call->name, &call->request);
    call->streams = true;
    if (call->state == CALL_WORKS) call_wake(call);
    pthread_mutex_unlock(&server->lock);
}

/* Takes what choice `index` has come to. */
static void grow(struct chat_server *server, struct call *call, int64_t index,
                 const struct engine_answer *answer)
{
    struct chat_choice *choice = &call->choices[index];
    struct text_buffer piece = {0};
    const bool whole = answer->text != NULL;
    const int64_t n = answer->n_tokens - choice->n_tokens;
    if (choice->ended || (n == 0 && !whole)) return;
    choice->cut = answer->truncated;
    choice->has_yes = answer->yes >= 0;
    choice->yes = answer->yes;
    engine_decode(server->engine, answer->tokens + choice->n_tokens, n, &piece);
    chat_choice_take(choice, &call->request, &piece, n, whole);
    text_release(&piece);
}

static void finish(struct chat_server *server, struct call *call)
{
    pthread_mutex_lock(&server->lock);
    if (call->streams) {
        chat_events_add(&call->events, &call->name, &call->request, call->choices);
        chat_events_end(&call->events, &call->name, &call->request, call->choices,
                        call->prompt_tokens);
    } else {
        call->code = MHD_HTTP_OK;
        call->reply =
            chat_reply_answers(&call->name, &call->request, call->choices, call->prompt_tokens);
    }
    server->n_answered++;
    pthread_mutex_unlock(&server->lock);
    let_go(server, call);
}

/* What the engine's last pass has added to a call's choices; true if all have ended. */
static bool follow(struct chat_server *server, struct call *call)
{
    struct engine_progress progress;
    bool ended = true, grew = false;
    for (int64_t i = 0; i < call->request.n_choices; i++) {
        const int64_t before = call->choices[i].n_tokens;
        if (!engine_look(server->engine, call->name.number, i, 0, &progress)) return false;
        call->prompt_tokens = progress.prompt_tokens;
        grow(server, call, i, progress.answer);
        ended = ended && call->choices[i].ended;
        grew = grew || call->choices[i].n_tokens > before;
    }
    if (!grew || ended || !call->request.stream) return ended;
    pthread_mutex_lock(&server->lock);
    chat_events_add(&call->events, &call->name, &call->request, call->choices);
    if (call->state == CALL_WORKS) call_wake(call);
    pthread_mutex_unlock(&server->lock);
    return false;
}

/* The call behind `call` that works, or the first one. */
static struct call *next_working(struct chat_server *server, struct call *call)
{
    pthread_mutex_lock(&server->lock);
    call = call == NULL ? server->first : call->next;
    while (call != NULL && call->state != CALL_WORKS) call = call->next;
    pthread_mutex_unlock(&server->lock);
    return call;
}

/* Choices that have come to a stop end there, and with the last of them the request. */
static void follow_all(struct chat_server *server)
{
    struct call *next = next_working(server, NULL);
    while (next != NULL) {
        struct call *call = next;
        next = next_working(server, call);
        if (!follow(server, call)) continue;
        engine_cancel(server->engine, call->name.number);
        finish(server, call);
    }
}

static void take_result(struct chat_server *server, struct engine_result *result)
{
    struct call *call = call_of(server, result->tag);
    if (call != NULL) {
        call->prompt_tokens = result->prompt_tokens / result->n_branches;
        for (int64_t i = 0; i < result->n_branches; i++)
            grow(server, call, i, &result->branches[i].answers[0]);
        finish(server, call);
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
    drop_gone(server);
    while (engine_has_room(server->engine) && (call = next_waiting(server)) != NULL) {
        if (submit(server, call) == OK) {
            begin_answer(server, call);
            continue;
        }
        call_set_error(call, MHD_HTTP_BAD_REQUEST, status_message(), NULL, NULL);
        status_clear();
        let_go(server, call);
    }
    if (engine_is_idle(server->engine)) wait_for_calls(server);
    TRY(engine_step(server->engine));
    follow_all(server);
    while (engine_take(server->engine, &result)) take_result(server, &result);
out:
    return status;
}
