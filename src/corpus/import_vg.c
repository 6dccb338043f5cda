/* Visual Genome in its own files, versions 1.0 to 1.4: a folder of objects.json, attributes.json,
 * relationships.json, region_descriptions.json and question_answers.json, of which some may be
 * missing, and image_data.json, whose pictures are the records. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "corpus/import.h"
#include "corpus/import_common.h"
#include "corpus/import_graph.h"
#include "corpus/import_text.h"
#include "corpus/json_spans.h"

enum vg_part { VG_OBJECTS, VG_ATTRIBUTES, VG_RELATIONSHIPS, VG_REGIONS, VG_QUESTIONS, N_VG_PARTS };

static const struct {
    const char *file; /* without ".json" */
    const char *list; /* the entry's field */
} parts[N_VG_PARTS] = {
    {"objects", "objects"},
    {"attributes", "attributes"},
    {"relationships", "relationships"},
    {"region_descriptions", "regions"},
    {"question_answers", "qas"},
};

struct vg_file {
    struct json_text text;
    struct json_spans entries;
    int64_t *of_item; /* [n_items] the picture's entry; -1: none */
};

struct image_number {
    int64_t id, item;
};

struct vg {
    struct json_text images_text;
    struct json_spans images;
    struct vg_file files[N_VG_PARTS]; /* without entries where the file is not there */
    struct image_number *numbers;     /* [images.n] by id */
    char *folder;                     /* of the pictures */
};

static void vg_release(void *context)
{
    struct vg *vg = context;
    for (int i = 0; i < N_VG_PARTS; i++) {
        json_spans_release(&vg->files[i].entries);
        json_text_release(&vg->files[i].text);
        free(vg->files[i].of_item);
    }
    json_spans_release(&vg->images);
    json_text_release(&vg->images_text);
    free(vg->numbers);
    free(vg->folder);
    free(vg);
}

/* ---- a picture ---- */

struct vg_picture {
    struct record *record;
    struct item_note *note;
    const char *file, *id; /* for sentences */
    json_t *numbers;       /* object_id -> object of the record */
};

static enum status read_box(struct record_region *region, const struct vg_picture *picture,
                            const json_t *thing, const char *width, const char *height,
                            struct json_place place)
{
    enum status status = OK;
    double x, y, w, h;
    TRY(json_field_number(&x, thing, "x", place));
    TRY(json_field_number(&y, thing, "y", place));
    TRY(json_field_number(&w, thing, width, place));
    TRY(json_field_number(&h, thing, height, place));
    TRY(import_box(region, (struct box){x, y, x + w, y + h}, picture->record, picture->note,
                   place));
out:
    return status;
}

static void add_number(const struct vg_picture *picture, const json_t *id, int64_t object)
{
    char *text = import_id_text(id);
    if (text != NULL && json_object_get(picture->numbers, text) == NULL)
        json_object_set_new(picture->numbers, text, json_integer(object));
    free(text);
}

/* {object_id, x, y, w, h, names: [...] or name} as a new object; further names are texts. */
static enum status add_object(int64_t *object_out, const struct vg_picture *picture,
                              const json_t *thing, struct json_place place)
{
    enum status status = OK;
    struct record *record = picture->record;
    const json_t *names = json_object_get(thing, "names");
    const json_t *name =
        json_array_size(names) > 0 ? json_array_get(names, 0) : json_object_get(thing, "name");
    const json_t *merged = json_object_get(thing, "merged_object_ids");
    const int64_t region = import_add_region(record);
    if (!json_is_string(name))
        FAIL(ERR_FORMAT, "%s: %s: neither 'names' nor 'name' has a name", place.file, place.record);
    TRY(import_add_object(record, json_string_value(name), region, place));
    TRY(read_box(&record->regions[region], picture, thing, "w", "h", place));
    for (size_t i = 1; i < json_array_size(names); i++) {
        const char *other = json_string_value(json_array_get(names, i));
        if (other == NULL)
            FAIL(ERR_FORMAT, "%s: %s: names[%zu] must be a string", place.file, place.record, i);
        import_add_turn(import_add_text(record, "name", region, NULL), "", other);
    }
    *object_out = record->n_objects - 1;
    add_number(picture, json_object_get(thing, "object_id"), *object_out);
    for (size_t i = 0; i < json_array_size(merged); i++)
        add_number(picture, json_array_get(merged, i), *object_out);
out:
    return status;
}

