/* See edit_graph.h. */
#include "sgedit/edit_graph.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/json_file.h"
#include "base/text_buffer.h"
#include "sgedit/edit_text.h"

const char *const edge_origin_names[N_EDGE_ORIGINS] = {"drafted", "added"};
const char *const edge_fate_names[N_EDGE_FATES] = {"kept", "removed", "dropped"};

void edit_graph_release(struct edit_graph *graph)
{
    for (int64_t i = 0; i < graph->n_objects; i++) {
        struct edit_object *object = &graph->objects[i];
        free(object->name);
        free(object->draft_name);
        free(object->by);
        free(object->why);
        free(object->description);
    }
    for (int64_t i = 0; i < graph->n_relations; i++) {
        struct edit_relation *relation = &graph->relations[i];
        free(relation->predicate);
        free(relation->kind);
        free(relation->by);
        free(relation->why);
    }
    for (int64_t i = 0; i < graph->n_refusals; i++) {
        free(graph->refusals[i].edit);
        free(graph->refusals[i].why);
    }
    free(graph->objects);
    free(graph->relations);
    free(graph->refusals);
    free(graph->failure);
    *graph = (struct edit_graph){0};
}

/* Room for one more of n; grows at powers of two. */
static void *grow(void *array, int64_t n, size_t size)
{
    if ((n & (n - 1)) != 0) return array;
    return memory_resize(array, n == 0 ? 1 : 2 * (size_t)n, size);
}

void edit_graph_add(struct edit_graph *graph, const struct edit_triple *triple,
                    enum edge_origin origin)
{
    graph->relations = grow(graph->relations, graph->n_relations, sizeof *graph->relations);
    graph->relations[graph->n_relations++] =
        (struct edit_relation){.subject = triple->subject,
                               .object = triple->object,
                               .predicate = text_copy(triple->predicate),
                               .kind = text_copy(triple->kind),
                               .origin = origin,
                               .by = text_copy(""),
                               .why = text_copy("")};
}

void edit_graph_refuse(struct edit_graph *graph, const char *edit, const char *why)
{
    graph->refusals = grow(graph->refusals, graph->n_refusals, sizeof *graph->refusals);
    graph->refusals[graph->n_refusals++] =
        (struct edit_refusal){.edit = text_copy(edit), .why = text_copy(why)};
}

void edit_relation_end(struct edit_relation *relation, enum edge_fate fate, const char *by,
                       const char *why)
{
    free(relation->by);
    free(relation->why);
    relation->fate = fate;
    relation->by = text_copy(by);
    relation->why = text_copy(why);
}

struct edit_relation *edit_graph_find(const struct edit_graph *graph,
                                      const struct edit_triple *triple)
{
    for (int64_t i = 0; i < graph->n_relations; i++) {
        struct edit_relation *relation = &graph->relations[i];
        if (relation->fate == EDGE_KEPT && relation->subject == triple->subject &&
            relation->object == triple->object &&
            strcmp(relation->predicate, triple->predicate) == 0)
            return relation;
    }
    return NULL;
}

/* ---- from a draft ---- */

static void begin_object(struct edit_graph *graph, const struct scene_graph *draft,
                         const struct box *boxes, int64_t i)
{
    const bool given = i < draft->n_objects && draft->objects[i].name != NULL;
    char *name = edit_text_clean(given ? draft->objects[i].name : "");
    const char *why = edit_text_refusal(name, EDIT_MAX_NAME_BYTES);
    if (why != NULL && given && name[0] != '\0') {
        char *edit = text_format("draft: name of object %" PRId64, i + 1);
        edit_graph_refuse(graph, edit, why);
        free(edit);
    }
    if (why != NULL) { /* every region needs a name to be spoken of */
        free(name);
        name = text_copy("object");
    }
    graph->objects[i] = (struct edit_object){.name = name,
                                             .draft_name = text_copy(name),
                                             .by = text_copy(""),
                                             .why = text_copy(""),
                                             .description = text_copy(""),
                                             .box = boxes[i]};
}

