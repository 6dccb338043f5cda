/* See complete_request.h. The wording is ours: the authors' is not public. */
#include "sgedit/complete_request.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/text_buffer.h"
#include "sgedit/edit_text.h"

static const char *const categories[] = {"spatial", "interactional", "functional", "social",
                                         "emotional"};
#define N_CATEGORIES (sizeof categories / sizeof categories[0])

static const char complete_system[] =
    "You describe how the things in a photograph relate. You get the picture as it is, and once "
    "more with the mask, box and id of every thing in question, and for each id a name, a box [x1, "
    "y1, x2, y2] in pixels and the relations known so far.\n"
    "Choose at least %" PRId64 " of the ids as subjects, the ones that matter most in the picture. "
    "For each give a description in one to three sentences (what it is, how it looks, what it does "
    "or what happens to it) and its relations to other ids, each with one of five categories:\n"
    "spatial: where it is, seen from the other;\n"
    "interactional: what it does to the other;\n"
    "functional: what it is for, or part of, with respect to the other;\n"
    "social: how people or animals stand to each other;\n"
    "emotional: what one shows or feels towards the other.\n"
    "Give a category only where the picture supports it. Predicates are short phrases that can "
    "stand between the two names. Use only ids that are given, and never relate an id to itself.";

static json_t *complete_schema(void)
{
    json_t *names = json_array();
    for (size_t i = 0; i < N_CATEGORIES; i++)
        json_array_append_new(names, json_string(categories[i]));
    json_t *relation =
        json_pack("{s:s, s:[s,s,s], s:b, s:{s:{s:s, s:o}, s:{s:s}, s:{s:s}}}", "type", "object",
                  "required", "category", "obj_id", "predicate", "additionalProperties", 0,
                  "properties", "category", "type", "string", "enum", names, "obj_id", "type",
                  "integer", "predicate", "type", "string");
    json_t *subject =
        json_pack("{s:s, s:[s,s,s], s:b, s:{s:{s:s}, s:{s:s}, s:{s:s, s:o}}}", "type", "object",
                  "required", "obj_id", "description", "relations", "additionalProperties", 0,
                  "properties", "obj_id", "type", "integer", "description", "type", "string",
                  "relations", "type", "array", "items", relation);
    json_t *schema = json_pack("{s:s, s:[s], s:b, s:{s:{s:s, s:o}}}", "type", "object", "required",
                               "subjects", "additionalProperties", 0, "properties", "subjects",
                               "type", "array", "items", subject);
    ASSERT(schema != NULL, "a schema could not be made");
    return schema;
}

enum status complete_request_make(struct edit_request *request, const struct record *record,
                                  const struct edit_graph *graph, int64_t min_subjects,
                                  const struct edit_request_options *options)
{
    enum status status = OK;
    edit_request_begin(request, record, graph, TEACHER_COMPLETE);
    if (options->pictures)
        TRY(edit_request_add_drawing(request,
                                     &(struct overlay_style){.longest_side = options->image_side}));
    request->system = text_format(complete_system, min_subjects);
    request->user = edit_request_words(record, graph);
    request->schema = complete_schema();
    edit_request_finish(request, "subjects");
out:
    if (status != OK) edit_request_release(request);
    return status;
}

/* ---- the reply ---- */

static const char *category_word(const json_t *value)
{
    const char *word = json_string_value(value);
    for (size_t i = 0; word != NULL && i < N_CATEGORIES; i++)
        if (strcmp(word, categories[i]) == 0) return categories[i];
    return NULL;
}

static enum status check_subject(const json_t *subject, size_t index)
{
    enum status status = OK;
    const json_t *relations = json_object_get(subject, "relations");
    if (json_object_size(subject) != 3 || !json_is_integer(json_object_get(subject, "obj_id")) ||
        !json_is_string(json_object_get(subject, "description")) || !json_is_array(relations))
        FAIL(ERR_FORMAT, "subjects[%zu] must be {obj_id, description, relations}", index);
    for (size_t i = 0; i < json_array_size(relations); i++) {
        const json_t *row = json_array_get(relations, i);
        if (json_object_size(row) != 3 || category_word(json_object_get(row, "category")) == NULL ||
            !json_is_integer(json_object_get(row, "obj_id")) ||
            !json_is_string(json_object_get(row, "predicate")))
            FAIL(ERR_FORMAT, "subjects[%zu].relations[%zu] must be {category, obj_id, predicate}",
                 index, i);
    }
out:
    return status;
}

