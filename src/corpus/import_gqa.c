/* GQA / Visual Genome scene graphs as records; see import.h for the shapes. Their boxes have no
 * masks: a region without runs is its box. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "corpus/import.h"
#include "corpus/import_common.h"
#include "corpus/json_spans.h"
#include "image/image.h"

struct gqa {
    struct json_text text;
    struct json_spans items;
    char *images;
};

static void gqa_release(void *context)
{
    struct gqa *gqa = context;
    json_spans_release(&gqa->items);
    json_text_release(&gqa->text);
    free(gqa->images);
    free(gqa);
}

static enum status read_size(struct record *record, const json_t *entry, struct json_place place)
{
    enum status status = OK;
    TRY(json_field_integer(&record->height, entry, "height", 1, IMAGE_MAX_SIDE, place));
    TRY(json_field_integer(&record->width, entry, "width", 1, IMAGE_MAX_SIDE, place));
out:
    return status;
}

/* An object's box: corners `bbox`, or GQA's x, y, w, h. */
static enum status read_box(struct box *box_out, const json_t *object, struct json_place place)
{
    enum status status = OK;
    const json_t *corners = json_object_get(object, "bbox");
    double four[4];
    if (corners != NULL) {
        TRY(import_four_numbers(four, corners, "bbox", place));
        *box_out = (struct box){four[0], four[1], four[2], four[3]};
        return OK;
    }
    static const char *const keys[4] = {"x", "y", "w", "h"};
    for (int i = 0; i < 4; i++) TRY(json_field_number(&four[i], object, keys[i], place));
    *box_out = (struct box){four[0], four[1], four[0] + four[2], four[1] + four[3]};
out:
    return status;
}

static enum status read_object(struct record *record, int64_t index, const json_t *object,
                               struct item_note *note, struct json_place place)
{
    enum status status = OK;
    struct record_region *region = &record->regions[index];
    const char *name = NULL;
    struct box box;
    TRY(json_field_string(&name, object, "name", place));
    record->objects[index].name = text_copy(name);
    TRY(read_box(&box, object, place));
    TRY(import_box(region, box, record, note, place));
    TRY(import_attributes(&record->objects[index], json_object_get(object, "attributes"), place));
    const json_t *segmentation = json_object_get(object, "segmentation");
    if (segmentation != NULL && !json_is_null(segmentation))
        TRY(rle_from_json(&region->mask, segmentation, record->height, record->width, place));
out:
    return status;
}

/* `numbers` maps object ids to indices. */
static enum status read_relations(struct record *record, int64_t subject, const json_t *object,
                                  const json_t *numbers, struct json_place place)
{
    enum status status = OK;
    const json_t *relations = json_object_get(object, "relations");
    if (relations == NULL) return OK;
    if (!json_is_array(relations))
        FAIL(ERR_FORMAT, "%s: %s: relations must be an array", place.file, place.record);
    const json_t *relation;
    size_t i;
    json_array_foreach(relations, i, relation)
    {
        const char *name = NULL;
        const char *id = NULL;
        TRY(json_field_string(&name, relation, "name", place));
        TRY(json_field_string(&id, relation, "object", place));
        const json_t *number = json_object_get(numbers, id);
        if (number == NULL)
            FAIL(ERR_FORMAT, "%s: %s: relations[%zu] is to object '%s', which is not there",
                 place.file, place.record, i, id);
        struct record_relation *made = import_add_relation(record);
        made->subject = subject;
        made->object = json_integer_value(number);
        made->predicate = text_copy(name);
        made->kind = text_copy("");
    }
out:
    return status;
}

static enum status read_objects(struct record *record, json_t *objects, const char *file,
                                const char *id, struct item_note *note)
{
    enum status status = OK;
    json_t *numbers = json_object();
    char *where = NULL;
    const char *key;
    json_t *object;
    int64_t index = 0;
    TRY(import_make_objects(record, json_object_size(objects), (struct json_place){file, id}));
    json_object_foreach(objects, key, object)
        json_object_set_new(numbers, key, json_integer(index++));
    index = 0;
    json_object_foreach(objects, key, object)
    {
        free(where);
        where = text_format("%s.objects.%s", id, key);
        TRY(read_object(record, index, object, note, (struct json_place){file, where}));
        TRY(read_relations(record, index, object, numbers, (struct json_place){file, where}));
        index++;
    }
out:
    free(where);
    json_decref(numbers);
    return status;
}

/* {width, height, objects: {id: {name, box, attributes, relations: [{name, object}]}}} */
static enum status read_graph(struct record *record, const json_t *entry, const char *file,
                              const char *id, struct item_note *note)
{
    enum status status = OK;
    const struct json_place place = {file, id};
    json_t *objects = NULL;
    TRY(read_size(record, entry, place));
    TRY(json_field(&objects, entry, "objects", JSON_OBJECT, place));
    TRY(read_objects(record, objects, file, id, note));
out:
    return status;
}

