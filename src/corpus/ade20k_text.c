/* See ade20k_text.h. */
#include "corpus/ade20k_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "corpus/import_common.h"
#include "image/panoptic.h"

#define MAX_LEVELS     8
#define MAX_FILE_BYTES ((size_t)16 << 20)
#define N_FIELDS       6

/* [start, end) without spaces and quotes at its ends, to free(). */
static char *trimmed(const char *start, const char *end)
{
    while (start < end && memchr(" \t\r\n\"", *start, 5) != NULL) start++;
    while (start < end && memchr(" \t\r\n\"", end[-1], 5) != NULL) end--;
    return text_format("%.*s", (int)(end - start), start);
}

enum status ade20k_add_object(struct record *record, const char *synonyms, struct json_place place)
{
    const int64_t region = import_add_region(record);
    char *name = trimmed(synonyms, synonyms + strcspn(synonyms, ","));
    const enum status status = import_add_object(record, name, region, place);
    free(name);
    return status;
}

enum status ade20k_add_attributes(struct record_object *object, const char *text,
                                  struct json_place place)
{
    enum status status = OK;
    for (const char *at = text; status == OK && *at != '\0';) {
        const char *end = at + strcspn(at, ",");
        char *attribute = trimmed(at, end);
        if (attribute[0] != '\0') status = import_add_attribute(object, attribute, place);
        free(attribute);
        at = *end == ',' ? end + 1 : end;
    }
    return status;
}

enum status ade20k_box_of_mask(struct record_region *region, struct json_place place)
{
    enum status status = OK;
    region->box = rle_box(&region->mask);
    if (region->box.x1 == region->box.x2)
        FAIL(ERR_FORMAT, "%s: %s: nothing of it is seen: its mask holds no pixel", place.file,
             place.record);
out:
    return status;
}

struct level {
    bool is_read;
    struct panoptic colours;
    uint32_t blues[256]; /* that the PNG has, increasing, without 0 */
    int64_t n_blues;
    bool is_taken[256]; /* by number: an object has it */
};

struct text_source {
    const char *base;
    char *path; /* of the text */
    struct level levels[MAX_LEVELS];
    int64_t *level_of; /* [objects of the record] */
};

/* The PNG of a level; the first one read says how large the picture is. */
static enum status read_level(struct text_source *source, int64_t number, struct record *record)
{
    enum status status = OK;
    struct level *level = &source->levels[number];
    char *path = number == 0 ? text_format("%s_seg.png", source->base)
                             : text_format("%s_parts_%" PRId64 ".png", source->base, number);
    bool found[256] = {false};
    TRY(panoptic_read(&level->colours, path));
    level->is_read = true;
    if (record->height == 0) {
        record->height = level->colours.height;
        record->width = level->colours.width;
    }
    if (level->colours.height != record->height || level->colours.width != record->width)
        FAIL(ERR_FORMAT,
             "%s is %" PRId64 " x %" PRId64 " pixels, %s_seg.png %" PRId64 " x %" PRId64
             " (width x height)",
             path, level->colours.width, level->colours.height, source->base, record->width,
             record->height);
    for (int64_t i = 0; i < level->colours.n_segments; i++)
        found[level->colours.segments[i].id >> 16] = true;
    for (uint32_t blue = 1; blue < 256; blue++)
        if (found[blue]) level->blues[level->n_blues++] = blue;
out:
    free(path);
    return status;
}

/* The pixels whose blue is the number-th value: of one colour nearly always. */
static enum status mask_of_number(struct rle *mask_out, const struct level *level, int64_t number,
                                  struct json_place place)
{
    enum status status = OK;
    struct rle parts[2] = {{0}};
    if (number < 1 || number > level->n_blues)
        FAIL(ERR_FORMAT, "%s: %s: number %" PRId64 "; the PNG of its level has %" PRId64,
             place.file, place.record, number, level->n_blues);
    for (int64_t i = 0; i < level->colours.n_segments; i++) {
        const struct panoptic_segment *segment = &level->colours.segments[i];
        if (segment->id >> 16 != level->blues[number - 1]) continue;
        parts[1] = segment->mask; /* borrowed */
        if (parts[0].n_runs == 0) {
            TRY(rle_copy(&parts[0], &segment->mask));
            continue;
        }
        struct rle both = {0};
        TRY(rle_merge(&both, parts, 2, 0));
        rle_release(&parts[0]);
        parts[0] = both;
    }
    *mask_out = parts[0];
    parts[0] = (struct rle){0};
out:
    rle_release(&parts[0]);
    return status;
}

static enum status read_number(int64_t *number_out, const char *field, int64_t max,
                               const char *what, struct json_place place)
{
    enum status status = OK;
    char *end = NULL;
    const long number = strtol(field, &end, 10);
    if (field[0] == '\0' || *end != '\0' || number < 0 || number > max)
        FAIL(ERR_FORMAT, "%s: %s: the %s is '%s', must be 0 .. %" PRId64, place.file, place.record,
             what, field, max);
    *number_out = number;
out:
    return status;
}

