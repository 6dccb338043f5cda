/* See edit_reply.h. First the whole reply is checked against the schema, so that one that is not of
 * it changes nothing; then each edit stands for itself. */
#include "sgedit/edit_reply.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/json_file.h"
#include "base/text_buffer.h"
#include "sgedit/edit_text.h"

#define MAX_EDITS 100000 /* of all kinds in one reply */

static json_t *strict_object(json_t *properties)
{
    json_t *required = json_array();
    const char *key;
    json_t *value;
    json_object_foreach(properties, key, value) json_array_append_new(required, json_string(key));
    json_t *schema = json_pack("{s:s, s:o, s:o, s:b}", "type", "object", "properties", properties,
                               "required", required, "additionalProperties", 0);
    ASSERT(schema != NULL, "a schema could not be made");
    return schema;
}

static json_t *list_of(json_t *items)
{
    json_t *schema = json_pack("{s:s, s:o}", "type", "array", "items", items);
    ASSERT(schema != NULL, "a schema could not be made");
    return schema;
}

static json_t *typed(const char *type)
{
    return json_pack("{s:s}", "type", type);
}

static json_t *relations_schema(void)
{
    return list_of(strict_object(
        json_pack("{s:o, s:o}", "rel", typed("string"), "obj_ids", list_of(typed("integer")))));
}

json_t *edit_reply_schema(void)
{
    json_t *edit =
        json_pack("{s:o, s:o, s:o, s:o}", "obj_id", typed("string"), "name", typed("string"), "add",
                  relations_schema(), "remove", relations_schema());
    ASSERT(edit != NULL, "a schema could not be made");
    return strict_object(json_pack("{s:o}", "edit", list_of(strict_object(edit))));
}

/* ---- against the schema ---- */

static enum status check_relations(const json_t *list, const char *where, size_t *n_edits)
{
    enum status status = OK;
    if (!json_is_array(list)) FAIL(ERR_FORMAT, "%s must be an array", where);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *row = json_array_get(list, i), *ids = json_object_get(row, "obj_ids");
        if (!json_is_object(row) || json_object_size(row) != 2 || !json_is_array(ids) ||
            !json_is_string(json_object_get(row, "rel")))
            FAIL(ERR_FORMAT, "%s[%zu] must be {rel, obj_ids}", where, i);
        for (size_t j = 0; j < json_array_size(ids); j++)
            if (!json_is_integer(json_array_get(ids, j)))
                FAIL(ERR_FORMAT, "%s[%zu].obj_ids[%zu] must be an integer", where, i, j);
        *n_edits += json_array_size(ids);
    }
out:
    return status;
}

static enum status check_edit(const json_t *edit, size_t index, size_t *n_edits)
{
    enum status status = OK;
    char *where = text_format("edit[%zu].add", index);
    if (!json_is_object(edit) || json_object_size(edit) != 4 ||
        !json_is_string(json_object_get(edit, "obj_id")) ||
        !json_is_string(json_object_get(edit, "name")))
        FAIL(ERR_FORMAT, "edit[%zu] must be {obj_id, name, add, remove}", index);
    TRY(check_relations(json_object_get(edit, "add"), where, n_edits));
    free(where);
    where = text_format("edit[%zu].remove", index);
    TRY(check_relations(json_object_get(edit, "remove"), where, n_edits));
out:
    free(where);
    return status;
}

