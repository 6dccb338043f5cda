/* See record_text.h. */
#include "corpus/record_text.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"

size_t record_control_length(const char *text)
{
    static const char *const words[] = {"<image>", "<mask>", "<pos>", "<tool_call>",
                                        "</tool_call>"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strncmp(text, words[i], strlen(words[i])) == 0) return strlen(words[i]);
    if (text[1] != '|') return 0;
    size_t n = 2;
    while (isalnum((unsigned char)text[n]) || text[n] == '_') n++;
    return n > 2 && text[n] == '|' && text[n + 1] == '>' ? n + 2 : 0;
}

struct place { /* where in the record: names[index].field[inner] */
    const struct record *record;
    const struct tokenizer *tokenizer;
    const char *list, *field;
    int64_t index, inner; /* inner -1: none */
};

static enum status check(const char *text, struct place place)
{
    enum status status = OK;
    const char *less = strchr(text, '<');
    if (!less) goto out;
    const char *added =
        place.tokenizer ? tokenizer_find_added(place.tokenizer, less, strlen(less)) : NULL;
    size_t length = added ? strlen(added) : 0;
    for (const char *at = less; at && length == 0; at = strchr(at + 1, '<')) {
        length = record_control_length(at);
        added = at;
    }
    if (length == 0) goto out;
    char *inner = place.inner < 0 ? text_copy("") : text_format("[%" PRId64 "]", place.inner);
    status = status_fail(ERR_FORMAT,
                         "record %s: %s[%" PRId64 "].%s%s holds the control token %.*s; remove it "
                         "from the text",
                         place.record->id, place.list, place.index, place.field, inner, (int)length,
                         added);
    free(inner);
out:
    return status;
}

static enum status check_objects(struct place place)
{
    enum status status = OK;
    place.list = "objects";
    for (int64_t i = 0; i < place.record->n_objects; i++) {
        const struct record_object *object = &place.record->objects[i];
        place.index = i;
        place.field = "name";
        place.inner = -1;
        TRY(check(object->name, place));
        place.field = "attributes";
        for (int64_t a = 0; a < object->n_attributes; a++) {
            place.inner = a;
            TRY(check(object->attributes[a], place));
        }
    }
out:
    return status;
}

static enum status check_texts(struct place place)
{
    enum status status = OK;
    place.list = "texts";
    for (int64_t i = 0; i < place.record->n_texts; i++) {
        const struct record_text *text = &place.record->texts[i];
        place.index = i;
        if (strcmp(text->task, "llava") == 0) continue; /* its tasks disarm what they find */
        for (int64_t t = 0; t < text->n_turns; t++) {
            place.inner = t;
            place.field = "choices";
            for (int64_t c = 0; c < text->turns[t].n_choices; c++)
                TRY(check(text->turns[t].choices[c], place));
            place.field = "question";
            TRY(check(text->turns[t].question, place));
            place.field = "answer";
            TRY(check(text->turns[t].answer, place));
        }
    }
out:
    return status;
}

enum status record_check_plain_text(const struct record *record, const struct tokenizer *tokenizer)
{
    enum status status = OK;
    struct place place = {.record = record, .tokenizer = tokenizer, .inner = -1};
    TRY(check_objects(place));
    TRY(check_texts(place));
    place.list = "relations";
    place.field = "predicate";
    for (int64_t i = 0; i < record->n_relations; i++) {
        place.index = i;
        TRY(check(record->relations[i].predicate, place));
    }
out:
    return status;
}