static void begin_relation(struct edit_graph *graph, const struct scene_relation *relation)
{
    char *predicate = edit_text_clean(relation->predicate);
    const struct edit_triple triple = {relation->subject, relation->object, predicate, ""};
    const int64_t n = graph->n_objects;
    const char *why = edit_text_refusal(predicate, EDIT_MAX_PREDICATE_BYTES);
    if (triple.subject < 0 || triple.subject >= n || triple.object < 0 || triple.object >= n)
        why = "no such object";
    else if (triple.subject == triple.object)
        why = "a relation to itself";
    else if (why == NULL && edit_graph_find(graph, &triple) != NULL)
        why = "repeated";
    if (why == NULL) {
        edit_graph_add(graph, &triple, EDGE_DRAFTED);
    } else {
        char *edit = text_format("draft: [%" PRId64 ", %" PRId64 ", \"%.60s\"]", triple.subject + 1,
                                 triple.object + 1, predicate);
        edit_graph_refuse(graph, edit, why);
        free(edit);
    }
    free(predicate);
}

void edit_graph_begin(struct edit_graph *graph, const struct scene_graph *draft,
                      const struct box *boxes, int64_t n_regions)
{
    *graph = (struct edit_graph){.n_objects = n_regions};
    graph->objects = memory_new((size_t)n_regions + 1, sizeof *graph->objects);
    for (int64_t i = 0; i < n_regions; i++) begin_object(graph, draft, boxes, i);
    for (int64_t i = 0; i < draft->n_relations; i++) begin_relation(graph, &draft->relations[i]);
}

/* ---- as JSON ---- */

/* A text that is not UTF-8 cannot be JSON; what is cut off here was refused before. */
static json_t *text_json(const char *text)
{
    json_t *value = json_string(text);
    return value != NULL ? value : json_string("(not UTF-8)");
}

static json_t *object_json(const struct edit_object *object)
{
    json_t *json = json_object();
    json_object_set_new(json, "name", text_json(object->name));
    if (strcmp(object->name, object->draft_name) != 0)
        json_object_set_new(json, "draft", text_json(object->draft_name));
    if (object->description[0] != '\0')
        json_object_set_new(json, "description", text_json(object->description));
    if (object->dropped) {
        json_object_set_new(json, "by", text_json(object->by));
        json_object_set_new(json, "why", text_json(object->why));
    }
    return json;
}

static json_t *relation_json(const struct edit_relation *relation)
{
    json_t *json = json_array();
    json_array_append_new(json, json_integer(relation->subject));
    json_array_append_new(json, json_integer(relation->object));
    json_array_append_new(json, text_json(relation->predicate));
    json_array_append_new(json, text_json(relation->kind));
    json_array_append_new(json, json_string(edge_origin_names[relation->origin]));
    if (relation->fate == EDGE_KEPT) return json;
    json_array_append_new(json, json_string(edge_fate_names[relation->fate]));
    json_array_append_new(json, text_json(relation->by));
    json_array_append_new(json, text_json(relation->why));
    return json;
}

json_t *edit_graph_to_json(const struct edit_graph *graph)
{
    json_t *root = json_object(), *objects = json_array(), *relations = json_array();
    json_t *refused = json_array();
    for (int64_t i = 0; i < graph->n_objects; i++)
        json_array_append_new(objects, object_json(&graph->objects[i]));
    for (int64_t i = 0; i < graph->n_relations; i++)
        json_array_append_new(relations, relation_json(&graph->relations[i]));
    for (int64_t i = 0; i < graph->n_refusals; i++) {
        json_t *row = json_array();
        json_array_append_new(row, text_json(graph->refusals[i].edit));
        json_array_append_new(row, text_json(graph->refusals[i].why));
        json_array_append_new(refused, row);
    }
    json_object_set_new(root, "objects", objects);
    json_object_set_new(root, "relations", relations);
    json_object_set_new(root, "refused", refused);
    if (graph->failure != NULL) json_object_set_new(root, "failure", text_json(graph->failure));
    if (graph->truncated) json_object_set_new(root, "truncated", json_true());
    if (graph->n_proposals > 0) {
        json_object_set_new(root, "proposals", json_integer(graph->n_proposals));
        json_object_set_new(root, "unannotated", json_integer(graph->n_unannotated));
    }
    return root;
}

