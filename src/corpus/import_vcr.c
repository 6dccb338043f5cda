/* Visual Commonsense Reasoning: one line, one question with four answers and four reasons; boxes
 * and outlines of the people and things it speaks of stand in a file beside each picture. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "corpus/import_common.h"
#include "corpus/import_rows.h"
#include "corpus/import_text.h"

#define METADATA_MAX_BYTES ((size_t)64 << 20)

/* ---- words ---- */

/* "NAME at regionN" for each number of a reference. */
static enum status append_reference(struct text_buffer *out, const json_t *ids,
                                    const struct record *record, const char *what,
                                    struct json_place place)
{
    enum status status = OK;
    for (size_t i = 0; i < json_array_size(ids); i++) {
        int64_t id;
        TRY(import_index(&id, ids, i, record->n_objects, what, place));
        text_printf(out, "%s%s at region%" PRId64, out->length > 0 ? " " : "",
                    record->objects[id].name, id + 1);
    }
out:
    return status;
}

/* Takes out the blank in front of each mark that belongs to the word before it. */
static char *join_marks(const char *spaced)
{
    struct text_buffer joined = {0};
    for (const char *at = spaced; *at != '\0'; at++) {
        const bool before_mark = at[1] != '\0' && strchr(",.?!", at[1]) != NULL;
        if (strchr(" \t\r\n\f\v", *at) != NULL && before_mark) continue;
        text_append_char(&joined, *at);
    }
    return text_take(&joined);
}

/* Words and references as one sentence, to free(). */
static enum status read_sentence(char **sentence_out, const json_t *tokens,
                                 const struct record *record, const char *what,
                                 struct json_place place)
{
    enum status status = OK;
    struct text_buffer text = {0};
    if (json_array_size(tokens) == 0)
        FAIL(ERR_FORMAT, "%s: %s: the %s must be a list of words", place.file, place.record, what);
    for (size_t i = 0; i < json_array_size(tokens); i++) {
        const json_t *token = json_array_get(tokens, i);
        if (json_is_array(token))
            TRY(append_reference(&text, token, record, what, place));
        else if (!json_is_string(token))
            FAIL(ERR_FORMAT, "%s: %s: word %zu of the %s is neither a string nor a list of numbers",
                 place.file, place.record, i, what);
        if (!json_is_string(token)) continue;
        TRY(import_check_marks(json_string_value(token), 0, place));
        text_printf(&text, "%s%s", text.length > 0 ? " " : "", json_string_value(token));
    }
    *sentence_out = join_marks(text_of(&text));
out:
    text_release(&text);
    return status;
}

/* The fields of one turn. */
struct asked {
    const char *question; /* NULL: there is none */
    const char *choices, *label;
};

static enum status add_turn(struct record_text *text, const json_t *row,
                            const struct record *record, struct asked asked,
                            struct json_place place)
{
    enum status status = OK;
    char *question = NULL;
    char *choice = NULL;
    json_t *choices = NULL;
    int64_t right;
    TRY(json_field(&choices, row, asked.choices, JSON_ARRAY, place));
    const int64_t n = (int64_t)json_array_size(choices);
    TRY(json_field_integer(&right, row, asked.label, 0, n - 1, place));
    if (asked.question != NULL)
        TRY(read_sentence(&question, json_object_get(row, asked.question), record, asked.question,
                          place));
    struct record_turn *turn = import_add_turn(text, question == NULL ? "" : question, "");
    for (int64_t i = 0; i < n; i++) {
        free(choice);
        choice = NULL;
        TRY(read_sentence(&choice, json_array_get(choices, (size_t)i), record, asked.choices,
                          place));
        import_add_choice(turn, choice);
    }
    turn->choice = right;
    free(turn->answer);
    turn->answer = text_copy(turn->choices[right]);
out:
    free(question);
    free(choice);
    return status;
}

/* ---- regions ---- */

/* All polygons of one region in two arrays. */
struct outline { /* zeroed is releasable */
    struct polygon *polygons;
    double *xy;
};

static void outline_release(struct outline *outline)
{
    free(outline->polygons);
    free(outline->xy);
}

static enum status read_outline(struct outline *outline, const json_t *list,
                                struct json_place place)
{
    enum status status = OK;
    const size_t n = json_array_size(list);
    size_t n_points = 0;
    for (size_t i = 0; i < n; i++) n_points += json_array_size(json_array_get(list, i));
    outline->polygons = memory_new(n + 1, sizeof *outline->polygons);
    outline->xy = memory_new(n_points + 1, 2 * sizeof *outline->xy);
    double *at = outline->xy;
    for (size_t i = 0; i < n; i++) {
        const json_t *points = json_array_get(list, i);
        outline->polygons[i] = (struct polygon){at, (int64_t)json_array_size(points)};
        for (size_t k = 0; k < json_array_size(points); k++) {
            const json_t *point = json_array_get(points, k);
            const json_t *x = json_array_get(point, 0);
            const json_t *y = json_array_get(point, 1);
            if (json_array_size(point) != 2 || !json_is_number(x) || !json_is_number(y))
                FAIL(ERR_FORMAT, "%s: %s: point %zu of polygon %zu must be two numbers", place.file,
                     place.record, k, i);
            *at++ = json_number_value(x);
            *at++ = json_number_value(y);
        }
    }
out:
    return status;
}

