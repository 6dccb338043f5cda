/* Flickr30k Entities: one sentence, one record; the phrases that boxes were drawn for are marked.
 * Read from the release itself (a list of pictures, beside it Sentences/ and Annotations/), or from
 * rows with `sentence`, `boxes` and `boxes_seq`, as Shikra published them. */
#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "corpus/flickr_boxes.h"
#include "corpus/import_common.h"
#include "corpus/import_rows.h"
#include "corpus/import_text.h"
#include "image/image.h"

#define LIST_MAX_BYTES      ((size_t)64 << 20)
#define SENTENCES_MAX_BYTES ((size_t)1 << 20)

static const char kind[] = "flickr";

/* ---- the release ---- */

struct sentence_place {
    int64_t picture; /* in `pictures` */
    int64_t line;    /* of its file, from 0 */
};

struct flickr {
    char *path;   /* of the list */
    char *folder; /* with Sentences and Annotations */
    char **folders;
    size_t n_folders;
    char **pictures; /* names without ".jpg" */
    int64_t n_pictures;
    struct sentence_place *sentences;
    int64_t n_sentences;
};

static void flickr_release(void *context)
{
    struct flickr *flickr = context;
    if (flickr->pictures != NULL) names_free(flickr->pictures, (size_t)flickr->n_pictures);
    if (flickr->folders != NULL) names_free(flickr->folders, flickr->n_folders);
    free(flickr->sentences);
    free(flickr->folder);
    free(flickr->path);
    free(flickr);
}

/* The next line that is not blank, without its end; NULL: there is none. *at moves behind it. */
static const char *next_line(const char **at, size_t *length_out)
{
    while (**at != '\0') {
        const char *line = *at;
        size_t length = strcspn(line, "\n");
        *at = line + length + (line[length] == '\n');
        while (length > 0 && isspace((unsigned char)line[length - 1])) length--;
        if (length == 0) continue;
        *length_out = length;
        return line;
    }
    return NULL;
}

static enum status read_sentences(unsigned char **text_out, const struct flickr *flickr,
                                  int64_t picture)
{
    enum status status = OK;
    size_t size = 0;
    char *path = text_format("%s/Sentences/%s.txt", flickr->folder, flickr->pictures[picture]);
    TRY(file_read(text_out, &size, path, SENTENCES_MAX_BYTES));
out:
    free(path);
    return status;
}

/* Which sentences there are: every file of Sentences is read once. */
static enum status list_sentences(struct flickr *flickr)
{
    enum status status = OK;
    int64_t capacity = 0;
    for (int64_t picture = 0; picture < flickr->n_pictures; picture++) {
        unsigned char *text = NULL;
        size_t length;
        TRY(read_sentences(&text, flickr, picture));
        const char *at = (const char *)text;
        for (int64_t line = 0; next_line(&at, &length) != NULL; line++) {
            if (flickr->n_sentences == capacity) {
                capacity = capacity == 0 ? 1024 : 2 * capacity;
                flickr->sentences =
                    memory_resize(flickr->sentences, (size_t)capacity, sizeof *flickr->sentences);
            }
            flickr->sentences[flickr->n_sentences++] = (struct sentence_place){picture, line};
        }
        free(text);
    }
    if (flickr->n_sentences == 0)
        FAIL(ERR_FORMAT, "%s: its pictures have no sentence", flickr->path);
out:
    return status;
}

static enum status list_pictures(struct flickr *flickr)
{
    enum status status = OK;
    unsigned char *text = NULL;
    size_t size = 0;
    size_t length;
    int64_t capacity = 0;
    TRY(file_read(&text, &size, flickr->path, LIST_MAX_BYTES));
    const char *at = (const char *)text;
    for (const char *line; (line = next_line(&at, &length)) != NULL;) {
        for (size_t i = 0; i < length; i++) {
            if (isalnum((unsigned char)line[i]) || line[i] == '_' || line[i] == '-') continue;
            FAIL(ERR_FORMAT,
                 "%s: line %" PRId64 " is no name of a picture (letters, digits, - and _)",
                 flickr->path, flickr->n_pictures + 1);
        }
        if (flickr->n_pictures == capacity) {
            capacity = capacity == 0 ? 1024 : 2 * capacity;
            flickr->pictures =
                memory_resize(flickr->pictures, (size_t)capacity, sizeof *flickr->pictures);
        }
        flickr->pictures[flickr->n_pictures++] = text_format("%.*s", (int)length, line);
    }
    if (flickr->n_pictures == 0) FAIL(ERR_FORMAT, "%s lists no picture", flickr->path);
out:
    free(text);
    return status;
}

