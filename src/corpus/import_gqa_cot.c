/* GQA's questions with the objects that they rest on, by picture: over a scene graph with regions,
 * or with the reasoning written out and its phrases tied to boxes. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "corpus/import.h"
#include "corpus/import_common.h"
#include "corpus/import_graph.h"
#include "corpus/import_text.h"
#include "corpus/json_spans.h"

struct cot {
    struct json_text text;
    struct json_spans items; /* pictures: members by id, or rows */
    char *images;
};

static void cot_release(void *context)
{
    struct cot *cot = context;
    json_spans_release(&cot->items);
    json_text_release(&cot->text);
    free(cot->images);
    free(cot);
}

struct cot_item {
    const json_t *json;
    struct json_place place; /* `record` is the picture's id */
    struct record *record;
    struct item_note *note;
    int64_t *regions; /* of field `regions`, -1: dropped; NULL without the field */
    int64_t n_regions;
    json_t *numbers; /* object id -> object of the record */
};

/* The region of an object: where the mapping leads, or one of its own. */
static enum status object_region(int64_t *region_out, const struct cot_item *item, const char *id,
                                 const json_t *object, struct json_place place)
{
    enum status status = OK;
    double four[4];
    struct record *record = item->record;
    if (item->regions != NULL) {
        const json_t *mapped =
            json_object_get(json_object_get(item->json, "id_region_mapping"), id);
        const json_int_t index = json_is_integer(mapped) ? json_integer_value(mapped) : -1;
        if (index < 0 || index >= item->n_regions || item->regions[index] < 0)
            FAIL(ERR_FORMAT,
                 "%s: %s: id_region_mapping leads to no region, or to one that was "
                 "dropped",
                 place.file, place.record);
        *region_out = item->regions[index];
        return OK;
    }
    *region_out = import_add_region(record);
    TRY(import_four_numbers(four, json_object_get(object, "bbox"), "bbox", place));
    TRY(import_box(&record->regions[*region_out], (struct box){four[0], four[1], four[2], four[3]},
                   record, item->note, place));
    const json_t *segmentation = json_object_get(object, "segmentation");
    if (segmentation != NULL && !json_is_null(segmentation))
        TRY(import_mask(&record->regions[*region_out], segmentation, record, place));
out:
    return status;
}

static enum status read_object(const struct cot_item *item, const char *id, const json_t *object,
                               struct json_place place)
{
    enum status status = OK;
    int64_t region = -1;
    const char *name = NULL;
    struct record *record = item->record;
    TRY(json_field_string(&name, object, "name", place));
    TRY(object_region(&region, item, id, object, place));
    TRY(import_add_object(record, name, region, place));
    TRY(import_attributes(&record->objects[record->n_objects - 1],
                          json_object_get(object, "attributes"), place));
out:
    return status;
}

static enum status read_graph(struct cot_item *item)
{
    enum status status = OK;
    char *where = NULL;
    json_t *graph = NULL;
    const char *id;
    json_t *object;
    const json_t *regions = json_object_get(item->json, "regions");
    if (regions != NULL) {
        where = text_format("%s.regions", item->place.record);
        item->n_regions = (int64_t)json_array_size(regions);
        TRY(import_region_list(&item->regions, item->record, regions, item->note,
                               (struct json_place){item->place.file, where}));
    }
    TRY(json_field(&graph, item->json, "scene_graph", JSON_OBJECT, item->place));
    json_object_foreach(graph, id, object)
    {
        free(where);
        where = text_format("%s.scene_graph.%s", item->place.record, id);
        const struct import_mark mark = import_mark(item->record);
        status = read_object(item, id, object, (struct json_place){item->place.file, where});
        if (status == OK)
            json_object_set_new(item->numbers, id, json_integer(mark.n_objects));
        else
            TRY(import_drop(item->record, mark, item->note, status, "object"));
    }
    TRY(import_graph_relations(item->record, graph, item->numbers, item->note, item->place));
out:
    free(where);
    return status;
}

