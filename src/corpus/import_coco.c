/* Object annotations of COCO's form as records: COCO instances, LVIS, PartImageNet, PACO. They
 * differ in where their pictures lie (coco_record.h) and in what PACO adds: attributes, and parts
 * that know their object. Names of categories are kept as the file has them. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "corpus/coco_record.h"
#include "corpus/import.h"
#include "corpus/import_common.h"
#include "corpus/import_text.h"

struct coco_source {
    struct coco_file file;
    const char *kind;
    char *images;
    struct coco_ids attribute_ids; /* PACO */
    char **attribute_names;
};

static void coco_source_release(void *context)
{
    struct coco_source *coco = context;
    if (coco->attribute_names != NULL)
        names_free(coco->attribute_names, (size_t)coco->attribute_ids.n);
    coco_ids_release(&coco->attribute_ids);
    coco_release(&coco->file);
    free(coco->images);
    free(coco);
}

/* Visual Genome's regions in this form have a `caption` each. */
static enum status add_caption(struct record *record, const struct coco_part *part,
                               struct json_place place)
{
    enum status status = OK;
    const char *caption = NULL;
    if (json_object_get(part->entry, "caption") == NULL) return OK;
    TRY(json_field_string(&caption, part->entry, "caption", place));
    if (caption[0] == '\0')
        FAIL(ERR_FORMAT, "%s: %s: the caption is empty", place.file, place.record);
    import_add_turn(import_add_text(record, "caption", record->objects[part->object].region, NULL),
                    "", caption);
out:
    return status;
}

static enum status add_captions(struct record *record, const struct coco_source *coco,
                                const struct coco_picture *picture, struct item_note *note)
{
    enum status status = OK;
    char *where = NULL;
    for (int64_t i = 0; i < picture->n_parts; i++) {
        const struct import_mark mark = import_mark(record);
        if (picture->parts[i].object < 0) continue;
        free(where);
        where = text_format("annotations[%" PRId64 "]", picture->parts[i].index);
        status = add_caption(record, &picture->parts[i],
                             (struct json_place){coco->file.text.path, where});
        if (status != OK) TRY(import_drop(record, mark, note, status, "text"));
    }
out:
    free(where);
    return status;
}

static enum status coco_make(void *context, int64_t item, struct record *record,
                             struct item_note *note)
{
    enum status status = OK;
    const struct coco_source *coco = context;
    struct coco_picture picture = {0};
    TRY(coco_begin(&picture, &coco->file, item, coco->kind, record, note));
    TRY(coco_add_objects(record, &picture, &coco->file, note));
    TRY(add_captions(record, coco, &picture, note));
    TRY(coco_finish(record, &picture, &coco->file, coco->images, note));
out:
    coco_picture_release(&picture);
    return status;
}

/* Opens the file under a kind; on success the caller adds what the kind needs. */
static enum status open_kind(struct coco_source **coco_out, const char *kind,
                             const struct import_options *options)
{
    enum status status = OK;
    struct coco_source *coco = memory_new(1, sizeof *coco);
    coco->kind = kind;
    TRY(coco_open(&coco->file, options->annotations));
    coco->images = text_copy(options->images);
    *coco_out = coco;
    coco = NULL;
out:
    if (coco != NULL) coco_source_release(coco);
    return status;
}

static enum status open_plain(struct record_source *source_out, const char *kind,
                              const struct import_options *options)
{
    enum status status = OK;
    struct coco_source *coco = NULL;
    TRY(open_kind(&coco, kind, options));
    *source_out =
        (struct record_source){coco_n_items(&coco->file), coco, coco_make, coco_source_release};
out:
    return status;
}

enum status import_coco(struct record_source *source_out, const struct import_options *options)
{
    return open_plain(source_out, "coco", options);
}

enum status import_lvis(struct record_source *source_out, const struct import_options *options)
{
    return open_plain(source_out, "lvis", options);
}

enum status import_partimagenet(struct record_source *source_out,
                                const struct import_options *options)
{
    return open_plain(source_out, "partimagenet", options);
}

