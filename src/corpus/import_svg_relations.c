/* SVG-RELATIONS: for some subjects of a picture a description, the objects it mentions and
 * relations in five categories, over numbered regions. datasets/README.md has the fields. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "corpus/import.h"
#include "corpus/import_common.h"
#include "corpus/import_graph.h"
#include "corpus/import_text.h"
#include "corpus/json_spans.h"

struct svg {
    struct json_text text;
    struct json_spans rows;
    char *images;
};

static void svg_release(void *context)
{
    struct svg *svg = context;
    json_spans_release(&svg->rows);
    json_text_release(&svg->text);
    free(svg->images);
    free(svg);
}

/* One row on its way into a record. */
struct svg_row {
    const json_t *json;
    struct json_place place; /* `record` is the picture's id */
    struct record *record;
    struct item_note *note;
    json_t *lists;   /* prefix -> [record region or -1]; "": field `regions` */
    json_t *numbers; /* object id -> object of the record */
};

/* A place below the row's. The text is to free(). */
static struct json_place below(const struct svg_row *row, char **where, const char *what,
                               const char *key)
{
    free(*where);
    *where = text_format("%s.%s%s%s", row->place.record, what, key[0] == '\0' ? "" : ".", key);
    return (struct json_place){row->place.file, *where};
}

static enum status add_list(struct svg_row *row, const char *prefix, const json_t *list,
                            struct json_place place)
{
    enum status status = OK;
    int64_t *numbers = NULL;
    json_t *found = json_array();
    if (!json_is_array(list)) FAIL(ERR_FORMAT, "%s: %s must be an array", place.file, place.record);
    TRY(import_region_list(&numbers, row->record, list, row->note, place));
    for (size_t i = 0; i < json_array_size(list); i++)
        json_array_append_new(found, json_integer(numbers[i]));
    json_object_set(row->lists, prefix, found);
out:
    json_decref(found);
    free(numbers);
    return status;
}

/* `regions`, then each list `PREFIX_regions` in the order of the file. */
static enum status read_regions(struct svg_row *row)
{
    enum status status = OK;
    static const char suffix[] = "_regions";
    char *where = NULL;
    char *prefix = NULL;
    const char *key;
    json_t *value;
    json_t *regions = NULL;
    TRY(json_field(&regions, row->json, "regions", JSON_ARRAY, row->place));
    TRY(add_list(row, "", regions, below(row, &where, "regions", "")));
    json_object_foreach((json_t *)row->json, key, value)
    {
        const size_t size = strlen(key);
        if (size < sizeof suffix || strcmp(key + size - (sizeof suffix - 1), suffix) != 0) continue;
        free(prefix);
        prefix = text_format("%.*s", (int)(size - (sizeof suffix - 1)), key);
        TRY(add_list(row, prefix, value, below(row, &where, key, "")));
    }
out:
    free(prefix);
    free(where);
    return status;
}

/* "scene_graph_3" -> number 3 of scene_graph_regions, 4 -> number 4 of regions; of the record. */
static enum status find_region(int64_t *region_out, const struct svg_row *row, const json_t *mapped,
                               struct json_place place)
{
    enum status status = OK;
    const char *text = json_string_value(mapped);
    const char *digits = text == NULL ? NULL : strrchr(text, '_');
    char *prefix = digits == NULL ? text_copy("") : text_format("%.*s", (int)(digits - text), text);
    const json_t *list = json_object_get(row->lists, prefix);
    json_int_t index = -1;
    if (json_is_integer(mapped)) {
        index = json_integer_value(mapped);
    } else if (text != NULL) {
        const char *number = digits == NULL ? text : digits + 1;
        const size_t size = strlen(number);
        if (size > 0 && size <= 9 && strspn(number, "0123456789") == size) index = atoll(number);
    }
    if (list == NULL || index < 0 || (size_t)index >= json_array_size(list))
        FAIL(ERR_FORMAT, "%s: %s: id_region_mapping leads to no region", place.file, place.record);
    *region_out = json_integer_value(json_array_get(list, (size_t)index));
    if (*region_out < 0)
        FAIL(ERR_FORMAT, "%s: %s: its region was dropped", place.file, place.record);
out:
    free(prefix);
    return status;
}

static bool region_has_object(const struct record *record, int64_t region)
{
    for (int64_t i = 0; i < record->n_objects; i++)
        if (record->objects[i].region == region) return true;
    return false;
}

/* The box of the object's own entry goes to its region; two objects of one region and different
 * boxes get a region each. */
