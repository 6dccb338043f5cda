/* Conversations about a picture, or about none: LLaVA's files (LLaVA-Pretrain, the v1.5 mix and its
 * subsets), files of the form {messages, images}, and rows of LLaVA-OneVision-Data with the picture
 * in the row. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/text_buffer.h"
#include "corpus/import_common.h"
#include "corpus/import_rows.h"

static const char picture_mark[] = "<image>";

/* "a.jpg" -> "a.png" and the like: downloads of OCR-VQA come in several types. To free(); NULL: no
 * other name. */
static char *other_type(const char *name)
{
    const char *dot = strrchr(name, '.');
    if (dot == NULL) return NULL;
    const char *type = strcmp(dot, ".jpg") == 0 ? ".png" : strcmp(dot, ".png") == 0 ? ".jpg" : NULL;
    return type == NULL ? NULL : text_format("%.*s%s", (int)(dot - name), name, type);
}

/* Base64, with or without "data:image/...;base64," before it. */
static enum status read_encoded(struct record *record, const char *text, struct item_note *note,
                                struct json_place place)
{
    enum status status = OK;
    uint8_t *bytes = NULL;
    size_t size = 0;
    const char *comma = strncmp(text, "data:", 5) == 0 ? strchr(text, ',') : NULL;
    char *name = text_format("%s: %s: image", place.file, place.record);
    note->reason = "image";
    TRY_WHERE(
        base64_decode(&bytes, &size, comma == NULL ? text : comma + 1, RECORD_MAX_IMAGE_BYTES),
        "%s", name);
    TRY(import_picture_bytes(record, bytes, size, name, note));
out:
    free(name);
    return status;
}

static enum status read_named(struct record *record, const char *name,
                              const struct import_rows *rows, struct item_note *note)
{
    enum status status = OK;
    char *other = other_type(name);
    const char *names[2] = {name, other};
    if (rows->n_folders == 0)
        FAIL(ERR_ARGUMENT, "%s names the picture '%s'; say --images FOLDER", rows->text.path, name);
    TRY(import_picture_among(record, rows->folders, rows->n_folders, names, note));
out:
    free(other);
    return status;
}

/* A file name, base64, or {bytes, path} as rows of Hugging Face's library are written. */
static enum status read_picture(struct record *record, const json_t *image,
                                const struct import_rows *rows, struct item_note *note,
                                struct json_place place)
{
    enum status status = OK;
    const char *bytes = json_string_value(json_object_get(image, "bytes"));
    const char *name =
        json_string_value(json_is_object(image) ? json_object_get(image, "path") : image);
    if (bytes == NULL && name != NULL && strncmp(name, "data:", 5) == 0) bytes = name;
    if (bytes != NULL)
        TRY(read_encoded(record, bytes, note, place));
    else if (name != NULL)
        TRY(read_named(record, name, rows, note));
    else
        FAIL(ERR_FORMAT, "%s: %s: image must be a file name or {bytes, path}", place.file,
             place.record);
out:
    return status;
}

/* Lists of pictures are taken when all of them are the same one. */
static enum status read_pictures(struct record *record, const json_t *row,
                                 const struct import_rows *rows, struct item_note *note,
                                 struct json_place place)
{
    enum status status = OK;
    const json_t *image = json_object_get(row, "image");
    if (image == NULL) image = json_object_get(row, "images");
    if (image == NULL || json_is_null(image)) return OK;
    if (json_is_array(image)) {
        const json_t *first = json_array_get(image, 0);
        for (size_t i = 1; i < json_array_size(image); i++) {
            if (json_equal(first, json_array_get(image, i))) continue;
            note->reason = "pictures";
            FAIL(ERR_FORMAT, "%s: %s: it shows %zu pictures; a record has one", place.file,
                 place.record, json_array_size(image));
        }
        if (first == NULL) return OK;
        image = first;
    }
    if (json_is_string(image) && json_string_length(image) == 0) return OK;
    TRY(read_picture(record, image, rows, note, place));
out:
    return status;
}

/* The words of a question without the place of the picture; to free(). */
static char *without_picture(const char *question)
{
    static const char blanks[] = " \t\r\n";
    const size_t mark = strlen(picture_mark);
    question += strspn(question, blanks);
    if (strncmp(question, picture_mark, mark) == 0) question += mark;
    question += strspn(question, blanks);
    size_t length = strlen(question);
    while (length > 0 && strchr(blanks, question[length - 1]) != NULL) length--;
    if (length >= mark && strncmp(question + length - mark, picture_mark, mark) == 0)
        length -= mark;
    while (length > 0 && strchr(blanks, question[length - 1]) != NULL) length--;
    return text_format("%.*s", (int)length, question);
}

/* One question and answer as a caption: the instruction, and the picture in words. */
static enum status as_caption(struct record *record, struct json_place place)
{
    enum status status = OK;
    struct record_text *text = &record->texts[0];
    if (text->n_turns != 1)
        FAIL(ERR_FORMAT, "%s: %s: %d questions; with --variant caption there is one", place.file,
             place.record, (int)text->n_turns);
    char *question = without_picture(text->turns[0].question);
    free(text->turns[0].question);
    text->turns[0].question = question;
out:
    return status;
}

static enum status read_conversation(struct record *record, const json_t *row,
                                     const struct import_rows *rows, struct item_note *note,
                                     struct json_place place)
{
    enum status status = OK;
    json_t *messages = NULL;
    const bool caption = rows->variant != NULL && strcmp(rows->variant, "caption") == 0;
    const bool named = json_object_get(row, "messages") != NULL;
    TRY(json_field(&messages, row, named ? "messages" : "conversations", JSON_ARRAY, place));
    TRY(import_messages(record, caption ? "caption" : "llava", messages, note, place));
    if (caption) TRY(as_caption(record, place));
    const json_t *id = json_object_get(row, "id");
    if (json_is_string(id)) record->texts[0].origin = text_copy(json_string_value(id));
    TRY(read_pictures(record, row, rows, note, place));
    if (caption && record->image_size == 0)
        FAIL(ERR_FORMAT, "%s: %s: a caption without a picture", place.file, place.record);
out:
    return status;
}

enum status import_llava(struct record_source *source_out, const struct import_options *options)
{
    static const struct rows_reader reader = {"llava", read_conversation};
    return import_rows_open(source_out, options, &reader);
}

enum status import_onevision(struct record_source *source_out, const struct import_options *options)
{
    static const struct rows_reader reader = {"onevision", read_conversation};
    return import_rows_open(source_out, options, &reader);
}
