/* See coco_file.h. */
#include "corpus/coco_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_file.h"
#include "base/text_buffer.h"

void coco_ids_release(struct coco_ids *ids)
{
    free(ids->rows);
    *ids = (struct coco_ids){0};
}

void coco_release(struct coco_file *file)
{
    if (file->category_names != NULL)
        names_free(file->category_names, (size_t)file->category_ids.n);
    coco_ids_release(&file->image_ids);
    coco_ids_release(&file->annotation_ids);
    coco_ids_release(&file->category_ids);
    json_spans_release(&file->members);
    json_spans_release(&file->images);
    json_spans_release(&file->annotations);
    json_text_release(&file->text);
    free(file->first);
    free(file->order);
    *file = (struct coco_file){0};
}

static int compare_ids(const void *a, const void *b)
{
    const struct coco_id *left = a;
    const struct coco_id *right = b;
    if (left->id != right->id) return left->id < right->id ? -1 : 1;
    return left->index < right->index ? -1 : left->index > right->index;
}

/* ERR_FORMAT when an id is there twice; `array` is where, for the sentence. */
static enum status sort_ids(struct coco_ids *ids, const char *file, const char *array)
{
    enum status status = OK;
    if (ids->n > 1) qsort(ids->rows, (size_t)ids->n, sizeof *ids->rows, compare_ids);
    for (int64_t i = 1; i < ids->n; i++) {
        const struct coco_id *one = &ids->rows[i - 1];
        if (one->id == one[1].id)
            FAIL(ERR_FORMAT,
                 "%s: %s[%" PRId64 "] and %s[%" PRId64 "] have the same id; ids must be unique",
                 file, array, one->index, array, one[1].index);
    }
out:
    return status;
}

