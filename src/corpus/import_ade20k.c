/* ADE20K's full annotations as records: a folder of pictures, each with what was seen in it and in
 * which part of what. Two releases:
 *     2021: X.json, and a mask for each object in a folder of the picture's name (255: seen, 128:
 *         hidden by something else, which is no part of the mask here);
 *     2016: X_atr.txt, X_seg.png and X_parts_N.png (ade20k_text.h).
 * A name is the first of its synonyms ("car" of "car, auto, automobile"), a box what its mask
 * covers, and "part of" a relation. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "corpus/ade20k_text.h"
#include "corpus/import.h"
#include "corpus/import_common.h"
#include "image/image.h"

#define MAX_DEPTH      16 /* of folders */
#define MAX_FILE_BYTES ((size_t)64 << 20)
#define MAX_OBJECTS    65536 /* of a picture */

struct ade20k {
    char *folder;
    char **stems; /* "urban/street/ADE_train_00016900" */
    int64_t n;
};

static void ade20k_release(void *context)
{
    struct ade20k *ade = context;
    if (ade->stems != NULL) names_free(ade->stems, (size_t)ade->n);
    free(ade->folder);
    free(ade);
}

static bool ends_with(const char *name, const char *ending)
{
    const size_t size = strlen(name);
    const size_t n = strlen(ending);
    return size > n && strcmp(name + size - n, ending) == 0;
}

