/* See batch_teacher.h. */
#include "sgedit/batch_teacher.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_file.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "sgedit/batch_service.h"
#include "sgedit/chat_body.h"
#include "sgedit/service_error.h"

#define QUIET_SECONDS 0.5 /* without another call, after which a file that is not full goes too */
#define MAX_TRIES     5   /* batches that a call may be put into */

struct batched_call {
    char key[CHAT_KEY_TEXT_BYTES];
    struct teacher_call call;
    struct teacher_cost most;
    int64_t batch; /* number in batches; -1: waits for one */
    int batches;   /* that it was in */
    struct batched_call *next;
};

struct batch {       /* a file at the service */
    char *file, *id; /* id NULL: not made yet, of an earlier run */
    json_t *keys;    /* {key: true} of an earlier run; NULL of this one */
    bool ended;
};

struct ready_reply {
    struct teacher_reply reply;
    struct ready_reply *next;
};

struct batch_teacher {
    const struct config_teacher *config;
    struct teacher_limits *limits;
    struct journal *journal;
    struct chat_counts *counts;
    struct batch_service service;
    struct batched_call *calls;
    struct batch *batches;
    int64_t n_batches, n_waiting, waiting_bytes;
    double last_ask, last_poll;
    struct ready_reply *ready;
    bool spent;    /* the account, a result says; what is ready is given out first */
    json_t *known; /* {key: line}: results of earlier runs' batches that nobody asked for yet */
};

static enum status take_line(struct batch_teacher *teacher, const json_t *line, int64_t number);
#define BATCH_KNOWN (-2) /* of a call whose result is in `known` */

static enum status prepare(void *context, struct teacher_call *call_out,
                           const struct teacher_request *request)
{
    const struct batch_teacher *teacher = context;
    return chat_body_write(call_out, request, teacher->config);
}

static struct batch *add_batch(struct batch_teacher *teacher)
{
    teacher->batches =
        memory_resize(teacher->batches, (size_t)teacher->n_batches + 1, sizeof *teacher->batches);
    struct batch *batch = &teacher->batches[teacher->n_batches++];
    *batch = (struct batch){0};
    return batch;
}

/* ---- calls ---- */

/* In a batch that an earlier run sent: its results count. */
static int64_t earlier_batch(const struct batch_teacher *teacher, const char *key)
{
    for (int64_t i = 0; i < teacher->n_batches; i++)
        if (teacher->batches[i].keys != NULL && !teacher->batches[i].ended &&
            json_object_get(teacher->batches[i].keys, key) != NULL)
            return i;
    return -1;
}

static void wait_for_batch(struct batch_teacher *teacher, struct batched_call *call)
{
    call->batch = earlier_batch(teacher, call->key);
    if (call->batch >= 0) return;
    teacher->n_waiting++;
    teacher->waiting_bytes += (int64_t)call->call.size + 200;
    teacher->last_ask = monotonic_seconds();
}

static enum status ask(void *context, struct teacher_call *given)
{
    enum status status = OK;
    struct batch_teacher *teacher = context;
    const struct teacher_cost most =
        teacher_cost_of(teacher->limits, given->tokens_in, given->tokens_out);
    TRY(teacher_limits_reserve(teacher->limits, most));
    struct batched_call *call = memory_new(1, sizeof *call);
    call->call = *given;
    call->most = most;
    *given = (struct teacher_call){0};
    chat_key_text(call->key, call->call.key);
    call->next = teacher->calls;
    teacher->calls = call;
    teacher->counts->sent++;
    json_t *line = json_incref(json_object_get(teacher->known, call->key));
    if (line == NULL) {
        wait_for_batch(teacher, call);
        goto out;
    }
    call->batch = BATCH_KNOWN;
    json_object_del(teacher->known, call->key);
    status = take_line(teacher, line, BATCH_KNOWN);
    json_decref(line);
out:
    return status;
}

static void free_call(struct batched_call *call)
{
    teacher_call_release(&call->call);
    free(call);
}

static struct batched_call *find_call(struct batch_teacher *teacher, const char *key)
{
    for (struct batched_call *at = teacher->calls; at != NULL; at = at->next)
        if (strcmp(at->key, key) == 0) return at;
    return NULL;
}

static void remove_call(struct batch_teacher *teacher, struct batched_call *call)
{
    struct batched_call **at = &teacher->calls;
    while (*at != call) at = &(*at)->next;
    *at = call->next;
    free_call(call);
}

/* ---- sending ---- */

