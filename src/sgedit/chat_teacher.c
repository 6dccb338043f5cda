/* See chat_teacher.h. */
#include "sgedit/chat_teacher.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text_buffer.h"
#include "sgedit/chat_body.h"
#include "sgedit/http_client.h"
#include "sgedit/service_error.h"

struct waiting { /* a call until its reply */
    struct teacher_call call;
    struct teacher_cost most;
    int64_t id;
    int tries; /* that failed */
    double not_before;
    int64_t answered; /* how many calls had been answered when this one was first sent */
    bool flying;
    char *last_error;
    struct waiting *next;
};

struct chat_teacher {
    const struct config_teacher *config;
    struct teacher_limits *limits;
    struct chat_counts *counts;
    struct http_client *client;
    struct waiting *calls;
    struct random_stream jitter;
    int64_t n_ids, n_answered;
    double ask_again;   /* the limits said so */
    enum status ending; /* not OK: the run ends, as `why` says, once nothing is under way */
    char *why;
};

static enum status prepare(void *context, struct teacher_call *call_out,
                           const struct teacher_request *request)
{
    const struct chat_teacher *teacher = context;
    return chat_body_write(call_out, request, teacher->config);
}

static enum status ask(void *context, struct teacher_call *call)
{
    struct chat_teacher *teacher = context;
    struct waiting *waiting = memory_new(1, sizeof *waiting), **last = &teacher->calls;
    waiting->call = *call;
    waiting->id = ++teacher->n_ids;
    waiting->most = teacher_cost_of(teacher->limits, call->tokens_in, call->tokens_out);
    *call = (struct teacher_call){0};
    while (*last != NULL) last = &(*last)->next;
    *last = waiting;
    return OK;
}

/* Starts what may start; stops at the first that the limits hold back. */
static enum status start_calls(struct chat_teacher *teacher)
{
    enum status status = OK;
    const double now = monotonic_seconds();
    char key[CHAT_KEY_TEXT_BYTES];
    for (struct waiting *at = teacher->calls; at != NULL && now >= teacher->ask_again;
         at = at->next) {
        double wait = 0;
        if (at->flying || at->not_before > now) continue;
        TRY(teacher_limits_admit(teacher->limits, at->most, &wait));
        if (wait > 0) {
            teacher->ask_again = now + wait;
            break;
        }
        chat_key_text(key, at->call.key);
        const struct http_request request = {.path = "/chat/completions",
                                             .content_type = "application/json",
                                             .body = at->call.body,
                                             .size = at->call.size,
                                             .call_key = key,
                                             .tag = at->id};
        if (at->tries == 0) at->answered = teacher->n_answered;
        at->flying = true;
        teacher->counts->sent++;
        TRY(http_client_start(teacher->client, &request));
    }
out:
    return status;
}

static void free_waiting(struct waiting *waiting)
{
    teacher_call_release(&waiting->call);
    free(waiting->last_error);
    free(waiting);
}

static struct waiting *take_waiting(struct chat_teacher *teacher, const struct waiting *which)
{
    struct waiting **at = &teacher->calls;
    while (*at != which) at = &(*at)->next;
    struct waiting *found = *at;
    *at = found->next;
    return found;
}

static struct waiting *waiting_of(struct chat_teacher *teacher, int64_t id)
{
    struct waiting *at = teacher->calls;
    while (at->id != id) at = at->next;
    return at;
}

static void end_call(struct chat_teacher *teacher, struct waiting *waiting,
                     struct teacher_reply *reply)
{
    reply->ticket = waiting->call.ticket;
    free_waiting(take_waiting(teacher, waiting));
}

static enum status take_answer(struct chat_teacher *teacher, struct waiting *waiting,
                               struct http_response *response, struct teacher_reply *reply)
{
    enum status status = OK;
    teacher_reply_read(reply, response->body, response->size);
    reply->raw = response->body;
    reply->raw_size = response->size;
    response->body = NULL;
    const struct teacher_cost cost =
        teacher_cost_of(teacher->limits, reply->tokens_in, reply->tokens_out);
    reply->cost_nano = cost.nano;
    teacher->n_answered++;
    teacher->counts->paid++;
    teacher->counts->refused += reply->outcome == TEACHER_REFUSED;
    teacher->counts->tokens_in += reply->tokens_in;
    teacher->counts->tokens_out += reply->tokens_out;
    TRY(teacher_limits_settle(teacher->limits, waiting->most, cost, true));
    end_call(teacher, waiting, reply);
out:
    return status;
}

static void count_error(struct chat_counts *counts, const struct http_response *response)
{
    counts->rate_limited += response->code == 429;
    counts->server_errors += response->code >= 500;
    counts->network_errors += response->code == 0;
}

/* Full jitter: anywhere below a bound that doubles; never before Retry-After. */
static double next_wait(struct chat_teacher *teacher, const struct waiting *waiting,
                        const struct http_response *response)
{
    double bound = teacher->config->backoff_seconds;
    for (int i = 1; i < waiting->tries && bound < teacher->config->max_backoff_seconds; i++)
        bound *= 2;
    if (bound > teacher->config->max_backoff_seconds) bound = teacher->config->max_backoff_seconds;
    const uint64_t draw = (uint64_t)waiting->id * 1024 + (uint64_t)waiting->tries;
    const double wait = bound * random_uniform(teacher->jitter, draw);
    return response->retry_after_seconds > wait ? response->retry_after_seconds : wait;
}