/* `attribute_ids` of an annotation, in its order. */
static enum status add_attributes(struct record *record, const struct coco_source *coco,
                                  const struct coco_part *part, struct json_place place)
{
    enum status status = OK;
    const json_t *ids = json_object_get(part->entry, "attribute_ids");
    if (ids == NULL || json_is_null(ids)) return OK;
    if (!json_is_array(ids))
        FAIL(ERR_FORMAT, "%s: %s: attribute_ids must be an array", place.file, place.record);
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i);
        const int64_t index =
            json_is_integer(id) ? coco_find(&coco->attribute_ids, json_integer_value(id)) : -1;
        if (index < 0)
            FAIL(ERR_FORMAT, "%s: %s: attribute_ids[%zu] is none that 'attributes' defines",
                 place.file, place.record, i);
        TRY(import_add_attribute(&record->objects[part->object], coco->attribute_names[index],
                                 place));
    }
out:
    return status;
}

/* A part names the annotation of its object; an object names itself. */
static enum status add_part_of(struct record *record, const struct coco_source *coco,
                               const struct coco_picture *picture, const struct coco_part *part,
                               struct json_place place)
{
    enum status status = OK;
    int64_t id;
    if (json_object_get(part->entry, "obj_ann_id") == NULL) return OK;
    TRY(json_field_integer(&id, part->entry, "obj_ann_id", INT64_MIN, INT64_MAX, place));
    const struct coco_part *whole = coco_find_part(picture, &coco->file, id);
    if (whole == part) return OK;
    if (whole == NULL)
        FAIL(ERR_FORMAT,
             "%s: %s: obj_ann_id is %" PRId64 ", which is no annotation of the same picture",
             place.file, place.record, id);
    if (whole->object < 0)
        FAIL(ERR_FORMAT, "%s: %s: it is part of annotation %" PRId64 ", which was dropped",
             place.file, place.record, id);
    TRY(import_add_relation(record, part->object, "part of", whole->object, place));
out:
    return status;
}

static enum status paco_add(struct record *record, const struct coco_source *coco,
                            const struct coco_picture *picture, struct item_note *note)
{
    enum status status = OK;
    char *where = NULL;
    for (int64_t i = 0; i < picture->n_parts; i++) {
        const struct coco_part *part = &picture->parts[i];
        if (part->object < 0) continue;
        free(where);
        where = text_format("annotations[%" PRId64 "]", part->index);
        const struct json_place place = {coco->file.text.path, where};
        const struct import_mark mark = import_mark(record);
        status = add_attributes(record, coco, part, place);
        if (status != OK) TRY(import_drop(record, mark, note, status, "attribute"));
        status = add_part_of(record, coco, picture, part, place);
        if (status != OK) TRY(import_drop(record, mark, note, status, "relation"));
    }
out:
    free(where);
    return status;
}

static enum status paco_make(void *context, int64_t item, struct record *record,
                             struct item_note *note)
{
    enum status status = OK;
    const struct coco_source *coco = context;
    struct coco_picture picture = {0};
    TRY(coco_begin(&picture, &coco->file, item, coco->kind, record, note));
    TRY(coco_add_objects(record, &picture, &coco->file, note));
    TRY(paco_add(record, coco, &picture, note));
    TRY(coco_finish(record, &picture, &coco->file, coco->images, note));
out:
    coco_picture_release(&picture);
    return status;
}

enum status import_paco(struct record_source *source_out, const struct import_options *options)
{
    enum status status = OK;
    struct coco_source *coco = NULL;
    TRY(open_kind(&coco, "paco", options));
    TRY(coco_read_names(&coco->attribute_ids, &coco->attribute_names, &coco->file, "attributes"));
    *source_out =
        (struct record_source){coco_n_items(&coco->file), coco, paco_make, coco_source_release};
    coco = NULL;
out:
    if (coco != NULL) coco_source_release(coco);
    return status;
}
