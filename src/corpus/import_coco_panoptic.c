/* COCO's panoptic annotations as records, and ADE20K's 150 classes in the same form: an object for
 * each segment, its mask from the PNG. Names of categories are kept as the file has them
 * ("wall-other-merged"). */
#include <inttypes.h>
#include <stdlib.h>

#include "base/text_buffer.h"
#include "corpus/coco_record.h"
#include "corpus/import.h"
#include "corpus/import_common.h"
#include "image/panoptic.h"

struct panoptic_source {
    struct coco_file file;
    const char *kind;
    char *images, *masks;
};

static void panoptic_source_release(void *context)
{
    struct panoptic_source *source = context;
    coco_release(&source->file);
    free(source->images);
    free(source->masks);
    free(source);
}

static enum status read_png(struct panoptic *panoptic_out, const struct panoptic_source *source,
                            const json_t *annotation, const struct record *record,
                            struct json_place place)
{
    enum status status = OK;
    const char *name = NULL;
    char *path = NULL;
    struct panoptic panoptic = {0};
    TRY(json_field_string(&name, annotation, "file_name", place));
    TRY(import_path(&path, source->masks, name));
    TRY(panoptic_read(&panoptic, path));
    if (panoptic.height != record->height || panoptic.width != record->width)
        FAIL(ERR_FORMAT,
             "%s is %" PRId64 " x %" PRId64 " pixels, the picture %" PRId64 " x %" PRId64
             " (width x height)",
             path, panoptic.width, panoptic.height, record->width, record->height);
    *panoptic_out = panoptic;
    panoptic = (struct panoptic){0};
out:
    panoptic_release(&panoptic);
    free(path);
    return status;
}

/* What a segment is looked up in. */
struct segment_context {
    const struct coco_file *file;
    const struct panoptic *panoptic;
};

static enum status add_segment(struct record *record, const json_t *segment,
                               struct segment_context context, struct item_note *note,
                               const char **reason, struct json_place place)
{
    enum status status = OK;
    const char *name = NULL;
    struct box box;
    int64_t id;
    *reason = "object";
    TRY(json_field_integer(&id, segment, "id", 1, (1 << 24) - 1, place));
    TRY(coco_category(&name, context.file, segment, place));
    const int64_t region = import_add_region(record);
    TRY(import_add_object(record, name, region, place));
    *reason = "box";
    TRY(coco_box(&box, segment, place));
    TRY(import_box(&record->regions[region], box, record, note, place));
    *reason = "mask";
    const struct rle *mask = panoptic_mask(context.panoptic, (uint32_t)id);
    if (mask == NULL)
        FAIL(ERR_FORMAT, "%s: %s: segment %" PRId64 " has no pixel in the PNG", place.file,
             place.record, id);
    TRY(rle_copy(&record->regions[region].mask, mask));
out:
    return status;
}

static bool is_listed(const json_t *segments, uint32_t id)
{
    for (size_t i = 0; i < json_array_size(segments); i++) {
        const json_t *listed = json_object_get(json_array_get(segments, i), "id");
        if (json_is_integer(listed) && json_integer_value(listed) == id) return true;
    }
    return false;
}

/* Every colour of the PNG but black is a segment of the list. */
static enum status check_listed(const struct panoptic *panoptic, const json_t *segments,
                                struct json_place place)
{
    enum status status = OK;
    if (json_array_size(segments) > PANOPTIC_MAX_SEGMENTS)
        FAIL(ERR_LIMIT, "%s: %s: segments_info lists %zu; the limit is %d", place.file,
             place.record, json_array_size(segments), PANOPTIC_MAX_SEGMENTS);
    for (int64_t i = 0; i < panoptic->n_segments; i++) {
        const uint32_t id = panoptic->segments[i].id;
        if (id != 0 && !is_listed(segments, id))
            FAIL(ERR_FORMAT, "%s: %s: the PNG has a segment %u that segments_info does not list",
                 place.file, place.record, id);
    }
    for (size_t i = 0; i < json_array_size(segments); i++) {
        const json_t *id = json_object_get(json_array_get(segments, i), "id");
        for (size_t j = 0; j < i && json_is_integer(id); j++) {
            if (json_equal(id, json_object_get(json_array_get(segments, j), "id")))
                FAIL(ERR_FORMAT, "%s: %s: segments_info[%zu] and [%zu] have the same id",
                     place.file, place.record, j, i);
        }
    }
out:
    return status;
}

static enum status add_segments(struct record *record, const struct panoptic_source *source,
                                const struct coco_part *part, struct item_note *note)
{
    enum status status = OK;
    struct panoptic panoptic = {0};
    json_t *segments = NULL;
    char *at = NULL;
    char *where = text_format("annotations[%" PRId64 "]", part->index);
    const struct json_place place = {source->file.text.path, where};
    TRY(json_field(&segments, part->entry, "segments_info", JSON_ARRAY, place));
    note->reason = "masks";
    TRY(read_png(&panoptic, source, part->entry, record, place));
    TRY(check_listed(&panoptic, segments, place));
    note->reason = "annotation";
    const struct segment_context context = {&source->file, &panoptic};
    for (size_t i = 0; i < json_array_size(segments); i++) {
        const struct import_mark mark = import_mark(record);
        const char *reason = NULL;
        free(at);
        at = text_format("%s.segments_info[%zu]", where, i);
        status = add_segment(record, json_array_get(segments, i), context, note, &reason,
                             (struct json_place){place.file, at});
        if (status != OK) TRY(import_drop(record, mark, note, status, reason));
    }
out:
    panoptic_release(&panoptic);
    free(at);
    free(where);
    return status;
}

static enum status panoptic_make(void *context, int64_t item, struct record *record,
                                 struct item_note *note)
{
    enum status status = OK;
    const struct panoptic_source *source = context;
    struct coco_picture picture = {0};
    TRY(coco_begin(&picture, &source->file, item, source->kind, record, note));
    if (picture.n_parts != 1)
        FAIL(ERR_FORMAT,
             "%s: images[%" PRId64 "] has %" PRId64 " annotations; a panoptic file has "
             "one for each picture",
             source->file.text.path, item, picture.n_parts);
    TRY(add_segments(record, source, &picture.parts[0], note));
    TRY(coco_finish(record, &picture, &source->file, source->images, note));
out:
    coco_picture_release(&picture);
    return status;
}

static enum status open_panoptic(struct record_source *source_out, const char *kind,
                                 const struct import_options *options)
{
    enum status status = OK;
    struct panoptic_source *source = memory_new(1, sizeof *source);
    source->kind = kind;
    TRY(coco_open(&source->file, options->annotations));
    source->images = text_copy(options->images);
    source->masks = text_copy(options->masks == NULL ? options->images : options->masks);
    *source_out = (struct record_source){coco_n_items(&source->file), source, panoptic_make,
                                         panoptic_source_release};
    source = NULL;
out:
    if (source != NULL) panoptic_source_release(source);
    return status;
}

enum status import_coco_panoptic(struct record_source *source_out,
                                 const struct import_options *options)
{
    return open_panoptic(source_out, "coco-panoptic", options);
}

enum status import_ade20k_panoptic(struct record_source *source_out,
                                   const struct import_options *options)
{
    return open_panoptic(source_out, "ade20k-panoptic", options);
}
