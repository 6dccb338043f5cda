/* See import_common.h. */
#include "corpus/import_common.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "image/image.h"

/* Room for one more of `n` items of `size` bytes: arrays grow at powers of two. The new item is
 * zeroed. */
static void *grown(void *items, int64_t n, size_t size)
{
    if ((n & (n - 1)) == 0) items = memory_resize(items, n == 0 ? 1 : 2 * (size_t)n, size);
    memset((char *)items + (size_t)n * size, 0, size);
    return items;
}

/* A string that a record may hold; UTF-8 it is, as JSON. */
static enum status check_text(const char *text, const char *what, struct json_place place)
{
    enum status status = OK;
    if (strlen(text) > RECORD_MAX_STRING_BYTES)
        FAIL(ERR_LIMIT, "%s: %s: the %s has %zu bytes; the limit is %u", place.file, place.record,
             what, strlen(text), RECORD_MAX_STRING_BYTES);
out:
    return status;
}

static enum status check_name(const char *text, const char *what, struct json_place place)
{
    enum status status = OK;
    if (text[0] == '\0')
        FAIL(ERR_FORMAT, "%s: %s: the %s is empty", place.file, place.record, what);
    TRY(check_text(text, what, place));
out:
    return status;
}

int64_t import_add_region(struct record *record)
{
    record->regions = grown(record->regions, record->n_regions, sizeof *record->regions);
    return record->n_regions++;
}

enum status import_add_object(struct record *record, const char *name, int64_t region,
                              struct json_place place)
{
    enum status status = OK;
    TRY(check_name(name, "name", place));
    record->objects = grown(record->objects, record->n_objects, sizeof *record->objects);
    struct record_object *object = &record->objects[record->n_objects++];
    object->name = text_copy(name);
    object->region = region;
out:
    return status;
}

enum status import_add_attribute(struct record_object *object, const char *text,
                                 struct json_place place)
{
    enum status status = OK;
    TRY(check_text(text, "attribute", place));
    object->attributes = grown(object->attributes, object->n_attributes, sizeof(char *));
    object->attributes[object->n_attributes++] = text_copy(text);
out:
    return status;
}

enum status import_add_relation(struct record *record, int64_t subject, const char *predicate,
                                int64_t object, struct json_place place)
{
    enum status status = OK;
    TRY(check_name(predicate, "predicate", place));
    record->relations = grown(record->relations, record->n_relations, sizeof *record->relations);
    record->relations[record->n_relations++] =
        (struct record_relation){.subject = subject,
                                 .object = object,
                                 .predicate = text_copy(predicate),
                                 .kind = text_copy("")};
out:
    return status;
}

struct import_mark import_mark(const struct record *record)
{
    return (struct import_mark){record->n_regions, record->n_objects, record->n_relations,
                                record->n_texts, record->n_points};
}

/* Items first .. n-1 in memory of their own. */
static void *cut_off(void *items, int64_t *n, int64_t first, size_t size)
{
    const size_t count = (size_t)(*n - first);
    void *tail = NULL;
    if (count > 0) {
        tail = memory_new(count, size);
        memcpy(tail, (char *)items + (size_t)first * size, count * size);
    }
    *n = first;
    return tail;
}

enum status import_drop(struct record *record, struct import_mark mark, struct item_note *note,
                        enum status why, const char *reason)
{
    struct record tail = {.n_regions = record->n_regions - mark.n_regions,
                          .n_objects = record->n_objects - mark.n_objects,
                          .n_relations = record->n_relations - mark.n_relations,
                          .n_texts = record->n_texts - mark.n_texts};
    if (why == ERR_MEMORY) return why;
    record->n_points = mark.n_points;
    tail.regions =
        cut_off(record->regions, &record->n_regions, mark.n_regions, sizeof *tail.regions);
    tail.objects =
        cut_off(record->objects, &record->n_objects, mark.n_objects, sizeof *tail.objects);
    tail.relations =
        cut_off(record->relations, &record->n_relations, mark.n_relations, sizeof *tail.relations);
    tail.texts = cut_off(record->texts, &record->n_texts, mark.n_texts, sizeof *tail.texts);
    record_release(&tail);
    item_note_drop(note, reason, status_message());
    return OK;
}

const char *import_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

char *import_stem(const char *path)
{
    const char *base = import_base_name(path);
    const char *dot = strrchr(base, '.');
    return dot == NULL || dot == base ? text_copy(base)
                                      : text_format("%.*s", (int)(dot - base), base);
}

