/* Records of the conversation classes: Osprey, LLaVA, VCR, VSR, grounded captions, points. */
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "golden_builder.h"
#include "golden_text.h"

/* Pairs of question and answer; an odd last message is left out. */
static void add_conversation(struct record *record, const char *kind, const json_t *messages)
{
    for (size_t i = 0; i + 1 < json_array_size(messages); i += 2) {
        const char *question = golden_text_string(json_array_get(messages, i), "value");
        const char *answer = golden_text_string(json_array_get(messages, i + 1), "value");
        if (i == 0)
            golden_add_text(record, kind, -1, question, answer);
        else
            golden_add_turn(record, question, answer);
    }
}

/* A description without its "<regionN>:". */
static const char *untagged(const char *text)
{
    const char *end = text[0] == '<' ? strstr(text, ">:") : NULL;
    if (end == NULL) return text;
    end += strlen(">:");
    return end + strspn(end, " ");
}

enum status golden_read_osprey(const struct golden_reading *reading)
{
    enum status status = OK;
    const json_t *rows = json_object_get(reading->row, "records");
    for (size_t k = 0; k < json_array_size(rows); k++) {
        const json_t *from = json_array_get(rows, k);
        const json_t *annotations = json_object_get(from, "annotation");
        const json_t *descriptions = json_object_get(from, "description");
        struct record *record =
            golden_add_record(reading, golden_text_string(from, "file_name"), from, NULL);
        for (size_t i = 0; i < json_array_size(annotations); i++) {
            const json_t *a = json_array_get(annotations, i);
            golden_add_region(record, golden_box_by_size(json_object_get(a, "bbox")));
            TRY(golden_add_mask(record, (int64_t)i, json_object_get(a, "segmentation")));
        }
        add_conversation(record, "conversation", json_object_get(from, "conversations"));
        for (size_t i = 0; i < json_array_size(descriptions); i++)
            golden_add_text(record, "description", (int64_t)i, "",
                            untagged(json_string_value(json_array_get(descriptions, i))));
    }
out:
    return status;
}

enum status golden_read_llava(const struct golden_reading *reading)
{
    const json_t *rows = json_object_get(reading->row, "records");
    for (size_t k = 0; k < json_array_size(rows); k++) {
        const json_t *from = json_array_get(rows, k);
        const char *image = golden_text_string(from, "image");
        struct record *record = golden_add_record(reading, golden_text_string(from, "id"), from,
                                                  image[0] ? image : NULL);
        if (image[0] == '\0') record->image_size = 0;
        add_conversation(record, "llava", json_object_get(from, "conversations"));
    }
    return OK;
}

/* Words joined by blanks, references to objects as "dog at region2"; no blank before . , ! ? */
static char *join_words(const json_t *words, const json_t *names)
{
    struct text_buffer out = {0};
    for (size_t i = 0; i < json_array_size(words); i++) {
        const json_t *word = json_array_get(words, i);
        const char *text = json_string_value(word);
        const char *blank = i > 0 && !(text && strchr(".,!?", text[0])) ? " " : "";
        if (text) text_printf(&out, "%s%s", blank, text);
        for (size_t k = 0; k < json_array_size(word); k++) {
            const json_int_t object = json_integer_value(json_array_get(word, k));
            text_printf(&out, "%s%s at region%lld", k > 0 ? " " : blank,
                        json_string_value(json_array_get(names, (size_t)object)),
                        (long long)object + 1);
        }
    }
    return text_take(&out);
}

static void add_choices(struct record_turn *turn, const json_t *list, int64_t right,
                        const json_t *names)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        char *text = join_words(json_array_get(list, i), names);
        golden_add_choice(turn, text);
        free(text);
    }
    turn->choice = right;
    free(turn->answer);
    turn->answer = text_copy(turn->choices[right]);
}

