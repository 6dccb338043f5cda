/* One region at a time, inside its question: its name, its first attribute, a short caption. */
#include <stdlib.h>
#include <string.h>

#include "corpus/task_parts.h"

/* How an object is asked about: `header` before the first question, the region alone or in a
 * sentence, and the answer. */
enum object_answer { ANSWER_NAME, ANSWER_FIRST_ATTRIBUTE, ANSWER_NAME_AND_ATTRIBUTES };
struct object_question {
    const char *header;
    enum object_answer answer; /* objects without an attribute asked for are left out */
};

static void write_answer(struct text_buffer *out, const struct record_object *object,
                         enum object_answer answer, int64_t max_attributes)
{
    const int64_t n = task_smaller(object->n_attributes, max_attributes);
    text_append(out, answer == ANSWER_FIRST_ATTRIBUTE ? object->attributes[0] : object->name);
    for (int64_t a = 0; a < n && answer == ANSWER_NAME_AND_ATTRIBUTES; a++)
        text_printf(out, "%s%s", a == 0 ? " that is " : ",", object->attributes[a]);
}

static enum status make_objects(struct task_sample *sample, const struct record *record,
                                const struct task_options *options, struct task_draws *draws,
                                const struct object_question *asked)
{
    enum status status = OK;
    struct text_buffer question = {0}, region = {0}, answer = {0};
    int64_t *order = task_order(draws, record->n_objects, false);
    int64_t limit = task_smaller(options->max_regions, options->max_turns), n = 0;
    const bool attribute = asked->answer == ANSWER_FIRST_ATTRIBUTE;
    for (int64_t i = 0; i < record->n_objects && n < limit; i++) {
        const struct record_object *object = &record->objects[order[i]];
        if (attribute && object->n_attributes == 0) continue;
        text_clear(&question);
        text_clear(&region);
        text_clear(&answer);
        TRY(task_append_region(&region, sample, record, object->region, options));
        text_append(&question, n++ == 0 ? asked->header : "");
        const char *sentence = attribute ? task_draw_prompt(draws, PROMPT_ATTRIBUTE) : "<region>";
        prompt_fill(&question, sentence, NULL, region.text);
        write_answer(&answer, object, asked->answer, options->max_attributes);
        conversation_add(&sample->conversation, CHAT_USER, question.text);
        task_answer(sample, answer.text);
    }
    sample->uses_image = true;
    if (n == 0) task_skip(sample, attribute ? "no attributes" : "no objects");
out:
    free(order);
    text_release(&question);
    text_release(&region);
    text_release(&answer);
    return status;
}

static enum status make_under_header(struct task_sample *sample, const struct record *record,
                                     const struct task_options *options, struct task_draws *draws,
                                     enum prompt_header header)
{
    const struct object_question asked = {
        .header = prompt_header(header),
        .answer = header == HEADER_PACO ? ANSWER_NAME_AND_ATTRIBUTES : ANSWER_NAME};
    return make_objects(sample, record, options, draws, &asked);
}

static enum status make_label(struct task_sample *sample, const struct record *record,
                              const struct task_options *options, struct task_draws *draws)
{
    static const struct object_question asked = {.header = "<image>\n"};
    return make_objects(sample, record, options, draws, &asked);
}

static enum status make_attribute(struct task_sample *sample, const struct record *record,
                                  const struct task_options *options, struct task_draws *draws)
{
    static const struct object_question asked = {.header = "<image>\n",
                                                 .answer = ANSWER_FIRST_ATTRIBUTE};
    return make_objects(sample, record, options, draws, &asked);
}

static enum status make_coco(struct task_sample *sample, const struct record *record,
                             const struct task_options *options, struct task_draws *draws)
{
    return make_under_header(sample, record, options, draws, HEADER_COCO);
}

static enum status make_part_imagenet(struct task_sample *sample, const struct record *record,
                                      const struct task_options *options, struct task_draws *draws)
{
    return make_under_header(sample, record, options, draws, HEADER_PART_IMAGENET);
}

static enum status make_pascal_part(struct task_sample *sample, const struct record *record,
                                    const struct task_options *options, struct task_draws *draws)
{
    return make_under_header(sample, record, options, draws, HEADER_PASCAL_PART);
}

static enum status make_paco(struct task_sample *sample, const struct record *record,
                             const struct task_options *options, struct task_draws *draws)
{
    return make_under_header(sample, record, options, draws, HEADER_PACO);
}

/* Questions about regions that have texts: `header` before the first, `prompts` (PROMPT_KINDS: the
 * region alone), `behind` after each. */
struct text_question {
    const char *header;
    enum prompt_kind prompts;
    const char *behind;
    bool drawn_anew; /* the prompt, for every access */
    const struct task_turn *turns;
    int64_t n_turns;
};

