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

/* Object i: class and box from annotations[i], mask from segments_info[i]. */
static enum status read_object(struct record *record, int64_t index, const json_t *annotation,
                               const struct psg *psg, struct item_note *note,
                               struct json_place place)
{
    enum status status = OK;
    int64_t category;
    double four[4];
    const int64_t n_classes = (int64_t)json_array_size(psg->classes);
    TRY(json_field_integer(&category, annotation, "category_id", 0, n_classes - 1, place));
    record->objects[index].name =
        text_copy(json_string_value(json_array_get(psg->classes, (size_t)category)));
    TRY(import_four_numbers(four, json_object_get(annotation, "bbox"), "bbox", place));
    TRY(import_box(&record->regions[index], (struct box){four[0], four[1], four[2], four[3]},
                   record, note, place));
out:
    return status;
}

static enum status read_objects(struct record *record, const json_t *entry, const struct psg *psg,
                                const char *where, struct item_note *note)
{
    enum status status = OK;
    const struct json_place place = {psg->text.path, where};
    char *at = NULL;
    json_t *annotations = NULL;
    json_t *segments = NULL;
    TRY(json_field(&annotations, entry, "annotations", JSON_ARRAY, place));
    TRY(json_field(&segments, entry, "segments_info", JSON_ARRAY, place));
    const size_t n = json_array_size(annotations);
    if (json_array_size(segments) != n)
        FAIL(ERR_FORMAT, "%s: %s: %zu annotations but %zu segments_info", place.file, where, n,
             json_array_size(segments));
    TRY(import_make_objects(record, n, place));
    for (size_t i = 0; i < n; i++) {
        free(at);
        at = text_format("%s.annotations[%zu]", where, i);
        TRY(read_object(record, (int64_t)i, json_array_get(annotations, i), psg, note,
                        (struct json_place){psg->text.path, at}));
    }
out:
    free(at);
    return status;
}

static enum status read_relations(struct record *record, const json_t *entry, const struct psg *psg,
                                  const char *where)
{
    enum status status = OK;
    char *at = NULL;
    json_t *relations = NULL;
    TRY(json_field(&relations, entry, "relations", JSON_ARRAY,
                   (struct json_place){psg->text.path, where}));
    const int64_t n_predicates = (int64_t)json_array_size(psg->predicates);
    for (size_t i = 0; i < json_array_size(relations); i++) {
        free(at);
        at = text_format("%s.relations[%zu]", where, i);
        const struct json_place place = {psg->text.path, at};
        const json_t *triple = json_array_get(relations, i);
        int64_t subject;
        int64_t object;
        int64_t predicate;
        if (json_array_size(triple) != 3)
            FAIL(ERR_FORMAT, "%s: %s: must be [subject, object, predicate]", place.file, at);
        TRY(import_index(&subject, triple, 0, record->n_objects, "subject", place));
        TRY(import_index(&object, triple, 1, record->n_objects, "object", place));
        TRY(import_index(&predicate, triple, 2, n_predicates, "predicate", place));
        struct record_relation *made = import_add_relation(record);
        made->subject = subject;
        made->object = object;
        made->predicate =
            text_copy(json_string_value(json_array_get(psg->predicates, (size_t)predicate)));
        made->kind = text_copy("");
    }
out:
    free(at);
    return status;
}

/* The masks of all objects, and no pixel of the PNG that belongs to none of them. */
static enum status read_masks(struct record *record, const json_t *entry, const struct psg *psg,
                              const char *where)
{
    enum status status = OK;
    const struct json_place place = {psg->text.path, where};
    const uint32_t max_id = (1u << 24) - 1;
    struct panoptic panoptic = {0};
    char *path = NULL;
    const char *name = NULL;
    TRY(json_field_string(&name, entry, "pan_seg_file_name", place));
    TRY(import_path(&path, psg->masks, name));
    TRY(panoptic_read(&panoptic, path));
    if (panoptic.height != record->height || panoptic.width != record->width)
        FAIL(ERR_FORMAT,
             "%s is %" PRId64 " x %" PRId64 " pixels, the picture %" PRId64 " x %" PRId64, path,
             panoptic.width, panoptic.height, record->width, record->height);
    const json_t *segments = json_object_get(entry, "segments_info");
    for (int64_t i = 0; i < record->n_regions; i++) {
        int64_t id;
        TRY(json_field_integer(&id, json_array_get(segments, (size_t)i), "id", 1, max_id, place));
        const struct rle *mask = panoptic_mask(&panoptic, (uint32_t)id);
        if (mask == NULL)
            FAIL(ERR_FORMAT, "%s: segment %" PRId64 " of %s has no pixel in it", path, id, where);
        TRY(rle_copy(&record->regions[i].mask, mask));
    }
    const int64_t n_void = panoptic_mask(&panoptic, 0) == NULL ? 0 : 1;
    if (panoptic.n_segments - n_void != record->n_regions)
        FAIL(ERR_FORMAT, "%s holds %" PRId64 " segments, segments_info of %s lists %" PRId64, path,
             panoptic.n_segments - n_void, where, record->n_regions);
out:
    panoptic_release(&panoptic);
    free(path);
    return status;
}

static enum status read_entry(struct record *record, const json_t *entry, const struct psg *psg,
                              const char *where, struct item_note *note)
{
    enum status status = OK;
    const struct json_place place = {psg->text.path, where};
    const char *name = NULL;
    char *id = id_text(json_object_get(entry, "image_id"));
    if (id == NULL)
        FAIL(ERR_FORMAT, "%s: %s: field 'image_id' must be a string or an integer", place.file,
             where);
    record->id = text_format("psg/%s", id);
    record->source = text_format("psg:%s", import_base_name(place.file));
    TRY(json_field_string(&name, entry, "file_name", place));
    TRY(json_field_integer(&record->height, entry, "height", 1, IMAGE_MAX_SIDE, place));
    TRY(json_field_integer(&record->width, entry, "width", 1, IMAGE_MAX_SIDE, place));
    TRY(read_objects(record, entry, psg, where, note));
    TRY(read_relations(record, entry, psg, where));
    TRY(import_picture(record, psg->images, name, note));
    note->reason = "masks";
    TRY(read_masks(record, entry, psg, where));
    note->reason = "annotation";
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
    json_t *entry = NULL;
    char *where = text_format("data[%" PRId64 "]", index);
    TRY(json_span_parse(&entry, &psg->text, psg->data.spans[index]));
    note->reason = "annotation";
    TRY(read_entry(record, entry, psg, where, note));
out:
    json_decref(entry);
    free(where);
    return status;
}

static enum status read_file(struct psg *psg, const char *path)
{
    enum status status = OK;
    json_t *stuff = NULL;
    TRY(json_text_read(&psg->text, path));
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