/* The object with the thing's id, or a new one: relationships and attributes of version 1.0 speak
 * of things that objects.json does not have. */
static enum status find_object(int64_t *object_out, const struct vg_picture *picture,
                               const json_t *thing, struct json_place place)
{
    enum status status = OK;
    char *id = import_id_text(json_object_get(thing, "object_id"));
    if (id == NULL)
        FAIL(ERR_FORMAT, "%s: %s: field 'object_id' must be an integer", place.file, place.record);
    const json_t *number = json_object_get(picture->numbers, id);
    if (number != NULL)
        *object_out = json_integer_value(number);
    else
        TRY(add_object(object_out, picture, thing, place));
out:
    free(id);
    return status;
}

static enum status read_object(const struct vg_picture *picture, const json_t *thing,
                               struct json_place place)
{
    int64_t object = -1;
    return add_object(&object, picture, thing, place);
}

static bool has_attribute(const struct record_object *object, const char *text)
{
    for (int64_t i = 0; i < object->n_attributes; i++)
        if (strcmp(object->attributes[i], text) == 0) return true;
    return false;
}

static enum status read_attributes(const struct vg_picture *picture, const json_t *thing,
                                   struct json_place place)
{
    enum status status = OK;
    int64_t object = -1;
    const json_t *list = json_object_get(thing, "attributes");
    if (list == NULL || json_is_null(list)) return OK;
    if (!json_is_array(list))
        FAIL(ERR_FORMAT, "%s: %s: attributes must be an array", place.file, place.record);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!json_is_string(json_array_get(list, i)))
            FAIL(ERR_FORMAT, "%s: %s: attribute %zu must be a string", place.file, place.record, i);
    TRY(find_object(&object, picture, thing, place));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!has_attribute(&picture->record->objects[object], text))
            TRY(import_add_attribute(&picture->record->objects[object], text, place));
    }
out:
    return status;
}

static enum status read_relationship(const struct vg_picture *picture, const json_t *relation,
                                     struct json_place place)
{
    enum status status = OK;
    const char *predicate = NULL;
    json_t *subject = NULL;
    json_t *object = NULL;
    int64_t ends[2] = {-1, -1};
    TRY(json_field_string(&predicate, relation, "predicate", place));
    TRY(json_field(&subject, relation, "subject", JSON_OBJECT, place));
    TRY(json_field(&object, relation, "object", JSON_OBJECT, place));
    TRY(find_object(&ends[0], picture, subject, place));
    TRY(find_object(&ends[1], picture, object, place));
    TRY(import_add_relation(picture->record, ends[0], predicate, ends[1], place));
out:
    return status;
}

static enum status read_region(const struct vg_picture *picture, const json_t *entry,
                               struct json_place place)
{
    enum status status = OK;
    struct record *record = picture->record;
    const char *phrase = NULL;
    char *origin = import_id_text(json_object_get(entry, "region_id"));
    const int64_t region = import_add_region(record);
    TRY(json_field_string(&phrase, entry, "phrase", place));
    if (phrase[strspn(phrase, " \t\r\n")] == '\0')
        FAIL(ERR_FORMAT, "%s: %s: the phrase is empty", place.file, place.record);
    TRY(read_box(&record->regions[region], picture, entry, "width", "height", place));
    import_add_turn(import_add_text(record, "caption", region, origin), "", phrase);
out:
    free(origin);
    return status;
}

static enum status read_question(const struct vg_picture *picture, const json_t *entry,
                                 struct json_place place)
{
    enum status status = OK;
    static const char *const lists[] = {"q_objects", "a_objects"};
    const char *question = NULL;
    const char *answer = NULL;
    char *origin = import_id_text(json_object_get(entry, "qa_id"));
    TRY(json_field_string(&question, entry, "question", place));
    TRY(json_field_string(&answer, entry, "answer", place));
    struct record_turn *turn =
        import_add_turn(import_add_text(picture->record, "vqa", -1, origin), question, answer);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        const json_t *things = json_object_get(entry, lists[i]);
        for (size_t j = 0; j < json_array_size(things); j++) {
            char *id = import_id_text(json_object_get(json_array_get(things, j), "object_id"));
            const json_t *number = id == NULL ? NULL : json_object_get(picture->numbers, id);
            if (number != NULL) import_add_reference(turn, json_integer_value(number));
            free(id);
        }
    }
out:
    free(origin);
    return status;
}