/* ---- one sentence ---- */

struct marking { /* a sentence on its way into a record */
    struct record *record;
    const struct flickr_boxes *boxes;
    int64_t *regions; /* [boxes->n_objects] region of the record; -1: not there yet */
    struct item_note *note;
    struct json_place place;
    struct text_buffer text;
};

/* The file counts pixels from 1 and a box ends with a pixel inside. */
static enum status use_box(struct marking *marking, size_t object)
{
    enum status status = OK;
    if (marking->regions[object] < 0) {
        const struct box box = marking->boxes->objects[object].box;
        const struct box from_zero = {box.x1 - 1, box.y1 - 1, box.x2, box.y2};
        marking->regions[object] = import_add_region(marking->record);
        TRY(import_box(&marking->record->regions[marking->regions[object]], from_zero,
                       marking->record, marking->note, marking->place));
    }
    text_printf(&marking->text, "<region%" PRId64 ">", marking->regions[object] + 1);
out:
    return status;
}

static bool means(const struct flickr_object *object, const char *id, size_t length)
{
    for (size_t i = 0; i < object->n_ids; i++)
        if (strlen(object->ids[i]) == length && strncmp(object->ids[i], id, length) == 0)
            return object->has_box;
    return false;
}

/* Words, marked when a box of the picture has their id. */
static enum status add_phrase(struct marking *marking, const char *id, size_t id_length,
                              const char *words, size_t length)
{
    enum status status = OK;
    const struct flickr_boxes *boxes = marking->boxes;
    size_t n_boxes = 0;
    for (size_t i = 0; i < boxes->n_objects; i++)
        n_boxes += means(&boxes->objects[i], id, id_length) ? 1 : 0;
    if (n_boxes > 0) text_append(&marking->text, "<p>");
    text_append_bytes(&marking->text, words, length);
    if (n_boxes > 0) text_append(&marking->text, "</p>");
    for (size_t i = 0; i < boxes->n_objects; i++)
        if (means(&boxes->objects[i], id, id_length)) TRY(use_box(marking, i));
out:
    return status;
}

/* "[/EN#ID/TYPE[/TYPE] words]" at `at`; *at moves behind it. */
static enum status read_phrase(struct marking *marking, const char **at, const char *end)
{
    enum status status = OK;
    static const char begin[] = "[/EN#";
    const char *id = *at + strlen(begin);
    const char *close = memchr(*at, ']', (size_t)(end - *at));
    const char *slash = close == NULL ? NULL : memchr(id, '/', (size_t)(close - id));
    const char *words = slash == NULL ? NULL : memchr(slash, ' ', (size_t)(close - slash));
    if (words == NULL || slash == id)
        FAIL(ERR_FORMAT, "%s: %s: a phrase must be '[/EN#ID/TYPE words]', found '%.*s'",
             marking->place.file, marking->place.record, (int)(end - *at > 40 ? 40 : end - *at),
             *at);
    while (words < close && *words == ' ') words++;
    size_t length = (size_t)(close - words);
    while (length > 0 && words[length - 1] == ' ') length--;
    if (length == 0)
        FAIL(ERR_FORMAT, "%s: %s: a phrase has no words", marking->place.file,
             marking->place.record);
    TRY(add_phrase(marking, id, (size_t)(slash - id), words, length));
    *at = close + 1;
out:
    return status;
}

static enum status mark_sentence(struct marking *marking, const char *line, size_t length)
{
    enum status status = OK;
    const char *end = line + length;
    for (const char *at = line; at < end;) {
        if (end - at > 5 && strncmp(at, "[/EN#", 5) == 0)
            TRY(read_phrase(marking, &at, end));
        else
            text_append_char(&marking->text, *at++);
    }
out:
    return status;
}

