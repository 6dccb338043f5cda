/* Drafters that need no model, and drafts as JSON. */
#include "sgedit/drafter.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_file.h"
#include "base/text_buffer.h"
#include "corpus/json_spans.h"
#include "sgedit/truth.h"

void draft_release(struct draft *draft)
{
    scene_graph_release(&draft->graph);
    *draft = (struct draft){0};
}

/* ---- as JSON ---- */

json_t *draft_to_json(const struct draft *draft)
{
    json_t *root = json_object(), *objects = json_array(), *relations = json_array();
    for (int64_t i = 0; i < draft->graph.n_objects; i++) {
        const char *name = draft->graph.objects[i].name;
        json_t *text = json_string(name != NULL ? name : "");
        json_array_append_new(objects, text != NULL ? text : json_string(""));
    }
    for (int64_t i = 0; i < draft->graph.n_relations; i++) {
        const struct scene_relation *relation = &draft->graph.relations[i];
        json_t *text = json_string(relation->predicate), *row = json_array();
        json_array_append_new(row, json_integer(relation->subject));
        json_array_append_new(row, json_integer(relation->object));
        json_array_append_new(row, text != NULL ? text : json_string(""));
        json_array_append_new(relations, row);
    }
    json_object_set_new(root, "objects", objects);
    json_object_set_new(root, "relations", relations);
    if (draft->truncated) json_object_set_new(root, "truncated", json_true());
    if (draft->n_tokens > 0) json_object_set_new(root, "tokens", json_integer(draft->n_tokens));
    return root;
}

static enum status read_relation(struct draft *draft, const json_t *row, size_t index,
                                 struct json_place place)
{
    enum status status = OK;
    const json_t *subject = json_array_get(row, 0), *object = json_array_get(row, 1);
    const char *predicate = json_string_value(json_array_get(row, 2));
    if (json_array_size(row) != 3 || !json_is_integer(subject) || !json_is_integer(object) ||
        predicate == NULL)
        FAIL(ERR_FORMAT, "%s: %s: relations[%zu] must be [subject, object, predicate]", place.file,
             place.record, index);
    scene_graph_add_relation(&draft->graph, json_integer_value(subject), json_integer_value(object),
                             predicate);
out:
    return status;
}

enum status draft_from_json(struct draft *draft_out, const json_t *json, int64_t n_regions,
                            struct json_place place)
{
    enum status status = OK;
    struct draft draft = {0};
    json_t *objects = NULL, *relations = NULL;
    TRY(json_field(&objects, json, "objects", JSON_ARRAY, place));
    TRY(json_field(&relations, json, "relations", JSON_ARRAY, place));
    if ((int64_t)json_array_size(objects) > n_regions)
        FAIL(ERR_FORMAT, "%s: %s: objects has %zu names for %" PRId64 " regions", place.file,
             place.record, json_array_size(objects), n_regions);
    for (size_t i = 0; i < json_array_size(objects); i++) {
        const char *name = json_string_value(json_array_get(objects, i));
        if (name == NULL)
            FAIL(ERR_FORMAT, "%s: %s: objects[%zu] must be a string", place.file, place.record, i);
        scene_graph_add_object(&draft.graph, name);
    }
    for (size_t i = 0; i < json_array_size(relations); i++)
        TRY(read_relation(&draft, json_array_get(relations, i), i, place));
    draft.truncated = json_is_true(json_object_get(json, "truncated"));
    draft.n_tokens = json_integer_value(json_object_get(json, "tokens"));
    *draft_out = draft;
    draft = (struct draft){0};
out:
    draft_release(&draft);
    return status;
}

/* ---- recorded ---- */

struct recorded {
    struct json_text text;
    struct json_spans rows;
    struct draft ready;
    bool has_ready;
};

static bool recorded_has_room(void *context)
{
    const struct recorded *recorded = context;
    return !recorded->has_ready;
}

static enum status recorded_submit(void *context, int64_t item, const struct record *record)
{
    enum status status = OK;
    struct recorded *recorded = context;
    json_t *json = NULL;
    const char *id = NULL;
    const struct json_place place = {recorded->text.path, record->id};
    TRY(json_span_parse(&json, &recorded->text, recorded->rows.spans[item]));
    TRY(json_field_string(&id, json, "image_id", place));
    if (strcmp(id, record->id) != 0)
        FAIL(ERR_FORMAT, "%s: row %" PRId64 " is of %s, and record %" PRId64 " is %s",
             recorded->text.path, item, id, item, record->id);
    TRY(draft_from_json(&recorded->ready, json, record->n_regions, place));
    recorded->ready.item = item;
    recorded->has_ready = true;
out:
    json_decref(json);
    return status;
}

static enum status recorded_collect(void *context, struct draft *draft_out, bool *got)
{
    struct recorded *recorded = context;
    *got = recorded->has_ready;
    if (!*got) return OK;
    *draft_out = recorded->ready;
    recorded->ready = (struct draft){0};
    recorded->has_ready = false;
    return OK;
}

static void recorded_release(void *context)
{
    struct recorded *recorded = context;
    draft_release(&recorded->ready);
    json_spans_release(&recorded->rows);
    json_text_release(&recorded->text);
    free(recorded);
}

enum status recorded_drafter_create(struct drafter *drafter_out, const char *path, int64_t n_items)
{
    enum status status = OK;
    struct recorded *recorded = memory_new(1, sizeof *recorded);
    TRY(json_text_open(&recorded->text, path));
    TRY(json_rows_list(&recorded->rows, &recorded->text));
    if (recorded->rows.n < n_items)
        FAIL(ERR_FORMAT, "%s has %" PRId64 " drafts for %" PRId64 " records", path,
             recorded->rows.n, n_items);
    *drafter_out = (struct drafter){"recorded",        false,           recorded,
                                    recorded_has_room, recorded_submit, recorded_collect,
                                    recorded_release};
    recorded = NULL;
out:
    if (recorded != NULL) recorded_release(recorded);
    return status;
}

/* ---- of the corpus ---- */

static enum status corpus_submit(void *context, int64_t item, const struct record *record)
{
    struct recorded *ready = context;
    struct draft draft = {.item = item};
    truth_graph(&draft.graph, record);
    ready->ready = draft;
    ready->has_ready = true;
    return OK;
}

enum status corpus_drafter_create(struct drafter *drafter_out)
{
    struct recorded *ready = memory_new(1, sizeof *ready);
    *drafter_out =
        (struct drafter){"annotations",    false,           ready, recorded_has_room, corpus_submit,
                         recorded_collect, recorded_release};
    return OK;
}