static const struct {
    enum status (*read)(const struct vg_picture *picture, const json_t *entry,
                        struct json_place place);
    const char *reason; /* under which a part that fails is dropped */
} readers[N_VG_PARTS] = {
    {read_object, "object"}, {read_attributes, "attributes"}, {read_relationship, "relation"},
    {read_region, "region"}, {read_question, "question"},
};

/* The objects that a dropped part had added are gone: their ids lead nowhere. */
static void forget_objects(const struct vg_picture *picture)
{
    void *next;
    const char *key;
    json_t *number;
    json_object_foreach_safe(picture->numbers, next, key, number)
    {
        if (json_integer_value(number) >= picture->record->n_objects)
            json_object_del(picture->numbers, key);
    }
}

/* The picture's entry of one file. */
static enum status read_part(const struct vg *vg, enum vg_part part, int64_t item,
                             struct vg_picture *picture)
{
    enum status status = OK;
    const struct vg_file *file = &vg->files[part];
    json_t *entry = NULL;
    json_t *list = NULL;
    char *where = text_format("image %s", picture->id);
    if (file->of_item == NULL || file->of_item[item] < 0) goto out;
    picture->note->reason = NULL; /* no JSON: nothing of the file can be trusted */
    TRY(json_span_parse(&entry, &file->text, file->entries.spans[file->of_item[item]]));
    picture->note->reason = "annotation";
    TRY(json_field(&list, entry, parts[part].list, JSON_ARRAY,
                   (struct json_place){file->text.path, where}));
    for (size_t i = 0; i < json_array_size(list); i++) {
        free(where);
        where = text_format("image %s.%s[%zu]", picture->id, parts[part].list, i);
        const struct import_mark mark = import_mark(picture->record);
        status = readers[part].read(picture, json_array_get(list, i),
                                    (struct json_place){file->text.path, where});
        if (status == OK) continue;
        TRY(import_drop(picture->record, mark, picture->note, status, readers[part].reason));
        forget_objects(picture);
    }
out:
    json_decref(entry);
    free(where);
    return status;
}

/* ".../VG_100K_2/1.jpg": in that folder below the pictures' folder, or in it. */
static enum status read_image(const struct vg *vg, struct vg_picture *picture, const char *url)
{
    enum status status = OK;
    const char *name = import_base_name(url);
    const char *folder = name;
    char *path = NULL;
    if (folder > url + 1) {
        folder--;
        while (folder > url && folder[-1] != '/') folder--;
    }
    picture->note->reason = "image";
    TRY(import_path(&path, vg->folder, folder));
    TRY(import_picture(picture->record, vg->folder, file_exists(path) ? folder : name,
                       picture->note));
out:
    free(path);
    return status;
}

static enum status vg_make(void *context, int64_t item, struct record *record,
                           struct item_note *note)
{
    enum status status = OK;
    const struct vg *vg = context;
    const char *url = NULL;
    json_t *image = NULL;
    char *id = NULL;
    struct vg_picture picture = {
        .record = record, .note = note, .file = vg->images_text.path, .numbers = json_object()};
    TRY(json_span_parse(&image, &vg->images_text, vg->images.spans[item]));
    note->reason = "annotation";
    id = import_id_text(json_object_get(image, "image_id"));
    if (id == NULL) id = import_id_text(json_object_get(image, "id"));
    picture.id = id;
    record->id = text_format("vg/%s", id);
    record->source = text_copy("vg");
    TRY(import_size(record, image, "height", "width", (struct json_place){picture.file, id}));
    TRY(json_field_string(&url, image, "url", (struct json_place){picture.file, id}));
    TRY(read_image(vg, &picture, url));
    for (int part = 0; part < N_VG_PARTS; part++)
        TRY(read_part(vg, (enum vg_part)part, item, &picture));
    TRY_WHERE(record_check(record), "%s", picture.file);
out:
    json_decref(picture.numbers);
    json_decref(image);
    free(id);
    return status;
}

/* ---- the files ---- */

/* The picture that an entry is of: `image_id`, or `id` of entries that have no other. */
static enum status entry_id(int64_t *id_out, const struct json_text *text, struct json_span entry)
{
    enum status status = OK;
    struct json_spans fields = {0};
    TRY(json_spans_list(&fields, text, entry));
    const struct json_span *id = json_spans_find(&fields, "image_id");
    if (id == NULL) id = json_spans_find(&fields, "id");
    char *end = NULL;
    char *digits = id == NULL ? text_copy("") : text_format("%.*s", (int)id->size, id->text);
    *id_out = strtoll(digits, &end, 10);
    const bool whole = id != NULL && id->size > 0 && id->size < 19 && *end == '\0';
    free(digits);
    if (!whole)
        FAIL(ERR_FORMAT, "%s: the entry at byte %zu has no integer 'image_id' or 'id'", text->path,
             (size_t)(entry.text - json_text_whole(text).text));
out:
    json_spans_release(&fields);
    return status;
}

