/* Osprey-724K: five files of one form. An entry is a picture with regions and either messages that
 * speak of `<regionN>` or a list of descriptions "<regionN>: text". */
#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "corpus/import_common.h"
#include "corpus/import_rows.h"
#include "corpus/import_text.h"
#include "image/image.h"

/* The number of the "<regionN>" at `text`, and its length; 0: there is none. */
static int64_t region_tag(const char *text, size_t *length_out)
{
    static const char begin[] = "<region";
    size_t n = strlen(begin);
    if (strncmp(text, begin, n) != 0 || !isdigit((unsigned char)text[n])) return 0;
    int64_t number = 0;
    for (; isdigit((unsigned char)text[n]) && number < RECORD_MAX_ITEMS; n++)
        number = number * 10 + (text[n] - '0');
    *length_out = n + 1;
    return text[n] == '>' ? number : 0;
}

static enum status read_regions(struct record *record, const json_t *row, struct item_note *note,
                                struct json_place place)
{
    enum status status = OK;
    json_t *annotations = NULL;
    char *where = NULL;
    TRY(json_field(&annotations, row, "annotation", JSON_ARRAY, place));
    if (json_array_size(annotations) == 0)
        FAIL(ERR_FORMAT, "%s: %s: annotation holds no region", place.file, place.record);
    for (size_t i = 0; i < json_array_size(annotations); i++) {
        const json_t *annotation = json_array_get(annotations, i);
        double four[4];
        free(where);
        where = text_format("%s: annotation[%zu]", place.record, i);
        const struct json_place at = {place.file, where};
        TRY(import_four_numbers(four, json_object_get(annotation, "bbox"), "bbox", at));
        const int64_t region = import_add_region(record);
        const struct box box = {four[0], four[1], four[0] + four[2], four[1] + four[3]};
        TRY(import_box(&record->regions[region], box, record, note, at));
        const json_t *outline = json_object_get(annotation, "segmentation");
        if (outline == NULL)
            FAIL(ERR_FORMAT, "%s: %s: field 'segmentation' is missing", at.file, at.record);
        TRY(import_mask(&record->regions[region], outline, record, at));
    }
out:
    free(where);
    return status;
}

static enum status read_messages(struct record *record, const json_t *row, struct item_note *note,
                                 struct json_place place)
{
    enum status status = OK;
    json_t *messages = NULL;
    TRY(json_field(&messages, row, "conversations", JSON_ARRAY, place));
    TRY(import_messages(record, "conversation", messages, note, place));
    for (int64_t i = 0; i < record->texts[0].n_turns; i++) {
        const struct record_turn *turn = &record->texts[0].turns[i];
        TRY(import_check_marks(turn->question, record->n_regions, place));
        TRY(import_check_marks(turn->answer, record->n_regions, place));
    }
out:
    return status;
}

/* "<regionN>: text" */
static enum status read_description(struct record *record, const json_t *from,
                                    struct json_place place)
{
    enum status status = OK;
    const char *text = json_string_value(from);
    size_t length = 0;
    const int64_t number = text == NULL ? 0 : region_tag(text, &length);
    if (number == 0 || text[length] != ':')
        FAIL(ERR_FORMAT, "%s: %s must be a string '<regionN>: text'", place.file, place.record);
    if (number > record->n_regions)
        FAIL(ERR_FORMAT, "%s: %s is of region%" PRId64 ", but there are %" PRId64, place.file,
             place.record, number, record->n_regions);
    const char *words = text + length + 1;
    words += strspn(words, " ");
    if (words[strspn(words, " \t\r\n")] == '\0')
        FAIL(ERR_FORMAT, "%s: %s holds no word", place.file, place.record);
    import_add_turn(import_add_text(record, "description", number - 1, NULL), "", words);
out:
    return status;
}

static enum status read_descriptions(struct record *record, const json_t *row,
                                     struct item_note *note, struct json_place place)
{
    enum status status = OK;
    json_t *list = NULL;
    char *where = NULL;
    TRY(json_field(&list, row, "description", JSON_ARRAY, place));
    for (size_t i = 0; i < json_array_size(list); i++) {
        free(where);
        where = text_format("%s: description[%zu]", place.record, i);
        const struct import_mark mark = import_mark(record);
        status = read_description(record, json_array_get(list, i),
                                  (struct json_place){place.file, where});
        if (status != OK) TRY(import_drop(record, mark, note, status, "text"));
    }
    if (record->n_texts == 0)
        FAIL(ERR_FORMAT, "%s: %s: description holds no text of a region", place.file, place.record);
out:
    free(where);
    return status;
}

static enum status read_entry(struct record *record, const json_t *row,
                              const struct import_rows *rows, struct item_note *note,
                              struct json_place place)
{
    enum status status = OK;
    const char *name = NULL;
    TRY(json_field_string(&name, row, "file_name", place));
    TRY(json_field_integer(&record->height, row, "height", 1, IMAGE_MAX_SIDE, place));
    TRY(json_field_integer(&record->width, row, "width", 1, IMAGE_MAX_SIDE, place));
    TRY(read_regions(record, row, note, place));
    if (json_object_get(row, "description") != NULL)
        TRY(read_descriptions(record, row, note, place));
    else
        TRY(read_messages(record, row, note, place));
    /* COCO_train2014_000000000009.jpg is 000000000009.jpg of train2017 */
    const char *line = strrchr(name, '_');
    const char *names[2] = {name, line == NULL ? NULL : line + 1};
    TRY(import_picture_among(record, rows->folders, rows->n_folders, names, note));
out:
    return status;
}

enum status import_osprey(struct record_source *source_out, const struct import_options *options)
{
    static const struct rows_reader reader = {"osprey", read_entry};
    return import_rows_open(source_out, options, &reader);
}