static bool may_try_again(const struct chat_teacher *teacher, const struct waiting *waiting,
                          const struct http_response *response)
{
    const bool once = response->code == 408 || response->code == 409;
    const bool transient = once || response->code == 0 || response->code == 429 ||
                           response->code == 500 || response->code == 502 ||
                           response->code == 503 || response->code == 504;
    return transient && waiting->tries < (once ? 2 : teacher->config->tries);
}

/* No call is sent from now on; those under way may be paid for, so their answers come first. */
static void end_run(struct chat_teacher *teacher, enum status status)
{
    if (teacher->ending != OK) return;
    teacher->ending = status;
    teacher->why = text_copy(status_message());
    status_clear();
}

static void log_said(const struct waiting *waiting, const struct http_response *response,
                     const char *text)
{
    char key[CHAT_KEY_TEXT_BYTES];
    chat_key_text(key, waiting->call.key);
    log_debug("teacher: call %s: %ld %s (try %d)", key, response->code, text, waiting->tries);
}

/* Not answered. A reply is made (`*ended`) when it is not tried again. */
static enum status take_error(struct chat_teacher *teacher, struct waiting *waiting,
                              const struct http_response *response, struct teacher_reply *reply,
                              bool *ended)
{
    enum status status = OK;
    char *text = service_error_text(response);
    const bool sure = response->code >= 400 || response->not_sent;
    waiting->tries++;
    waiting->flying = false;
    count_error(teacher->counts, response);
    TRY(teacher_limits_settle(teacher->limits, waiting->most, waiting->most, !sure));
    log_said(waiting, response, text);
    status = service_error_check(response, text);
    if (status != OK) end_run(teacher, status);
    status = OK;
    if (teacher->ending != OK) goto out;
    if (may_try_again(teacher, waiting, response)) {
        waiting->not_before = monotonic_seconds() + next_wait(teacher, waiting, response);
        goto out;
    }
    const bool transient = response->code == 0 || response->code == 429 || response->code >= 500;
    if (transient && teacher->n_answered == waiting->answered) {
        end_run(teacher, status_fail(ERR_IO,
                                     "the teacher did not answer after %d tries, the last: %ld %s; "
                                     "nothing finished is lost, start again to go on",
                                     waiting->tries, response->code, text));
        goto out;
    }
    *reply = (struct teacher_reply){.outcome = TEACHER_FAILED};
    reply->why = text_format("no answer after %d tries, the last: %ld %s", waiting->tries,
                             response->code, text);
    reply->raw = text_copy(response->body != NULL ? response->body : "");
    reply->raw_size = strlen(reply->raw);
    end_call(teacher, waiting, reply);
    *ended = true;
out:
    free(text);
    return status;
}

static void wait_a_little(int ms)
{
    if (ms > 0) usleep((useconds_t)ms * 1000);
}

static enum status collect(void *context, int wait_ms, struct teacher_reply *reply_out, bool *got)
{
    enum status status = OK;
    struct chat_teacher *teacher = context;
    struct http_response response = {0};
    bool arrived = false;
    *got = false;
    *reply_out = (struct teacher_reply){0};
    if (teacher->calls == NULL) return OK;
    if (teacher->ending != OK && http_client_n_flying(teacher->client) == 0)
        FAIL(teacher->ending, "%s", teacher->why);
    if (teacher->ending == OK) TRY(start_calls(teacher));
    if (http_client_n_flying(teacher->client) == 0) wait_a_little(wait_ms);
    TRY(http_client_collect(teacher->client, wait_ms, &response, &arrived));
    if (!arrived) goto out;
    struct waiting *waiting = waiting_of(teacher, response.tag);
    if (response.code == 200) {
        TRY(take_answer(teacher, waiting, &response, reply_out));
        *got = true;
    } else {
        TRY(take_error(teacher, waiting, &response, reply_out, got));
    }
out:
    http_response_release(&response);
    return status;
}

static void release(void *context)
{
    struct chat_teacher *teacher = context;
    http_client_destroy(teacher->client);
    while (teacher->calls != NULL) free_waiting(take_waiting(teacher, teacher->calls));
    free(teacher->why);
    free(teacher);
}

enum status chat_teacher_create(struct teacher *teacher_out, const struct config_teacher *config,
                                struct teacher_limits *limits, struct chat_counts *counts)
{
    enum status status = OK;
    struct chat_teacher *teacher = memory_new(1, sizeof *teacher);
    const struct http_options options = {.url = config->url,
                                         .key_env = config->key_env,
                                         .key_file = config->key_file,
                                         .ca_file = config->ca_file,
                                         .timeout_seconds = config->timeout_seconds};
    teacher->config = config;
    teacher->limits = limits;
    teacher->counts = counts;
    teacher->jitter = random_stream((uint64_t)getpid(), "teacher.jitter");
    TRY(http_client_create(&teacher->client, &options));
    *teacher_out = (struct teacher){config->model, true, teacher, prepare, ask, collect, release};
    teacher = NULL;
out:
    free(teacher);
    return status;
}