static enum status parse(json_t **root_out, const char *reply)
{
    enum status status = OK;
    json_error_t error;
    size_t n_edits = 0;
    json_t *root = json_loads(reply, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        FAIL(ERR_FORMAT, "the reply is not JSON: %s near character %d", error.text, error.position);
    const json_t *edits = json_object_get(root, "edit");
    if (!json_is_array(edits) || json_object_size(root) != 1)
        FAIL(ERR_FORMAT, "the reply must be an object with an array 'edit' and nothing else");
    for (size_t i = 0; i < json_array_size(edits); i++)
        TRY(check_edit(json_array_get(edits, i), i, &n_edits));
    if (n_edits > MAX_EDITS) FAIL(ERR_FORMAT, "the reply has %zu edits, too many", n_edits);
    *root_out = root;
    root = NULL;
out:
    json_decref(root);
    return status;
}

/* ---- one edit after the other ---- */

struct applying {
    struct edit_graph *graph;
    const char *by;
    int64_t object; /* whose edits these are */
};

static void refuse(const struct applying *applying, const char *what, const char *text,
                   const char *why)
{
    char *edit = text_format("object %" PRId64 ": %s \"%.60s\"", applying->object + 1, what, text);
    edit_graph_refuse(applying->graph, edit, why);
    free(edit);
}

static void set_name(const struct applying *applying, const char *given)
{
    struct edit_object *object = &applying->graph->objects[applying->object];
    if (given[0] == '\0') return; /* the schema's way to say: as it was */
    char *name = edit_text_clean(given);
    const char *why = edit_text_refusal(name, EDIT_MAX_NAME_BYTES);
    if (why == NULL) {
        free(object->name);
        object->name = name;
        return;
    }
    refuse(applying, "name", name, why);
    free(name);
}

static void apply_one(const struct applying *applying, const char *predicate, int64_t id, bool adds)
{
    struct edit_graph *graph = applying->graph;
    const struct edit_triple triple = {applying->object, id - 1, predicate, ""};
    struct edit_relation *there = NULL;
    const char *why = NULL;
    if (id < 1 || id > graph->n_objects || graph->objects[id - 1].dropped)
        why = "unknown object";
    else if (triple.object == triple.subject)
        why = "a relation to itself";
    else
        there = edit_graph_find(graph, &triple);
    if (why == NULL && adds && there != NULL) why = "already there";
    if (why == NULL && !adds && there == NULL) why = "not there";
    if (why != NULL) {
        char *text = text_format("%s %" PRId64, predicate, id);
        refuse(applying, adds ? "add" : "remove", text, why);
        free(text);
    } else if (adds) {
        edit_graph_add(graph, &triple, EDGE_ADDED);
    } else {
        edit_relation_end(there, EDGE_REMOVED, applying->by, "the teacher removed it");
    }
}

static void apply_relations(const struct applying *applying, const json_t *list, bool adds)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *row = json_array_get(list, i), *ids = json_object_get(row, "obj_ids");
        char *predicate = edit_text_clean(json_string_value(json_object_get(row, "rel")));
        const char *why = edit_text_refusal(predicate, EDIT_MAX_PREDICATE_BYTES);
        if (why != NULL) refuse(applying, adds ? "add" : "remove", predicate, why);
        for (size_t j = 0; why == NULL && j < json_array_size(ids); j++)
            apply_one(applying, predicate, json_integer_value(json_array_get(ids, j)), adds);
        free(predicate);
    }
}

/* "7" -> 6; -1 for anything that is no number of an object. */
static int64_t object_of(const char *id, const struct edit_graph *graph)
{
    const size_t digits = strspn(id, "0123456789");
    if (digits == 0 || digits > 9 || id[digits] != '\0' || id[0] == '0') return -1;
    const int64_t number = strtoll(id, NULL, 10);
    const bool is = number >= 1 && number <= graph->n_objects;
    return is && !graph->objects[number - 1].dropped ? number - 1 : -1;
}

enum status edit_reply_apply(struct edit_graph *graph, const char *reply, const char *by)
{
    enum status status = OK;
    json_t *root = NULL;
    bool *seen = memory_new((size_t)graph->n_objects + 1, sizeof *seen);
    TRY(parse(&root, reply));
    const json_t *edits = json_object_get(root, "edit");
    for (size_t i = 0; i < json_array_size(edits); i++) {
        const json_t *edit = json_array_get(edits, i);
        const char *id = json_string_value(json_object_get(edit, "obj_id"));
        const struct applying applying = {graph, by, object_of(id, graph)};
        if (applying.object < 0 || seen[applying.object]) {
            char *what = text_format("object \"%.20s\"", id);
            edit_graph_refuse(graph, what, applying.object < 0 ? "unknown object" : "edited twice");
            free(what);
            continue;
        }
        seen[applying.object] = true;
        set_name(&applying, json_string_value(json_object_get(edit, "name")));
        apply_relations(&applying, json_object_get(edit, "add"), true);
        apply_relations(&applying, json_object_get(edit, "remove"), false);
    }
out:
    json_decref(root);
    free(seen);
    return status;
}