/* A box and what lies inside it; an outline that holds the middle of no pixel leaves the box. */
static enum status read_region(struct record *record, int64_t index, const json_t *metadata,
                               struct item_note *note, struct json_place place)
{
    enum status status = OK;
    struct outline outline = {0};
    struct rle mask = {0};
    struct record_region *region = &record->regions[index];
    const json_t *corners = json_array_get(json_object_get(metadata, "boxes"), (size_t)index);
    const json_t *list = json_array_get(json_object_get(metadata, "segms"), (size_t)index);
    double four[4];
    if (json_array_size(corners) < 4)
        FAIL(ERR_FORMAT, "%s: %s must be [x1, y1, x2, y2, score]", place.file, place.record);
    for (size_t i = 0; i < 4; i++) {
        const json_t *value = json_array_get(corners, i);
        if (!json_is_number(value))
            FAIL(ERR_FORMAT, "%s: %s must be [x1, y1, x2, y2, score]", place.file, place.record);
        four[i] = json_number_value(value);
    }
    if (!json_is_array(list))
        FAIL(ERR_FORMAT, "%s: %s has no list of polygons in segms", place.file, place.record);
    const struct box box = {four[0], four[1], four[2], four[3]};
    TRY(import_box(region, box, record, note, place));
    TRY(read_outline(&outline, list, place));
    TRY_WHERE(rle_from_polygons_in_box(&mask, outline.polygons, (int64_t)json_array_size(list), box,
                                       record->height, record->width),
              "%s: %s", place.file, place.record);
    if (rle_area(&mask) == 0) {
        char *why = text_format("%s: %s: its outline holds no pixel; the box stands for it",
                                place.file, place.record);
        item_note_drop(note, "mask", why);
        free(why);
    } else {
        region->mask = mask;
        mask = (struct rle){0};
    }
out:
    rle_release(&mask);
    outline_release(&outline);
    return status;
}

static enum status read_regions(struct record *record, const char *path, struct item_note *note)
{
    enum status status = OK;
    const struct json_place root = {path, ""};
    json_t *metadata = NULL;
    json_t *boxes = NULL;
    json_t *outlines = NULL;
    char *where = NULL;
    TRY(json_file_read(&metadata, path, METADATA_MAX_BYTES));
    TRY(json_field(&boxes, metadata, "boxes", JSON_ARRAY, root));
    TRY(json_field(&outlines, metadata, "segms", JSON_ARRAY, root));
    const size_t n = json_array_size(boxes);
    if (n != json_array_size(outlines) || (int64_t)n != record->n_objects)
        FAIL(ERR_FORMAT, "%s: %zu boxes and %zu segms for %" PRId64 " objects of the question",
             path, n, json_array_size(outlines), record->n_objects);
    for (int64_t i = 0; i < record->n_regions; i++) {
        free(where);
        where = text_format("boxes[%" PRId64 "]", i);
        TRY(read_region(record, i, metadata, note, (struct json_place){path, where}));
    }
out:
    free(where);
    json_decref(metadata);
    return status;
}

/* ---- the row ---- */

static enum status read_objects(struct record *record, const json_t *row, struct json_place place)
{
    enum status status = OK;
    json_t *names = NULL;
    TRY(json_field(&names, row, "objects", JSON_ARRAY, place));
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        if (name == NULL)
            FAIL(ERR_FORMAT, "%s: %s: objects[%zu] must be a string", place.file, place.record, i);
        TRY(import_add_object(record, name, import_add_region(record), place));
    }
out:
    return status;
}

static enum status read_question(struct record *record, const json_t *row,
                                 const struct import_rows *rows, struct item_note *note,
                                 struct json_place place)
{
    enum status status = OK;
    static const struct asked turns[] = {{"question", "answer_choices", "answer_label"},
                                         {NULL, "rationale_choices", "rationale_label"}};
    const char *names[2] = {NULL, NULL};
    size_t folder;
    char *path = NULL;
    const char *id = json_string_value(json_object_get(row, "annot_id"));
    if (id != NULL) {
        free(record->id);
        record->id = text_format("vcr/%s", id);
    }
    TRY(read_objects(record, row, place));
    struct record_text *text = import_add_text(record, "vcr", -1, NULL);
    for (size_t i = 0; i < 2; i++) TRY(add_turn(text, row, record, turns[i], place));
    TRY(json_field_string(&names[0], row, "img_fn", place));
    TRY(import_picture_among(record, rows->folders, rows->n_folders, names, note));
    note->reason = "regions";
    TRY(json_field_string(&names[0], row, "metadata_fn", place));
    TRY(import_find_file(&folder, names, rows->folders, rows->n_folders));
    path = path_join(rows->folders[folder], names[0]);
    TRY(read_regions(record, path, note));
out:
    free(path);
    return status;
}

enum status import_vcr(struct record_source *source_out, const struct import_options *options)
{
    static const struct rows_reader reader = {"vcr", read_question};
    return import_rows_open(source_out, options, &reader);
}