static enum status read_triple(struct record *record, const json_t *triple, struct json_place place)
{
    enum status status = OK;
    int64_t subject;
    int64_t object;
    const char *predicate = json_string_value(json_array_get(triple, 1));
    if (!json_is_array(triple) || json_array_size(triple) != 3 || predicate == NULL)
        FAIL(ERR_FORMAT, "%s: %s: must be [subject, predicate, object]", place.file, place.record);
    TRY(import_index(&subject, triple, 0, record->n_objects, "subject", place));
    TRY(import_index(&object, triple, 2, record->n_objects, "object", place));
    struct record_relation *made = import_add_relation(record);
    made->subject = subject;
    made->object = object;
    made->predicate = text_copy(predicate);
    made->kind = text_copy("");
out:
    return status;
}

/* Objects of the list shape: parallel arrays bboxes, labels, attributes. */
static enum status read_columns(struct record *record, const json_t *annotation, const char *file,
                                const char *where, struct item_note *note)
{
    enum status status = OK;
    const struct json_place place = {file, where};
    char *at = NULL;
    json_t *boxes = NULL;
    json_t *labels = NULL;
    json_t *attributes = NULL;
    TRY(json_field(&boxes, annotation, "bboxes", JSON_ARRAY, place));
    TRY(json_field(&labels, annotation, "labels", JSON_ARRAY, place));
    TRY(json_field(&attributes, annotation, "attributes", JSON_ARRAY, place));
    const size_t n = json_array_size(boxes);
    if (json_array_size(labels) != n || json_array_size(attributes) != n)
        FAIL(ERR_FORMAT, "%s: %s: %zu bboxes, %zu labels and %zu attributes; they must be equal",
             file, where, n, json_array_size(labels), json_array_size(attributes));
    TRY(import_make_objects(record, n, place));
    for (size_t i = 0; i < n; i++) {
        free(at);
        at = text_format("%s, object %zu", where, i);
        const struct json_place here = {file, at};
        double four[4];
        const char *label = json_string_value(json_array_get(labels, i));
        if (label == NULL) FAIL(ERR_FORMAT, "%s: %s: the label must be a string", file, at);
        record->objects[i].name = text_copy(label);
        TRY(import_four_numbers(four, json_array_get(boxes, i), "bbox", here));
        TRY(import_box(&record->regions[i], (struct box){four[0], four[1], four[2], four[3]},
                       record, note, here));
        TRY(import_attributes(&record->objects[i], json_array_get(attributes, i), here));
    }
out:
    free(at);
    return status;
}

/* {annotation: {height, width, bboxes, labels, attributes, relations: [[s, predicate, o]]}} */
static enum status read_list_entry(struct record *record, const json_t *entry, const char *file,
                                   const char *where, struct item_note *note)
{
    enum status status = OK;
    const struct json_place place = {file, where};
    char *at = NULL;
    json_t *annotation = NULL;
    json_t *relations = NULL;
    TRY(json_field(&annotation, entry, "annotation", JSON_OBJECT, place));
    TRY(read_size(record, annotation, place));
    TRY(read_columns(record, annotation, file, where, note));
    TRY(json_field(&relations, annotation, "relations", JSON_ARRAY, place));
    for (size_t i = 0; i < json_array_size(relations); i++) {
        free(at);
        at = text_format("%s, relation %zu", where, i);
        TRY(read_triple(record, json_array_get(relations, i), (struct json_place){file, at}));
    }
out:
    free(at);
    return status;
}

static enum status gqa_make(void *context, int64_t item, struct record *record,
                            struct item_note *note)
{
    enum status status = OK;
    const struct gqa *gqa = context;
    const struct json_span span = gqa->items.spans[item];
    const char *file = gqa->text.path;
    json_t *entry = NULL;
    char *id = NULL;
    char *picture = NULL;
    TRY(json_span_parse(&entry, &gqa->text,
                        span)); /* no JSON: nothing of the file can be trusted */
    note->reason = "annotation";
    if (gqa->items.is_object) {
        TRY(json_span_key(&id, &gqa->text, span));
        picture = text_format("%s.jpg", id);
        TRY(read_graph(record, entry, file, id, note));
    } else {
        const char *path = NULL;
        char *where = text_format("[%" PRId64 "]", item);
        status = json_field_string(&path, entry, "data_path", (struct json_place){file, where});
        if (status == OK) status = read_list_entry(record, entry, file, where, note);
        free(where);
        TRY(status);
        id = import_stem(path);
        picture = text_copy(path);
    }
    record->id = text_format("gqa/%s", id);
    record->source = text_format("gqa:%s", import_base_name(file));
    TRY(import_picture(record, gqa->images, picture, note));
    note->reason = "annotation";
    TRY_WHERE(record_check(record), "%s", file);
out:
    json_decref(entry);
    free(picture);
    free(id);
    return status;
}

enum status import_gqa(struct record_source *source_out, const struct import_options *options)
{
    enum status status = OK;
    struct gqa *gqa = memory_new(1, sizeof *gqa);
    TRY(json_text_read(&gqa->text, options->annotations));
    TRY(json_spans_list(&gqa->items, &gqa->text, json_text_whole(&gqa->text)));
    if (gqa->items.n == 0) FAIL(ERR_FORMAT, "%s holds no scene graph", options->annotations);
    gqa->images = text_copy(options->images);
    *source_out = (struct record_source){gqa->items.n, gqa, gqa_make, gqa_release};
    gqa = NULL;
out:
    if (gqa != NULL) gqa_release(gqa);
    return status;
}