/* A list of polygons, each a list of points, as COCO has it. */
static json_t *flat_polygons(const json_t *polygons)
{
    json_t *flat = json_array();
    for (size_t i = 0; i < json_array_size(polygons); i++) {
        const json_t *points = json_array_get(polygons, i);
        json_t *numbers = json_array();
        for (size_t k = 0; k < 2 * json_array_size(points); k++)
            json_array_append(numbers, json_array_get(json_array_get(points, k / 2), k % 2));
        json_array_append_new(flat, numbers);
    }
    return flat;
}

static enum status add_vcr_regions(struct record *record, const json_t *metadata,
                                   const json_t *names)
{
    enum status status = OK;
    json_t *mask = NULL;
    const json_t *boxes = json_object_get(metadata, "boxes");
    for (size_t i = 0; i < json_array_size(boxes); i++) {
        golden_add_region(record, golden_box(json_array_get(boxes, i)));
        golden_add_object(record, json_string_value(json_array_get(names, i)), (int64_t)i);
        json_decref(mask);
        mask = flat_polygons(json_array_get(json_object_get(metadata, "segms"), i));
        TRY(golden_add_mask(record, (int64_t)i, mask));
    }
out:
    json_decref(mask);
    return status;
}

enum status golden_read_vcr(const struct golden_reading *reading)
{
    enum status status = OK;
    const json_t *rows = json_object_get(reading->row, "records");
    for (size_t k = 0; k < json_array_size(rows); k++) {
        const json_t *from = json_array_get(rows, k);
        const json_t *names = json_object_get(from, "objects");
        const char *image = golden_text_string(from, "img_fn");
        struct record *record = golden_add_record(reading, image, from, image);
        TRY(add_vcr_regions(
            record, json_object_get(reading->files, golden_text_string(from, "metadata_fn")),
            names));
        char *question = join_words(json_object_get(from, "question"), names);
        struct record_turn *turn = golden_add_text(record, "vcr", -1, question, "");
        free(question);
        add_choices(turn, json_object_get(from, "answer_choices"),
                    json_integer_value(json_object_get(from, "answer_label")), names);
        turn = golden_add_turn(record, "", "");
        add_choices(turn, json_object_get(from, "rationale_choices"),
                    json_integer_value(json_object_get(from, "rationale_label")), names);
    }
out:
    return status;
}

enum status golden_read_vsr(const struct golden_reading *reading)
{
    const json_t *rows = json_object_get(reading->row, "records");
    for (size_t k = 0; k < json_array_size(rows); k++) {
        const json_t *from = json_array_get(rows, k);
        const char *image = golden_text_string(from, "image");
        struct record *record = golden_add_record(reading, image, from, image);
        if (json_object_get(from, "subj") == NULL) continue;
        char *statement =
            text_format("<p>%s</p> %s <p>%s</p>", golden_text_string(from, "subj"),
                        golden_text_string(from, "relation"), golden_text_string(from, "obj"));
        const bool holds = json_integer_value(json_object_get(from, "label")) == 1;
        golden_add_text(record, "statement", -1, statement, holds ? "yes" : "no");
        record->texts[0].origin = text_copy(golden_text_string(from, "caption"));
        free(statement);
    }
    return OK;
}

/* "<ph_st>A man<ph_ed>" and its boxes: a marked phrase. */
static char *mark_phrases(const char *text, const json_t *sequence)
{
    struct text_buffer out = {0};
    size_t phrase = 0;
    for (const char *at; (at = strstr(text, "<ph_st>")); phrase++) {
        const char *end = strstr(at, "<ph_ed>");
        const char *words = at + strlen("<ph_st>");
        text_append_bytes(&out, text, (size_t)(at - text));
        text_printf(&out, "<p>%.*s</p>", (int)(end - words), words);
        const json_t *boxes = json_array_get(sequence, phrase);
        for (size_t i = 0; i < json_array_size(boxes); i++)
            text_printf(&out, "<region%lld>",
                        (long long)json_integer_value(json_array_get(boxes, i)) + 1);
        text = end + strlen("<ph_ed>");
    }
    text_append(&out, text);
    return text_take(&out);
}

