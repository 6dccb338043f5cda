/* One region at a time: its name, its name and attributes, a short caption. The alignment data of
 * the reference: each question is the region itself. */
#include <stdlib.h>
#include <string.h>

#include "corpus/task_parts.h"

#define LABEL_HEADER                                                                               \
    "<image>\nIn the conversation below, you simply answer the category name based on what you "   \
    "see in the imagery inside a particular region. I will give you only one region each time.\n"
#define ATTRIBUTES_HEADER                                                                          \
    "<image>\nIn the conversation below, you simply answer the category name and the attributes "  \
    "based on what you see in the imagery inside a particular region. I will give you only one "   \
    "region each time.\n"

static void write_answer(struct text_buffer *out, const struct record_object *object,
                         int64_t max_attributes)
{
    text_clear(out);
    text_append(out, object->name);
    for (int64_t a = 0; a < task_smaller(object->n_attributes, max_attributes); a++)
        text_printf(out, "%s%s", a ? ", " : " is ", object->attributes[a]);
}

static enum status make_labels(struct task_sample *sample, const struct record *record,
                               const struct task_options *options, struct task_draws *draws,
                               const char *header)
{
    enum status status = OK;
    struct text_buffer question = {0}, answer = {0};
    int64_t *order = task_order(draws, record->n_objects, false);
    int64_t n = task_smaller(record->n_objects, options->max_regions);
    for (int64_t i = 0; i < n; i++) {
        const struct record_object *object = &record->objects[order[i]];
        text_clear(&question);
        text_append(&question, i == 0 ? header : "");
        TRY(task_append_region(&question, sample, record, object->region, options));
        write_answer(&answer, object, options->max_attributes);
        conversation_add(&sample->conversation, CHAT_USER, question.text);
        conversation_add(&sample->conversation, CHAT_ASSISTANT, text_of(&answer));
    }
    sample->uses_image = true;
    if (n == 0) task_skip(sample, "no objects");
out:
    free(order);
    text_release(&question);
    text_release(&answer);
    return status;
}

static enum status make_label(struct task_sample *sample, const struct record *record,
                              const struct task_options *options, struct task_draws *draws)
{
    struct task_options names = *options;
    names.max_attributes = 0;
    return make_labels(sample, record, &names, draws, LABEL_HEADER);
}

static enum status make_attributes(struct task_sample *sample, const struct record *record,
                                   const struct task_options *options, struct task_draws *draws)
{
    return make_labels(sample, record, options, draws, ATTRIBUTES_HEADER);
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
    .make = make_label,
};
const struct task task_region_attributes = {
    .name = "region_attributes",
    .purpose = "the name and attributes of each region, a question each",
    .max_regions = 20,
    .max_attributes = 5,
    .make = make_attributes,
};
const struct task task_region_caption = {
    .name = "region_caption",
    .purpose = "a short caption of each region that has one",
    .max_regions = 3,
    .make = make_caption,
};