static enum status add_sentence(struct record *record, const struct flickr_boxes *boxes,
                                const char *line, struct item_note *note, struct json_place place)
{
    enum status status = OK;
    struct marking marking = {.record = record, .boxes = boxes, .note = note, .place = place};
    char *sentence = NULL;
    size_t length = 0;
    line = next_line(&line, &length);
    sentence = text_format("%.*s", (int)length, line);
    marking.regions = memory_new(boxes->n_objects + 1, sizeof *marking.regions);
    for (size_t i = 0; i < boxes->n_objects; i++) marking.regions[i] = -1;
    TRY(import_check_marks(sentence, 0, place));
    TRY(mark_sentence(&marking, sentence, length));
    import_add_turn(import_add_text(record, "grounded", -1, NULL), "", text_of(&marking.text));
out:
    free(sentence);
    free(marking.regions);
    text_release(&marking.text);
    return status;
}

static enum status flickr_fill(struct record *record, const struct flickr *flickr,
                               struct sentence_place sentence, struct item_note *note)
{
    enum status status = OK;
    unsigned char *text = NULL;
    struct flickr_boxes boxes = {0};
    const char *picture = flickr->pictures[sentence.picture];
    char *name = text_format("%s.jpg", picture);
    char *where = text_format("sentence %" PRId64, sentence.line);
    char *file = text_format("Sentences/%s.txt", picture);
    char *path = text_format("%s/Annotations/%s.xml", flickr->folder, picture);
    const char *names[2] = {name, NULL};
    size_t length;
    TRY(read_sentences(&text, flickr, sentence.picture));
    TRY(flickr_boxes_read(&boxes, path));
    if (boxes.height < 1 || boxes.width < 1 || boxes.height > IMAGE_MAX_SIDE ||
        boxes.width > IMAGE_MAX_SIDE)
        FAIL(ERR_FORMAT, "%s: its size must be 1 .. %d pixels a side", path, IMAGE_MAX_SIDE);
    record->height = boxes.height;
    record->width = boxes.width;
    const char *line = (const char *)text;
    for (int64_t i = 0; i < sentence.line; i++) next_line(&line, &length);
    TRY(add_sentence(record, &boxes, line, note, (struct json_place){file, where}));
    TRY(import_picture_among(record, flickr->folders, flickr->n_folders, names, note));
out:
    flickr_boxes_release(&boxes);
    free(text);
    free(name);
    free(where);
    free(file);
    free(path);
    return status;
}

static enum status flickr_make(void *context, int64_t item, struct record *record,
                               struct item_note *note)
{
    enum status status = OK;
    const struct flickr *flickr = context;
    const struct sentence_place sentence = flickr->sentences[item];
    record->id =
        text_format("%s/%s/%" PRId64, kind, flickr->pictures[sentence.picture], sentence.line);
    record->source = text_format("%s:%s", kind, import_base_name(flickr->path));
    note->reason = "annotation";
    TRY(flickr_fill(record, flickr, sentence, note));
    note->reason = "annotation";
    TRY_WHERE(record_check(record), "%s", flickr->path);
out:
    return status;
}

static enum status open_release(struct record_source *source_out,
                                const struct import_options *options)
{
    enum status status = OK;
    struct flickr *flickr = memory_new(1, sizeof *flickr);
    flickr->path = text_copy(options->annotations);
    flickr->folder =
        options->with == NULL ? path_parent(options->annotations) : text_copy(options->with);
    TRY(import_folders(&flickr->folders, &flickr->n_folders, options->images));
    TRY(list_pictures(flickr));
    TRY(list_sentences(flickr));
    *source_out = (struct record_source){flickr->n_sentences, flickr, flickr_make, flickr_release};
    flickr = NULL;
out:
    if (flickr != NULL) flickr_release(flickr);
    return status;
}

/* ---- rows ---- */

