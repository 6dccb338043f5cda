/* RefCOCO, RefCOCO+ and RefCOCOg as records: pictures with all their objects, and expressions that
 * fit one of them. Of two forms:
 *     refs(unc).p made JSON by datasets/refs_to_json.py, a list of {ann_id, image_id, split,
 *         ref_id, sentences: [{sent, raw}]}, with the instances.json that comes beside it;
 *     one file of COCO's form whose images have a `caption` that fits each of their annotations.
 * The release's pickle is never read here: unpickling runs what the file says. */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "corpus/coco_record.h"
#include "corpus/import.h"
#include "corpus/import_common.h"
#include "corpus/import_text.h"

struct refcoco {
    struct coco_file file;
    struct json_text text; /* of the refs */
    struct json_spans refs;
    char *images;
    char *split;    /* "all" or one of them */
    int64_t *group; /* [n_items] pictures that have refs of the split; images.n: those of none */
    int64_t
        *first; /* [images.n + 2] refs of picture i: order[first[i]] .. order[first[i + 1] - 1] */
    int64_t *order; /* refs, those of one picture in the order of the file */
    int64_t n_pictures;
};

static void refcoco_release(void *context)
{
    struct refcoco *refcoco = context;
    coco_release(&refcoco->file);
    json_spans_release(&refcoco->refs);
    json_text_release(&refcoco->text);
    free(refcoco->images);
    free(refcoco->split);
    free(refcoco->group);
    free(refcoco->first);
    free(refcoco->order);
    free(refcoco);
}

static enum status add_expression(struct record *record, int64_t region, const char *expression,
                                  const char *origin, struct json_place place)
{
    enum status status = OK;
    if (expression[0] == '\0')
        FAIL(ERR_FORMAT, "%s: %s: the expression is empty", place.file, place.record);
    import_add_turn(import_add_text(record, "refexp", region, origin), "", expression);
out:
    return status;
}

/* The region of the object that annotation `ann_id` of the picture became. */
static enum status find_region(int64_t *region_out, const struct record *record,
                               const struct refcoco *refcoco, const struct coco_picture *picture,
                               const json_t *ref, struct json_place place)
{
    enum status status = OK;
    int64_t id;
    TRY(json_field_integer(&id, ref, "ann_id", INT64_MIN, INT64_MAX, place));
    const struct coco_part *part = coco_find_part(picture, &refcoco->file, id);
    if (part == NULL)
        FAIL(ERR_FORMAT,
             "%s: %s: ann_id is %" PRId64 ", which is no annotation of its picture in %s",
             place.file, place.record, id, refcoco->file.text.path);
    if (part->object < 0)
        FAIL(ERR_FORMAT, "%s: %s: its annotation %" PRId64 " was dropped", place.file, place.record,
             id);
    *region_out = record->objects[part->object].region;
out:
    return status;
}

static enum status add_ref(struct record *record, const struct refcoco *refcoco,
                           const struct coco_picture *picture, const json_t *ref,
                           struct json_place place)
{
    enum status status = OK;
    json_t *sentences = NULL;
    const char *split = NULL;
    char *where = NULL;
    char *origin = NULL;
    int64_t region = 0;
    int64_t id;
    TRY(json_field_integer(&id, ref, "ref_id", INT64_MIN, INT64_MAX, place));
    TRY(json_field_string(&split, ref, "split", place));
    TRY(find_region(&region, record, refcoco, picture, ref, place));
    TRY(json_field(&sentences, ref, "sentences", JSON_ARRAY, place));
    if (json_array_size(sentences) == 0)
        FAIL(ERR_FORMAT, "%s: %s: it has no sentence", place.file, place.record);
    origin = text_format("%s/ref %" PRId64, split, id);
    for (size_t i = 0; i < json_array_size(sentences); i++) {
        const json_t *sentence = json_array_get(sentences, i);
        const char *words = NULL;
        free(where);
        where = text_format("%s.sentences[%zu]", place.record, i);
        const struct json_place here = {place.file, where};
        TRY(json_field_string(&words, sentence, "sent", here));
        TRY(add_expression(record, region, words, origin, here));
    }
out:
    free(origin);
    free(where);
    return status;
}