static enum status set_box(struct svg_row *row, int64_t *region, const json_t *corners,
                           struct json_place place)
{
    enum status status = OK;
    struct record *record = row->record;
    struct record_region cut = {0};
    double four[4];
    TRY(import_four_numbers(four, corners, "bbox", place));
    TRY(import_box(&cut, (struct box){four[0], four[1], four[2], four[3]}, record, row->note,
                   place));
    const struct box old = record->regions[*region].box;
    const bool same = old.x1 == cut.box.x1 && old.y1 == cut.box.y1 && old.x2 == cut.box.x2 &&
                      old.y2 == cut.box.y2;
    if (!same && region_has_object(record, *region)) {
        const int64_t copy = import_add_region(record);
        if (record->regions[*region].mask.n_runs > 0)
            TRY(rle_copy(&record->regions[copy].mask, &record->regions[*region].mask));
        *region = copy;
    }
    record->regions[*region].box = cut.box;
out:
    return status;
}

static enum status read_object(struct svg_row *row, const char *id, const json_t *object,
                               struct json_place place)
{
    enum status status = OK;
    int64_t region = -1;
    const json_t *names = json_object_get(object, "text");
    const json_t *mapping = json_object_get(row->json, "id_region_mapping");
    TRY(find_region(&region, row, json_object_get(mapping, id), place));
    for (size_t i = 0; i < json_array_size(names); i++)
        if (!json_is_string(json_array_get(names, i)))
            FAIL(ERR_FORMAT, "%s: %s: text[%zu] must be a string", place.file, place.record, i);
    if (json_array_size(names) == 0)
        FAIL(ERR_FORMAT, "%s: %s: text must be a list of names", place.file, place.record);
    TRY(set_box(row, &region, json_object_get(object, "bbox"), place));
    TRY(import_add_object(row->record, json_string_value(json_array_get(names, 0)), region, place));
    for (size_t i = 1; i < json_array_size(names); i++)
        import_add_turn(import_add_text(row->record, "name", region, NULL), "",
                        json_string_value(json_array_get(names, i)));
out:
    return status;
}

static enum status read_objects(struct svg_row *row)
{
    enum status status = OK;
    char *where = NULL;
    json_t *details = NULL;
    json_t *mapping = NULL;
    const char *id;
    json_t *object;
    TRY(json_field(&details, row->json, "object_details", JSON_OBJECT, row->place));
    TRY(json_field(&mapping, row->json, "id_region_mapping", JSON_OBJECT, row->place));
    json_object_foreach(details, id, object)
    {
        const struct import_mark mark = import_mark(row->record);
        status = read_object(row, id, object, below(row, &where, "object_details", id));
        if (status == OK)
            json_object_set_new(row->numbers, id, json_integer(mark.n_objects));
        else
            TRY(import_drop(row->record, mark, row->note, status, "object"));
    }
out:
    free(where);
    return status;
}

/* The record's object of an id in the file; ERR_FORMAT when there is none. */
static enum status find_object(int64_t *object_out, const struct svg_row *row, const json_t *id,
                               struct json_place place)
{
    enum status status = OK;
    char *key = import_id_text(id);
    const json_t *number = key == NULL ? NULL : json_object_get(row->numbers, key);
    if (number == NULL)
        FAIL(ERR_FORMAT, "%s: %s: object '%s' is not there or was dropped", place.file,
             place.record, key == NULL ? "?" : key);
    *object_out = json_integer_value(number);
out:
    free(key);
    return status;
}

static enum status read_relation(struct svg_row *row, int64_t subject, const json_t *pair,
                                 const char *kind, struct json_place place)
{
    enum status status = OK;
    int64_t object = -1;
    const char *predicate = json_string_value(json_array_get(pair, 1));
    if (json_array_size(pair) != 2 || predicate == NULL)
        FAIL(ERR_FORMAT, "%s: %s: must be [object, predicate]", place.file, place.record);
    TRY(find_object(&object, row, json_array_get(pair, 0), place));
    TRY(import_add_relation(row->record, subject, predicate, object, place));
    struct record_relation *made = &row->record->relations[row->record->n_relations - 1];
    free(made->kind);
    made->kind = text_copy(kind);
out:
    return status;
}

/* The category's name where it is one of the five; "" and a note otherwise. */
static const char *kind_of(struct svg_row *row, const char *category, struct json_place place)
{
    static const char *const kinds[] = {"spatial", "interactional", "functional", "social",
                                        "emotional"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(category, kinds[i]) == 0) return kinds[i];
    char *why = text_format("%s: %s: no such category; its relations are kept without one",
                            place.file, place.record);
    item_note_drop(row->note, "category", why);
    free(why);
    return "";
}