enum status import_path(char **path_out, const char *directory, const char *name)
{
    enum status status = OK;
    bool climbs = name[0] == '\0' || name[0] == '/';
    for (const char *at = strstr(name, ".."); at != NULL; at = strstr(at + 1, "..")) {
        const bool starts = at == name || at[-1] == '/';
        climbs = climbs || (starts && (at[2] == '\0' || at[2] == '/'));
    }
    if (climbs) FAIL(ERR_FORMAT, "file name '%s' leads out of %s", name, directory);
    *path_out = path_join(directory, name);
out:
    return status;
}

enum status import_picture(struct record *record, const char *directory, const char *name,
                           struct item_note *note)
{
    enum status status = OK;
    struct image image = {0};
    char *path = NULL;
    note->reason = "image";
    TRY(import_path(&path, directory, name));
    TRY(file_read(&record->image, &record->image_size, path, RECORD_MAX_IMAGE_BYTES));
    TRY(image_decode(&image, record->image, record->image_size, path));
    note->reason = "size";
    if (record->height == 0 && record->width == 0) {
        record->height = image.height;
        record->width = image.width;
    }
    if (image.height != record->height || image.width != record->width)
        FAIL(ERR_FORMAT,
             "%s is %" PRId64 " x %" PRId64 " pixels, its annotation says %" PRId64 " x %" PRId64,
             path, image.width, image.height, record->width, record->height);
out:
    image_release(&image);
    free(path);
    return status;
}

static double clamp(double value, double most)
{
    return value < 0 ? 0 : value > most ? most : value;
}

enum status import_box(struct record_region *region, struct box box, const struct record *record,
                       struct item_note *note, struct json_place place)
{
    enum status status = OK;
    const double width = (double)record->width;
    const double height = (double)record->height;
    const struct box cut = {clamp(box.x1, width), clamp(box.y1, height), clamp(box.x2, width),
                            clamp(box.y2, height)};
    if (!(cut.x1 < cut.x2 && cut.y1 < cut.y2))
        FAIL(ERR_FORMAT,
             "%s: %s: box (%g, %g, %g, %g) holds nothing of the picture of %g x %g (width x "
             "height)",
             place.file, place.record, box.x1, box.y1, box.x2, box.y2, width, height);
    if (cut.x1 != box.x1 || cut.y1 != box.y1 || cut.x2 != box.x2 || cut.y2 != box.y2)
        note->n_cut_boxes++;
    region->box = cut;
out:
    return status;
}

enum status import_mask(struct record_region *region, const json_t *segmentation,
                        const struct record *record, struct json_place place)
{
    enum status status = OK;
    TRY(rle_from_json(&region->mask, segmentation, record->height, record->width, place));
    if (rle_area(&region->mask) == 0)
        FAIL(ERR_FORMAT, "%s: %s: the mask holds no pixel", place.file, place.record);
out:
    return status;
}

enum status import_four_numbers(double *four, const json_t *array, const char *what,
                                struct json_place place)
{
    enum status status = OK;
    if (!json_is_array(array) || json_array_size(array) != 4)
        FAIL(ERR_FORMAT, "%s: %s: %s must be four numbers", place.file, place.record, what);
    for (size_t i = 0; i < 4; i++) {
        const json_t *value = json_array_get(array, i);
        if (!json_is_number(value))
            FAIL(ERR_FORMAT, "%s: %s: %s must be four numbers", place.file, place.record, what);
        four[i] = json_number_value(value);
    }
out:
    return status;
}

enum status import_index(int64_t *index_out, const json_t *array, size_t index, int64_t limit,
                         const char *what, struct json_place place)
{
    enum status status = OK;
    const json_t *value = json_array_get(array, index);
    if (!json_is_integer(value))
        FAIL(ERR_FORMAT, "%s: %s: the %s must be an integer", place.file, place.record, what);
    const int64_t found = json_integer_value(value);
    if (found < 0 || found >= limit)
        FAIL(ERR_FORMAT, "%s: %s: the %s is %" PRId64 ", must be 0 .. %" PRId64, place.file,
             place.record, what, found, limit - 1);
    *index_out = found;
out:
    return status;
}

enum status import_attributes(struct record_object *object, const json_t *list,
                              struct json_place place)
{
    enum status status = OK;
    if (list == NULL) return OK;
    if (!json_is_array(list))
        FAIL(ERR_FORMAT, "%s: %s: attributes must be an array", place.file, place.record);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (text == NULL)
            FAIL(ERR_FORMAT, "%s: %s: attribute %zu must be a string", place.file, place.record, i);
        TRY(import_add_attribute(object, text, place));
    }
out:
    return status;
}