static int64_t index_of(const struct edit_graph *graph, const json_t *id)
{
    const json_int_t number = json_integer_value(id);
    const bool is = number >= 1 && number <= graph->n_objects;
    return is && !graph->objects[number - 1].dropped ? number - 1 : -1;
}

/* How many of its things a reply may be expected to speak of. */
static int64_t n_present(const struct edit_graph *graph)
{
    int64_t n = 0;
    for (int64_t i = 0; i < graph->n_objects; i++) n += !graph->objects[i].dropped;
    return n;
}

static enum status check(const json_t *root, const struct edit_graph *graph, int64_t min_subjects)
{
    enum status status = OK;
    const json_t *subjects = json_object_get(root, "subjects");
    bool *seen = memory_new((size_t)graph->n_objects + 1, sizeof *seen);
    int64_t n = 0;
    const int64_t present = n_present(graph),
                  least = min_subjects < present ? min_subjects : present;
    if (!json_is_array(subjects)) FAIL(ERR_FORMAT, "the reply must be an object with 'subjects'");
    for (size_t i = 0; i < json_array_size(subjects); i++) {
        const json_t *subject = json_array_get(subjects, i);
        TRY(check_subject(subject, i));
        const int64_t object = index_of(graph, json_object_get(subject, "obj_id"));
        if (object >= 0 && !seen[object]) n++;
        if (object >= 0) seen[object] = true;
    }
    if (n < least)
        FAIL(ERR_FORMAT, "the reply speaks of %" PRId64 " things, fewer than %" PRId64, n, least);
out:
    free(seen);
    return status;
}

static void refuse(struct edit_graph *graph, const json_t *id, const char *what, const char *why)
{
    char *edit = text_format("object %lld: \"%.60s\"", (long long)json_integer_value(id), what);
    edit_graph_refuse(graph, edit, why);
    free(edit);
}

static void set_description(struct edit_graph *graph, int64_t object, const json_t *subject)
{
    const json_t *id = json_object_get(subject, "obj_id");
    char *text = edit_text_clean(json_string_value(json_object_get(subject, "description")));
    const char *why = edit_text_refusal(text, COMPLETE_MAX_DESCRIPTION_BYTES);
    if (why == NULL) {
        free(graph->objects[object].description);
        graph->objects[object].description = text;
        return;
    }
    refuse(graph, id, text, why);
    free(text);
}

static void add_relation(struct edit_graph *graph, int64_t subject, const json_t *row)
{
    const json_t *id = json_object_get(row, "obj_id");
    char *predicate = edit_text_clean(json_string_value(json_object_get(row, "predicate")));
    const char *why = edit_text_refusal(predicate, EDIT_MAX_PREDICATE_BYTES);
    const struct edit_triple triple = {subject, index_of(graph, id), predicate,
                                       category_word(json_object_get(row, "category"))};
    struct edit_relation *there = triple.object < 0 ? NULL : edit_graph_find(graph, &triple);
    if (triple.object < 0)
        why = "unknown object";
    else if (triple.object == subject)
        why = "a relation to itself";
    else if (why == NULL && there != NULL && there->kind[0] != '\0')
        why = "already there";
    if (why != NULL) {
        refuse(graph, id, predicate, why);
    } else if (there != NULL) { /* known before, now with its category */
        free(there->kind);
        there->kind = text_copy(triple.kind);
    } else {
        edit_graph_add(graph, &triple, EDGE_ADDED);
    }
    free(predicate);
}

enum status complete_reply_apply(struct edit_graph *graph, const char *reply, int64_t min_subjects)
{
    enum status status = OK;
    json_error_t error;
    json_t *root = json_loads(reply, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) FAIL(ERR_FORMAT, "the reply is not JSON: %s", error.text);
    TRY(check(root, graph, min_subjects));
    const json_t *subjects = json_object_get(root, "subjects");
    for (size_t i = 0; i < json_array_size(subjects); i++) {
        const json_t *subject = json_array_get(subjects, i),
                     *id = json_object_get(subject, "obj_id");
        const json_t *relations = json_object_get(subject, "relations");
        const int64_t object = index_of(graph, id);
        if (object < 0) {
            refuse(graph, id, "a subject", "unknown object");
            continue;
        }
        set_description(graph, object, subject);
        for (size_t j = 0; j < json_array_size(relations); j++)
            add_relation(graph, object, json_array_get(relations, j));
    }
out:
    json_decref(root);
    return status;
}
