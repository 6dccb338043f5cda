/* Pascal-Part as records: a folder of MATLAB files, one a picture, each a struct
 *     anno: imname, objects(): class, class_ind, bbox, mask, parts(): part_name, mask
 * An object becomes an object ("person") with its mask, each of its parts
 * another ("person:arm"), and "part of" the relation between them. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "corpus/import.h"
#include "corpus/import_common.h"
#include "corpus/matlab_file.h"
#include "corpus/pascal_part_names.h"
#include "image/image.h"

#define MAX_STRUCTS 4096 /* objects of a picture, parts of an object */

struct pascal_part {
    char *folder, *images;
    bool with_sides; /* "person:left upper arm" instead of "person:arm" */
    char **files;    /* names that end in .mat, sorted; the first n of n_names */
    size_t n_names;
    int64_t n;
};

static void pascal_part_release(void *context)
{
    struct pascal_part *pascal = context;
    if (pascal->files != NULL) names_free(pascal->files, pascal->n_names);
    free(pascal->folder);
    free(pascal->images);
    free(pascal);
}

/* Where the sentences are about, and what is read. */
struct mat_place {
    const struct matlab_file *file;
    const char *where; /* "anno.objects(1)" */
};

static struct json_place place_of(struct mat_place place)
{
    return (struct json_place){place.file->path, place.where};
}

/* A field that is a row of characters, to free(). */
static enum status read_text(char **text_out, const struct matlab_value *object, const char *name,
                             int64_t index, struct mat_place place)
{
    enum status status = OK;
    struct matlab_value value;
    TRY(matlab_field(&value, place.file, object, name, index));
    char *text = matlab_text(&value);
    if (text == NULL)
        FAIL(ERR_FORMAT, "%s: %s: field '%s' must be text", place.file->path, place.where, name);
    *text_out = text;
out:
    return status;
}

/* The field `mask`, of the size of the picture. */
static enum status read_mask(struct rle *mask_out, const struct matlab_value *object, int64_t index,
                             const struct record *record, struct mat_place place)
{
    enum status status = OK;
    uint8_t *rows = NULL;
    struct matlab_value mask;
    TRY(matlab_field(&mask, place.file, object, "mask", index));
    if (mask.class != MATLAB_NUMBERS)
        FAIL(ERR_FORMAT, "%s: %s: field 'mask' must be a matrix", place.file->path, place.where);
    if (mask.height != record->height || mask.width != record->width)
        FAIL(ERR_FORMAT,
             "%s: %s: the mask is %" PRId64 " x %" PRId64 " pixels, the picture %" PRId64
             " x %" PRId64 " (width x height)",
             place.file->path, place.where, mask.width, mask.height, record->width, record->height);
    rows = memory_new((size_t)(mask.height * mask.width) + 1, 1);
    for (int64_t x = 0; x < mask.width; x++)
        for (int64_t y = 0; y < mask.height; y++)
            rows[y * mask.width + x] = matlab_is_set(&mask, x * mask.height + y);
    TRY(rle_from_mask(mask_out, rows, record->height, record->width));
out:
    free(rows);
    return status;
}

/* A region and an object for element `index`; its box is what its mask covers. */
static enum status add_object(struct record *record, const char *name,
                              const struct matlab_value *object, int64_t index, const char **reason,
                              struct mat_place place)
{
    enum status status = OK;
    *reason = "object";
    const int64_t number = import_add_region(record);
    TRY(import_add_object(record, name, number, place_of(place)));
    *reason = "mask";
    struct record_region *region = &record->regions[number];
    TRY(read_mask(&region->mask, object, index, record, place));
    region->box = rle_box(&region->mask);
    if (region->box.x1 == region->box.x2)
        FAIL(ERR_FORMAT, "%s: %s: its mask holds no pixel", place.file->path, place.where);
out:
    return status;
}

/* The object that the parts belong to. */
struct whole {
    const char *class_name;
    int64_t object;
    bool with_sides;
};

static enum status add_part(struct record *record, const struct matlab_value *parts, int64_t index,
                            const struct whole *whole, const char **reason, struct mat_place place)
{
    enum status status = OK;
    char *code = NULL;
    char *name = NULL;
    *reason = "object";
    TRY(read_text(&code, parts, "part_name", index, place));
    if (code[0] == '\0')
        FAIL(ERR_FORMAT, "%s: %s: field 'part_name' is empty", place.file->path, place.where);
    char *words = pascal_part_words(code, whole->with_sides);
    name = text_format("%s:%s", whole->class_name, words);
    free(words);
    TRY(add_object(record, name, parts, index, reason, place));
    TRY(import_add_relation(record, record->n_objects - 1, "part of", whole->object,
                            place_of(place)));
out:
    free(code);
    free(name);
    return status;
}

static enum status add_parts(struct record *record, const struct matlab_value *parts,
                             const struct whole *whole, struct item_note *note,
                             struct mat_place place)
{
    enum status status = OK;
    char *where = NULL;
    for (int64_t i = 0; i < matlab_n_structs(parts); i++) {
        const struct import_mark mark = import_mark(record);
        const char *reason = NULL;
        free(where);
        where = text_format("%s.parts(%" PRId64 ")", place.where, i + 1);
        status = add_part(record, parts, i, whole, &reason, (struct mat_place){place.file, where});
        if (status != OK) TRY(import_drop(record, mark, note, status, reason));
    }
out:
    free(where);
    return status;
}