static char *copy_or(const json_t *json, const char *otherwise)
{
    const char *text = json_string_value(json);
    return text_copy(text != NULL ? text : otherwise);
}

static enum status read_object(struct edit_object *object, const json_t *json,
                               struct json_place place)
{
    enum status status = OK;
    const char *name = NULL;
    TRY(json_field_string(&name, json, "name", place));
    *object =
        (struct edit_object){.name = text_copy(name),
                             .draft_name = copy_or(json_object_get(json, "draft"), name),
                             .by = copy_or(json_object_get(json, "by"), ""),
                             .why = copy_or(json_object_get(json, "why"), ""),
                             .description = copy_or(json_object_get(json, "description"), "")};
    object->dropped = json_object_get(json, "by") != NULL;
out:
    return status;
}

static int word_of(const char *const *names, int n, const json_t *json)
{
    const char *word = json_string_value(json);
    for (int i = 0; word != NULL && i < n; i++)
        if (strcmp(names[i], word) == 0) return i;
    return -1;
}

static enum status read_relation(struct edit_graph *graph, const json_t *json, size_t index,
                                 struct json_place place)
{
    enum status status = OK;
    const json_t *subject = json_array_get(json, 0), *object = json_array_get(json, 1);
    const char *predicate = json_string_value(json_array_get(json, 2));
    const char *kind = json_string_value(json_array_get(json, 3));
    const int origin = word_of(edge_origin_names, N_EDGE_ORIGINS, json_array_get(json, 4));
    const bool ended = json_array_size(json) > 5;
    const int fate = ended ? word_of(edge_fate_names, N_EDGE_FATES, json_array_get(json, 5)) : 0;
    const struct edit_triple triple = {json_integer_value(subject), json_integer_value(object),
                                       predicate, kind};
    if (!json_is_integer(subject) || !json_is_integer(object) || predicate == NULL ||
        kind == NULL || origin < 0 || fate < 0 || triple.subject < 0 || triple.object < 0 ||
        triple.subject >= graph->n_objects || triple.object >= graph->n_objects)
        FAIL(ERR_FORMAT, "%s: %s: relations[%zu] is none", place.file, place.record, index);
    edit_graph_add(graph, &triple, (enum edge_origin)origin);
    const char *by = json_string_value(json_array_get(json, 6));
    const char *why = json_string_value(json_array_get(json, 7));
    if (ended)
        edit_relation_end(&graph->relations[graph->n_relations - 1], (enum edge_fate)fate,
                          by != NULL ? by : "", why != NULL ? why : "");
out:
    return status;
}

static void read_refused(struct edit_graph *graph, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *row = json_array_get(list, i);
        const char *edit = json_string_value(json_array_get(row, 0));
        const char *why = json_string_value(json_array_get(row, 1));
        if (edit != NULL && why != NULL) edit_graph_refuse(graph, edit, why);
    }
}

enum status edit_graph_from_json(struct edit_graph *graph_out, const json_t *json,
                                 struct json_place place)
{
    enum status status = OK;
    struct edit_graph graph = {0};
    json_t *objects = NULL, *relations = NULL;
    TRY(json_field(&objects, json, "objects", JSON_ARRAY, place));
    TRY(json_field(&relations, json, "relations", JSON_ARRAY, place));
    graph.objects = memory_new(json_array_size(objects) + 1, sizeof *graph.objects);
    for (size_t i = 0; i < json_array_size(objects); i++) {
        TRY(read_object(&graph.objects[i], json_array_get(objects, i), place));
        graph.n_objects++;
    }
    for (size_t i = 0; i < json_array_size(relations); i++)
        TRY(read_relation(&graph, json_array_get(relations, i), i, place));
    read_refused(&graph, json_object_get(json, "refused"));
    const char *failure = json_string_value(json_object_get(json, "failure"));
    if (failure != NULL) graph.failure = text_copy(failure);
    graph.truncated = json_is_true(json_object_get(json, "truncated"));
    graph.n_proposals = json_integer_value(json_object_get(json, "proposals"));
    graph.n_unannotated = json_integer_value(json_object_get(json, "unannotated"));
    *graph_out = graph;
    graph = (struct edit_graph){0};
out:
    edit_graph_release(&graph);
    return status;
}
