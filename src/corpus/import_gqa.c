/* GQA / Visual Genome scene graphs as records; see import.h for the shapes. Their boxes have no
 * masks: a region without runs is its box. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "corpus/import.h"
#include "corpus/import_common.h"
#include "corpus/import_graph.h"
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

static enum status read_object(struct record *record, const json_t *object, struct item_note *note,
                               struct json_place place)
{
    enum status status = OK;
    const char *name = NULL;
    struct box box;
    const int64_t region = import_add_region(record);
    TRY(json_field_string(&name, object, "name", place));
    TRY(import_add_object(record, name, region, place));
    TRY(read_box(&box, object, place));
    TRY(import_box(&record->regions[region], box, record, note, place));
    TRY(import_attributes(&record->objects[record->n_objects - 1],
                          json_object_get(object, "attributes"), place));
    const json_t *segmentation = json_object_get(object, "segmentation");
    if (segmentation != NULL && !json_is_null(segmentation))
        TRY(import_mask(&record->regions[region], segmentation, record, place));
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
    json_object_foreach(objects, key, object)
    {
        free(where);
        where = text_format("%s.objects.%s", id, key);
        const struct import_mark mark = import_mark(record);
        status = read_object(record, object, note, (struct json_place){file, where});
        if (status == OK)
            json_object_set_new(numbers, key, json_integer(mark.n_objects));
        else
            TRY(import_drop(record, mark, note, status, "object"));
    }
    free(where);
    where = text_format("%s.objects", id);
    TRY(import_graph_relations(record, objects, numbers, note, (struct json_place){file, where}));
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

/* `numbers` [n] maps the list's objects to the record's; -1: dropped. */
static enum status read_triple(struct record *record, const json_t *triple, const int64_t *numbers,
                               int64_t n, struct json_place place)
{
    enum status status = OK;
    int64_t subject;
    int64_t object;
    const char *predicate = json_string_value(json_array_get(triple, 1));
    if (!json_is_array(triple) || json_array_size(triple) != 3 || predicate == NULL)
        FAIL(ERR_FORMAT, "%s: %s: must be [subject, predicate, object]", place.file, place.record);
    TRY(import_index(&subject, triple, 0, n, "subject", place));
    TRY(import_index(&object, triple, 2, n, "object", place));
    if (numbers[subject] < 0 || numbers[object] < 0)
        FAIL(ERR_FORMAT, "%s: %s: one of its objects was dropped", place.file, place.record);
    TRY(import_add_relation(record, numbers[subject], predicate, numbers[object], place));
out:
    return status;
}

/* Object `i` of the list shape: parallel arrays bboxes, labels, attributes. */
static enum status read_column(struct record *record, const json_t *annotation, size_t i,
                               struct item_note *note, struct json_place place)
{
    enum status status = OK;
    double four[4];
    const int64_t region = import_add_region(record);
    const char *label = json_string_value(json_array_get(json_object_get(annotation, "labels"), i));
    if (label == NULL)
        FAIL(ERR_FORMAT, "%s: %s: the label must be a string", place.file, place.record);
    TRY(import_add_object(record, label, region, place));
    TRY(import_four_numbers(four, json_array_get(json_object_get(annotation, "bboxes"), i), "bbox",
                            place));
    TRY(import_box(&record->regions[region], (struct box){four[0], four[1], four[2], four[3]},
                   record, note, place));
    TRY(import_attributes(&record->objects[record->n_objects - 1],
                          json_array_get(json_object_get(annotation, "attributes"), i), place));
out:
    return status;
}

static enum status count_columns(size_t *n_out, const json_t *annotation, struct json_place place)
{
    enum status status = OK;
    json_t *boxes = NULL;
    json_t *labels = NULL;
    json_t *attributes = NULL;
    TRY(json_field(&boxes, annotation, "bboxes", JSON_ARRAY, place));
    TRY(json_field(&labels, annotation, "labels", JSON_ARRAY, place));
    TRY(json_field(&attributes, annotation, "attributes", JSON_ARRAY, place));
    const size_t n = json_array_size(boxes);
    if (json_array_size(labels) != n || json_array_size(attributes) != n)
        FAIL(ERR_FORMAT, "%s: %s: %zu bboxes, %zu labels and %zu attributes; they must be equal",
             place.file, place.record, n, json_array_size(labels), json_array_size(attributes));
    *n_out = n;
out:
    return status;
}