static int compare_numbers(const void *a, const void *b)
{
    const struct image_number *left = a;
    const struct image_number *right = b;
    return left->id < right->id ? -1 : left->id > right->id;
}

static enum status list_images(struct vg *vg, const char *path)
{
    enum status status = OK;
    TRY(json_text_open(&vg->images_text, path));
    TRY(json_rows_list(&vg->images, &vg->images_text));
    if (vg->images.n == 0) FAIL(ERR_FORMAT, "%s holds no picture", path);
    vg->numbers = memory_new((size_t)vg->images.n, sizeof *vg->numbers);
    for (int64_t i = 0; i < vg->images.n; i++) {
        vg->numbers[i].item = i;
        TRY(entry_id(&vg->numbers[i].id, &vg->images_text, vg->images.spans[i]));
    }
    qsort(vg->numbers, (size_t)vg->images.n, sizeof *vg->numbers, compare_numbers);
    for (int64_t i = 1; i < vg->images.n; i++)
        if (vg->numbers[i].id == vg->numbers[i - 1].id)
            FAIL(ERR_FORMAT, "%s: picture %" PRId64 " is there twice", path, vg->numbers[i].id);
out:
    return status;
}

static enum status list_entries(struct vg *vg, struct vg_file *file, const char *path)
{
    enum status status = OK;
    TRY(json_text_open(&file->text, path));
    TRY(json_rows_list(&file->entries, &file->text));
    file->of_item = memory_new((size_t)vg->images.n, sizeof *file->of_item);
    for (int64_t i = 0; i < vg->images.n; i++) file->of_item[i] = -1;
    for (int64_t i = 0; i < file->entries.n; i++) {
        struct image_number wanted = {0};
        TRY(entry_id(&wanted.id, &file->text, file->entries.spans[i]));
        const struct image_number *found = bsearch(&wanted, vg->numbers, (size_t)vg->images.n,
                                                   sizeof *vg->numbers, compare_numbers);
        if (found == NULL)
            FAIL(ERR_FORMAT, "%s: picture %" PRId64 " is not in %s: files of two versions mixed?",
                 path, wanted.id, vg->images_text.path);
        if (file->of_item[found->item] >= 0)
            FAIL(ERR_FORMAT, "%s: picture %" PRId64 " is there twice", path, wanted.id);
        file->of_item[found->item] = i;
    }
out:
    return status;
}

/* NAME.json, or with its version as it is published; NULL: not there. To free(). */
static char *find_file(const char *folder, const char *name)
{
    static const char *const endings[] = {"", "_v1_2", "_v1_4", "_v1_0", "_v1"};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        char *path = text_format("%s/%s%s.json", folder, name, endings[i]);
        if (file_exists(path)) return path;
        free(path);
    }
    return NULL;
}

enum status import_vg(struct record_source *source_out, const struct import_options *options)
{
    enum status status = OK;
    struct vg *vg = memory_new(1, sizeof *vg);
    char *path = options->with != NULL ? text_copy(options->with)
                                       : find_file(options->annotations, "image_data");
    int n_files = 0;
    if (path == NULL)
        FAIL(ERR_ARGUMENT,
             "%s holds no image_data.json; --with FILE names it where it is elsewhere",
             options->annotations);
    TRY(list_images(vg, path));
    for (int i = 0; i < N_VG_PARTS; i++) {
        free(path);
        path = find_file(options->annotations, parts[i].file);
        if (path == NULL) continue;
        TRY(list_entries(vg, &vg->files[i], path));
        n_files++;
    }
    if (n_files == 0)
        FAIL(ERR_ARGUMENT,
             "%s holds none of objects.json, attributes.json, relationships.json, "
             "region_descriptions.json and question_answers.json",
             options->annotations);
    vg->folder = text_copy(options->images);
    *source_out = (struct record_source){vg->images.n, vg, vg_make, vg_release};
    vg = NULL;
out:
    if (vg != NULL) vg_release(vg);
    free(path);
    return status;
}
