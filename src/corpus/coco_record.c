/* See coco_record.h. */
#include "corpus/coco_record.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "corpus/import_common.h"
#include "image/image.h"

void coco_picture_release(struct coco_picture *picture)
{
    for (int64_t i = 0; i < picture->n_parts; i++) json_decref(picture->parts[i].entry);
    free(picture->parts);
    json_decref(picture->entry);
    *picture = (struct coco_picture){0};
}

int64_t coco_n_items(const struct coco_file *file)
{
    return file->images.n + file->annotations.n - file->first[file->images.n];
}

/* An id as text, to free(): ids are integers, or strings. */
static enum status read_id(char **id_out, const json_t *entry, const char *key,
                           struct json_place place)
{
    enum status status = OK;
    const json_t *id = json_object_get(entry, key);
    int64_t number;
    if (json_is_string(id) && json_string_length(id) > 0) {
        *id_out = text_copy(json_string_value(id));
        return OK;
    }
    TRY(json_field_integer(&number, entry, key, INT64_MIN, INT64_MAX, place));
    *id_out = text_format("%" PRId64, number);
out:
    return status;
}

/* Says why annotation `index` belongs to no picture. */
static enum status refuse_orphan(const struct coco_file *file, int64_t index)
{
    enum status status = OK;
    json_t *entry = NULL;
    char *id = NULL;
    char *where = text_format("annotations[%" PRId64 "]", index);
    TRY(json_span_parse(&entry, &file->text, file->annotations.spans[index]));
    TRY(read_id(&id, entry, "image_id", (struct json_place){file->text.path, where}));
    FAIL(ERR_FORMAT, "%s: %s: image_id is %s, which 'images' does not hold", file->text.path, where,
         id);
out:
    json_decref(entry);
    free(id);
    free(where);
    return status;
}

static enum status parse_parts(struct coco_picture *picture, const struct coco_file *file,
                               int64_t image)
{
    enum status status = OK;
    const int64_t *first = &file->first[image];
    picture->parts = memory_new((size_t)(first[1] - first[0]) + 1, sizeof *picture->parts);
    for (int64_t i = first[0]; i < first[1]; i++) {
        struct coco_part part = {.index = file->order[i], .object = -1};
        TRY(json_span_parse(&part.entry, &file->text, file->annotations.spans[part.index]));
        picture->parts[picture->n_parts++] = part;
    }
out:
    return status;
}

/* Ids that are strings were compared by hash. */
static enum status check_hashes(const struct coco_picture *picture, struct json_place place)
{
    enum status status = OK;
    const json_t *id = json_object_get(picture->entry, "id");
    for (int64_t i = 0; i < picture->n_parts; i++)
        if (!json_equal(id, json_object_get(picture->parts[i].entry, "image_id")))
            FAIL(ERR_FORMAT,
                 "%s: %s: annotations[%" PRId64 "] has another image_id; their hashes "
                 "are equal: rename one",
                 place.file, place.record, picture->parts[i].index);
out:
    return status;
}

enum status coco_begin(struct coco_picture *picture_out, const struct coco_file *file, int64_t item,
                       const char *kind, struct record *record, struct item_note *note)
{
    enum status status = OK;
    struct coco_picture picture = {0};
    char *where = NULL;
    char *id = NULL;
    if (item >= file->images.n) {
        note->reason = "annotation";
        TRY(refuse_orphan(file, file->order[file->first[file->images.n] + item - file->images.n]));
    }
    TRY(json_span_parse(&picture.entry, &file->text, file->images.spans[item]));
    TRY(parse_parts(&picture, file, item));
    note->reason = "annotation";
    where = text_format("images[%" PRId64 "]", item);
    const struct json_place place = {file->text.path, where};
    TRY(read_id(&id, picture.entry, "id", place));
    record->id = text_format("%s/%s", kind, id);
    TRY(check_hashes(&picture, place));
    record->source = text_format("%s:%s", kind, import_base_name(file->text.path));
    TRY(json_field_integer(&record->height, picture.entry, "height", 1, IMAGE_MAX_SIDE, place));
    TRY(json_field_integer(&record->width, picture.entry, "width", 1, IMAGE_MAX_SIDE, place));
    *picture_out = picture;
    picture = (struct coco_picture){0};
out:
    coco_picture_release(&picture);
    free(where);
    free(id);
    return status;
}