/* A question over the graph: the answer, and the objects that it rests on. */
static enum status read_question(struct cot_item *item, const json_t *entry,
                                 struct json_place place)
{
    enum status status = OK;
    const char *question = NULL;
    const char *answer = NULL;
    json_t *ids = NULL;
    TRY(json_field_string(&question, entry, "question", place));
    TRY(json_field_string(&answer, entry, "answer", place));
    TRY(json_field(&ids, entry, "object_ids", JSON_ARRAY, place));
    struct record_text *text = import_add_text(item->record, "vqa", -1, NULL);
    struct record_turn *turn = import_add_turn(text, question, answer);
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const struct import_mark mark = import_mark(item->record);
        char *id = import_id_text(json_array_get(ids, i));
        const json_t *number = id == NULL ? NULL : json_object_get(item->numbers, id);
        if (number != NULL)
            import_add_reference(turn, json_integer_value(number));
        else
            TRY(import_drop(item->record, mark, item->note,
                            status_fail(ERR_FORMAT,
                                        "%s: %s: object '%s' is not there or was "
                                        "dropped",
                                        place.file, place.record, id == NULL ? "?" : id),
                            "mention"));
        free(id);
    }
out:
    return status;
}

/* Boxes as regions, corners in pixels. */
static enum status read_boxes(int64_t *first_out, const struct cot_item *item, const json_t *boxes,
                              struct json_place place)
{
    enum status status = OK;
    *first_out = item->record->n_regions;
    for (size_t i = 0; i < json_array_size(boxes); i++) {
        double four[4];
        const int64_t region = import_add_region(item->record);
        TRY(import_four_numbers(four, json_array_get(boxes, i), "box", place));
        TRY(import_box(&item->record->regions[region],
                       (struct box){four[0], four[1], four[2], four[3]}, item->record, item->note,
                       place));
    }
out:
    return status;
}

/* "<ph_st>the hats<ph_ed>", phrase k tied to boxes seq[k] -> "<p>the hats</p><region2><region3>" */
static enum status mark_phrases(struct text_buffer *out, const char *value, const json_t *seq,
                                int64_t first, int64_t n, struct json_place place)
{
    enum status status = OK;
    static const char begin[] = "<ph_st>";
    static const char end[] = "<ph_ed>";
    size_t number = 0;
    if (strstr(value, "<p>") != NULL || strstr(value, "<region") != NULL)
        FAIL(ERR_FORMAT, "%s: %s: the reasoning holds a mark of ours", place.file, place.record);
    for (const char *at = value; *at != '\0';) {
        const char *open = strstr(at, begin);
        const char *close = open == NULL ? NULL : strstr(open, end);
        if (open != NULL && close == NULL)
            FAIL(ERR_FORMAT, "%s: %s: a phrase does not end", place.file, place.record);
        if (open == NULL) {
            text_append(out, at);
            break;
        }
        text_printf(out, "%.*s<p>%.*s</p>", (int)(open - at), at,
                    (int)(close - open - (ptrdiff_t)strlen(begin)), open + strlen(begin));
        const json_t *boxes = json_array_get(seq, number++);
        for (size_t i = 0; i < json_array_size(boxes); i++) {
            int64_t box = -1;
            TRY(import_index(&box, boxes, i, n, "box of a phrase", place));
            text_printf(out, "<region%" PRId64 ">", first + box + 1);
        }
        at = close + strlen(end);
    }
    if (number != json_array_size(seq))
        FAIL(ERR_FORMAT, "%s: %s: %zu phrases but %zu lists of boxes", place.file, place.record,
             number, json_array_size(seq));
out:
    return status;
}

static enum status read_reasoning(struct cot_item *item, const json_t *entry,
                                  struct json_place place)
{
    enum status status = OK;
    struct text_buffer value = {0};
    const char *question = NULL;
    const char *answer = NULL;
    const char *words = NULL;
    json_t *cot = NULL;
    json_t *boxes = NULL;
    json_t *seq = NULL;
    int64_t first = 0;
    TRY(json_field_string(&question, entry, "question", place));
    TRY(json_field_string(&answer, entry, "answer", place));
    TRY(json_field(&cot, entry, "cot", JSON_OBJECT, place));
    TRY(json_field_string(&words, cot, "value", place));
    TRY(json_field(&boxes, cot, "boxes", JSON_ARRAY, place));
    TRY(json_field(&seq, cot, "seq", JSON_ARRAY, place));
    TRY(read_boxes(&first, item, boxes, place));
    TRY(mark_phrases(&value, words, seq, first, (int64_t)json_array_size(boxes), place));
    struct record_text *text = import_add_text(item->record, "cot", -1, NULL);
    import_add_turn(text, question, text_of(&value));
    import_add_turn(text, "", answer);
out:
    text_release(&value);
    return status;
}

