/* See import_rows.h. */
#include "corpus/import_rows.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "corpus/import_common.h"
#include "corpus/import_text.h"
#include "image/image.h"

enum status import_folders(char ***folders_out, size_t *n_out, const char *images)
{
    enum status status = OK;
    char **folders = NULL;
    size_t n = 0;
    for (const char *at = images; at != NULL;) {
        const char *colon = strchr(at, ':');
        const int length = (int)(colon == NULL ? strlen(at) : (size_t)(colon - at));
        folders = memory_resize(folders, n + 1, sizeof *folders);
        folders[n++] = text_format("%.*s", length, at);
        at = colon == NULL ? NULL : colon + 1;
        if (!file_exists(folders[n - 1]))
            FAIL(ERR_IO,
                 "the folder of pictures '%s' is not there; --images takes folders with "
                 "':' between them",
                 folders[n - 1]);
    }
    *folders_out = folders;
    *n_out = n;
    folders = NULL;
out:
    if (folders != NULL) names_free(folders, n);
    return status;
}

enum status import_find_file(size_t *folder_out, const char *names[2], char *const *folders,
                             size_t n_folders)
{
    enum status status = OK;
    char *path = NULL;
    for (size_t i = 0; i < 2 * n_folders; i++) {
        if (names[i % 2] == NULL) continue;
        free(path);
        path = NULL;
        TRY(import_path(&path, folders[i / 2], names[i % 2]));
        if (!file_exists(path)) continue;
        *folder_out = i / 2;
        names[0] = names[i % 2];
        goto out;
    }
    if (n_folders == 1) FAIL(ERR_IO, "there is no file '%s' in %s", names[0], folders[0]);
    FAIL(ERR_IO, "there is no file '%s' in %s or in the other folders (%zu)", names[0], folders[0],
         n_folders - 1);
out:
    free(path);
    return status;
}

enum status import_picture_among(struct record *record, char *const *folders, size_t n_folders,
                                 const char *names[2], struct item_note *note)
{
    enum status status = OK;
    size_t folder;
    note->reason = "image";
    TRY(import_find_file(&folder, names, folders, n_folders));
    TRY(import_picture(record, folders[folder], names[0], note));
out:
    return status;
}

enum status import_picture_bytes(struct record *record, uint8_t *bytes, size_t size,
                                 const char *name, struct item_note *note)
{
    enum status status = OK;
    struct image image = {0};
    note->reason = "image";
    record->image = bytes;
    record->image_size = size;
    TRY(image_decode(&image, bytes, size, name));
    record->height = image.height;
    record->width = image.width;
out:
    image_release(&image);
    return status;
}

enum status import_check_marks(const char *text, int64_t n_regions, struct json_place place)
{
    enum status status = OK;
    static const char *const marks[] = {"<p>", "</p>", "<point"};
    static const char region[] = "region";
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        if (strstr(text, marks[i]) != NULL)
            FAIL(ERR_FORMAT, "%s: %s: '%s' in a text is a mark of the corpus's own", place.file,
                 place.record, marks[i]);
    }
    for (const char *at = strstr(text, region); at != NULL; at = strstr(at + 1, region)) {
        int64_t number = 0;
        for (const char *c = at + strlen(region); *c >= '0' && *c <= '9'; c++)
            number = number > RECORD_MAX_ITEMS ? number : number * 10 + (*c - '0');
        if (number > n_regions)
            FAIL(ERR_FORMAT,
                 "%s: %s: a text speaks of region%" PRId64 "; it has %" PRId64
                 " regions to speak of",
                 place.file, place.record, number, n_regions);
    }
out:
    return status;
}

enum status import_words(const char **words_out, const json_t *row, const char *key,
                         struct json_place place)
{
    enum status status = OK;
    const char *words = NULL;
    TRY(json_field_string(&words, row, key, place));
    if (words[strspn(words, " \t\r\n")] == '\0')
        FAIL(ERR_FORMAT, "%s: %s: field '%s' holds no word", place.file, place.record, key);
    TRY(import_check_marks(words, 0, place));
    *words_out = words;
out:
    return status;
}

/* ---- messages ---- */