static enum status note(struct batch_teacher *teacher, const struct batch *batch, json_t *keys)
{
    enum status status = OK;
    json_t *root =
        json_pack("{s:s, s:s?, s:O?}", "file", batch->file, "batch", batch->id, "keys", keys);
    char *text = json_dumps(root, JSON_COMPACT);
    const struct journal_frame frame = {
        .kind = JOURNAL_BATCH, .item = -1, .payload = text, .size = (uint32_t)strlen(text)};
    TRY(journal_append(teacher->journal, &frame));
    TRY(journal_sync(teacher->journal));
out:
    free(text);
    json_decref(root);
    return status;
}

/* The lines of calls that wait, as many as a file may have; they belong to batch `number` then. */
static json_t *gather(struct batch_teacher *teacher, struct text_buffer *lines, int64_t number)
{
    json_t *keys = json_object();
    for (struct batched_call *at = teacher->calls; at != NULL; at = at->next) {
        if (at->batch != -1) continue;
        const size_t size = lines->length + at->call.size + 200;
        const bool first = json_object_size(keys) == 0;
        if (!first && ((int64_t)size > teacher->config->batch_bytes ||
                       (int64_t)json_object_size(keys) >= teacher->config->batch_requests))
            break;
        text_printf(lines,
                    "{\"custom_id\":\"%s\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\","
                    "\"body\":",
                    at->key);
        text_append_bytes(lines, at->call.body, at->call.size);
        text_append(lines, "}\n");
        json_object_set_new(keys, at->key, json_true());
        at->batch = number;
        at->batches++;
        teacher->n_waiting--;
        teacher->waiting_bytes -= (int64_t)at->call.size + 200;
    }
    return keys;
}

static enum status send_batch(struct batch_teacher *teacher)
{
    enum status status = OK;
    struct text_buffer lines = {0};
    json_t *keys = gather(teacher, &lines, teacher->n_batches);
    struct batch *batch = add_batch(teacher);
    TRY(batch_service_upload(&teacher->service, lines.text, lines.length, &batch->file));
    TRY(note(teacher, batch, keys));
    TRY(batch_service_make(&teacher->service, batch->file, false, &batch->id));
    TRY(note(teacher, batch, NULL));
    log_info("teacher: batch %s of %zu calls, %.1f MB", batch->id, json_object_size(keys),
             (double)lines.length / 1e6);
out:
    json_decref(keys);
    text_release(&lines);
    return status;
}

static bool is_time_to_send(const struct batch_teacher *teacher)
{
    if (teacher->n_waiting == 0) return false;
    return teacher->n_waiting >= teacher->config->batch_requests ||
           teacher->waiting_bytes >= teacher->config->batch_bytes ||
           monotonic_seconds() - teacher->last_ask >= QUIET_SECONDS;
}

/* ---- results ---- */

static struct teacher_reply *add_ready(struct batch_teacher *teacher, int64_t ticket)
{
    struct ready_reply *ready = memory_new(1, sizeof *ready);
    ready->reply.ticket = ticket;
    ready->next = teacher->ready;
    teacher->ready = ready;
    return &ready->reply;
}

static enum status take_answer(struct batch_teacher *teacher, struct batched_call *call,
                               const json_t *body)
{
    enum status status = OK;
    struct teacher_reply *reply = add_ready(teacher, call->call.ticket);
    reply->raw = json_dumps(body, JSON_COMPACT);
    if (reply->raw == NULL) FAIL(ERR_MEMORY, "no memory for a reply");
    reply->raw_size = strlen(reply->raw);
    teacher_reply_read(reply, reply->raw, reply->raw_size);
    const struct teacher_cost cost =
        teacher_cost_of(teacher->limits, reply->tokens_in, reply->tokens_out);
    reply->cost_nano = cost.nano;
    teacher->counts->paid++;
    teacher->counts->refused += reply->outcome == TEACHER_REFUSED;
    TRY(teacher_limits_count(teacher->limits, call->most, cost, true));
    remove_call(teacher, call);
out:
    return status;
}

/* Not answered: into the next batch, if that can help. */
static enum status take_error(struct batch_teacher *teacher, struct batched_call *call,
                              int64_t code, const json_t *error)
{
    enum status status = OK;
    const bool transient = code == 0 || code == 429 || code >= 500;
    const char *what = json_string_value(json_object_get(error, "message"));
    if (what == NULL) what = error == NULL ? "no result came" : "it does not say why";
    if (transient && call->batches < MAX_TRIES) {
        wait_for_batch(teacher, call);
        goto out;
    }
    struct teacher_reply *reply = add_ready(teacher, call->call.ticket);
    reply->outcome = TEACHER_FAILED;
    reply->why =
        text_format("no answer in %d batches: %" PRId64 " %.200s", call->batches, code, what);
    reply->raw = text_copy(what);
    reply->raw_size = strlen(reply->raw);
    TRY(teacher_limits_count(teacher->limits, call->most, call->most, false));
    remove_call(teacher, call);
out:
    return status;
}

