/* Annotation files that are tables: one row, one record. What the importers of conversations share:
 * the table, the folders of the pictures, messages of two speakers. */
#ifndef ROBIN_CORPUS_IMPORT_ROWS_H
#define ROBIN_CORPUS_IMPORT_ROWS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "corpus/import.h"
#include "corpus/json_spans.h"
#include "corpus/record.h"

struct import_rows;
/* What one kind of table does. Its record comes with id ("KIND/ROW") and source; it is checked
 * after. `place.record` is "row N", N from 0. */
struct rows_reader {
    const char *kind;
    enum status (*read)(struct record *record, const json_t *row, const struct import_rows *rows,
                        struct item_note *note, struct json_place place);
};

struct import_rows {
    struct json_text text;
    struct json_spans rows;
    char **folders; /* of the pictures */
    size_t n_folders;
    char *variant; /* NULL: none was given */
    const struct rows_reader *reader;
};

/* The table options->annotations as a source. options->images names folders with ':' between them;
 * a folder that is not there is ERR_IO. */
enum status import_rows_open(struct record_source *source_out, const struct import_options *options,
                             const struct rows_reader *reader);

/* The folders of the pictures alone, for importers that read no table; names_free() gives them
 * back. */
enum status import_folders(char ***folders_out, size_t *n_out, const char *images);

/* Folder by folder, the first that has one of the two names (the second may be NULL); names[0] is
 * then the name found. ERR_IO when none has, ERR_FORMAT for names that climb out. */
enum status import_find_file(size_t *folder_out, const char *names[2], char *const *folders,
                             size_t n_folders);
/* import_picture of what import_find_file finds. */
enum status import_picture_among(struct record *record, char *const *folders, size_t n_folders,
                                 const char *names[2], struct item_note *note);

/* A picture whose bytes are here; the record takes them over. `name` is for the sentence. */
enum status import_picture_bytes(struct record *record, uint8_t *bytes, size_t size,
                                 const char *name, struct item_note *note);

/* A text of kind `task` about the whole picture, of messages {from, value} or {role, content}:
 * human or user, gpt or assistant, by turns. What gpt says first and a last question without an
 * answer are dropped (reason "turn"); ERR_FORMAT when the speakers are others or do not alternate,
 * and when no pair is left. */
enum status import_messages(struct record *record, const char *task, const json_t *messages,
                            struct item_note *note, struct json_place place);

/* Refuses text that would be read as a mark of record.h by chance: <p>, <pointN>, or `regionN` with
 * or without brackets where N is more than `n_regions`, the number of those that it may name. */
enum status import_check_marks(const char *text, int64_t n_regions, struct json_place place);

/* A string with a word in it and without any mark. */
enum status import_words(const char **words_out, const json_t *row, const char *key,
                         struct json_place place);

#endif