static enum status make_texts(struct task_sample *sample, const struct record *record,
                              const struct task_options *options, struct task_draws *draws,
                              const struct text_question *asked)
{
    enum status status = OK;
    struct text_buffer question = {0}, region = {0};
    int64_t n_asked = 0, limit = task_smaller(options->max_regions, options->max_turns);
    const struct task_turn *turns = asked->turns;
    for (int64_t i = 0; i < asked->n_turns && n_asked < limit; i++) {
        if (turns[i].text->region < 0 || turns[i].turn->answer[0] == '\0') continue;
        text_clear(&question);
        text_clear(&region);
        TRY(task_append_region(&region, sample, record, turns[i].text->region, options));
        text_append(&question, n_asked++ == 0 ? asked->header : "");
        const char *sentence = asked->prompts == PROMPT_KINDS ? "<region>"
                               : asked->drawn_anew ? task_draw_prompt_anew(draws, asked->prompts)
                                                   : task_draw_prompt(draws, asked->prompts);
        prompt_fill(&question, sentence, NULL, region.text);
        text_append(&question, asked->behind);
        conversation_add(&sample->conversation, CHAT_USER, question.text);
        task_answer(sample, turns[i].turn->answer);
    }
    sample->uses_image = true;
    if (n_asked == 0) task_skip(sample, "no text about a region");
out:
    text_release(&question);
    text_release(&region);
    return status;
}

static enum status make_caption(struct task_sample *sample, const struct record *record,
                                const struct task_options *options, struct task_draws *draws)
{
    struct task_turn *turns, *references;
    int64_t n = task_turns(&turns, record, "caption", TURNS_DRAWN, draws);
    int64_t n_references = task_turns(&references, record, "refexp", TURNS_DRAWN, draws);
    turns = memory_resize(turns, (size_t)(n + n_references) + 1, sizeof *turns);
    for (int64_t i = 0; i < n_references; i++) turns[n++] = references[i];
    const struct text_question asked = {
        PROMPT_BEGIN, PROMPT_REGION_CAPTION, PROMPT_SHORT_PHRASE, true, turns, n};
    const enum status status = make_texts(sample, record, options, draws, &asked);
    free(turns);
    free(references);
    return status;
}

static enum status make_refcoco(struct task_sample *sample, const struct record *record,
                                const struct task_options *options, struct task_draws *draws)
{
    struct task_turn *turns;
    const int64_t n = task_turns(&turns, record, "refexp", TURNS_DRAWN, draws);
    const struct text_question asked = {
        prompt_header(HEADER_REFCOCO), PROMPT_KINDS, "", false, turns, n};
    const enum status status = make_texts(sample, record, options, draws, &asked);
    free(turns);
    return status;
}

/* What the release keeps of a description: of its first line what stands behind the last ">: ". */
static char *first_line(const char *text)
{
    char *line = text_copy(text);
    line[strcspn(line, "\n")] = '\0';
    const char *begin = line;
    for (const char *at = line; (at = strstr(at, ">: ")); at++) begin = at + strlen(">: ");
    memmove(line, begin, strlen(begin) + 1);
    return line;
}

static enum status make_detailed(struct task_sample *sample, const struct record *record,
                                 const struct task_options *options, struct task_draws *draws)
{
    struct task_turn *turns;
    int64_t n = task_turns(&turns, record, "description", TURNS_IN_ORDER, draws);
    struct record_turn *cut = memory_new((size_t)n + 1, sizeof *cut);
    for (int64_t i = 0; i < n && options->compat.description_line; i++) {
        cut[i] = (struct record_turn){.answer = first_line(turns[i].turn->answer)};
        turns[i].turn = &cut[i];
    }
    const struct text_question asked = {
        PROMPT_BEGIN, PROMPT_DETAILED_DESCRIPTION, "", false, turns, n};
    const enum status status = make_texts(sample, record, options, draws, &asked);
    for (int64_t i = 0; i < n; i++) free(cut[i].answer);
    free(cut);
    free(turns);
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
const struct task task_part_imagenet = {
    .name = "part_imagenet",
    .purpose = "region_label under the header of PartImageNet",
    .max_regions = 15,
    .max_turns = 15,
    .make = make_part_imagenet,
};
const struct task task_pascal_part = {
    .name = "pascal_part",
    .purpose = "region_label under the header of Pascal-Part",
    .max_regions = 15,
    .max_turns = 15,
    .make = make_pascal_part,
};
const struct task task_paco = {
    .name = "paco",
    .purpose = "name and attributes of each region under the header of PACO",
    .max_regions = 15,
    .max_attributes = 1000,
    .max_turns = 15,
    .make = make_paco,
};
const struct task task_refcoco = {
    .name = "refcoco",
    .purpose = "expressions for regions under the header of RefCOCO",
    .max_regions = 15,
    .max_turns = 15,
    .make = make_refcoco,
};
const struct task task_refcoco_plus = {
    .name = "refcoco_plus",
    .purpose = "expressions for regions under the header of RefCOCO+",
    .max_regions = 15,
    .max_turns = 15,
    .make = make_refcoco,
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
    .max_turns = 3,
    .make = make_caption,
};
const struct task task_detailed_description = {
    .name = "detailed_description",
    .purpose = "a region inside each question, described in detail",
    .max_regions = 99,
    .max_turns = 99,
    .make = make_detailed,
};
