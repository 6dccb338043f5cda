/* See import_common.h. */
#include "corpus/import_common.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "image/image.h"

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

enum status import_make_objects(struct record *record, size_t n, struct json_place place)
{
    enum status status = OK;
    if (n > RECORD_MAX_ITEMS)
        FAIL(ERR_LIMIT, "%s: %s: %zu objects; the limit is %d", place.file, place.record, n,
             RECORD_MAX_ITEMS);
    if (n == 0) return OK;
    record->objects = memory_new(n, sizeof *record->objects);
    record->regions = memory_new(n, sizeof *record->regions);
    record->n_objects = record->n_regions = (int64_t)n;
    for (size_t i = 0; i < n; i++) record->objects[i].region = (int64_t)i;
out:
    return status;
}

struct record_relation *import_add_relation(struct record *record)
{
    /* grows at powers of two */
    const int64_t n = record->n_relations;
    if ((n & (n - 1)) == 0)
        record->relations =
            memory_resize(record->relations, n == 0 ? 1 : 2 * (size_t)n, sizeof *record->relations);
    record->relations[n] = (struct record_relation){0};
    record->n_relations++;
    return &record->relations[n];
}

enum status import_attributes(struct record_object *object, const json_t *list,
                              struct json_place place)
{
    enum status status = OK;
    if (list == NULL || json_array_size(list) == 0) {
        if (list != NULL && !json_is_array(list))
            FAIL(ERR_FORMAT, "%s: %s: attributes must be an array", place.file, place.record);
        return OK;
    }
    const size_t n = json_array_size(list);
    object->attributes = memory_new(n, sizeof *object->attributes);
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (text == NULL)
            FAIL(ERR_FORMAT, "%s: %s: attribute %zu must be a string", place.file, place.record, i);
        object->attributes[object->n_attributes++] = text_copy(text);
    }
out:
    return status;
}
