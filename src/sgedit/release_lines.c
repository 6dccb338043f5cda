/* See release_lines.h. */
#include "sgedit/release_lines.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "sgedit/filters.h"

static void append_json(struct text_buffer *out, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(10));
    ASSERT(text != NULL, "a line could not be written");
    text_append(out, text);
    text_append_char(out, '\n');
    free(text);
    json_decref(json);
}

/* A region without a mask is its filled box. */
static enum status region_json(json_t **json_out, const struct record *record, int64_t index,
                               const char *name)
{
    enum status status = OK;
    const struct record_region *region = &record->regions[index];
    struct rle filled = {0};
    char *counts = NULL;
    if (region->mask.n_runs == 0)
        TRY(rle_from_box(&filled, region->box, record->height, record->width));
    const struct rle *mask = region->mask.n_runs > 0 ? &region->mask : &filled;
    counts = rle_to_string(mask);
    json_t *json =
        json_pack("{s:{s:[I,I], s:s}, s:[f,f,f,f], s:I}", "segmentation", "size",
                  (json_int_t)record->height, (json_int_t)record->width, "counts", counts, "bbox",
                  region->box.x1, region->box.y1, region->box.x2 - region->box.x1,
                  region->box.y2 - region->box.y1, "area", (json_int_t)rle_area(mask));
    ASSERT(json != NULL, "a region could not be written");
    if (name != NULL) json_object_set_new(json, "object", json_string(name));
    *json_out = json;
out:
    free(counts);
    rle_release(&filled);
    return status;
}

static json_t *line_json(const struct record *record)
{
    json_t *line = json_object();
    json_object_set_new(line, "image_id", json_string(record->id));
    return line;
}

/* ---- sg ---- */

static json_t *triples_json(const struct edit_graph *graph, const int64_t *number)
{
    json_t *triples = json_array();
    for (int64_t i = 0; i < graph->n_relations; i++) {
        const struct edit_relation *relation = &graph->relations[i];
        if (relation->fate != EDGE_KEPT) continue;
        json_array_append_new(triples,
                              json_pack("[I,I,s]", (json_int_t)number[relation->subject],
                                        (json_int_t)number[relation->object], relation->predicate));
    }
    return triples;
}

enum status graph_line(struct text_buffer *out, const struct record *record,
                       const struct edit_graph *graph)
{
    enum status status = OK;
    json_t *line = line_json(record), *regions = json_array(), *names = json_array();
    int64_t *number = memory_new((size_t)graph->n_objects + 1, sizeof *number), n = 0;
    char *text = NULL;
    for (int64_t i = 0; i < graph->n_objects; i++) {
        json_t *region = NULL;
        if (graph->objects[i].dropped) continue;
        number[i] = n++;
        TRY(region_json(&region, record, i, graph->objects[i].name));
        json_array_append_new(regions, region);
        json_array_append_new(names, json_string(graph->objects[i].name));
    }
    json_t *both =
        json_pack("{s:O, s:o}", "objects", names, "relations", triples_json(graph, number));
    text = json_dumps(both, JSON_COMPACT);
    json_decref(both);
    ASSERT(text != NULL, "a graph could not be written");
    json_object_set_new(line, "metadata/height", json_integer(record->height));
    json_object_set_new(line, "metadata/width", json_integer(record->width));
    json_object_set(line, "regions", regions);
    json_object_set_new(line, "scene_graph", json_string(text));
    append_json(out, line);
    line = NULL;
out:
    json_decref(line);
    json_decref(regions);
    json_decref(names);
    free(number);
    free(text);
    return status;
}

/* ---- relations ---- */

static const char *category_of(const struct edit_relation *relation)
{
    if (relation->kind[0] != '\0') return relation->kind;
    return spatial_word_of(relation->predicate) != SPATIAL_NONE ? "spatial" : "interactional";
}

/* The value under the key, made by `make` if there is none. */
static json_t *member(json_t *object, const char *key, json_t *(*make)(void))
{
    json_t *value = json_object_get(object, key);
    if (value != NULL) return value;
    value = make();
    json_object_set_new(object, key, value);
    return value;
}

static void add_mention(json_t *list, const char *id)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_array_get(list, i)), id) == 0) return;
    json_array_append_new(list, json_string(id));
}

static void add_subjects(json_t *subjects, json_t *mentioned, const struct edit_graph *graph)
{
    for (int64_t i = 0; i < graph->n_relations; i++) {
        const struct edit_relation *relation = &graph->relations[i];
        if (relation->fate != EDGE_KEPT) continue;
        char *subject = text_format("%" PRId64, relation->subject + 1);
        char *object = text_format("%" PRId64, relation->object + 1);
        json_t *entry = member(subjects, subject, json_object);
        const char *description = graph->objects[relation->subject].description;
        if (json_object_get(entry, "description") == NULL)
            json_object_set_new(entry, "description", json_string(description));
        json_t *by_category = member(entry, "relations", json_object);
        json_array_append_new(member(by_category, category_of(relation), json_array),
                              json_pack("[s,s]", object, relation->predicate));
        add_mention(member(entry, "mentioned_objects", json_array), object);
        add_mention(mentioned, subject);
        add_mention(mentioned, object);
        free(subject);
        free(object);
    }
}

enum status relations_line(struct text_buffer *out, const struct record *record,
                           const struct edit_graph *graph)
{
    enum status status = OK;
    json_t *line = line_json(record), *regions = json_array(), *details = json_object();
    json_t *mapping = json_object(), *subjects = json_object(), *mentioned = json_array();
    for (int64_t i = 0; i < graph->n_objects; i++) {
        const struct edit_object *object = &graph->objects[i];
        json_t *region = NULL;
        char id[24];
        snprintf(id, sizeof id, "%" PRId64, i + 1);
        TRY(region_json(&region, record, i, NULL));
        json_array_append_new(regions, region);
        if (object->dropped) continue;
        json_object_set_new(mapping, id, json_integer(i));
        json_object_set_new(details, id,
                            json_pack("{s:[f,f,f,f], s:[s]}", "bbox", object->box.x1,
                                      object->box.y1, object->box.x2, object->box.y2, "text",
                                      object->name));
    }
    add_subjects(subjects, mentioned, graph);
    json_object_set_new(line, "width", json_integer(record->width));
    json_object_set_new(line, "height", json_integer(record->height));
    json_object_set(line, "relations", subjects);
    json_object_set(line, "object_details", details);
    json_object_set(line, "id_region_mapping", mapping);
    json_object_set(line, "regions", regions);
    json_object_set(line, "all_mentioned_objects", mentioned);
    append_json(out, line);
    line = NULL;
out:
    json_decref(line);
    json_decref(regions);
    json_decref(details);
    json_decref(mapping);
    json_decref(subjects);
    json_decref(mentioned);
    return status;
}

void ledger_line(struct text_buffer *out, const struct record *record,
                 const struct edit_graph *graph)
{
    json_t *line = line_json(record), *known = edit_graph_to_json(graph);
    json_object_update(line, known);
    json_decref(known);
    append_json(out, line);
}
