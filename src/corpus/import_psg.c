/* Panoptic scene graphs (the PSG data set) as records: psg.json, the pictures of COCO and its
 * panoptic PNGs. Class names are kept as they are ("tree-merged"); tasks make words of them. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "corpus/import.h"
#include "corpus/import_common.h"
#include "corpus/json_spans.h"
#include "image/image.h"
#include "image/panoptic.h"

struct psg {
    struct json_text text;
    struct json_spans members, data;
    int64_t *picked; /* [n_items] elements of data that are of the split */
    json_t *classes; /* things, then stuff: category_id counts over both */
    json_t *predicates;
    char *images, *masks;
};

static void psg_release(void *context)
{
    struct psg *psg = context;
    json_spans_release(&psg->members);
    json_spans_release(&psg->data);
    json_text_release(&psg->text);
    json_decref(psg->classes);
    json_decref(psg->predicates);
    free(psg->picked);
    free(psg->images);
    free(psg->masks);
    free(psg);
}

/* A member of the root that is an array. */
static enum status read_member(json_t **array_out, const struct psg *psg, const char *key)
{
    enum status status = OK;
    json_t *value = NULL;
    const struct json_span *span = json_spans_find(&psg->members, key);
    if (span == NULL)
        FAIL(ERR_FORMAT, "%s: field '%s' is missing; is it a psg.json?", psg->text.path, key);
    TRY(json_span_parse(&value, &psg->text, *span));
    if (!json_is_array(value))
        FAIL(ERR_FORMAT, "%s: field '%s' must be an array", psg->text.path, key);
    *array_out = value;
    value = NULL;
out:
    json_decref(value);
    return status;
}

static enum status read_names(json_t **names_out, const struct psg *psg, const char *key)
{
    enum status status = OK;
    json_t *names = NULL;
    TRY(read_member(&names, psg, key));
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        if (name == NULL || name[0] == '\0')
            FAIL(ERR_FORMAT, "%s: %s[%zu] must be a name", psg->text.path, key, i);
    }
    *names_out = names;
    names = NULL;
out:
    json_decref(names);
    return status;
}

/* An image id as text, to free(): the public file writes strings, tools write integers. */
static char *id_text(const json_t *id)
{
    if (json_is_string(id)) return text_copy(json_string_value(id));
    if (json_is_integer(id)) return text_format("%" PRId64, (int64_t)json_integer_value(id));
    return NULL;
}

/* The ids of test_image_ids as the keys of an object. */
static enum status read_test_ids(json_t **ids_out, const struct psg *psg)
{
    enum status status = OK;
    json_t *list = NULL;
    json_t *ids = json_object();
    TRY(read_member(&list, psg, "test_image_ids"));
    for (size_t i = 0; i < json_array_size(list); i++) {
        char *id = id_text(json_array_get(list, i));
        if (id == NULL)
            FAIL(ERR_FORMAT, "%s: test_image_ids[%zu] must be a string or an integer",
                 psg->text.path, i);
        json_object_set_new(ids, id, json_true());
        free(id);
    }
    *ids_out = ids;
    ids = NULL;
out:
    json_decref(list);
    json_decref(ids);
    return status;
}

/* Entries whose image_id cannot be read stay in: making them says what is wrong. */
static enum status pick_split(struct psg *psg, const char *split, int64_t *n_out)
{
    enum status status = OK;
    json_t *tests = NULL;
    json_t *entry = NULL;
    int64_t n = 0;
    const bool all = strcmp(split, "all") == 0;
    psg->picked = memory_new((size_t)psg->data.n + 1, sizeof *psg->picked);
    if (!all) TRY(read_test_ids(&tests, psg));
    for (int64_t i = 0; i < psg->data.n; i++) {
        bool is_test = false;
        if (!all) {
            json_decref(entry);
            entry = NULL;
            TRY(json_span_parse(&entry, &psg->text, psg->data.spans[i]));
            char *id = id_text(json_object_get(entry, "image_id"));
            is_test = id != NULL && json_object_get(tests, id) != NULL;
            free(id);
        }
        if (all || is_test == (strcmp(split, "test") == 0)) psg->picked[n++] = i;
    }
    if (n == 0)
        FAIL(ERR_FORMAT, "%s: no picture of split '%s' among its %" PRId64, psg->text.path, split,
             psg->data.n);
    *n_out = n;
out:
    json_decref(entry);
    json_decref(tests);
    return status;
}

/* One entry of `data` on its way into a record. */
struct psg_entry {
    const struct psg *psg;
    const json_t *json;
    struct json_place place;
    struct record *record;
    struct item_note *note;
    int64_t *numbers; /* [n] annotation -> object, -1: dropped */
    int64_t n;
};

