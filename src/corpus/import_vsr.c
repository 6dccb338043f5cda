/* Visual Spatial Reasoning: one line, one statement about two things of a picture, true or not. The
 * zero-shot split names the two things in fields of their own; in the random split they are taken
 * out of the caption. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "corpus/import_common.h"
#include "corpus/import_rows.h"
#include "corpus/import_text.h"

/* The parts of "The SUBJECT [is] RELATION the OBJECT." to free(); NULL where it reads otherwise. */
static void split_caption(char **subject, char **object, const char *caption, const char *relation)
{
    static const char *const links[] = {" is ", " are ", " "};
    static const char first[] = "The ";
    size_t length = strlen(caption);
    while (length > 0 && strchr(". \n", caption[length - 1]) != NULL) length--;
    if (strncmp(caption, first, strlen(first)) != 0) return;
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        char *middle = text_format("%s%s the ", links[i], relation);
        const char *at = strstr(caption + strlen(first), middle);
        const char *rest = at == NULL ? NULL : at + strlen(middle);
        free(middle);
        if (rest == NULL || rest >= caption + length) continue;
        *subject = text_format("%.*s", (int)(at - caption - (ptrdiff_t)strlen(first)),
                               caption + strlen(first));
        *object = text_format("%.*s", (int)(caption + length - rest), rest);
        return;
    }
}

static enum status read_ends(char **subject, char **object, const json_t *row,
                             struct json_place place)
{
    enum status status = OK;
    const char *caption = NULL;
    const char *relation = NULL;
    const char *words = NULL;
    TRY(import_words(&relation, row, "relation", place));
    if (json_object_get(row, "subj") != NULL || json_object_get(row, "obj") != NULL) {
        TRY(import_words(&words, row, "subj", place));
        *subject = text_copy(words);
        TRY(import_words(&words, row, "obj", place));
        *object = text_copy(words);
        goto out;
    }
    TRY(import_words(&caption, row, "caption", place));
    split_caption(subject, object, caption, relation);
    if (*subject == NULL)
        FAIL(ERR_FORMAT,
             "%s: %s: the caption '%s' is not 'The ... %s the ...', and there are no fields subj "
             "and obj",
             place.file, place.record, caption, relation);
out:
    return status;
}

/* "train2017/000000123456.jpg" of the picture's address; NULL without one. */
static const char *name_of_link(const json_t *row)
{
    const char *link = json_string_value(json_object_get(row, "image_link"));
    if (link == NULL) return NULL;
    const char *base = import_base_name(link);
    while (base > link + 1 && base[-2] != '/') base--;
    return base > link + 1 ? base - 1 : NULL;
}

static enum status read_statement(struct record *record, const json_t *row,
                                  const struct import_rows *rows, struct item_note *note,
                                  struct json_place place)
{
    enum status status = OK;
    char *subject = NULL;
    char *object = NULL;
    char *statement = NULL;
    const char *image = NULL;
    const char *caption = NULL;
    int64_t label;
    TRY(import_words(&image, row, "image", place));
    TRY(import_words(&caption, row, "caption", place));
    TRY(json_field_integer(&label, row, "label", 0, 1, place));
    TRY(read_ends(&subject, &object, row, place));
    statement = text_format("<p>%s</p> %s <p>%s</p>", subject,
                            json_string_value(json_object_get(row, "relation")), object);
    import_add_turn(import_add_text(record, "statement", -1, caption), statement,
                    label == 1 ? "yes" : "no");
    const char *names[2] = {image, name_of_link(row)};
    TRY(import_picture_among(record, rows->folders, rows->n_folders, names, note));
out:
    free(subject);
    free(object);
    free(statement);
    return status;
}

enum status import_vsr(struct record_source *source_out, const struct import_options *options)
{
    static const struct rows_reader reader = {"vsr", read_statement};
    return import_rows_open(source_out, options, &reader);
}
