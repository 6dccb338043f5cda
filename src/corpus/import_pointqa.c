/* Questions that point: PointQA's two kinds (what is here; how many of these are there) and
 * Visual7W's pointing questions (which of four boxes), as rows of JSON lines. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "corpus/import_common.h"
#include "corpus/import_rows.h"
#include "corpus/import_text.h"
#include "image/image.h"

static enum status read_size(struct record *record, const json_t *row, struct json_place place)
{
    enum status status = OK;
    TRY(json_field_integer(&record->height, row, "img_h", 1, IMAGE_MAX_SIDE, place));
    TRY(json_field_integer(&record->width, row, "img_w", 1, IMAGE_MAX_SIDE, place));
out:
    return status;
}

static enum status add_box(struct record *record, const json_t *corners, const char *what,
                           struct item_note *note, struct json_place place)
{
    enum status status = OK;
    double four[4];
    TRY(import_four_numbers(four, corners, what, place));
    const int64_t region = import_add_region(record);
    TRY(import_box(&record->regions[region], (struct box){four[0], four[1], four[2], four[3]},
                   record, note, place));
out:
    return status;
}

static enum status add_point(struct record *record, const json_t *point, struct json_place place)
{
    enum status status = OK;
    const json_t *x = json_array_get(point, 0);
    const json_t *y = json_array_get(point, 1);
    if (json_array_size(point) != 2 || !json_is_number(x) || !json_is_number(y))
        FAIL(ERR_FORMAT, "%s: %s: point must be two numbers", place.file, place.record);
    record->points = memory_new(1, sizeof *record->points);
    record->points[0] = (struct record_point){json_number_value(x), json_number_value(y)};
    record->n_points = 1;
out:
    return status;
}

/* A question about the picture with `pointer` behind it: "<region1>", "<point1>" or "". */
static void add_question(struct record *record, const char *question, const char *pointer,
                         const char *answer)
{
    char *whole = text_format("%s%s%s", question, pointer[0] == '\0' ? "" : " ", pointer);
    import_add_turn(import_add_text(record, "vqa", -1, NULL), whole, answer);
    free(whole);
}

/* "genome_id" is a number or a string of digits. */
static enum status add_genome_picture(struct record *record, const json_t *row,
                                      const struct import_rows *rows, struct item_note *note,
                                      struct json_place place)
{
    enum status status = OK;
    const json_t *id = json_object_get(row, "genome_id");
    char *name = NULL;
    if (json_is_string(id))
        name = text_format("%s.jpg", json_string_value(id));
    else if (json_is_integer(id))
        name = text_format("%" PRId64 ".jpg", (int64_t)json_integer_value(id));
    else
        FAIL(ERR_FORMAT, "%s: %s: field 'genome_id' must be a string or an integer", place.file,
             place.record);
    const char *names[2] = {name, NULL};
    TRY(import_picture_among(record, rows->folders, rows->n_folders, names, note));
out:
    free(name);
    return status;
}

static enum status read_pointed(struct record *record, const json_t *row,
                                const struct import_rows *rows, struct item_note *note,
                                struct json_place place)
{
    enum status status = OK;
    const char *question = NULL;
    const char *named = NULL;
    const char *answer = NULL;
    const bool twice = strcmp(rows->variant, "twice") == 0;
    TRY(read_size(record, row, place));
    TRY(import_words(&answer, row, "answer", place));
    TRY(add_box(record, json_object_get(row, "bbox"), "bbox", note, place));
    TRY(add_point(record, json_object_get(row, "point"), place));
    if (twice) {
        TRY(import_words(&question, row, "general_question", place));
        TRY(import_words(&named, row, "obj_question", place));
        add_question(record, named, "", answer);
    } else {
        TRY(import_words(&question, row, "question", place));
    }
    add_question(record, question, "<region1>", answer);
    add_question(record, question, "<point1>", answer);
    TRY(add_genome_picture(record, row, rows, note, place));
out:
    return status;
}

enum status import_pointqa(struct record_source *source_out, const struct import_options *options)
{
    static const struct rows_reader reader = {"pointqa", read_pointed};
    return import_rows_open(source_out, options, &reader);
}

#define N_CANDIDATES 4

/* Four boxes, of which the last is the answer. */
static enum status read_candidates(struct record *record, const json_t *row,
                                   const struct import_rows *rows, struct item_note *note,
                                   struct json_place place)
{
    enum status status = OK;
    const char *question = NULL;
    const char *path = NULL;
    json_t *candidates = NULL;
    TRY(read_size(record, row, place));
    TRY(import_words(&question, row, "question", place));
    TRY(json_field_string(&path, row, "file_path", place));
    TRY(json_field(&candidates, row, "candidates", JSON_ARRAY, place));
    if (json_array_size(candidates) != N_CANDIDATES)
        FAIL(ERR_FORMAT, "%s: %s: %zu candidates; there must be %d, the last the right one",
             place.file, place.record, json_array_size(candidates), N_CANDIDATES);
    struct record_turn *turn =
        import_add_turn(import_add_text(record, "choice", -1, NULL), question, "<region4>");
    for (size_t i = 0; i < N_CANDIDATES; i++) {
        char *choice = text_format("<region%zu>", i + 1);
        import_add_choice(turn, choice);
        free(choice);
        TRY(add_box(record, json_array_get(candidates, i), "a candidate", note, place));
    }
    turn->choice = N_CANDIDATES - 1;
    const char *names[2] = {path, import_base_name(path)};
    TRY(import_picture_among(record, rows->folders, rows->n_folders, names, note));
out:
    return status;
}

enum status import_v7w(struct record_source *source_out, const struct import_options *options)
{
    static const struct rows_reader reader = {"v7w", read_candidates};
    return import_rows_open(source_out, options, &reader);
}