static enum status read_questions(struct cot_item *item)
{
    enum status status = OK;
    json_t *data = NULL;
    char *where = NULL;
    TRY(json_field(&data, item->json, "data", JSON_ARRAY, item->place));
    for (size_t i = 0; i < json_array_size(data); i++) {
        const json_t *entry = json_array_get(data, i);
        const bool written = json_object_get(entry, "cot") != NULL;
        free(where);
        where = text_format("%s.data[%zu]", item->place.record, i);
        const struct json_place place = {item->place.file, where};
        const struct import_mark mark = import_mark(item->record);
        status = written ? read_reasoning(item, entry, place) : read_question(item, entry, place);
        if (status != OK) TRY(import_drop(item->record, mark, item->note, status, "question"));
    }
out:
    free(where);
    return status;
}

static enum status read_item(struct cot_item *item, const char *images)
{
    enum status status = OK;
    struct record *record = item->record;
    const bool shikra = json_object_get(item->json, "img_w") != NULL;
    char *name = import_picture_name(item->place.record);
    record->id = text_format("gqa-cot/%s", item->place.record);
    record->source = text_format("gqa-cot:%s", import_base_name(item->place.file));
    TRY(import_size(record, item->json, shikra ? "img_h" : "height", shikra ? "img_w" : "width",
                    item->place));
    TRY(import_picture(record, images, name, item->note));
    item->note->reason = "annotation";
    if (json_object_get(item->json, "scene_graph") != NULL) TRY(read_graph(item));
    TRY(read_questions(item));
    TRY_WHERE(record_check(record), "%s", item->place.file);
out:
    free(name);
    return status;
}

static enum status cot_make(void *context, int64_t number, struct record *record,
                            struct item_note *note)
{
    enum status status = OK;
    const struct cot *cot = context;
    const struct json_span span = cot->items.spans[number];
    json_t *json = NULL;
    char *id = NULL;
    struct cot_item item = {.record = record, .note = note, .numbers = json_object()};
    TRY(json_span_parse(&json, &cot->text, span));
    note->reason = "annotation";
    if (span.key != NULL) {
        TRY(json_span_key(&id, &cot->text, span));
    } else {
        id = import_id_text(json_object_get(json, "imageId"));
        if (id == NULL)
            FAIL(ERR_FORMAT, "%s: row %" PRId64 ": field 'imageId' must be a string or an integer",
                 cot->text.path, number);
    }
    item.json = json;
    item.place = (struct json_place){cot->text.path, id};
    TRY(read_item(&item, cot->images));
out:
    json_decref(item.numbers);
    json_decref(json);
    free(item.regions);
    free(id);
    return status;
}

static enum status list_items(struct cot *cot)
{
    enum status status = OK;
    struct json_spans fields = {0};
    TRY(json_rows_list(&cot->items, &cot->text));
    if (cot->items.n == 1 && cot->items.is_lines) {
        TRY(json_spans_list(&fields, &cot->text, cot->items.spans[0]));
        if (json_spans_find(&fields, "imageId") == NULL) {
            json_spans_release(&cot->items);
            cot->items = fields;
            fields = (struct json_spans){0};
        }
    }
out:
    json_spans_release(&fields);
    return status;
}

enum status import_gqa_cot(struct record_source *source_out, const struct import_options *options)
{
    enum status status = OK;
    struct cot *cot = memory_new(1, sizeof *cot);
    TRY(json_text_open(&cot->text, options->annotations));
    TRY(list_items(cot));
    if (cot->items.n == 0) FAIL(ERR_FORMAT, "%s holds no picture", options->annotations);
    cot->images = text_copy(options->images);
    *source_out = (struct record_source){cot->items.n, cot, cot_make, cot_release};
    cot = NULL;
out:
    if (cot != NULL) cot_release(cot);
    return status;
}
