/* See golden_records.h. */
#include "golden_records.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "golden_text.h"
#include "image/panoptic.h"
#include "image/rle.h"

static struct record *add_record(struct golden_records *records, const char *id, const json_t *from)
{
    records->records =
        memory_resize(records->records, (size_t)records->n + 1, sizeof *records->records);
    struct record *record = &records->records[records->n++];
    *record = (struct record){.id = text_copy(id), .source = text_copy("golden"), .image_size = 1};
    record->image = memory_new(1, 1);
    record->width = json_integer_value(json_object_get(from, "width"));
    record->height = json_integer_value(json_object_get(from, "height"));
    return record;
}

static struct box box_of(const json_t *list)
{
    double v[4];
    for (size_t i = 0; i < 4; i++) v[i] = json_number_value(json_array_get(list, i));
    return (struct box){v[0], v[1], v[2], v[3]};
}

static void add_relation(struct record *record, int64_t subject, int64_t object,
                         const char *predicate)
{
    size_t n = (size_t)record->n_relations + 1;
    record->relations = memory_resize(record->relations, n, sizeof *record->relations);
    record->relations[record->n_relations++] =
        (struct record_relation){.subject = subject,
                                 .object = object,
                                 .predicate = text_copy(predicate),
                                 .kind = text_copy("")};
}

static void make_room(struct record *record, size_t n)
{
    record->objects = memory_new(n + 1, sizeof *record->objects);
    record->regions = memory_new(n + 1, sizeof *record->regions);
}

static struct record_object *add_object(struct record *record, const char *name, struct box box)
{
    struct record_object *object = &record->objects[record->n_objects++];
    *object = (struct record_object){.name = text_copy(name), .region = record->n_regions};
    record->regions[record->n_regions++].box = box;
    return object;
}

static void add_attributes(struct record_object *object, const json_t *list)
{
    object->attributes = memory_new(json_array_size(list) + 1, sizeof *object->attributes);
    for (size_t i = 0; i < json_array_size(list); i++)
        object->attributes[object->n_attributes++] =
            text_copy(json_string_value(json_array_get(list, i)));
}

/* Place of a key in an object, as the file lists them; -1: it is not there. */
static int64_t place_of(json_t *objects, const char *wanted)
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

/* What names no object of the picture is no relation. */
static void add_relations(struct record *record, json_t *objects, int64_t subject,
                          const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *relation = json_array_get(list, i);
        int64_t object = place_of(objects, json_string_value(json_object_get(relation, "object")));
        if (object >= 0)
            add_relation(record, subject, object, golden_text_string(relation, "name"));
    }
}

/* Sizes that the annotation leaves out are those of the file. */
static void take_file_size(struct record *record, const json_t *files)
{
    char *name = text_format("%s.jpg", record->id);
    const json_t *size = json_object_get(files, name);
    if (record->width == 0) record->width = json_integer_value(json_array_get(size, 0));
    if (record->height == 0) record->height = json_integer_value(json_array_get(size, 1));
    free(name);
}

static enum status read_scene_graph(struct golden_records *records, const char *id,
                                    const json_t *from, const json_t *files)
{
    enum status status = OK;
    struct record *record = add_record(records, id, from);
    json_t *objects = json_object_get(from, "objects"), *value;
    const char *key;
    int64_t subject = 0;
    take_file_size(record, files);
    make_room(record, json_object_size(objects));
    json_object_foreach(objects, key, value)
    {
        struct record_object *object = add_object(record, golden_text_string(value, "name"),
                                                  box_of(json_object_get(value, "bbox")));
        add_attributes(object, json_object_get(value, "attributes"));
        struct json_place place = {.file = id, .record = key};
        const json_t *mask = json_object_get(value, "segmentation");
        if (mask)
            TRY(rle_from_json(&record->regions[object->region].mask, mask, record->height,
                              record->width, place));
        add_relations(record, objects, subject++, json_object_get(value, "relations"));
    }
out:
    return status;
}

static const char *class_name(const json_t *root, int64_t category)
{
    const json_t *things = json_object_get(root, "thing_classes");
    const json_t *stuff = json_object_get(root, "stuff_classes");
    size_t at = (size_t)category, n_things = json_array_size(things);
    const char *name = json_string_value(at < n_things ? json_array_get(things, at)
                                                       : json_array_get(stuff, at - n_things));
    return name ? name : "";
}

static enum status read_psg(struct golden_records *records, const json_t *from, const json_t *root,
                            const char *panoptic_path)
{
    enum status status = OK;
    struct panoptic panoptic = {0};
    struct record *record = add_record(records, golden_text_string(from, "image_id"), from);
    const json_t *segments = json_object_get(from, "segments_info");
    const json_t *annotations = json_object_get(from, "annotations");
    const json_t *relations = json_object_get(from, "relations");
    const json_t *predicates = json_object_get(root, "predicate_classes");
    make_room(record, json_array_size(segments));
    TRY(panoptic_read(&panoptic, panoptic_path));
    for (size_t i = 0; i < json_array_size(segments); i++) {
        const json_t *segment = json_array_get(segments, i);
        int64_t category = json_integer_value(json_object_get(segment, "category_id"));
        int64_t id = json_integer_value(json_object_get(segment, "id"));
        struct box box = box_of(json_object_get(json_array_get(annotations, i), "bbox"));
        add_object(record, class_name(root, category), box);
        const struct rle *mask = panoptic_mask(&panoptic, (uint32_t)id);
        if (!mask) FAIL(ERR_FORMAT, "%s has no segment %lld", panoptic_path, (long long)id);
        TRY(rle_copy(&record->regions[i].mask, mask));
    }
    for (size_t i = 0; i < json_array_size(relations); i++) {
        const json_t *relation = json_array_get(relations, i);
        int64_t v[3];
        for (size_t k = 0; k < 3; k++) v[k] = json_integer_value(json_array_get(relation, k));
        add_relation(record, v[0], v[1],
                     json_string_value(json_array_get(predicates, (size_t)v[2])));
    }
out:
    panoptic_release(&panoptic);
    return status;
}

