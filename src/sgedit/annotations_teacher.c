/* See annotations_teacher.h. */
#include "sgedit/annotations_teacher.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/random.h"
#include "base/text_buffer.h"
#include "sgedit/chat_body.h"
#include "sgedit/truth.h"

/* ---- answers ---- */

struct answering {
    const struct teacher_request *request;
    const struct annotations_options *options;
    struct scene_graph truth;
    struct random_stream draws;
};

/* Draws are by picture and by what is decided, so they do not move when something else does. */
static bool errs(const struct answering *answering, uint64_t what, uint64_t a, uint64_t b)
{
    return random_uniform(answering->draws, what << 40 | a << 20 | b) < answering->options->noise;
}

static void add_id(json_t *list, const char *predicate, int64_t id)
{
    json_t *row;
    size_t i;
    json_array_foreach(list, i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "rel")), predicate) != 0) continue;
        json_array_append_new(json_object_get(row, "obj_ids"), json_integer(id));
        return;
    }
    row = json_pack("{s:s, s:[I]}", "rel", predicate, "obj_ids", (json_int_t)id);
    ASSERT(row != NULL, "an edit could not be made");
    json_array_append_new(list, row);
}

static json_t *missing_of(const struct answering *answering, int64_t subject)
{
    const struct edit_graph *graph = answering->request->graph;
    const struct scene_graph *truth = &answering->truth;
    json_t *list = json_array();
    for (int64_t i = 0; i < truth->n_relations; i++) {
        const struct scene_relation *relation = &truth->relations[i];
        const struct edit_triple triple = {relation->subject, relation->object, relation->predicate,
                                           ""};
        if (relation->subject != subject || edit_graph_find(graph, &triple) != NULL) continue;
        if (!errs(answering, 1, (uint64_t)i, 0))
            add_id(list, relation->predicate, relation->object + 1);
    }
    /* A mistake: the words of one relation about another thing. */
    const int64_t n = graph->n_objects;
    if (truth->n_relations > 0 && n > 1 && errs(answering, 2, (uint64_t)subject, 0)) {
        const uint64_t draw = (uint64_t)3 << 40 | (uint64_t)subject;
        const uint64_t which = random_below(answering->draws, draw, (uint64_t)truth->n_relations);
        const char *predicate = truth->relations[which].predicate;
        const int64_t object = (subject + 1 + (int64_t)(which % (uint64_t)(n - 1))) % n;
        const struct edit_triple triple = {subject, object, predicate, ""};
        if (object != subject && edit_graph_find(graph, &triple) == NULL)
            add_id(list, predicate, object + 1);
    }
    return list;
}

static json_t *wrong_of(const struct answering *answering, int64_t subject)
{
    const struct edit_graph *graph = answering->request->graph;
    json_t *list = json_array();
    for (int64_t i = 0; i < graph->n_relations; i++) {
        const struct edit_relation *relation = &graph->relations[i];
        if (relation->subject != subject || relation->fate != EDGE_KEPT) continue;
        const bool holds =
            truth_holds(&answering->truth, subject, relation->object, relation->predicate);
        if (holds == errs(answering, 4, (uint64_t)i, 0))
            add_id(list, relation->predicate, relation->object + 1);
    }
    return list;
}

static json_t *edit_of(const struct answering *answering, int64_t i)
{
    const char *name = answering->truth.objects[i].name;
    const bool wrong = strcmp(name, answering->request->graph->objects[i].name) != 0;
    char *id = text_format("%" PRId64, i + 1);
    json_t *add = missing_of(answering, i), *gone = wrong_of(answering, i), *edit = NULL;
    const bool renames = wrong && !errs(answering, 5, (uint64_t)i, 0);
    if (renames || json_array_size(add) > 0 || json_array_size(gone) > 0)
        edit = json_pack("{s:s, s:s, s:O, s:O}", "obj_id", id, "name", renames ? name : "", "add",
                         add, "remove", gone);
    json_decref(add);
    json_decref(gone);
    free(id);
    return edit;
}

static json_t *edits(const struct answering *answering)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < answering->request->graph->n_objects; i++) {
        if (answering->request->graph->objects[i].dropped) continue;
        json_t *edit = edit_of(answering, i);
        if (edit != NULL) json_array_append_new(list, edit);
    }
    return json_pack("{s:o}", "edit", list);
}

static json_t *judgements(const struct answering *answering)
{
    const struct teacher_request *request = answering->request;
    json_t *list = json_array();
    for (int64_t i = 0; i < request->n_relations; i++) {
        const struct edit_relation *relation = &request->graph->relations[request->relations[i]];
        const bool holds = truth_holds(&answering->truth, relation->subject, relation->object,
                                       relation->predicate);
        const bool yes = holds != errs(answering, 6, (uint64_t)request->relations[i], 0);
        json_array_append_new(
            list, json_pack("{s:I, s:b}", "statement", (json_int_t)(i + 1), "yes", (int)yes));
    }
    return json_pack("{s:o}", "answers", list);
}