/* "<ph_st>words<ph_ed>" with the regions of `sequences`, one list a phrase. */
static enum status mark_row(struct text_buffer *text, const char *sentence, const json_t *sequences,
                            int64_t n_regions, struct json_place place)
{
    enum status status = OK;
    static const char open[] = "<ph_st>";
    static const char close[] = "<ph_ed>";
    size_t phrase = 0;
    for (const char *at; (at = strstr(sentence, open)) != NULL; phrase++) {
        const char *words = at + strlen(open);
        const char *end = strstr(words, close);
        const json_t *sequence = json_array_get(sequences, phrase);
        if (end == NULL || json_array_size(sequence) == 0)
            FAIL(ERR_FORMAT, "%s: %s: phrase %zu has no %s", place.file, place.record, phrase,
                 end == NULL ? "end" : "list of boxes in boxes_seq");
        text_append_bytes(text, sentence, (size_t)(at - sentence));
        text_printf(text, "<p>%.*s</p>", (int)(end - words), words);
        for (size_t i = 0; i < json_array_size(sequence); i++) {
            int64_t region;
            TRY(import_index(&region, sequence, i, n_regions, "box of a phrase", place));
            text_printf(text, "<region%" PRId64 ">", region + 1);
        }
        sentence = end + strlen(close);
    }
    if (phrase != json_array_size(sequences))
        FAIL(ERR_FORMAT, "%s: %s: %zu phrases but %zu lists in boxes_seq", place.file, place.record,
             phrase, json_array_size(sequences));
    text_append(text, sentence);
out:
    return status;
}

static enum status add_boxes(struct record *record, const json_t *boxes, struct item_note *note,
                             struct json_place place)
{
    enum status status = OK;
    for (size_t i = 0; i < json_array_size(boxes); i++) {
        double four[4];
        TRY(import_four_numbers(four, json_array_get(boxes, i), "a box", place));
        const int64_t region = import_add_region(record);
        TRY(import_box(&record->regions[region], (struct box){four[0], four[1], four[2], four[3]},
                       record, note, place));
    }
out:
    return status;
}

static enum status read_row(struct record *record, const json_t *row,
                            const struct import_rows *rows, struct item_note *note,
                            struct json_place place)
{
    enum status status = OK;
    struct text_buffer text = {0};
    char *name = NULL;
    json_t *boxes = NULL;
    json_t *sequences = NULL;
    const char *sentence = NULL;
    const json_t *id = json_object_get(row, "image_id");
    if (json_is_string(id))
        name = text_format("%s.jpg", json_string_value(id));
    else if (json_is_integer(id))
        name = text_format("%" PRId64 ".jpg", (int64_t)json_integer_value(id));
    else
        FAIL(ERR_FORMAT, "%s: %s: field 'image_id' must be a string or an integer", place.file,
             place.record);
    const char *names[2] = {name, NULL};
    TRY(import_words(&sentence, row, "sentence", place));
    TRY(json_field(&boxes, row, "boxes", JSON_ARRAY, place));
    TRY(json_field(&sequences, row, "boxes_seq", JSON_ARRAY, place));
    TRY(json_field_integer(&record->height, row, "img_h", 1, IMAGE_MAX_SIDE, place));
    TRY(json_field_integer(&record->width, row, "img_w", 1, IMAGE_MAX_SIDE, place));
    TRY(add_boxes(record, boxes, note, place));
    TRY(mark_row(&text, sentence, sequences, record->n_regions, place));
    import_add_turn(import_add_text(record, "grounded", -1, NULL), "", text_of(&text));
    TRY(import_picture_among(record, rows->folders, rows->n_folders, names, note));
out:
    text_release(&text);
    free(name);
    return status;
}

/* A table begins with a bracket, a list of pictures with a name. */
static enum status is_table(bool *table_out, const char *path)
{
    enum status status = OK;
    struct json_text text = {0};
    TRY(json_text_open(&text, path));
    size_t i = 0;
    while (i < text.size && isspace(text.bytes[i])) i++;
    *table_out = i < text.size && (text.bytes[i] == '{' || text.bytes[i] == '[');
out:
    json_text_release(&text);
    return status;
}

enum status import_flickr(struct record_source *source_out, const struct import_options *options)
{
    enum status status = OK;
    static const struct rows_reader reader = {kind, read_row};
    bool table = false;
    TRY(is_table(&table, options->annotations));
    TRY(table ? import_rows_open(source_out, options, &reader) : open_release(source_out, options));
out:
    return status;
}