const struct coco_part *coco_find_part(const struct coco_picture *picture,
                                       const struct coco_file *file, int64_t id)
{
    const int64_t index = coco_find(&file->annotation_ids, id);
    int64_t low = 0;
    int64_t high = picture->n_parts;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (picture->parts[middle].index < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low < picture->n_parts && picture->parts[low].index == index ? &picture->parts[low]
                                                                        : NULL;
}

enum status coco_box(struct box *box_out, const json_t *annotation, struct json_place place)
{
    enum status status = OK;
    double four[4];
    const json_t *list = json_object_get(annotation, "bbox");
    if (list == NULL) FAIL(ERR_FORMAT, "%s: %s: field 'bbox' is missing", place.file, place.record);
    TRY(import_four_numbers(four, list, "bbox", place));
    *box_out = (struct box){four[0], four[1], four[0] + four[2], four[1] + four[3]};
out:
    return status;
}

static bool is_true(const json_t *value)
{
    return json_is_true(value) || (json_is_integer(value) && json_integer_value(value) != 0);
}

/* `reason` is the word for what could not be read. */
static enum status add_object(struct record *record, const json_t *annotation,
                              const struct coco_file *file, struct item_note *note,
                              const char **reason, struct json_place place)
{
    enum status status = OK;
    const char *name = NULL;
    struct box box;
    char *id = NULL;
    *reason = "ignore";
    if (is_true(json_object_get(annotation, "ignore")))
        FAIL(ERR_FORMAT, "%s: %s: its authors say to ignore it", place.file, place.record);
    *reason = "object";
    TRY(read_id(&id, annotation, "id", place));
    TRY(coco_category(&name, file, annotation, place));
    const int64_t region = import_add_region(record);
    TRY(import_add_object(record, name, region, place));
    *reason = "box";
    TRY(coco_box(&box, annotation, place));
    TRY(import_box(&record->regions[region], box, record, note, place));
    *reason = "mask";
    const json_t *segmentation = json_object_get(annotation, "segmentation");
    if (segmentation != NULL)
        TRY(import_mask(&record->regions[region], segmentation, record, place));
out:
    free(id);
    return status;
}

enum status coco_add_objects(struct record *record, struct coco_picture *picture,
                             const struct coco_file *file, struct item_note *note)
{
    enum status status = OK;
    char *where = NULL;
    for (int64_t i = 0; i < picture->n_parts; i++) {
        struct coco_part *part = &picture->parts[i];
        const struct import_mark mark = import_mark(record);
        const char *reason = NULL;
        free(where);
        where = text_format("annotations[%" PRId64 "]", part->index);
        status = add_object(record, part->entry, file, note, &reason,
                            (struct json_place){file->text.path, where});
        if (status == OK)
            part->object = record->n_objects - 1;
        else
            TRY(import_drop(record, mark, note, status, reason));
    }
out:
    free(where);
    return status;
}

/* Adds a name unless it is there already. */
static void add_name(char **names, size_t *n, char *name)
{
    for (size_t i = 0; i < *n; i++) {
        if (strcmp(names[i], name) != 0) continue;
        free(name);
        return;
    }
    names[(*n)++] = name;
}

/* The last two parts of an address: "http://x/val2017/1.jpg" -> "val2017/1.jpg". */
static const char *last_two_parts(const char *url)
{
    const char *at = import_base_name(url);
    if (at == url) return url;
    for (at--; at > url && at[-1] != '/';) at--;
    return at;
}

#define MAX_NAMES 5

/* Names under which the picture may lie, the likeliest first; to names_free. */
static enum status list_names(char ***names_out, size_t *n_out, const json_t *image,
                              struct json_place place)
{
    enum status status = OK;
    char **names = memory_new(MAX_NAMES, sizeof *names);
    size_t n = 0;
    const json_t *url = json_object_get(image, "coco_url");
    const json_t *file_name = json_object_get(image, "file_name");
    const char *name = NULL;
    if (file_name != NULL || !json_is_string(url))
        TRY(json_field_string(&name, image, "file_name", place));
    if (name != NULL) {
        const char *base = import_base_name(name);
        const char *last = strrchr(base, '_');
        add_name(names, &n, text_copy(name));
        if (last != NULL && strncmp(base, "COCO_", 5) == 0)
            add_name(names, &n, text_copy(last + 1));
        if (last != NULL && base[0] == 'n' && base == name)
            add_name(names, &n, text_format("%.*s/%s", (int)(last - base), base, name));
    }
    if (json_is_string(url)) {
        add_name(names, &n, text_copy(last_two_parts(json_string_value(url))));
        add_name(names, &n, text_copy(import_base_name(json_string_value(url))));
    }
    *names_out = names;
    *n_out = n;
    names = NULL;
out:
    if (names != NULL) names_free(names, n);
    return status;
}

static enum status read_picture(struct record *record, const json_t *image, const char *directory,
                                struct item_note *note, struct json_place place)
{
    enum status status = OK;
    char **names = NULL;
    char *path = NULL;
    size_t n = 0;
    size_t chosen = 0;
    TRY(list_names(&names, &n, image, place));
    note->reason = "image";
    for (size_t i = n; i-- > 0;) {
        free(path);
        path = NULL;
        TRY(import_path(&path, directory, names[i]));
        if (file_exists(path)) chosen = i;
    }
    TRY(import_picture(record, directory, names[chosen], note));
out:
    if (names != NULL) names_free(names, n);
    free(path);
    return status;
}

enum status coco_finish(struct record *record, const struct coco_picture *picture,
                        const struct coco_file *file, const char *directory, struct item_note *note)
{
    enum status status = OK;
    TRY(read_picture(record, picture->entry, directory, note,
                     (struct json_place){file->text.path, record->id}));
    note->reason = "annotation";
    TRY_WHERE(record_check(record), "%s", file->text.path);
out:
    return status;
}