/* A line of the output or error file: {custom_id, response: {status_code, body}, error}. */
static enum status take_line(struct batch_teacher *teacher, const json_t *line, int64_t number)
{
    enum status status = OK;
    const char *key = json_string_value(json_object_get(line, "custom_id"));
    struct batched_call *call = key == NULL ? NULL : find_call(teacher, key);
    const bool earlier = number == BATCH_KNOWN || teacher->batches[number].keys != NULL;
    if (call == NULL && key != NULL && earlier)
        json_object_set(teacher->known, key, (json_t *)(uintptr_t)line);
    if (call == NULL || call->batch != number) return OK; /* answered before, or not ours */
    const json_t *response = json_object_get(line, "response");
    const json_t *body = json_object_get(response, "body");
    const int64_t code = json_integer_value(json_object_get(response, "status_code"));
    if (code == 200 && body != NULL) return take_answer(teacher, call, body);
    const json_t *error = json_object_get(line, "error");
    if (!json_is_object(error)) error = json_object_get(body, "error");
    if (!json_is_object(error)) error = line; /* which says nothing */
    /* of an earlier start it is old news: the account may have been filled since */
    if (!earlier && service_error_is_spent(error)) teacher->spent = true;
    TRY(take_error(teacher, call, code, error));
out:
    return status;
}

static enum status take_file(struct batch_teacher *teacher, const char *file, int64_t number)
{
    enum status status = OK;
    char *text = NULL;
    size_t size = 0;
    json_t *line = NULL;
    int64_t n = 0;
    if (file == NULL) return OK;
    TRY(batch_service_fetch(&teacher->service, file, &text, &size));
    http_client_blank(teacher->service.client, text, size);
    for (const char *at = text; at < text + size; n++) {
        const char *end = memchr(at, '\n', size - (size_t)(at - text));
        if (end == NULL) end = text + size;
        if (end > at) {
            json_decref(line);
            line = NULL;
            TRY(json_line_parse(&line, at, (size_t)(end - at), file, n + 1));
            TRY(take_line(teacher, line, number));
        }
        at = end + 1;
    }
out:
    json_decref(line);
    free(text);
    return status;
}

/* What has no line in either file was not worked on. */
static enum status take_rest(struct batch_teacher *teacher, int64_t number)
{
    enum status status = OK;
    struct batched_call *next = NULL;
    for (struct batched_call *at = teacher->calls; at != NULL; at = next) {
        next = at->next;
        if (at->batch == number) TRY(take_error(teacher, at, 0, NULL));
    }
out:
    return status;
}

static bool is_awaited(const struct batch_teacher *teacher, int64_t number)
{
    if (teacher->batches[number].ended) return false;
    for (const struct batched_call *at = teacher->calls; at != NULL; at = at->next)
        if (at->batch == number) return true;
    return false;
}

/* A batch of an earlier start that failed is put together again, one of this start ends the run. */
static enum status check_failed(const struct batch *batch, const struct batch_answer *answer)
{
    enum status status = OK;
    const char *why = answer->why != NULL ? answer->why : "it does not say why";
    if (batch->keys != NULL) return OK;
    if (answer->spent) TRY(service_error_spent());
    FAIL(ERR_IO, "the teacher did not take batch %s: %.300s", batch->id, why);
out:
    return status;
}

static enum status poll_batch(struct batch_teacher *teacher, int64_t number)
{
    enum status status = OK;
    struct batch *batch = &teacher->batches[number];
    struct batch_answer answer = {0};
    if (batch->id == NULL) {
        TRY(batch_service_make(&teacher->service, batch->file, true, &batch->id));
        TRY(note(teacher, batch, NULL));
    }
    TRY(batch_service_ask(&teacher->service, batch->id, &answer));
    if (answer.failed) TRY(check_failed(batch, &answer));
    if (!answer.ended && !answer.failed) goto out;
    if (strcmp(answer.status, "completed") != 0)
        log_warn("teacher: batch %s is %s; calls without a result go into the next", batch->id,
                 answer.status);
    batch->ended = true;
    TRY(take_file(teacher, answer.output, number));
    TRY(take_file(teacher, answer.errors, number));
    TRY(take_rest(teacher, number));
out:
    batch_answer_release(&answer);
    return status;
}