/* Parts go with their object. */
static void drop_parts(int64_t n, struct item_note *note, struct mat_place place)
{
    char *why = text_format("%s: %s: its object was dropped", place.file->path, place.where);
    for (int64_t i = 0; i < n; i++) item_note_drop(note, "part", why);
    free(why);
}

static enum status add_with_parts(struct record *record, const struct matlab_value *objects,
                                  int64_t index, bool with_sides, struct item_note *note,
                                  struct mat_place place)
{
    enum status status = OK;
    const struct import_mark mark = import_mark(record);
    const char *reason = "object";
    char *class_name = NULL;
    char *words = NULL;
    struct matlab_value parts;
    TRY(matlab_field(&parts, place.file, objects, "parts", index));
    if (matlab_n_structs(&parts) > MAX_STRUCTS)
        FAIL(ERR_LIMIT, "%s: %s: more than %d parts", place.file->path, place.where, MAX_STRUCTS);
    status = read_text(&class_name, objects, "class", index, place);
    if (status == OK) {
        words = pascal_class_words(class_name);
        status = add_object(record, words, objects, index, &reason, place);
    }
    if (status != OK) {
        TRY(import_drop(record, mark, note, status, reason));
        drop_parts(matlab_n_structs(&parts), note, place);
        goto out;
    }
    const struct whole whole = {words, record->n_objects - 1, with_sides};
    TRY(add_parts(record, &parts, &whole, note, place));
out:
    free(class_name);
    free(words);
    return status;
}

/* The size of a picture is that of the first mask; the others must have it too. */
static enum status take_size(struct record *record, const struct matlab_file *file,
                             const struct matlab_value *objects)
{
    enum status status = OK;
    struct matlab_value mask;
    TRY(matlab_field(&mask, file, objects, "mask", 0));
    if (mask.height < 1 || mask.width < 1 || mask.height > IMAGE_MAX_SIDE ||
        mask.width > IMAGE_MAX_SIDE)
        FAIL(ERR_FORMAT,
             "%s: anno.objects(1): the mask has %" PRId64 " x %" PRId64
             " pixels; each side must be 1 .. %d",
             file->path, mask.width, mask.height, IMAGE_MAX_SIDE);
    record->height = mask.height;
    record->width = mask.width;
out:
    return status;
}

/* Objects are counted from 1 in sentences, as MATLAB does. */
static enum status read_file(struct record *record, char **picture_out, const char *path,
                             bool with_sides, struct item_note *note)
{
    enum status status = OK;
    struct matlab_file file = {0};
    struct matlab_value anno;
    struct matlab_value objects;
    char *name = NULL;
    char *where = NULL;
    TRY(matlab_open(&file, &anno, path, "anno"));
    TRY(read_text(&name, &anno, "imname", 0, (struct mat_place){&file, "anno"}));
    *picture_out = text_format("%s.jpg", name);
    TRY(matlab_field(&objects, &file, &anno, "objects", 0));
    const int64_t n = matlab_n_structs(&objects);
    if (n < 1 || n > MAX_STRUCTS)
        FAIL(ERR_FORMAT, "%s: anno: it has %" PRId64 " objects; there must be 1 .. %d", path, n,
             MAX_STRUCTS);
    TRY(take_size(record, &file, &objects));
    for (int64_t i = 0; i < n; i++) {
        free(where);
        where = text_format("anno.objects(%" PRId64 ")", i + 1);
        TRY(add_with_parts(record, &objects, i, with_sides, note,
                           (struct mat_place){&file, where}));
    }
out:
    matlab_release(&file);
    free(where);
    free(name);
    return status;
}

static enum status pascal_part_make(void *context, int64_t item, struct record *record,
                                    struct item_note *note)
{
    enum status status = OK;
    const struct pascal_part *pascal = context;
    char *picture = NULL;
    char *path = path_join(pascal->folder, pascal->files[item]);
    char *stem = import_stem(pascal->files[item]);
    note->reason = "annotation";
    record->id = text_format("pascal-part/%s", stem);
    record->source = text_format("pascal-part:%s", pascal->files[item]);
    TRY(read_file(record, &picture, path, pascal->with_sides, note));
    TRY(import_picture(record, pascal->images, picture, note));
    note->reason = "annotation";
    TRY_WHERE(record_check(record), "%s", path);
out:
    free(picture);
    free(path);
    free(stem);
    return status;
}

static bool is_mat(const char *name)
{
    const size_t size = strlen(name);
    return size > 4 && strcmp(name + size - 4, ".mat") == 0;
}

enum status import_pascal_part(struct record_source *source_out,
                               const struct import_options *options)
{
    enum status status = OK;
    struct pascal_part *pascal = memory_new(1, sizeof *pascal);
    pascal->folder = text_copy(options->annotations);
    pascal->images = text_copy(options->images);
    pascal->with_sides = options->variant != NULL && strcmp(options->variant, "sides") == 0;
    TRY(directory_list(&pascal->files, &pascal->n_names, pascal->folder));
    for (size_t i = 0; i < pascal->n_names; i++) {
        if (!is_mat(pascal->files[i])) continue;
        char *found = pascal->files[i];
        pascal->files[i] = pascal->files[pascal->n];
        pascal->files[pascal->n++] = found;
    }
    if (pascal->n == 0)
        FAIL(ERR_FORMAT, "%s: no .mat file in it; is it the folder Annotations_Part?",
             pascal->folder);
    *source_out = (struct record_source){pascal->n, pascal, pascal_part_make, pascal_part_release};
    pascal = NULL;
out:
    if (pascal != NULL) pascal_part_release(pascal);
    return status;
}
