/* One region at a time, inside its question: its name, its first attribute, a short caption. */
#include <stdlib.h>
#include <string.h>

#include "corpus/task_parts.h"

#define COCO_HEADER                                                                                \
    "<image>\nIn the conversation below, you simply answer the category name based on what you "   \
    "see in the imagery inside a particular region. I will give you only one region each time.\n"

/* How an object is asked about: `header` before the first question, the region alone or in a
 * sentence, and the answer. */
struct object_question {
    const char *header;
    bool attribute; /* asks for the first attribute; objects without one are left out */
};

static enum status make_objects(struct task_sample *sample, const struct record *record,
                                const struct task_options *options, struct task_draws *draws,
                                const struct object_question *asked)
{
    enum status status = OK;
    struct text_buffer question = {0}, region = {0};
    int64_t *order = task_order(draws, record->n_objects, false);
    int64_t limit = task_smaller(options->max_regions, options->max_turns), n = 0;
    for (int64_t i = 0; i < record->n_objects && n < limit; i++) {
        const struct record_object *object = &record->objects[order[i]];
        if (asked->attribute && object->n_attributes == 0) continue;
        text_clear(&question);
        text_clear(&region);
        TRY(task_append_region(&region, sample, record, object->region, options));
        text_append(&question, n++ == 0 ? asked->header : "");
        const char *sentence =
            asked->attribute ? task_draw_prompt(draws, PROMPT_ATTRIBUTE) : "<region>";
        prompt_fill(&question, sentence, NULL, region.text);
        conversation_add(&sample->conversation, CHAT_USER, question.text);
        conversation_add(&sample->conversation, CHAT_ASSISTANT,
                         asked->attribute ? object->attributes[0] : object->name);
    }
    sample->uses_image = true;
    if (n == 0) task_skip(sample, asked->attribute ? "no attributes" : "no objects");
out:
    free(order);
    text_release(&question);
    text_release(&region);
    return status;
}

static enum status make_label(struct task_sample *sample, const struct record *record,
                              const struct task_options *options, struct task_draws *draws)
{
    static const struct object_question asked = {.header = "<image>\n"};
    return make_objects(sample, record, options, draws, &asked);
}

static enum status make_coco(struct task_sample *sample, const struct record *record,
                             const struct task_options *options, struct task_draws *draws)
{
    static const struct object_question asked = {.header = COCO_HEADER};
    return make_objects(sample, record, options, draws, &asked);
}

static enum status make_attribute(struct task_sample *sample, const struct record *record,
                                  const struct task_options *options, struct task_draws *draws)
{
    static const struct object_question asked = {.header = "<image>\n", .attribute = true};
    return make_objects(sample, record, options, draws, &asked);
}

static enum status make_caption(struct task_sample *sample, const struct record *record,
                                const struct task_options *options, struct task_draws *draws)
{
    enum status status = OK;
    struct text_buffer question = {0}, region = {0};
    struct task_turn *turns, *references;
    int64_t n = task_turns(&turns, record, "caption", draws);
    int64_t n_references = task_turns(&references, record, "refexp", draws), n_asked = 0;
    turns = memory_resize(turns, (size_t)(n + n_references) + 1, sizeof *turns);
    for (int64_t i = 0; i < n_references; i++) turns[n++] = references[i];
    for (int64_t i = 0; i < n && n_asked < options->max_regions; i++) {
        if (turns[i].text->region < 0) continue;
        text_clear(&question);
        text_clear(&region);
        TRY(task_append_region(&region, sample, record, turns[i].text->region, options));
        text_append(&question, n_asked == 0 ? PROMPT_BEGIN : "");
        prompt_fill(&question, task_draw_prompt(draws, PROMPT_REGION_CAPTION), NULL, region.text);
        text_append(&question, PROMPT_SHORT_PHRASE);
        conversation_add(&sample->conversation, CHAT_USER, question.text);
        conversation_add(&sample->conversation, CHAT_ASSISTANT, turns[i].turn->answer);
        n_asked++;
    }
    sample->uses_image = true;
    if (n_asked == 0) task_skip(sample, "no caption of a region");
out:
    free(turns);
    free(references);
    text_release(&question);
    text_release(&region);
    return status;
}

const struct task task_region_label = {
    .name = "region_label",
    .purpose = "the name of each region, a question each",
    .max_regions = 20,
    .max_turns = 20,
    .make = make_label,
};
const struct task task_coco = {
    .name = "coco",
    .purpose = "region_label under the header of the reference's COCO data",
    .max_regions = 20,
    .max_turns = 20,
    .make = make_coco,
};
const struct task task_region_attribute = {
    .name = "region_attribute",
    .purpose = "the first attribute of each region (a colour, in the scenes), a question each",
    .max_regions = 20,
    .max_turns = 20,
    .make = make_attribute,
};
const struct task task_region_caption = {
    .name = "region_caption",
    .purpose = "a short caption of each region that has one",
    .max_regions = 3,
    .make = make_caption,
};