static enum status poll_batches(struct batch_teacher *teacher)
{
    enum status status = OK;
    const double now = monotonic_seconds();
    if (now - teacher->last_poll < teacher->config->poll_seconds) return OK;
    teacher->last_poll = now;
    for (int64_t i = 0; i < teacher->n_batches; i++)
        if (is_awaited(teacher, i)) TRY(poll_batch(teacher, i));
out:
    return status;
}

static enum status collect(void *context, int wait_ms, struct teacher_reply *reply_out, bool *got)
{
    enum status status = OK;
    struct batch_teacher *teacher = context;
    *got = false;
    *reply_out = (struct teacher_reply){0};
    if (teacher->ready == NULL && teacher->spent) TRY(service_error_spent());
    if (teacher->ready == NULL && is_time_to_send(teacher)) TRY(send_batch(teacher));
    if (teacher->ready == NULL) TRY(poll_batches(teacher));
    struct ready_reply *ready = teacher->ready;
    if (ready != NULL) {
        *reply_out = ready->reply;
        *got = true;
        teacher->ready = ready->next;
        free(ready);
    } else if (wait_ms > 0) {
        usleep((useconds_t)wait_ms * 1000);
    }
out:
    return status;
}

/* ---- of earlier runs ---- */

static enum status take_note(struct batch_teacher *teacher, const struct journal_frame *frame)
{
    enum status status = OK;
    json_t *root = NULL;
    const char *file = NULL;
    struct batch *batch = NULL;
    TRY(json_line_parse(&root, frame->payload, frame->size, "journal", 0));
    TRY(json_field_string(&file, root, "file", (struct json_place){"journal", "batch"}));
    for (int64_t i = 0; i < teacher->n_batches && batch == NULL; i++)
        if (strcmp(teacher->batches[i].file, file) == 0) batch = &teacher->batches[i];
    if (batch == NULL) {
        batch = add_batch(teacher);
        batch->file = text_copy(file);
    }
    const char *id = json_string_value(json_object_get(root, "batch"));
    if (id != NULL && batch->id == NULL) batch->id = text_copy(id);
    if (batch->keys == NULL) batch->keys = json_incref(json_object_get(root, "keys"));
out:
    json_decref(root);
    return status;
}

static enum status read_notes(struct batch_teacher *teacher)
{
    enum status status = OK;
    struct journal_frame frame = {0};
    for (int64_t i = 0; i < journal_n_batches(teacher->journal); i++) {
        journal_frame_release(&frame);
        TRY(journal_read(teacher->journal, journal_batch(teacher->journal, i), &frame));
        TRY(take_note(teacher, &frame));
    }
out:
    journal_frame_release(&frame);
    return status;
}

static void release(void *context)
{
    struct batch_teacher *teacher = context;
    http_client_destroy(teacher->service.client);
    while (teacher->calls != NULL) remove_call(teacher, teacher->calls);
    for (int64_t i = 0; i < teacher->n_batches; i++) {
        free(teacher->batches[i].file);
        free(teacher->batches[i].id);
        json_decref(teacher->batches[i].keys);
    }
    while (teacher->ready != NULL) {
        struct ready_reply *next = teacher->ready->next;
        teacher_reply_release(&teacher->ready->reply);
        free(teacher->ready);
        teacher->ready = next;
    }
    json_decref(teacher->known);
    free(teacher->batches);
    free(teacher);
}

enum status batch_teacher_create(struct teacher *teacher_out, const struct config_teacher *config,
                                 struct teacher_limits *limits, struct journal *journal,
                                 struct chat_counts *counts)
{
    enum status status = OK;
    struct batch_teacher *teacher = memory_new(1, sizeof *teacher);
    const struct http_options options = {.url = config->url,
                                         .key_env = config->key_env,
                                         .key_file = config->key_file,
                                         .ca_file = config->ca_file,
                                         .timeout_seconds = config->timeout_seconds};
    *teacher = (struct batch_teacher){.config = config,
                                      .limits = limits,
                                      .journal = journal,
                                      .counts = counts,
                                      .known = json_object()};
    TRY(http_client_create(&teacher->service.client, &options));
    teacher->service.config = config;
    TRY(read_notes(teacher));
    *teacher_out = (struct teacher){config->model, true, teacher, prepare, ask, collect, release};
    teacher = NULL;
out:
    if (teacher != NULL) release(teacher);
    return status;
}