/* Objects and relations of the list shape. */
static enum status read_lists(struct record *record, const json_t *annotation,
                              struct item_note *note, struct json_place place)
{
    enum status status = OK;
    char *at = NULL;
    int64_t *numbers = NULL;
    json_t *relations = NULL;
    size_t n = 0;
    TRY(count_columns(&n, annotation, place));
    TRY(json_field(&relations, annotation, "relations", JSON_ARRAY, place));
    numbers = memory_new(n + 1, sizeof *numbers);
    for (size_t i = 0; i < n; i++) {
        free(at);
        at = text_format("%s, object %zu", place.record, i);
        const struct import_mark mark = import_mark(record);
        status = read_column(record, annotation, i, note, (struct json_place){place.file, at});
        numbers[i] = status == OK ? mark.n_objects : -1;
        if (status != OK) TRY(import_drop(record, mark, note, status, "object"));
    }
    for (size_t i = 0; i < json_array_size(relations); i++) {
        free(at);
        at = text_format("%s, relation %zu", place.record, i);
        const struct import_mark mark = import_mark(record);
        status = read_triple(record, json_array_get(relations, i), numbers, (int64_t)n,
                             (struct json_place){place.file, at});
        if (status != OK) TRY(import_drop(record, mark, note, status, "relation"));
    }
out:
    free(numbers);
    free(at);
    return status;
}

/* {annotation: {height, width, bboxes, labels, attributes, relations: [[s, predicate, o]]}} */
static enum status read_list_entry(struct record *record, const json_t *entry, const char *file,
                                   const char *where, struct item_note *note)
{
    enum status status = OK;
    const struct json_place place = {file, where};
    json_t *annotation = NULL;
    TRY(json_field(&annotation, entry, "annotation", JSON_OBJECT, place));
    TRY(read_size(record, annotation, place));
    TRY(read_lists(record, annotation, note, place));
out:
    return status;
}

/* A row: {data_path, annotation} or {file_name, width, height, objects}. */
static enum status read_row(struct record *record, char **picture_out, const json_t *entry,
                            const char *file, int64_t item, struct item_note *note)
{
    enum status status = OK;
    const char *path = NULL;
    char *where = text_format("[%" PRId64 "]", item);
    const bool graph = json_object_get(entry, "objects") != NULL;
    TRY(json_field_string(&path, entry, graph ? "file_name" : "data_path",
                          (struct json_place){file, where}));
    *picture_out = text_copy(path);
    TRY(graph ? read_graph(record, entry, file, where, note)
              : read_list_entry(record, entry, file, where, note));
out:
    free(where);
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
        TRY(read_row(record, &picture, entry, file, item, note));
        id = import_stem(picture);
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

/* One object that is no row of the list shape is GQA's own: its members are the items. */
static enum status list_items(struct gqa *gqa)
{
    enum status status = OK;
    struct json_spans rows = {0};
    struct json_spans fields = {0};
    TRY(json_rows_list(&rows, &gqa->text));
    if (rows.n == 1 && rows.is_lines) {
        TRY(json_spans_list(&fields, &gqa->text, rows.spans[0]));
        if (json_spans_find(&fields, "data_path") == NULL &&
            json_spans_find(&fields, "file_name") == NULL) {
            gqa->items = fields;
            fields = (struct json_spans){0};
            goto out;
        }
    }
    gqa->items = rows;
    rows = (struct json_spans){0};
out:
    json_spans_release(&fields);
    json_spans_release(&rows);
    return status;
}

enum status import_gqa(struct record_source *source_out, const struct import_options *options)
{
    enum status status = OK;
    struct gqa *gqa = memory_new(1, sizeof *gqa);
    TRY(json_text_open(&gqa->text, options->annotations));
    TRY(list_items(gqa));
    if (gqa->items.n == 0) FAIL(ERR_FORMAT, "%s holds no scene graph", options->annotations);
    gqa->images = text_copy(options->images);
    *source_out = (struct record_source){gqa->items.n, gqa, gqa_make, gqa_release};
    gqa = NULL;
out:
    if (gqa != NULL) gqa_release(gqa);
    return status;
}