static void add_text(struct record *record, const char *task, int64_t region, const char *answer)
{
    size_t n = (size_t)record->n_texts + 1;
    record->texts = memory_resize(record->texts, n, sizeof *record->texts);
    struct record_text *text = &record->texts[record->n_texts++];
    *text = (struct record_text){.task = text_copy(task), .region = region, .n_turns = 1};
    text->turns = memory_new(1, sizeof *text->turns);
    text->turns[0] = (struct record_turn){.question = text_copy(""), .answer = text_copy(answer)};
}

/* Annotations to be ignored do not count in the release; crowds do. */
static bool is_counted(const json_t *annotation, int64_t image)
{
    return json_integer_value(json_object_get(annotation, "image_id")) == image &&
           !json_is_true(json_object_get(annotation, "ignore"));
}

static const char *category_name(const json_t *root, int64_t id)
{
    const json_t *categories = json_object_get(root, "categories");
    for (size_t i = 0; i < json_array_size(categories); i++) {
        const json_t *category = json_array_get(categories, i);
        if (json_integer_value(json_object_get(category, "id")) == id)
            return golden_text_string(category, "name");
    }
    return "";
}

/* One picture of a COCO file: objects by category, and captions where annotations have them. */
static enum status read_coco(struct golden_records *records, const json_t *image,
                             const json_t *root)
{
    enum status status = OK;
    struct record *record = add_record(records, golden_text_string(image, "file_name"), image);
    const json_t *annotations = json_object_get(root, "annotations");
    make_room(record, json_array_size(annotations));
    for (size_t i = 0; i < json_array_size(annotations); i++) {
        const json_t *annotation = json_array_get(annotations, i);
        if (!is_counted(annotation, json_integer_value(json_object_get(image, "id")))) continue;
        int64_t category = json_integer_value(json_object_get(annotation, "category_id"));
        struct box box = box_of(json_object_get(annotation, "bbox"));
        box.x2 += box.x1;
        box.y2 += box.y1;
        int64_t region = add_object(record, category_name(root, category), box)->region;
        struct json_place place = {.file = record->id, .record = "annotations"};
        TRY(rle_from_json(&record->regions[region].mask,
                          json_object_get(annotation, "segmentation"), record->height,
                          record->width, place));
        const char *caption = golden_text_string(annotation, "caption");
        if (caption[0]) add_text(record, "caption", region, caption);
    }
out:
    return status;
}

static enum status read_refexp(struct golden_records *records, const json_t *from,
                               const json_t *files)
{
    enum status status = OK;
    const char *image = golden_text_string(from, "image");
    struct record *record = add_record(records, image, from);
    const json_t *size = json_object_get(files, image);
    const json_t *regions = json_object_get(from, "regions");
    const json_t *captions = json_object_get(from, "annot");
    record->width = json_integer_value(json_array_get(size, 0));
    record->height = json_integer_value(json_array_get(size, 1));
    make_room(record, json_array_size(regions));
    for (size_t i = 0; i < json_array_size(regions); i++) {
        const json_t *region = json_array_get(regions, i);
        struct json_place place = {.file = image, .record = "regions"};
        add_object(record, "", box_of(json_object_get(region, "xyxy")));
        TRY(rle_from_json(&record->regions[i].mask, json_object_get(region, "segmentation"),
                          record->height, record->width, place));
    }
    for (size_t i = 0; i < json_array_size(captions); i++) {
        const json_t *caption = json_array_get(captions, i);
        add_text(record, "refexp", json_integer_value(json_object_get(caption, "region_index")),
                 golden_text_string(caption, "caption"));
    }
out:
    return status;
}

enum status golden_records_read(struct golden_records *out, const json_t *row,
                                const char *directory)
{
    enum status status = OK;
    json_t *root = json_object_get(row, "records"), *value;
    const json_t *files = json_object_get(row, "files"), *data = json_object_get(root, "data");
    const char *key;
    char *path = NULL;
    *out = (struct golden_records){0};
    for (size_t i = 0; i < json_array_size(data); i++) {
        const json_t *picture = json_array_get(data, i);
        const char *name = golden_text_string(picture, "pan_seg_file_name");
        free(path);
        path = text_format("%s/../../data/%s", directory, golden_text_string(files, name));
        TRY(read_psg(out, picture, root, path));
    }
    for (size_t i = 0; i < json_array_size(root); i++) {
        const json_t *picture = json_array_get(root, i);
        if (json_object_get(picture, "annot"))
            TRY(read_refexp(out, picture, files));
        else
            TRY(read_scene_graph(out, golden_text_string(picture, "image_id"), picture, files));
    }
    const json_t *images = json_object_get(root, "images");
    for (size_t i = 0; i < json_array_size(images); i++)
        TRY(read_coco(out, json_array_get(images, i), root));
    if (!data && !images && json_is_object(root))
        json_object_foreach(root, key, value) TRY(read_scene_graph(out, key, value, files));
out:
    free(path);
    if (status != OK) golden_records_release(out);
    return status;
}

void golden_records_release(struct golden_records *records)
{
    for (int64_t i = 0; i < records->n; i++) record_release(&records->records[i]);
    free(records->records);
    *records = (struct golden_records){0};
}