static enum status add_fields(struct record *record, struct text_source *source,
                              char *const fields[N_FIELDS], const char **reason,
                              struct json_place place)
{
    enum status status = OK;
    int64_t number = 0;
    int64_t level = 0;
    *reason = "object";
    TRY(read_number(&number, fields[0], 255, "number", place));
    TRY(read_number(&level, fields[1], MAX_LEVELS - 1, "part level", place));
    TRY(ade20k_add_object(record, fields[3], place));
    TRY(ade20k_add_attributes(&record->objects[record->n_objects - 1], fields[5], place));
    *reason = "mask";
    if (!source->levels[level].is_read) TRY(read_level(source, level, record));
    struct record_region *region = &record->regions[record->n_regions - 1];
    if (source->levels[level].is_taken[number])
        FAIL(ERR_FORMAT, "%s: %s: a line before it has number %" PRId64 " of level %" PRId64,
             place.file, place.record, number, level);
    TRY(mask_of_number(&region->mask, &source->levels[level], number, place));
    TRY(ade20k_box_of_mask(region, place));
    source->levels[level].is_taken[number] = true;
    source->level_of =
        memory_resize(source->level_of, (size_t)record->n_objects, sizeof *source->level_of);
    source->level_of[record->n_objects - 1] = level;
out:
    return status;
}

/* One line; ATTRIBUTES may be missing. */
static enum status add_line(struct record *record, struct text_source *source, const char *line,
                            const char *end, const char **reason, struct json_place place)
{
    enum status status = OK;
    char *fields[N_FIELDS] = {NULL};
    int n = 0;
    *reason = "object";
    for (const char *at = line; n < N_FIELDS && at <= end;) {
        const char *stop = n == N_FIELDS - 1 ? NULL : memchr(at, '#', (size_t)(end - at));
        fields[n++] = trimmed(at, stop == NULL ? end : stop);
        at = (stop == NULL ? end : stop) + 1;
    }
    if (n < N_FIELDS - 1)
        FAIL(ERR_FORMAT, "%s: %s: %d fields between '#'; there must be %d", place.file,
             place.record, n, N_FIELDS);
    if (n < N_FIELDS) fields[n] = text_copy("");
    TRY(add_fields(record, source, fields, reason, place));
out:
    for (int i = 0; i < N_FIELDS; i++) free(fields[i]);
    return status;
}

/* Part `part` is of that object one level up that has most of its pixels. */
static enum status add_whole(struct record *record, const struct text_source *source, int64_t part)
{
    enum status status = OK;
    uint64_t most = 0;
    int64_t whole = -1;
    for (int64_t i = 0; i < record->n_objects; i++) {
        struct rle shared = {0};
        if (source->level_of[i] != source->level_of[part] - 1) continue;
        const struct rle both[2] = {record->regions[i].mask, record->regions[part].mask};
        TRY(rle_merge(&shared, both, 2, 1));
        const uint64_t area = rle_area(&shared);
        rle_release(&shared);
        if (area <= most) continue;
        most = area;
        whole = i;
    }
    if (whole < 0)
        FAIL(ERR_FORMAT, "%s: object %" PRId64 " ('%s') lies on nothing that it could be part of",
             source->path, part, record->objects[part].name);
    TRY(import_add_relation(record, part, "part of", whole, (struct json_place){source->path, ""}));
out:
    return status;
}

static enum status add_lines(struct record *record, struct text_source *source, const char *text,
                             size_t size, struct item_note *note)
{
    enum status status = OK;
    const char *end = text + size;
    char *where = NULL;
    int64_t number = 1;
    for (const char *line = text; line < end; number++) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        if (stop == NULL) stop = end;
        const struct import_mark mark = import_mark(record);
        const char *reason = NULL;
        const char *first = line;
        while (first < stop && memchr(" \t\r", *first, 3) != NULL) first++;
        free(where);
        where = text_format("line %" PRId64, number);
        if (first < stop)
            status = add_line(record, source, line, stop, &reason,
                              (struct json_place){source->path, where});
        if (status != OK) TRY(import_drop(record, mark, note, status, reason));
        line = stop + 1;
    }
out:
    free(where);
    return status;
}

enum status ade20k_read_text(struct record *record, const char *base, struct item_note *note)
{
    enum status status = OK;
    struct text_source source = {.base = base, .path = text_format("%s_atr.txt", base)};
    unsigned char *text = NULL;
    size_t size = 0;
    TRY(file_read(&text, &size, source.path, MAX_FILE_BYTES));
    note->reason = "masks";
    TRY(read_level(&source, 0, record));
    note->reason = "annotation";
    TRY(add_lines(record, &source, (const char *)text, size, note));
    for (int64_t i = 0; i < record->n_objects; i++) {
        const struct import_mark mark = import_mark(record);
        if (source.level_of[i] == 0) continue;
        status = add_whole(record, &source, i);
        if (status != OK) TRY(import_drop(record, mark, note, status, "relation"));
    }
out:
    for (int i = 0; i < MAX_LEVELS; i++) panoptic_release(&source.levels[i].colours);
    free(source.level_of);
    free(source.path);
    free(text);
    return status;
}