static struct record *add_sized(const struct golden_reading *reading, const json_t *from,
                                const char *key, const char *image)
{
    const json_t *id = json_object_get(from, key);
    char *name = json_is_integer(id) ? text_format("%lld", (long long)json_integer_value(id))
                                     : text_copy(golden_text_string(from, key));
    struct record *record = golden_add_record(reading, name, from, image);
    free(name);
    record->width = json_integer_value(json_object_get(from, "img_w"));
    record->height = json_integer_value(json_object_get(from, "img_h"));
    return record;
}

static void add_boxes(struct record *record, const json_t *boxes)
{
    for (size_t i = 0; i < json_array_size(boxes); i++)
        golden_add_region(record, golden_box(json_array_get(boxes, i)));
}

static void add_reasoning(struct record *record, const json_t *data)
{
    for (size_t i = 0; i < json_array_size(data); i++) {
        const json_t *item = json_array_get(data, i), *cot = json_object_get(item, "cot");
        char *text = mark_phrases(golden_text_string(cot, "value"), json_object_get(cot, "seq"));
        add_boxes(record, json_object_get(cot, "boxes"));
        golden_add_text(record, "cot", -1, golden_text_string(item, "question"), text);
        golden_add_turn(record, "", golden_text_string(item, "answer"));
        free(text);
    }
}

enum status golden_read_grounded(const struct golden_reading *reading)
{
    const json_t *rows = json_object_get(reading->row, "records");
    for (size_t k = 0; k < json_array_size(rows); k++) {
        const json_t *from = json_array_get(rows, k), *data = json_object_get(from, "data");
        struct record *record = add_sized(reading, from, data ? "imageId" : "image_id", NULL);
        if (data) {
            add_reasoning(record, data);
            continue;
        }
        char *text =
            mark_phrases(golden_text_string(from, "sentence"), json_object_get(from, "boxes_seq"));
        add_boxes(record, json_object_get(from, "boxes"));
        golden_add_text(record, "grounded", -1, "", text);
        free(text);
    }
    return OK;
}

static void add_marked(struct record *record, const json_t *from, const char *key, const char *mark)
{
    char *question = text_format("%s%s", golden_text_string(from, key), mark);
    golden_add_text(record, "vqa", -1, question, golden_text_string(from, "answer"));
    free(question);
}

enum status golden_read_points(const struct golden_reading *reading)
{
    const json_t *rows = json_object_get(reading->row, "records");
    const bool twice = strstr(golden_text_string(reading->row, "class"), "Twice") != NULL;
    for (size_t k = 0; k < json_array_size(rows); k++) {
        const json_t *from = json_array_get(rows, k), *point = json_object_get(from, "point");
        struct record *record = add_sized(reading, from, "genome_id", NULL);
        golden_add_region(record, golden_box(json_object_get(from, "bbox")));
        record->points = memory_new(1, sizeof *record->points);
        record->points[record->n_points++] =
            (struct record_point){json_number_value(json_array_get(point, 0)),
                                  json_number_value(json_array_get(point, 1))};
        const char *asked = twice ? "general_question" : "question";
        if (twice) add_marked(record, from, "obj_question", "");
        add_marked(record, from, asked, " <region1>");
        add_marked(record, from, asked, " <point1>");
    }
    return OK;
}

enum status golden_read_v7w(const struct golden_reading *reading)
{
    const json_t *rows = json_object_get(reading->row, "records");
    for (size_t k = 0; k < json_array_size(rows); k++) {
        const json_t *from = json_array_get(rows, k);
        const json_t *candidates = json_object_get(from, "candidates");
        const char *image = golden_text_string(from, "file_path");
        struct record *record = add_sized(reading, from, "file_path", image);
        add_boxes(record, candidates);
        struct record_turn *turn =
            golden_add_text(record, "choice", -1, golden_text_string(from, "question"), "");
        for (int64_t i = 0; i < record->n_regions; i++) {
            char *mark = text_format("<region%lld>", (long long)i + 1);
            golden_add_choice(turn, mark);
            free(mark);
        }
        turn->choice = turn->n_choices - 1;
        free(turn->answer);
        turn->answer = text_copy(turn->choices[turn->choice]);
    }
    return OK;
}