static enum status read_categories(struct svg_row *row, int64_t subject, const json_t *categories,
                                   struct json_place place)
{
    enum status status = OK;
    char *where = NULL;
    const char *category;
    json_t *pairs;
    json_object_foreach((json_t *)categories, category, pairs)
    {
        free(where);
        where = text_format("%s.%s", place.record, category);
        const char *kind = kind_of(row, category, (struct json_place){place.file, where});
        for (size_t i = 0; i < json_array_size(pairs); i++) {
            free(where);
            where = text_format("%s.%s[%zu]", place.record, category, i);
            const struct import_mark mark = import_mark(row->record);
            status = read_relation(row, subject, json_array_get(pairs, i), kind,
                                   (struct json_place){place.file, where});
            if (status != OK) TRY(import_drop(row->record, mark, row->note, status, "relation"));
        }
    }
out:
    free(where);
    return status;
}

/* The description and what it mentions, the subject first and once. */
static enum status read_description(struct svg_row *row, int64_t subject, const json_t *entry,
                                    struct json_place place)
{
    enum status status = OK;
    const char *words = json_string_value(json_object_get(entry, "description"));
    const json_t *mentioned = json_object_get(entry, "mentioned_objects");
    if (words == NULL && json_array_size(mentioned) == 0) return OK;
    struct record_text *text =
        import_add_text(row->record, "description", row->record->objects[subject].region, NULL);
    struct record_turn *turn = import_add_turn(text, "", words == NULL ? "" : words);
    import_add_reference(turn, subject);
    for (size_t i = 0; i < json_array_size(mentioned); i++) {
        const struct import_mark mark = import_mark(row->record);
        int64_t object = -1;
        status = find_object(&object, row, json_array_get(mentioned, i), place);
        if (status != OK)
            TRY(import_drop(row->record, mark, row->note, status, "mention"));
        else if (object != subject)
            import_add_reference(turn, object);
    }
out:
    return status;
}

/* `relations`, or under the name of the published rows `relations_category`, there inside an object
 * of the picture's id. NULL: none. */
static const json_t *subjects_of(const struct svg_row *row)
{
    const json_t *subjects = json_object_get(row->json, "relations");
    if (subjects == NULL) subjects = json_object_get(row->json, "relations_category");
    const json_t *inner = json_object_get(subjects, row->place.record);
    const bool nested = inner != NULL && json_object_size(subjects) == 1 &&
                        json_object_get(inner, "relations") == NULL &&
                        json_object_get(inner, "description") == NULL;
    return nested ? inner : subjects;
}

static enum status read_subject(struct svg_row *row, const char *id, const json_t *entry,
                                struct json_place place)
{
    enum status status = OK;
    int64_t subject = -1;
    json_t *key = json_string(id);
    TRY(find_object(&subject, row, key, place));
    if (!json_is_object(entry))
        FAIL(ERR_FORMAT, "%s: %s must be an object", place.file, place.record);
    TRY(read_description(row, subject, entry, place));
    TRY(read_categories(row, subject, json_object_get(entry, "relations"), place));
out:
    json_decref(key);
    return status;
}

static enum status read_subjects(struct svg_row *row)
{
    enum status status = OK;
    char *where = NULL;
    const json_t *subjects = subjects_of(row);
    const char *id;
    json_t *entry;
    if (!json_is_object(subjects))
        FAIL(ERR_FORMAT, "%s: %s: field 'relations' must be an object", row->place.file,
             row->place.record);
    json_object_foreach((json_t *)subjects, id, entry)
    {
        const struct import_mark mark = import_mark(row->record);
        status = read_subject(row, id, entry, below(row, &where, "relations", id));
        if (status != OK) TRY(import_drop(row->record, mark, row->note, status, "subject"));
    }
out:
    free(where);
    return status;
}

/* Regions of the objects "9, 4" of a summary's brackets; those that are not there are left out. */
static int64_t append_regions(struct text_buffer *out, const struct svg_row *row, const char *ids,
                              size_t size)
{
    int64_t n = 0;
    for (const char *at = ids; at < ids + size;) {
        const size_t digits = strspn(at, "0123456789");
        char *id = text_format("%.*s", (int)digits, at);
        const json_t *number = digits == 0 ? NULL : json_object_get(row->numbers, id);
        if (number != NULL) {
            const int64_t object = json_integer_value(number);
            text_printf(out, "<region%" PRId64 ">", row->record->objects[object].region + 1);
            n++;
        }
        free(id);
        at += digits == 0 ? 1 : digits;
    }
    return n;
}

/* "<guy> [9]" at `at`: the length of all of it, of the phrase, and of the numbers; 0: no such. */
static size_t match_phrase(const char *at, size_t *phrase, size_t *numbers, size_t *first)
{
    if (*at != '<') return 0;
    *phrase = strcspn(at + 1, "<>");
    if (at[1 + *phrase] != '>' || *phrase == 0) return 0;
    size_t end = *phrase + 2;
    while (at[end] == ' ') end++;
    if (at[end] != '[') return 0;
    *first = end + 1;
    *numbers = strspn(at + *first, "0123456789, ");
    return at[*first + *numbers] == ']' ? *first + *numbers + 1 : 0;
}