static bool is_folder(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

/* Whether `name` is the folder of a picture's masks. The names are sorted: X.jpg follows X. */
static bool is_mask_folder(char *const *names, size_t n, size_t at)
{
    const size_t size = strlen(names[at]);
    for (size_t i = at + 1; i < n && strncmp(names[i], names[at], size) == 0; i++)
        if (strcmp(names[i] + size, ".jpg") == 0) return true;
    return false;
}

static void add_stem(struct ade20k *ade, const char *inside, const char *name)
{
    if ((ade->n & (ade->n - 1)) == 0) /* grows at powers of two */
        ade->stems =
            memory_resize(ade->stems, ade->n == 0 ? 1 : 2 * (size_t)ade->n, sizeof *ade->stems);
    ade->stems[ade->n++] = text_format("%s%s%.*s", inside, inside[0] == '\0' ? "" : "/",
                                       (int)(strlen(name) - 4), name);
}

/* The pictures below the folder FOLDER/inside. */
static enum status list_pictures(struct ade20k *ade, const char *inside, int depth)
{
    enum status status = OK;
    char **names = NULL;
    size_t n = 0;
    char *path = inside[0] == '\0' ? text_copy(ade->folder) : path_join(ade->folder, inside);
    if (depth == 0) FAIL(ERR_LIMIT, "%s: folders more than %d deep", path, MAX_DEPTH);
    TRY(directory_list(&names, &n, path));
    for (size_t i = 0; i < n; i++) {
        if (ends_with(names[i], ".jpg")) {
            add_stem(ade, inside, names[i]);
            continue;
        }
        if (ends_with(names[i], ".png") || ends_with(names[i], ".json") ||
            is_mask_folder(names, n, i))
            continue;
        char *below = path_join(path, names[i]);
        char *further = inside[0] == '\0' ? text_copy(names[i]) : path_join(inside, names[i]);
        if (is_folder(below)) status = list_pictures(ade, further, depth - 1);
        free(below);
        free(further);
        TRY(status);
    }
out:
    if (names != NULL) names_free(names, n);
    free(path);
    return status;
}

/* JSON that may be Latin-1, as some of the files are; to json_decref. */
static enum status read_json(json_t **root_out, const char *path)
{
    enum status status = OK;
    unsigned char *bytes = NULL;
    size_t size = 0;
    json_error_t error;
    struct text_buffer text = {0};
    json_t *root = NULL;
    TRY(file_read(&bytes, &size, path, MAX_FILE_BYTES));
    root = json_loadb((const char *)bytes, size, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL && json_error_code(&error) == json_error_invalid_utf8) {
        for (size_t i = 0; i < size; i++) {
            if (bytes[i] >= 0x80) text_append_char(&text, (char)(0xC0 | bytes[i] >> 6));
            text_append_char(&text, (char)(bytes[i] < 0x80 ? bytes[i] : 0x80 | (bytes[i] & 0x3F)));
        }
        root = json_loadb(text.text, text.length, JSON_REJECT_DUPLICATES, &error);
    }
    if (root == NULL)
        FAIL(ERR_FORMAT, "%s:%d:%d: not JSON: %s", path, error.line, error.column, error.text);
    *root_out = root;
out:
    text_release(&text);
    free(bytes);
    return status;
}

/* The pixels of 255 of a grey PNG. */
static enum status read_mask(struct rle *mask_out, const char *path, const struct record *record)
{
    enum status status = OK;
    struct image image = {0};
    unsigned char *bytes = NULL;
    size_t size = 0;
    TRY(file_read(&bytes, &size, path, MAX_FILE_BYTES));
    TRY(image_decode(&image, bytes, size, path));
    if (image.height != record->height || image.width != record->width)
        FAIL(ERR_FORMAT,
             "%s is %" PRId64 " x %" PRId64 " pixels, the picture %" PRId64 " x %" PRId64
             " (width x height)",
             path, image.width, image.height, record->width, record->height);
    for (int64_t i = 0; i < image.height * image.width; i++) /* in place: the first third */
        image.rgb[i] = image.rgb[i * 3] == 255;
    TRY(rle_from_mask(mask_out, image.rgb, image.height, image.width));
out:
    image_release(&image);
    free(bytes);
    return status;
}

/* `attributes`: a string, a list of them, or an empty list. */
static enum status add_attributes(struct record_object *object, const json_t *attributes,
                                  struct json_place place)
{
    enum status status = OK;
    if (json_is_string(attributes)) {
        TRY(ade20k_add_attributes(object, json_string_value(attributes), place));
        return OK;
    }
    for (size_t i = 0; i < json_array_size(attributes); i++) {
        const char *text = json_string_value(json_array_get(attributes, i));
        if (text == NULL)
            FAIL(ERR_FORMAT, "%s: %s: attribute %zu must be a string", place.file, place.record, i);
        TRY(ade20k_add_attributes(object, text, place));
    }
out:
    return status;
}

static enum status add_object(struct record *record, const json_t *entry, const char *folder,
                              const char **reason, struct json_place place)
{
    enum status status = OK;
    const char *name = NULL;
    const char *file = NULL;
    char *path = NULL;
    *reason = "object";
    TRY(json_field_string(&name, entry, "name", place));
    TRY(ade20k_add_object(record, name, place));
    TRY(add_attributes(&record->objects[record->n_objects - 1],
                       json_object_get(entry, "attributes"), place));
    *reason = "mask";
    struct record_region *region = &record->regions[record->n_regions - 1];
    TRY(json_field_string(&file, entry, "instance_mask", place));
    TRY(import_path(&path, folder, file));
    TRY(read_mask(&region->mask, path, record));
    TRY(ade20k_box_of_mask(region, place));
out:
    free(path);
    return status;
}

/* Ids of the file and what objects they became. */
struct numbers {
    int64_t *ids, *objects;
    size_t n;
};

static int64_t find_number(const struct numbers *numbers, int64_t id)
{
    for (size_t i = 0; i < numbers->n; i++)
        if (numbers->ids[i] == id) return numbers->objects[i];
    return -1;
}

static enum status add_all_objects(struct record *record, const json_t *list, const char *folder,
                                   struct numbers *numbers, struct item_note *note,
                                   const char *file)
{
    enum status status = OK;
    char *where = NULL;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        const struct import_mark mark = import_mark(record);
        const char *reason = "object";
        int64_t id;
        free(where);
        where = text_format("object[%zu]", i);
        const struct json_place place = {file, where};
        status = json_field_integer(&id, entry, "id", 0, INT64_MAX, place);
        if (status == OK && find_number(numbers, id) >= 0)
            status = status_fail(ERR_FORMAT,
                                 "%s: %s: an object before it has the id %" PRId64 " already", file,
                                 where, id);
        if (status == OK) status = add_object(record, entry, folder, &reason, place);
        if (status != OK) {
            TRY(import_drop(record, mark, note, status, reason));
            continue;
        }
        numbers->ids[numbers->n] = id;
        numbers->objects[numbers->n++] = record->n_objects - 1;
    }
out:
    free(where);
    return status;
}

/* parts.ispartof of an object: a number, or an empty list. */
static enum status add_part_of(struct record *record, const json_t *entry,
                               const struct numbers *numbers, struct json_place place)
{
    enum status status = OK;
    int64_t id;
    int64_t whole;
    json_t *parts = NULL;
    TRY(json_field_integer(&id, entry, "id", 0, INT64_MAX, place));
    const int64_t part = find_number(numbers, id);
    if (part < 0 || json_object_get(entry, "parts") == NULL) return OK;
    TRY(json_field(&parts, entry, "parts", JSON_OBJECT, place));
    const json_t *of = json_object_get(parts, "ispartof");
    if (of == NULL || (json_is_array(of) && json_array_size(of) == 0)) return OK;
    TRY(json_field_integer(&whole, parts, "ispartof", 0, INT64_MAX, place));
    const int64_t object = find_number(numbers, whole);
    if (object < 0 || object == part)
        FAIL(ERR_FORMAT, "%s: %s: it is part of object %" PRId64 ", which is not there", place.file,
             place.record, whole);
    TRY(import_add_relation(record, part, "part of", object, place));
out:
    return status;
}

