/* See golden_builder.h. */
#include "golden_builder.h"

#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "golden_text.h"
#include "image/rle.h"

struct record *golden_add_record(const struct golden_reading *reading, const char *id,
                                 const json_t *from, const char *image)
{
    struct golden_records *records = reading->records;
    char *path = image ? text_copy(image) : text_format("%s.jpg", id);
    const json_t *size = json_object_get(reading->files, path);
    records->records =
        memory_resize(records->records, (size_t)records->n + 1, sizeof *records->records);
    struct record *record = &records->records[records->n++];
    *record = (struct record){.id = text_copy(id), .source = text_copy("golden"), .image_size = 1};
    record->image = memory_new(1, 1);
    record->width = json_integer_value(json_object_get(from, "width"));
    record->height = json_integer_value(json_object_get(from, "height"));
    if (record->width == 0) record->width = json_integer_value(json_array_get(size, 0));
    if (record->height == 0) record->height = json_integer_value(json_array_get(size, 1));
    free(path);
    return record;
}

struct box golden_box(const json_t *list)
{
    double v[4];
    for (size_t i = 0; i < 4; i++) v[i] = json_number_value(json_array_get(list, i));
    return (struct box){v[0], v[1], v[2], v[3]};
}

struct box golden_box_by_size(const json_t *list)
{
    struct box box = golden_box(list);
    box.x2 += box.x1;
    box.y2 += box.y1;
    return box;
}

int64_t golden_add_region(struct record *record, struct box box)
{
    record->regions =
        memory_resize(record->regions, (size_t)record->n_regions + 1, sizeof *record->regions);
    record->regions[record->n_regions] = (struct record_region){.box = box};
    return record->n_regions++;
}

enum status golden_add_mask(struct record *record, int64_t region, const json_t *segmentation)
{
    struct json_place place = {.file = record->id, .record = "segmentation"};
    if (segmentation == NULL) return OK;
    return rle_from_json(&record->regions[region].mask, segmentation, record->height, record->width,
                         place);
}

struct record_object *golden_add_object(struct record *record, const char *name, int64_t region)
{
    record->objects =
        memory_resize(record->objects, (size_t)record->n_objects + 1, sizeof *record->objects);
    struct record_object *object = &record->objects[record->n_objects++];
    *object = (struct record_object){.name = text_copy(name), .region = region};
    return object;
}

void golden_add_attribute(struct record_object *object, const char *attribute)
{
    object->attributes = memory_resize(object->attributes, (size_t)object->n_attributes + 1,
                                       sizeof *object->attributes);
    object->attributes[object->n_attributes++] = text_copy(attribute);
}

void golden_add_relation(struct record *record, int64_t subject, int64_t object,
                         const char *predicate, const char *kind)
{
    size_t n = (size_t)record->n_relations + 1;
    record->relations = memory_resize(record->relations, n, sizeof *record->relations);
    record->relations[record->n_relations++] =
        (struct record_relation){.subject = subject,
                                 .object = object,
                                 .predicate = text_copy(predicate),
                                 .kind = text_copy(kind)};
}

void golden_add_text(struct record *record, const char *task, int64_t region, const char *question,
                     const char *answer)
{
    size_t n = (size_t)record->n_texts + 1;
    record->texts = memory_resize(record->texts, n, sizeof *record->texts);
    struct record_text *text = &record->texts[record->n_texts++];
    *text = (struct record_text){.task = text_copy(task), .region = region, .n_turns = 1};
    text->turns = memory_new(1, sizeof *text->turns);
    text->turns[0] =
        (struct record_turn){.question = text_copy(question), .answer = text_copy(answer)};
}

int64_t golden_place_of(json_t *objects, const char *wanted)
{
    int64_t place = 0;
    const char *key;
    json_t *value;
    json_object_foreach(objects, key, value)
    {
        if (wanted && strcmp(key, wanted) == 0) return place;
        place++;
    }
    return -1;
}