int64_t coco_find(const struct coco_ids *ids, int64_t id)
{
    int64_t low = 0;
    int64_t high = ids->n;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (ids->rows[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < ids->n && ids->rows[low].id == id ? ids->rows[low].index : -1;
}

static enum status find_array(const struct json_span **span_out, const struct coco_file *file,
                              const char *key)
{
    enum status status = OK;
    const struct json_span *span = json_spans_find(&file->members, key);
    if (span == NULL || span->text[0] != '[')
        FAIL(ERR_FORMAT, "%s: it has no array '%s'; is it a file of COCO's form?", file->text.path,
             key);
    *span_out = span;
out:
    return status;
}

enum status coco_read_names(struct coco_ids *ids_out, char ***names_out,
                            const struct coco_file *file, const char *member)
{
    enum status status = OK;
    const struct json_span *span = NULL;
    json_t *list = NULL;
    struct coco_ids ids = {0};
    char **names = NULL;
    char *where = NULL;
    TRY(find_array(&span, file, member));
    TRY(json_span_parse(&list, &file->text, *span));
    const size_t n = json_array_size(list);
    ids.rows = memory_new(n + 1, sizeof *ids.rows);
    names = memory_new(n + 1, sizeof *names);
    for (size_t i = 0; i < n; i++) {
        const json_t *entry = json_array_get(list, i);
        const char *name = NULL;
        free(where);
        where = text_format("%s[%zu]", member, i);
        const struct json_place place = {file->text.path, where};
        ids.rows[i].index = (int64_t)i;
        TRY(json_field_integer(&ids.rows[i].id, entry, "id", 0, INT64_MAX, place));
        TRY(json_field_string(&name, entry, "name", place));
        if (name[0] == '\0') FAIL(ERR_FORMAT, "%s: %s: the name is empty", place.file, where);
        names[ids.n++] = text_copy(name);
    }
    TRY(sort_ids(&ids, file->text.path, member));
    *ids_out = ids;
    *names_out = names;
    ids = (struct coco_ids){0};
    names = NULL;
out:
    if (names != NULL) names_free(names, (size_t)ids.n);
    coco_ids_release(&ids);
    json_decref(list);
    free(where);
    return status;
}

/* A number for an id: itself, or the FNV-1a hash of a string (ADE20K's ids are names of files). */
static bool number_of(int64_t *number_out, struct json_span id)
{
    if (id.size < 2 || id.text[0] != '"') return json_span_integer(number_out, id);
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 1; i + 1 < id.size; i++)
        hash = (hash ^ (unsigned char)id.text[i]) * 0x100000001b3;
    *number_out = (int64_t)(hash | (uint64_t)1 << 63); /* apart from whole numbers */
    return true;
}

static enum status index_images(struct coco_file *file)
{
    enum status status = OK;
    static const char *const keys[] = {"id"};
    const struct json_spans *images = &file->images;
    file->image_ids.rows = memory_new((size_t)images->n + 1, sizeof *file->image_ids.rows);
    for (int64_t i = 0; i < images->n; i++) {
        struct json_span found;
        int64_t id;
        TRY(json_span_members(&found, &file->text, images->spans[i], keys, 1));
        if (!number_of(&id, found))
            FAIL(ERR_FORMAT, "%s: images[%" PRId64 "]: field 'id' must be an integer or a string",
                 file->text.path, i);
        file->image_ids.rows[file->image_ids.n++] = (struct coco_id){id, i};
    }
    TRY(sort_ids(&file->image_ids, file->text.path, "images"));
out:
    return status;
}

/* The picture that each annotation belongs to; images.n: none. `picture` is [annotations.n]. */
static enum status index_annotations(struct coco_file *file, int64_t *picture)
{
    enum status status = OK;
    static const char *const keys[] = {"image_id", "id"};
    struct coco_ids *ids = &file->annotation_ids;
    const struct json_spans *annotations = &file->annotations;
    ids->rows = memory_new((size_t)annotations->n + 1, sizeof *ids->rows);
    for (int64_t i = 0; i < annotations->n; i++) {
        struct json_span found[2];
        int64_t value;
        TRY(json_span_members(found, &file->text, annotations->spans[i], keys, 2));
        picture[i] = number_of(&value, found[0]) ? coco_find(&file->image_ids, value) : -1;
        if (picture[i] < 0) picture[i] = file->images.n;
        if (number_of(&value, found[1])) ids->rows[ids->n++] = (struct coco_id){value, i};
    }
    TRY(sort_ids(ids, file->text.path, "annotations"));
out:
    return status;
}

/* Counting sort: annotations by picture, those of one picture in the order of the file. */
static void group_annotations(struct coco_file *file, const int64_t *picture)
{
    const int64_t n_images = file->images.n;
    const int64_t n = file->annotations.n;
    int64_t *next = memory_new((size_t)n_images + 1, sizeof *next);
    file->first = memory_new((size_t)n_images + 1, sizeof *file->first);
    file->order = memory_new((size_t)n + 1, sizeof *file->order);
    for (int64_t i = 0; i < n; i++)
        if (picture[i] < n_images) file->first[picture[i] + 1]++;
    for (int64_t i = 0; i < n_images; i++) file->first[i + 1] += file->first[i];
    memcpy(next, file->first, ((size_t)n_images + 1) * sizeof *next);
    for (int64_t i = 0; i < n; i++) file->order[next[picture[i]]++] = i;
    free(next);
}

enum status coco_open(struct coco_file *file_out, const char *path)
{
    enum status status = OK;
    struct coco_file file = {0};
    const struct json_span *images = NULL;
    const struct json_span *annotations = NULL;
    int64_t *picture = NULL;
    TRY(json_text_open(&file.text, path));
    TRY(json_spans_list(&file.members, &file.text, json_text_whole(&file.text)));
    TRY(find_array(&images, &file, "images"));
    TRY(find_array(&annotations, &file, "annotations"));
    TRY(json_spans_list(&file.images, &file.text, *images));
    TRY(json_spans_list(&file.annotations, &file.text, *annotations));
    TRY(coco_read_names(&file.category_ids, &file.category_names, &file, "categories"));
    if (file.images.n == 0) FAIL(ERR_FORMAT, "%s: 'images' is empty", path);
    picture = memory_new((size_t)file.annotations.n + 1, sizeof *picture);
    TRY(index_images(&file));
    TRY(index_annotations(&file, picture));
    group_annotations(&file, picture);
    *file_out = file;
    file = (struct coco_file){0};
out:
    free(picture);
    coco_release(&file);
    return status;
}

enum status coco_category(const char **name_out, const struct coco_file *file,
                          const json_t *annotation, struct json_place place)
{
    enum status status = OK;
    int64_t id;
    TRY(json_field_integer(&id, annotation, "category_id", 0, INT64_MAX, place));
    const int64_t index = coco_find(&file->category_ids, id);
    if (index < 0)
        FAIL(ERR_FORMAT, "%s: %s: category_id is %" PRId64 ", which 'categories' does not define",
             place.file, place.record, id);
    *name_out = file->category_names[index];
out:
    return status;
}
