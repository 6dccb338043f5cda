/* Records of GQA questions with a reasoning in words. */
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "golden_builder.h"
#include "golden_text.h"

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

static void add_reasoning(struct record *record, const json_t *data)
{
    for (size_t i = 0; i < json_array_size(data); i++) {
        const json_t *item = json_array_get(data, i), *cot = json_object_get(item, "cot");
        char *text = mark_phrases(golden_text_string(cot, "value"), json_object_get(cot, "seq"));
        const json_t *boxes = json_object_get(cot, "boxes");
        for (size_t k = 0; k < json_array_size(boxes); k++)
            golden_add_region(record, golden_box(json_array_get(boxes, k)));
        golden_add_text(record, "cot", -1, golden_text_string(item, "question"), text);
        golden_add_turn(record, "", golden_text_string(item, "answer"));
        free(text);
    }
}

enum status golden_read_cot(const struct golden_reading *reading)
{
    const json_t *rows = json_object_get(reading->row, "records");
    for (size_t k = 0; k < json_array_size(rows); k++) {
        const json_t *from = json_array_get(rows, k);
        const json_t *id = json_object_get(from, "imageId");
        char *name = json_is_integer(id) ? text_format("%lld", (long long)json_integer_value(id))
                                         : text_copy(golden_text_string(from, "imageId"));
        struct record *record = golden_add_record(reading, name, from, NULL);
        free(name);
        record->width = json_integer_value(json_object_get(from, "img_w"));
        record->height = json_integer_value(json_object_get(from, "img_h"));
        add_reasoning(record, json_object_get(from, "data"));
    }
    return OK;
}