/* The first relation of the truth with those words decides the category. */
static const char *kind_of(const struct record *record, const struct scene_relation *relation)
{
    for (int64_t i = 0; i < record->n_relations; i++) {
        const struct record_relation *known = &record->relations[i];
        if (record->objects[known->subject].region == relation->subject &&
            record->objects[known->object].region == relation->object &&
            strcmp(known->predicate, relation->predicate) == 0 && known->kind[0] != '\0')
            return known->kind;
    }
    return "spatial";
}

static json_t *subject_of(const struct answering *answering, int64_t subject)
{
    const struct scene_graph *truth = &answering->truth;
    json_t *relations = json_array();
    for (int64_t i = 0; i < truth->n_relations; i++) {
        const struct scene_relation *relation = &truth->relations[i];
        if (relation->subject != subject || errs(answering, 7, (uint64_t)i, 0)) continue;
        json_array_append_new(relations, json_pack("{s:s, s:I, s:s}", "category",
                                                   kind_of(answering->request->record, relation),
                                                   "obj_id", (json_int_t)(relation->object + 1),
                                                   "predicate", relation->predicate));
    }
    char *text = text_format("There is a thing here: %s.", truth->objects[subject].name);
    json_t *row = json_pack("{s:I, s:s, s:o}", "obj_id", (json_int_t)(subject + 1), "description",
                            text, "relations", relations);
    free(text);
    return row;
}

static json_t *subjects(const struct answering *answering)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < answering->request->graph->n_objects; i++)
        if (!answering->request->graph->objects[i].dropped)
            json_array_append_new(list, subject_of(answering, i));
    return json_pack("{s:o}", "subjects", list);
}

static json_t *answer_of(const struct answering *answering)
{
    switch (answering->request->task) {
    case TEACHER_JUDGE: return judgements(answering);
    case TEACHER_COMPLETE: return subjects(answering);
    case TEACHER_EDIT: break;
    }
    return edits(answering);
}

char *annotations_answer(const struct teacher_request *request,
                         const struct annotations_options *options)
{
    struct answering answering = {
        request, options, {0}, random_stream(options->seed, request->record->id)};
    truth_graph(&answering.truth, request->record);
    json_t *root = answer_of(&answering);
    ASSERT(root != NULL, "an answer could not be made");
    char *text = json_dumps(root, JSON_COMPACT);
    ASSERT(text != NULL, "an answer could not be written");
    json_decref(root);
    scene_graph_release(&answering.truth);
    return text;
}

/* ---- as a teacher ---- */

struct local_teacher {
    struct annotations_options options;
    struct ready_reply {
        char *raw;
        int64_t ticket;
        struct ready_reply *next;
    } * ready, **last;
};

static enum status prepare(void *context, struct teacher_call *call_out,
                           const struct teacher_request *request)
{
    const struct local_teacher *local = context;
    char *answer = annotations_answer(request, &local->options);
    *call_out = (struct teacher_call){.body = teacher_reply_write(answer, "annotations")};
    call_out->size = strlen(call_out->body);
    chat_local_key(call_out->key, "annotations", request);
    free(answer);
    return OK;
}

/* The answer was made with the call. */
static enum status ask(void *context, struct teacher_call *call)
{
    struct local_teacher *local = context;
    struct ready_reply *reply = memory_new(1, sizeof *reply);
    *reply = (struct ready_reply){.raw = call->body, .ticket = call->ticket};
    call->body = NULL;
    *local->last = reply;
    local->last = &reply->next;
    return OK;
}

static enum status collect(void *context, int wait_ms, struct teacher_reply *reply_out, bool *got)
{
    struct local_teacher *local = context;
    struct ready_reply *reply = local->ready;
    (void)wait_ms;
    *reply_out = (struct teacher_reply){0};
    *got = reply != NULL;
    if (reply == NULL) return OK;
    local->ready = reply->next;
    if (local->ready == NULL) local->last = &local->ready;
    teacher_reply_read(reply_out, reply->raw, strlen(reply->raw));
    reply_out->ticket = reply->ticket;
    reply_out->raw = reply->raw;
    reply_out->raw_size = strlen(reply->raw);
    free(reply);
    return OK;
}

static void release(void *context)
{
    struct local_teacher *local = context;
    while (local->ready != NULL) {
        struct ready_reply *next = local->ready->next;
        free(local->ready->raw);
        free(local->ready);
        local->ready = next;
    }
    free(local);
}

enum status annotations_teacher_create(struct teacher *teacher_out,
                                       const struct annotations_options *options)
{
    struct local_teacher *local = memory_new(1, sizeof *local);
    local->options = *options;
    local->last = &local->ready;
    *teacher_out = (struct teacher){"annotations", false, local, prepare, ask, collect, release};
    return OK;
}