static enum status add_relations(struct record *record, const json_t *list,
                                 const struct numbers *numbers, struct item_note *note,
                                 const char *file)
{
    enum status status = OK;
    char *where = NULL;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const struct import_mark mark = import_mark(record);
        free(where);
        where = text_format("object[%zu]", i);
        status =
            add_part_of(record, json_array_get(list, i), numbers, (struct json_place){file, where});
        if (status != OK) TRY(import_drop(record, mark, note, status, "relation"));
    }
out:
    free(where);
    return status;
}

/* The 2021 release. */
static enum status read_annotation(struct record *record, const char *path, const char *folder,
                                   struct item_note *note)
{
    enum status status = OK;
    json_t *root = NULL;
    json_t *annotation = NULL;
    json_t *list = NULL;
    struct numbers numbers = {0};
    TRY(read_json(&root, path));
    TRY(json_field(&annotation, root, "annotation", JSON_OBJECT, (struct json_place){path, ""}));
    const struct json_place place = {path, "annotation"};
    TRY(json_field(&list, annotation, "imsize", JSON_ARRAY, place));
    TRY(import_index(&record->height, list, 0, IMAGE_MAX_SIDE + 1, "height in imsize", place));
    TRY(import_index(&record->width, list, 1, IMAGE_MAX_SIDE + 1, "width in imsize", place));
    /* MATLAB writes a list of one as the one */
    json_t *objects = json_object_get(annotation, "object");
    if (json_is_object(objects)) {
        list = json_array();
        json_array_append(list, objects);
        json_object_set_new(annotation, "object", list);
    }
    TRY(json_field(&list, annotation, "object", JSON_ARRAY, place));
    const size_t n = json_array_size(list);
    if (n > MAX_OBJECTS) FAIL(ERR_LIMIT, "%s: %zu objects; the limit is %d", path, n, MAX_OBJECTS);
    numbers.ids = memory_new(n + 1, sizeof *numbers.ids);
    numbers.objects = memory_new(n + 1, sizeof *numbers.objects);
    TRY(add_all_objects(record, list, folder, &numbers, note, path));
    TRY(add_relations(record, list, &numbers, note, path));
out:
    free(numbers.ids);
    free(numbers.objects);
    json_decref(root);
    return status;
}

static enum status ade20k_make(void *context, int64_t item, struct record *record,
                               struct item_note *note)
{
    enum status status = OK;
    const struct ade20k *ade = context;
    const char *stem = ade->stems[item];
    char *picture = text_format("%s.jpg", stem);
    char *base = path_join(ade->folder, stem);
    char *folder = path_parent(base);
    char *json = text_format("%s.json", base);
    char *text = text_format("%s_atr.txt", base);
    note->reason = "annotation";
    record->id = text_format("ade20k/%s", import_base_name(stem));
    if (file_exists(json)) {
        record->source = text_format("ade20k:%s.json", import_base_name(stem));
        TRY(read_annotation(record, json, folder, note));
    } else if (file_exists(text)) {
        record->source = text_format("ade20k:%s_atr.txt", import_base_name(stem));
        TRY(ade20k_read_text(record, base, note));
    } else {
        FAIL(ERR_FORMAT, "%s.jpg has neither %s.json nor %s_atr.txt beside it", base,
             import_base_name(stem), import_base_name(stem));
    }
    TRY(import_picture(record, ade->folder, picture, note));
    note->reason = "annotation";
    TRY_WHERE(record_check(record), "%s", base);
out:
    free(picture);
    free(base);
    free(folder);
    free(json);
    free(text);
    return status;
}

enum status import_ade20k(struct record_source *source_out, const struct import_options *options)
{
    enum status status = OK;
    struct ade20k *ade = memory_new(1, sizeof *ade);
    ade->folder = text_copy(options->annotations);
    TRY(list_pictures(ade, "", MAX_DEPTH));
    if (ade->n == 0) FAIL(ERR_FORMAT, "%s: no .jpg in it or below", options->annotations);
    *source_out = (struct record_source){ade->n, ade, ade20k_make, ade20k_release};
    ade = NULL;
out:
    if (ade != NULL) ade20k_release(ade);
    return status;
}