/* Class and box from an annotation; the mask comes later. */
static enum status read_object(const struct psg_entry *entry, const json_t *annotation,
                               struct json_place place)
{
    enum status status = OK;
    int64_t category;
    double four[4];
    struct record *record = entry->record;
    const json_t *classes = entry->psg->classes;
    const int64_t region = import_add_region(record);
    const int64_t n_classes = (int64_t)json_array_size(classes);
    TRY(json_field_integer(&category, annotation, "category_id", 0, n_classes - 1, place));
    TRY(import_add_object(record, json_string_value(json_array_get(classes, (size_t)category)),
                          region, place));
    TRY(import_four_numbers(four, json_object_get(annotation, "bbox"), "bbox", place));
    TRY(import_box(&record->regions[region], (struct box){four[0], four[1], four[2], four[3]},
                   record, entry->note, place));
out:
    return status;
}

static enum status read_objects(struct psg_entry *entry)
{
    enum status status = OK;
    char *at = NULL;
    json_t *annotations = NULL;
    json_t *segments = NULL;
    TRY(json_field(&annotations, entry->json, "annotations", JSON_ARRAY, entry->place));
    TRY(json_field(&segments, entry->json, "segments_info", JSON_ARRAY, entry->place));
    const size_t n = json_array_size(annotations);
    if (json_array_size(segments) != n)
        FAIL(ERR_FORMAT, "%s: %s: %zu annotations but %zu segments_info", entry->place.file,
             entry->place.record, n, json_array_size(segments));
    entry->numbers = memory_new(n + 1, sizeof *entry->numbers);
    entry->n = (int64_t)n;
    for (size_t i = 0; i < n; i++) {
        free(at);
        at = text_format("%s.annotations[%zu]", entry->place.record, i);
        const struct import_mark mark = import_mark(entry->record);
        status = read_object(entry, json_array_get(annotations, i),
                             (struct json_place){entry->place.file, at});
        entry->numbers[i] = status == OK ? mark.n_objects : -1;
        if (status != OK) TRY(import_drop(entry->record, mark, entry->note, status, "object"));
    }
out:
    free(at);
    return status;
}

static enum status read_relation(const struct psg_entry *entry, const json_t *triple,
                                 struct json_place place)
{
    enum status status = OK;
    const json_t *predicates = entry->psg->predicates;
    const int64_t *numbers = entry->numbers;
    int64_t subject;
    int64_t object;
    int64_t predicate;
    if (json_array_size(triple) != 3)
        FAIL(ERR_FORMAT, "%s: %s: must be [subject, object, predicate]", place.file, place.record);
    TRY(import_index(&subject, triple, 0, entry->n, "subject", place));
    TRY(import_index(&object, triple, 1, entry->n, "object", place));
    TRY(import_index(&predicate, triple, 2, (int64_t)json_array_size(predicates), "predicate",
                     place));
    if (numbers[subject] < 0 || numbers[object] < 0)
        FAIL(ERR_FORMAT, "%s: %s: one of its objects was dropped", place.file, place.record);
    TRY(import_add_relation(entry->record, numbers[subject],
                            json_string_value(json_array_get(predicates, (size_t)predicate)),
                            numbers[object], place));
out:
    return status;
}

static enum status read_relations(const struct psg_entry *entry)
{
    enum status status = OK;
    char *at = NULL;
    json_t *relations = NULL;
    TRY(json_field(&relations, entry->json, "relations", JSON_ARRAY, entry->place));
    for (size_t i = 0; i < json_array_size(relations); i++) {
        free(at);
        at = text_format("%s.relations[%zu]", entry->place.record, i);
        const struct import_mark mark = import_mark(entry->record);
        status = read_relation(entry, json_array_get(relations, i),
                               (struct json_place){entry->place.file, at});
        if (status != OK) TRY(import_drop(entry->record, mark, entry->note, status, "relation"));
    }
out:
    free(at);
    return status;
}

static enum status read_segments(const struct psg_entry *entry, const struct panoptic *panoptic,
                                 const char *path)
{
    enum status status = OK;
    const uint32_t max_id = (1u << 24) - 1;
    const struct json_place place = entry->place;
    const json_t *segments = json_object_get(entry->json, "segments_info");
    for (int64_t i = 0; i < entry->n; i++) {
        int64_t id;
        TRY(json_field_integer(&id, json_array_get(segments, (size_t)i), "id", 1, max_id, place));
        const struct rle *mask = panoptic_mask(panoptic, (uint32_t)id);
        if (mask == NULL)
            FAIL(ERR_FORMAT, "%s: segment %" PRId64 " of %s has no pixel in it", path, id,
                 place.record);
        if (entry->numbers[i] >= 0)
            TRY(rle_copy(&entry->record->regions[entry->numbers[i]].mask, mask));
    }
    const int64_t n_void = panoptic_mask(panoptic, 0) == NULL ? 0 : 1;
    if (panoptic->n_segments - n_void != entry->n)
        FAIL(ERR_FORMAT, "%s holds %" PRId64 " segments, segments_info of %s lists %" PRId64, path,
             panoptic->n_segments - n_void, place.record, entry->n);
out:
    return status;
}

