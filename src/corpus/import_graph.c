/* See import_graph.h. */
#include "corpus/import_graph.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "image/image.h"

static enum status read_relation(struct record *record, int64_t subject, const json_t *relation,
                                 const json_t *numbers, struct json_place place)
{
    enum status status = OK;
    const char *name = NULL;
    const char *id = NULL;
    TRY(json_field_string(&name, relation, "name", place));
    TRY(json_field_string(&id, relation, "object", place));
    const json_t *number = json_object_get(numbers, id);
    if (number == NULL)
        FAIL(ERR_FORMAT, "%s: %s: it is to object '%s', which is not there or was dropped",
             place.file, place.record, id);
    TRY(import_add_relation(record, subject, name, json_integer_value(number), place));
out:
    return status;
}

/* Those of one object. */
static enum status read_relations(struct record *record, const json_t *object,
                                  const json_t *subject, const json_t *numbers,
                                  struct item_note *note, struct json_place place)
{
    enum status status = OK;
    char *where = NULL;
    const json_t *relations = json_object_get(object, "relations");
    if (relations == NULL) return OK;
    if (!json_is_array(relations))
        FAIL(ERR_FORMAT, "%s: %s: relations must be an array", place.file, place.record);
    for (size_t i = 0; i < json_array_size(relations); i++) {
        free(where);
        where = text_format("%s.relations[%zu]", place.record, i);
        const struct import_mark mark = import_mark(record);
        if (subject == NULL)
            status = status_fail(ERR_FORMAT, "%s: %s: its subject was dropped", place.file, where);
        else
            status =
                read_relation(record, json_integer_value(subject), json_array_get(relations, i),
                              numbers, (struct json_place){place.file, where});
        if (status != OK) TRY(import_drop(record, mark, note, status, "relation"));
    }
out:
    free(where);
    return status;
}

enum status import_graph_relations(struct record *record, json_t *objects, const json_t *numbers,
                                   struct item_note *note, struct json_place place)
{
    enum status status = OK;
    char *where = NULL;
    const char *key;
    json_t *object;
    json_object_foreach(objects, key, object)
    {
        free(where);
        where = text_format("%s.%s", place.record, key);
        TRY(read_relations(record, object, json_object_get(numbers, key), numbers, note,
                           (struct json_place){place.file, where}));
    }
out:
    free(where);
    return status;
}

/* {segmentation, bbox: [x, y, w, h]}; either may be missing: a mask gives the box around it. */
static enum status read_region(struct record *record, const json_t *region, struct item_note *note,
                               struct json_place place)
{
    enum status status = OK;
    double four[4];
    const int64_t number = import_add_region(record);
    struct record_region *made = &record->regions[number];
    const json_t *segmentation = json_object_get(region, "segmentation");
    const json_t *corners = json_object_get(region, "bbox");
    const bool has_mask = segmentation != NULL && !json_is_null(segmentation);
    if (has_mask) TRY(import_mask(made, segmentation, record, place));
    if (corners != NULL && !json_is_null(corners)) {
        TRY(import_four_numbers(four, corners, "bbox", place));
        TRY(import_box(made, (struct box){four[0], four[1], four[0] + four[2], four[1] + four[3]},
                       record, note, place));
    } else if (has_mask) {
        made->box = rle_box(&made->mask);
    } else {
        FAIL(ERR_FORMAT, "%s: %s: a region needs a segmentation or a bbox", place.file,
             place.record);
    }
out:
    return status;
}

enum status import_region_list(int64_t **numbers_out, struct record *record, const json_t *list,
                               struct item_note *note, struct json_place place)
{
    enum status status = OK;
    const size_t n = json_array_size(list);
    int64_t *numbers = memory_new(n + 1, sizeof *numbers);
    char *where = NULL;
    for (size_t i = 0; i < n; i++) {
        free(where);
        where = text_format("%s[%zu]", place.record, i);
        const struct import_mark mark = import_mark(record);
        status = read_region(record, json_array_get(list, i), note,
                             (struct json_place){place.file, where});
        numbers[i] = status == OK ? mark.n_regions : -1;
        if (status != OK) TRY(import_drop(record, mark, note, status, "region"));
    }
    *numbers_out = numbers;
    numbers = NULL;
out:
    free(numbers);
    free(where);
    return status;
}

char *import_id_text(const json_t *id)
{
    if (json_is_string(id)) return text_copy(json_string_value(id));
    if (json_is_integer(id)) return text_format("%" PRId64, (int64_t)json_integer_value(id));
    return NULL;
}

char *import_picture_name(const char *id)
{
    const char *dot = strrchr(import_base_name(id), '.');
    return dot == NULL ? text_format("%s.jpg", id) : text_copy(id);
}

static enum status read_side(int64_t *side_out, const json_t *object, const char *key,
                             struct json_place place)
{
    const json_t *value = json_object_get(object, key);
    if (value == NULL || json_is_null(value)) return OK;
    return json_field_integer(side_out, object, key, 1, IMAGE_MAX_SIDE, place);
}

enum status import_size(struct record *record, const json_t *object, const char *height,
                        const char *width, struct json_place place)
{
    enum status status = OK;
    record->height = record->width = 0;
    TRY(read_side(&record->height, object, height, place));
    TRY(read_side(&record->width, object, width, place));
    if (record->height == 0 || record->width == 0) record->height = record->width = 0;
out:
    return status;
}