static enum status add_refs(struct record *record, const struct refcoco *refcoco, int64_t image,
                            const struct coco_picture *picture, struct item_note *note)
{
    enum status status = OK;
    json_t *ref = NULL;
    char *where = NULL;
    for (int64_t i = refcoco->first[image]; i < refcoco->first[image + 1]; i++) {
        const int64_t index = refcoco->order[i];
        const struct import_mark mark = import_mark(record);
        json_decref(ref);
        ref = NULL;
        TRY(json_span_parse(&ref, &refcoco->text, refcoco->refs.spans[index]));
        free(where);
        where = text_format("[%" PRId64 "]", index);
        status =
            add_ref(record, refcoco, picture, ref, (struct json_place){refcoco->text.path, where});
        if (status != OK) TRY(import_drop(record, mark, note, status, "text"));
    }
out:
    json_decref(ref);
    free(where);
    return status;
}

/* Says what is wrong with a ref that belongs to no picture of the instances. */
static enum status refuse_ref(const struct refcoco *refcoco, int64_t index)
{
    enum status status = OK;
    json_t *ref = NULL;
    const char *split = NULL;
    int64_t image;
    char *where = text_format("[%" PRId64 "]", index);
    const struct json_place place = {refcoco->text.path, where};
    TRY(json_span_parse(&ref, &refcoco->text, refcoco->refs.spans[index]));
    TRY(json_field_string(&split, ref, "split", place));
    TRY(json_field_integer(&image, ref, "image_id", INT64_MIN, INT64_MAX, place));
    FAIL(ERR_FORMAT, "%s: %s: image_id is %" PRId64 ", which %s does not hold", place.file, where,
         image, refcoco->file.text.path);
out:
    json_decref(ref);
    free(where);
    return status;
}

static enum status refs_make(void *context, int64_t item, struct record *record,
                             struct item_note *note)
{
    enum status status = OK;
    const struct refcoco *refcoco = context;
    struct coco_picture picture = {0};
    if (item >= refcoco->n_pictures) {
        note->reason = "annotation";
        const int64_t orphan = refcoco->first[refcoco->file.images.n] + item - refcoco->n_pictures;
        TRY(refuse_ref(refcoco, refcoco->order[orphan]));
    }
    const int64_t image = refcoco->group[item];
    TRY(coco_begin(&picture, &refcoco->file, image, "refcoco", record, note));
    TRY(coco_add_objects(record, &picture, &refcoco->file, note));
    TRY(add_refs(record, refcoco, image, &picture, note));
    TRY(coco_finish(record, &picture, &refcoco->file, refcoco->images, note));
out:
    coco_picture_release(&picture);
    return status;
}

static enum status captions_make(void *context, int64_t item, struct record *record,
                                 struct item_note *note)
{
    enum status status = OK;
    const struct refcoco *refcoco = context;
    struct coco_picture picture = {0};
    const char *caption = NULL;
    TRY(coco_begin(&picture, &refcoco->file, item, "refcoco", record, note));
    const struct json_place place = {refcoco->file.text.path, record->id};
    TRY(json_field_string(&caption, picture.entry, "caption", place));
    TRY(coco_add_objects(record, &picture, &refcoco->file, note));
    for (int64_t i = 0; i < record->n_regions; i++)
        TRY(add_expression(record, i, caption, NULL, place));
    TRY(coco_finish(record, &picture, &refcoco->file, refcoco->images, note));
out:
    coco_picture_release(&picture);
    return status;
}

/* Whether the ref is of the split; what has none stays, so that it is named and counted. */
static bool is_picked(struct json_span split, const char *wanted)
{
    if (split.text == NULL || split.text[0] != '"' || strcmp(wanted, "all") == 0) return true;
    return split.size == strlen(wanted) + 2 && memcmp(split.text + 1, wanted, strlen(wanted)) == 0;
}

/* The picture of each ref: -1 when it is of another split, images.n when there is none. */
static enum status find_pictures(const struct refcoco *refcoco, int64_t *picture)
{
    enum status status = OK;
    static const char *const keys[] = {"split", "image_id"};
    for (int64_t i = 0; i < refcoco->refs.n; i++) {
        struct json_span found[2];
        int64_t image;
        picture[i] = -1;
        TRY(json_span_members(found, &refcoco->text, refcoco->refs.spans[i], keys, 2));
        if (!is_picked(found[0], refcoco->split)) continue;
        picture[i] = refcoco->file.images.n;
        if (found[0].text == NULL || !json_span_integer(&image, found[1])) continue;
        image = coco_find(&refcoco->file.image_ids, image);
        if (image >= 0) picture[i] = image;
    }
out:
    return status;
}