/* "A <guy> [9] stands" -> "A <p>guy</p><region3> stands" */
static enum status read_summary(struct svg_row *row)
{
    enum status status = OK;
    struct text_buffer out = {0};
    struct text_buffer places = {0};
    const char *summary = json_string_value(json_object_get(row->json, "summary"));
    if (summary == NULL || summary[0] == '\0') return OK;
    if (strstr(summary, "<p>") != NULL || strstr(summary, "<region") != NULL)
        FAIL(ERR_FORMAT, "%s: %s: the summary holds a mark of ours", row->place.file,
             row->place.record);
    for (const char *at = summary; *at != '\0';) {
        size_t phrase, numbers, first;
        const size_t size = match_phrase(at, &phrase, &numbers, &first);
        if (size == 0) {
            text_append_char(&out, *at++);
            continue;
        }
        text_clear(&places);
        if (append_regions(&places, row, at + first, numbers) > 0)
            text_printf(&out, "<p>%.*s</p>%s", (int)phrase, at + 1, text_of(&places));
        else
            text_append_bytes(&out, at + 1, phrase);
        at += size;
    }
    import_add_turn(import_add_text(row->record, "summary", -1, NULL), "", text_of(&out));
out:
    text_release(&places);
    text_release(&out);
    return status;
}

static enum status read_row(struct svg_row *row, const char *images)
{
    enum status status = OK;
    struct record *record = row->record;
    char *name = import_picture_name(row->place.record);
    record->id = text_format("svg-relations/%s", row->place.record);
    record->source = text_format("svg-relations:%s", import_base_name(row->place.file));
    TRY(import_size(record, row->json, "height", "width", row->place));
    TRY(import_picture(record, images, name, row->note));
    row->note->reason = "annotation";
    TRY(read_regions(row));
    TRY(read_objects(row));
    TRY(read_subjects(row));
    const struct import_mark mark = import_mark(record);
    status = read_summary(row);
    if (status != OK) TRY(import_drop(record, mark, row->note, status, "markup"));
    TRY_WHERE(record_check(record), "%s", row->place.file);
out:
    free(name);
    return status;
}

static enum status svg_make(void *context, int64_t item, struct record *record,
                            struct item_note *note)
{
    enum status status = OK;
    const struct svg *svg = context;
    const struct json_span span = svg->rows.spans[item];
    json_t *json = NULL;
    char *id = NULL;
    struct svg_row row = {
        .lists = json_object(), .numbers = json_object(), .record = record, .note = note};
    TRY(json_span_parse(&json, &svg->text, span));
    note->reason = "annotation";
    id = import_id_text(json_object_get(json, "image_id"));
    if (id == NULL && span.key != NULL) TRY(json_span_key(&id, &svg->text, span));
    if (id == NULL)
        FAIL(ERR_FORMAT, "%s: row %" PRId64 ": field 'image_id' must be a string or an integer",
             svg->text.path, item);
    row.json = json;
    row.place = (struct json_place){svg->text.path, id};
    TRY(read_row(&row, svg->images));
out:
    json_decref(row.lists);
    json_decref(row.numbers);
    json_decref(json);
    free(id);
    return status;
}

/* Rows, or one object of rows by picture. */
static enum status list_rows(struct svg *svg)
{
    enum status status = OK;
    struct json_spans fields = {0};
    TRY(json_rows_list(&svg->rows, &svg->text));
    if (svg->rows.n == 1 && svg->rows.is_lines) {
        TRY(json_spans_list(&fields, &svg->text, svg->rows.spans[0]));
        if (json_spans_find(&fields, "object_details") == NULL) {
            json_spans_release(&svg->rows);
            svg->rows = fields;
            fields = (struct json_spans){0};
        }
    }
out:
    json_spans_release(&fields);
    return status;
}

enum status import_svg_relations(struct record_source *source_out,
                                 const struct import_options *options)
{
    enum status status = OK;
    struct svg *svg = memory_new(1, sizeof *svg);
    TRY(json_text_open(&svg->text, options->annotations));
    TRY(list_rows(svg));
    if (svg->rows.n == 0) FAIL(ERR_FORMAT, "%s holds no row", options->annotations);
    svg->images = text_copy(options->images);
    *source_out = (struct record_source){svg->rows.n, svg, svg_make, svg_release};
    svg = NULL;
out:
    if (svg != NULL) svg_release(svg);
    return status;
}