struct message {
    const char *text;
    bool is_answer;
};

static enum status read_message(struct message *message, const json_t *from, size_t index,
                                struct json_place place)
{
    enum status status = OK;
    const bool named = json_object_get(from, "role") != NULL;
    const char *speaker = NULL;
    TRY(json_field_string(&speaker, from, named ? "role" : "from", place));
    message->is_answer = strcmp(speaker, "gpt") == 0 || strcmp(speaker, "assistant") == 0;
    if (!message->is_answer && strcmp(speaker, "human") != 0 && strcmp(speaker, "user") != 0)
        FAIL(ERR_FORMAT,
             "%s: %s: message %zu is by '%s'; speakers are human and gpt, or user and assistant",
             place.file, place.record, index, speaker);
    TRY(json_field_string(&message->text, from, named ? "content" : "value", place));
out:
    return status;
}

static void drop_turn(struct item_note *note, const char *what, struct json_place place)
{
    char *why = text_format("%s: %s: %s", place.file, place.record, what);
    item_note_drop(note, "turn", why);
    free(why);
}

enum status import_messages(struct record *record, const char *task, const json_t *messages,
                            struct item_note *note, struct json_place place)
{
    enum status status = OK;
    const char *question = NULL;
    struct record_text *text = import_add_text(record, task, -1, NULL);
    for (size_t i = 0; i < json_array_size(messages); i++) {
        struct message message;
        TRY(read_message(&message, json_array_get(messages, i), i, place));
        if (message.is_answer && question == NULL && text->n_turns == 0) {
            drop_turn(note, "what gpt says before any question", place);
            continue;
        }
        if (message.is_answer != (question != NULL))
            FAIL(ERR_FORMAT, "%s: %s: message %zu is by the same speaker as the one before it",
                 place.file, place.record, i);
        if (message.is_answer) import_add_turn(text, question, message.text);
        question = message.is_answer ? NULL : message.text;
    }
    if (text->n_turns == 0)
        FAIL(ERR_FORMAT, "%s: %s: no question of the %zu messages has an answer", place.file,
             place.record, json_array_size(messages));
    if (question != NULL) drop_turn(note, "the last question has no answer", place);
out:
    return status;
}

/* ---- the table ---- */

static void rows_release(void *context)
{
    struct import_rows *rows = context;
    json_spans_release(&rows->rows);
    json_text_release(&rows->text);
    if (rows->folders != NULL) names_free(rows->folders, rows->n_folders);
    free(rows->variant);
    free(rows);
}

static enum status rows_make(void *context, int64_t item, struct record *record,
                             struct item_note *note)
{
    enum status status = OK;
    const struct import_rows *rows = context;
    const struct rows_reader *reader = rows->reader;
    json_t *row = NULL;
    char *where = text_format("row %" PRId64, item);
    const struct json_place place = {rows->text.path, where};
    TRY(json_span_parse(&row, &rows->text, rows->rows.spans[item]));
    record->id = text_format("%s/%" PRId64, reader->kind, item);
    record->source = text_format("%s:%s", reader->kind, import_base_name(place.file));
    note->reason = "annotation";
    TRY(reader->read(record, row, rows, note, place));
    note->reason = "annotation";
    TRY_WHERE(record_check(record), "%s", place.file);
out:
    json_decref(row);
    free(where);
    return status;
}

enum status import_rows_open(struct record_source *source_out, const struct import_options *options,
                             const struct rows_reader *reader)
{
    enum status status = OK;
    struct import_rows *rows = memory_new(1, sizeof *rows);
    rows->reader = reader;
    if (options->variant != NULL) rows->variant = text_copy(options->variant);
    TRY(json_text_open(&rows->text, options->annotations));
    TRY(json_rows_list(&rows->rows, &rows->text));
    if (rows->rows.n == 0) FAIL(ERR_FORMAT, "%s holds no row", options->annotations);
    if (options->images != NULL)
        TRY(import_folders(&rows->folders, &rows->n_folders, options->images));
    *source_out = (struct record_source){rows->rows.n, rows, rows_make, rows_release};
    rows = NULL;
out:
    if (rows != NULL) rows_release(rows);
    return status;
}