/* Groups the refs of the split by picture, and lists the pictures that have some. */
static enum status group_refs(struct refcoco *refcoco)
{
    enum status status = OK;
    const int64_t n_images = refcoco->file.images.n;
    const size_t n_refs = (size_t)refcoco->refs.n;
    int64_t *picture = memory_new(n_refs + 1, sizeof *picture);
    int64_t *next = NULL;
    TRY(find_pictures(refcoco, picture));
    refcoco->first = memory_new((size_t)n_images + 2, sizeof *refcoco->first);
    refcoco->order = memory_new(n_refs + 1, sizeof *refcoco->order);
    refcoco->group = memory_new((size_t)n_images + 1, sizeof *refcoco->group);
    for (size_t i = 0; i < n_refs; i++)
        if (picture[i] >= 0) refcoco->first[picture[i] + 1]++;
    for (int64_t i = 0; i <= n_images; i++) {
        if (i < n_images && refcoco->first[i + 1] > 0) refcoco->group[refcoco->n_pictures++] = i;
        refcoco->first[i + 1] += refcoco->first[i];
    }
    next = memory_new((size_t)n_images + 2, sizeof *next);
    memcpy(next, refcoco->first, ((size_t)n_images + 2) * sizeof *next);
    for (size_t i = 0; i < n_refs; i++)
        if (picture[i] >= 0) refcoco->order[next[picture[i]]++] = (int64_t)i;
out:
    free(picture);
    free(next);
    return status;
}

static enum status open_refs(struct record_source *source_out, struct refcoco *refcoco,
                             const struct import_options *options)
{
    enum status status = OK;
    if (options->with == NULL)
        FAIL(ERR_ARGUMENT,
             "%s is a list of refs, whose boxes and masks are in another file: add --with "
             "instances.json",
             options->annotations);
    TRY(coco_open(&refcoco->file, options->with));
    TRY(json_spans_list(&refcoco->refs, &refcoco->text, json_text_whole(&refcoco->text)));
    TRY(group_refs(refcoco));
    const int64_t n_orphans =
        refcoco->first[refcoco->file.images.n + 1] - refcoco->first[refcoco->file.images.n];
    const int64_t n = refcoco->n_pictures + n_orphans;
    if (n == 0)
        FAIL(ERR_FORMAT, "%s: no ref of split '%s' among its %" PRId64, options->annotations,
             refcoco->split, refcoco->refs.n);
    *source_out = (struct record_source){n, refcoco, refs_make, refcoco_release};
out:
    return status;
}

static enum status open_captions(struct record_source *source_out, struct refcoco *refcoco,
                                 const struct import_options *options)
{
    enum status status = OK;
    if (options->with != NULL || strcmp(refcoco->split, "all") != 0)
        FAIL(ERR_ARGUMENT,
             "%s is one file of COCO's form with captions: --with and --split are for a list of "
             "refs",
             options->annotations);
    TRY(coco_open(&refcoco->file, options->annotations));
    *source_out = (struct record_source){coco_n_items(&refcoco->file), refcoco, captions_make,
                                         refcoco_release};
out:
    return status;
}

enum status import_refcoco(struct record_source *source_out, const struct import_options *options)
{
    enum status status = OK;
    struct refcoco *refcoco = memory_new(1, sizeof *refcoco);
    TRY(json_text_open(&refcoco->text, options->annotations));
    const struct json_span whole = json_text_whole(&refcoco->text);
    size_t at = 0;
    while (at < whole.size && isspace((unsigned char)whole.text[at])) at++;
    const char c = at < whole.size ? whole.text[at] : '\0';
    if (c != '[' && c != '{')
        FAIL(ERR_FORMAT,
             "%s is no JSON; refs(unc).p and refs(google).p are Python pickles, which could run "
             "anything and are not read: make JSON of it with 'python3 datasets/refs_to_json.py "
             "REFS.p refs.json'",
             options->annotations);
    refcoco->images = text_copy(options->images);
    refcoco->split = text_copy(options->split == NULL ? "all" : options->split);
    if (c == '[')
        TRY(open_refs(source_out, refcoco, options));
    else
        TRY(open_captions(source_out, refcoco, options));
    refcoco = NULL;
out:
    if (refcoco != NULL) refcoco_release(refcoco);
    return status;
}
