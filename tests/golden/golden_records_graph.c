/* Records of the relation classes and of GQA questions with a scene graph. */
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "golden_builder.h"
#include "golden_text.h"

static enum status add_regions(struct record *record, const json_t *list)
{
    enum status status = OK;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *from = json_array_get(list, i);
        const int64_t region =
            golden_add_region(record, golden_box_by_size(json_object_get(from, "bbox")));
        TRY(golden_add_mask(record, region, json_object_get(from, "segmentation")));
    }
out:
    return status;
}

/* The region of an object: its index among `regions`, or "scene_graph_3" of the other list. */
static int64_t mapped_region(const json_t *mapping, const char *key, int64_t n_first)
{
    const json_t *value = json_object_get(mapping, key);
    if (json_is_integer(value)) return json_integer_value(value);
    const char *underscore = value ? strrchr(json_string_value(value), '_') : NULL;
    return underscore ? n_first + strtoll(underscore + 1, NULL, 10) : -1;
}

static void add_subject(struct record *record, json_t *details, const char *key, json_t *subject)
{
    const char *category;
    json_t *list;
    const int64_t index = golden_place_of(details, key);
    const json_t *mentioned = json_object_get(subject, "mentioned_objects");
    struct record_turn *turn = golden_add_text(record, "description", record->objects[index].region,
                                               "", golden_text_string(subject, "description"));
    golden_add_reference(turn, index);
    for (size_t i = 0; i < json_array_size(mentioned); i++) {
        const char *id = json_string_value(json_array_get(mentioned, i));
        const int64_t object = golden_place_of(details, id);
        if (object >= 0 && object != index) golden_add_reference(turn, object);
    }
    json_object_foreach(json_object_get(subject, "relations"), category, list)
    {
        for (size_t i = 0; i < json_array_size(list); i++) {
            const json_t *pair = json_array_get(list, i);
            const char *id = json_string_value(json_array_get(pair, 0));
            const int64_t object = golden_place_of(details, id);
            if (object >= 0)
                golden_add_relation(record, index, object,
                                    json_string_value(json_array_get(pair, 1)), category);
        }
    }
}

/* "<guy> [9]" becomes a phrase with its region; "<door> [99]" of no object, a word. */
static char *mark_summary(const char *text, const struct record *record, json_t *details)
{
    struct text_buffer out = {0};
    for (const char *at; (at = strchr(text, '<'));) {
        const char *end = strchr(at, '>');
        text_append_bytes(&out, text, (size_t)(at - text));
        const size_t mark = out.length;
        text_append(&out, "<p>");
        text_append_bytes(&out, at + 1, (size_t)(end - at - 1));
        text_append(&out, "</p>");
        int64_t n = 0;
        text = end + 1;
        if (strncmp(text, " [", 2) == 0) {
            char *number = NULL;
            for (text += 2; *text != ']'; text += strspn(text, ", ")) {
                const long id = strtol(text, &number, 10);
                char *key = text_format("%ld", id);
                const int64_t object = golden_place_of(details, key);
                if (object >= 0)
                    text_printf(&out, "<region%lld>",
                                (long long)record->objects[object].region + 1);
                n += object >= 0;
                free(key);
                text = number;
            }
            text++;
        }
        if (n > 0) continue;
        out.length = mark;
        text_append_bytes(&out, at + 1, (size_t)(end - at - 1));
    }
    text_append(&out, text);
    return text_take(&out);
}

enum status golden_read_relations(const struct golden_reading *reading)
{
    enum status status = OK;
    const json_t *rows = json_object_get(reading->row, "records");
    const char *key;
    json_t *value;
    for (size_t k = 0; k < json_array_size(rows); k++) {
        const json_t *from = json_array_get(rows, k);
        json_t *details = json_object_get(from, "object_details");
        const json_t *mapping = json_object_get(from, "id_region_mapping");
        struct record *record =
            golden_add_record(reading, golden_text_string(from, "image_id"), from, NULL);
        TRY(add_regions(record, json_object_get(from, "regions")));
        const int64_t n_first = record->n_regions;
        TRY(add_regions(record, json_object_get(from, "scene_graph_regions")));
        /* what the file maps from an id without details is a proposal like others */
        json_object_foreach(details, key, value)
        {
            const int64_t region = mapped_region(mapping, key, n_first);
            const json_t *names = json_object_get(value, "text");
            record->regions[region].box = golden_box(json_object_get(value, "bbox"));
            golden_add_object(record, json_string_value(json_array_get(names, 0)), region);
        }
        json_object_foreach(json_object_get(from, "relations"), key, value)
            add_subject(record, details, key, value);
        char *summary = mark_summary(golden_text_string(from, "summary"), record, details);
        if (summary[0]) golden_add_text(record, "summary", -1, "", summary);
        free(summary);
    }
out:
    return status;
}

static enum status add_graph(struct record *record, json_t *graph, const json_t *mapping)
{
    enum status status = OK;
    const char *key;
    json_t *value;
    json_object_foreach(graph, key, value)
    {
        int64_t region = mapped_region(mapping, key, 0);
        if (region < 0) {
            region = golden_add_region(record, golden_box(json_object_get(value, "bbox")));
            TRY(golden_add_mask(record, region, json_object_get(value, "segmentation")));
        }
        struct record_object *object =
            golden_add_object(record, golden_text_string(value, "name"), region);
        const json_t *attributes = json_object_get(value, "attributes");
        for (size_t i = 0; i < json_array_size(attributes); i++)
            golden_add_attribute(object, json_string_value(json_array_get(attributes, i)));
        const json_t *relations = json_object_get(value, "relations");
        for (size_t i = 0; i < json_array_size(relations); i++) {
            const json_t *relation = json_array_get(relations, i);
            const int64_t target = golden_place_of(graph, golden_text_string(relation, "object"));
            if (target >= 0)
                golden_add_relation(record, golden_place_of(graph, key), target,
                                    golden_text_string(relation, "name"), "");
        }
    }
out:
    return status;
}

enum status golden_read_reasoning(const struct golden_reading *reading)
{
    enum status status = OK;
    json_t *root = json_object_get(reading->row, "records"), *from;
    const char *id;
    json_object_foreach(root, id, from)
    {
        json_t *graph = json_object_get(from, "scene_graph");
        const json_t *data = json_object_get(from, "data");
        struct record *record = golden_add_record(reading, id, from, NULL);
        TRY(add_regions(record, json_object_get(from, "regions")));
        TRY(add_graph(record, graph, json_object_get(from, "id_region_mapping")));
        for (size_t i = 0; i < json_array_size(data); i++) {
            const json_t *question = json_array_get(data, i);
            const json_t *ids = json_object_get(question, "object_ids");
            struct record_turn *turn =
                golden_add_text(record, "vqa", -1, golden_text_string(question, "question"),
                                golden_text_string(question, "answer"));
            for (size_t k = 0; k < json_array_size(ids); k++) {
                const int64_t object =
                    golden_place_of(graph, json_string_value(json_array_get(ids, k)));
                if (object >= 0) golden_add_reference(turn, object);
            }
        }
    }
out:
    return status;
}