/* The masks of all objects, and no pixel of the PNG that belongs to none of them. */
static enum status read_masks(const struct psg_entry *entry)
{
    enum status status = OK;
    const struct record *record = entry->record;
    struct panoptic panoptic = {0};
    char *path = NULL;
    const char *name = NULL;
    TRY(json_field_string(&name, entry->json, "pan_seg_file_name", entry->place));
    TRY(import_path(&path, entry->psg->masks, name));
    TRY(panoptic_read(&panoptic, path));
    if (panoptic.height != record->height || panoptic.width != record->width)
        FAIL(ERR_FORMAT,
             "%s is %" PRId64 " x %" PRId64 " pixels, the picture %" PRId64 " x %" PRId64, path,
             panoptic.width, panoptic.height, record->width, record->height);
    TRY(read_segments(entry, &panoptic, path));
out:
    panoptic_release(&panoptic);
    free(path);
    return status;
}

static enum status read_entry(struct psg_entry *entry)
{
    enum status status = OK;
    struct record *record = entry->record;
    const struct json_place place = entry->place;
    const char *name = NULL;
    char *id = id_text(json_object_get(entry->json, "image_id"));
    if (id == NULL)
        FAIL(ERR_FORMAT, "%s: %s: field 'image_id' must be a string or an integer", place.file,
             place.record);
    record->id = text_format("psg/%s", id);
    record->source = text_format("psg:%s", import_base_name(place.file));
    TRY(json_field_string(&name, entry->json, "file_name", place));
    TRY(json_field_integer(&record->height, entry->json, "height", 1, IMAGE_MAX_SIDE, place));
    TRY(json_field_integer(&record->width, entry->json, "width", 1, IMAGE_MAX_SIDE, place));
    TRY(read_objects(entry));
    TRY(read_relations(entry));
    TRY(import_picture(record, entry->psg->images, name, entry->note));
    entry->note->reason = "masks";
    TRY(read_masks(entry));
    entry->note->reason = "annotation";
    TRY_WHERE(record_check(record), "%s", place.file);
out:
    free(id);
    return status;
}

static enum status psg_make(void *context, int64_t item, struct record *record,
                            struct item_note *note)
{
    enum status status = OK;
    const struct psg *psg = context;
    const int64_t index = psg->picked[item];
    json_t *json = NULL;
    char *where = text_format("data[%" PRId64 "]", index);
    struct psg_entry entry = {
        .psg = psg, .place = {psg->text.path, where}, .record = record, .note = note};
    TRY(json_span_parse(&json, &psg->text, psg->data.spans[index]));
    note->reason = "annotation";
    entry.json = json;
    TRY(read_entry(&entry));
out:
    json_decref(json);
    free(entry.numbers);
    free(where);
    return status;
}

static enum status read_file(struct psg *psg, const char *path)
{
    enum status status = OK;
    json_t *stuff = NULL;
    TRY(json_text_open(&psg->text, path));
    TRY(json_spans_list(&psg->members, &psg->text, json_text_whole(&psg->text)));
    const struct json_span *data = json_spans_find(&psg->members, "data");
    if (data == NULL || data->text[0] != '[')
        FAIL(ERR_FORMAT, "%s: it has no array 'data'; is it a psg.json?", path);
    TRY(json_spans_list(&psg->data, &psg->text, *data));
    TRY(read_names(&psg->classes, psg, "thing_classes"));
    TRY(read_names(&stuff, psg, "stuff_classes"));
    json_array_extend(psg->classes, stuff);
    TRY(read_names(&psg->predicates, psg, "predicate_classes"));
out:
    json_decref(stuff);
    return status;
}

enum status import_psg(struct record_source *source_out, const struct import_options *options)
{
    enum status status = OK;
    struct psg *psg = memory_new(1, sizeof *psg);
    int64_t n = 0;
    TRY(read_file(psg, options->annotations));
    TRY(pick_split(psg, options->split, &n));
    psg->images = text_copy(options->images);
    psg->masks = text_copy(options->masks == NULL ? options->images : options->masks);
    *source_out = (struct record_source){n, psg, psg_make, psg_release};
    psg = NULL;
out:
    if (psg != NULL) psg_release(psg);
    return status;
}
