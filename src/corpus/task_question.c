/* Questions about the whole picture: with boxes or points in them, with choices, about a statement;
 * and captions and reasoning that name boxes. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "corpus/task_markup.h"
#include "corpus/task_parts.h"

/* Questions of kind "vqa" that hold a mark of this word; one conversation. */
static enum status make_marked(struct task_sample *sample, const struct record *record,
                               const struct task_options *options, struct task_draws *draws,
                               const char *word)
{
    enum status status = OK;
    struct text_buffer question = {0};
    struct task_turn *turns;
    const int64_t n = task_turns(&turns, record, "vqa", TURNS_DRAWN, draws);
    int64_t n_asked = 0;
    for (int64_t i = 0; i < n && n_asked < options->max_turns; i++) {
        if (!markup_holds(turns[i].turn->question, word)) continue;
        text_clear(&question);
        TRY(markup_write(&question, turns[i].turn->question, MARKUP_BOXES, sample, record,
                         options));
        text_append(&question, "\n" PROMPT_SHORT_ANSWER);
        TRY(task_ask(sample, record, options, draws, question.text));
        task_answer(sample, turns[i].turn->answer);
        n_asked++;
    }
    if (n_asked == 0) task_skip(sample, "no question with a mark of that kind");
out:
    free(turns);
    text_release(&question);
    return status;
}

static enum status make_box_vqa(struct task_sample *sample, const struct record *record,
                                const struct task_options *options, struct task_draws *draws)
{
    return make_marked(sample, record, options, draws, "region");
}

static enum status make_point_vqa(struct task_sample *sample, const struct record *record,
                                  const struct task_options *options, struct task_draws *draws)
{
    return make_marked(sample, record, options, draws, "point");
}

/* The texts of a kind, in the order of the record; NULL when there are no more. */
static const struct record_text *next_text(const struct record *record, const char *kind,
                                           int64_t *at)
{
    while (*at < record->n_texts) {
        const struct record_text *text = &record->texts[(*at)++];
        if (strcmp(text->task, kind) == 0) return text;
    }
    return NULL;
}

/* "\nA. first\nB. second", places in the order given (NULL: as they stand). */
static enum status append_choices(struct text_buffer *out, const struct record_turn *turn,
                                  const int64_t *order, struct task_sample *sample,
                                  const struct record *record, const struct task_options *options)
{
    enum status status = OK;
    if (turn->n_choices > TASK_MAX_CHOICES)
        FAIL(ERR_LIMIT, "a question has %lld choices; there are letters for %d",
             (long long)turn->n_choices, TASK_MAX_CHOICES);
    for (int64_t i = 0; i < turn->n_choices; i++) {
        text_printf(out, "\n%c. ", (char)('A' + i));
        TRY(markup_write(out, turn->choices[order ? order[i] : i], MARKUP_BOXES, sample, record,
                         options));
    }
out:
    return status;
}

enum status task_append_choices(struct text_buffer *out, const struct record_turn *turn,
                                struct task_sample *sample, const struct record *record,
                                const struct task_options *options)
{
    enum status status = OK;
    TRY(append_choices(out, turn, NULL, sample, record, options));
    text_append(out, "\n" PROMPT_LETTER);
out:
    return status;
}

static enum status make_choices(struct task_sample *sample, const struct record *record,
                                const struct task_options *options, struct task_draws *draws,
                                bool of_regions)
{
    enum status status = OK;
    struct text_buffer question = {0};
    int64_t *order = NULL, at = 0, n_asked = 0;
    for (const struct record_text *text; (text = next_text(record, "choice", &at));) {
        const struct record_turn *turn = &text->turns[0];
        if (turn->n_choices == 0 || n_asked == options->max_turns) continue;
        if (markup_holds(turn->choices[0], "region") != of_regions) continue;
        text_clear(&question);
        free(order);
        order = of_regions ? task_order(draws, turn->n_choices, true) : NULL;
        if (of_regions) text_append(&question, task_draw_prompt(draws, PROMPT_REGION_CHOICE));
        TRY(markup_write(&question, turn->question, MARKUP_BOXES, sample, record, options));
        TRY(append_choices(&question, turn, order, sample, record, options));
        text_append(&question, "\n" PROMPT_LETTER);
        int64_t right = turn->choice;
        for (int64_t i = 0; i < turn->n_choices && order; i++)
            if (order[i] == turn->choice) right = i;
        const char letter[2] = {(char)('A' + right), '\0'};
        TRY(task_ask(sample, record, options, draws, question.text));
        task_answer(sample, letter);
        n_asked++;
    }
    if (n_asked == 0) task_skip(sample, "no question with choices of that kind");
out:
    free(order);
    text_release(&question);
    return status;
}

static enum status make_choice(struct task_sample *sample, const struct record *record,
                               const struct task_options *options, struct task_draws *draws)
{
    return make_choices(sample, record, options, draws, false);
}

static enum status make_region_choice(struct task_sample *sample, const struct record *record,
                                      const struct task_options *options, struct task_draws *draws)
{
    return make_choices(sample, record, options, draws, true);
}

/* All regions in the order of the record: texts speak of them by number. */
static enum status list_all(struct task_sample *sample, const struct record *record,
                            const struct task_options *options)
{
    const int64_t n = task_smaller(record->n_regions, options->max_regions);
    for (int64_t i = 0; i < n; i++) task_add_region(sample, i);
    return OK;
}

/* The largest N of a regionN in the text. */
static int64_t largest_mentioned(const char *text)
{
    int64_t largest = 0;
    for (const char *at = text; (at = strstr(at, "region"));) {
        at += strlen("region");
        int64_t number = 0;
        for (; isdigit((unsigned char)*at) && number < RECORD_MAX_ITEMS; at++)
            number = number * 10 + (*at - '0');
        if (number > largest) largest = number;
    }
    return largest;
}

static enum status ask_vcr(struct task_sample *sample, const struct record *record,
                           const struct task_options *options, struct task_draws *draws,
                           const struct record_text *text, bool choices)
{
    enum status status = OK;
    struct text_buffer question = {0}, answer = {0};
    for (int64_t t = 0; t < text->n_turns && t < options->max_turns; t++) {
        const struct record_turn *turn = &text->turns[t];
        text_clear(&question);
        text_clear(&answer);
        text_append(&question, t == 0 ? turn->question : task_draw_prompt(draws, PROMPT_WHY));
        if (choices) {
            TRY(task_append_choices(&question, turn, sample, record, options));
            text_printf(&answer, "%c. ", (char)('A' + turn->choice));
        }
        text_append(&answer, turn->answer);
        TRY(task_ask(sample, record, options, draws, question.text));
        task_answer(sample, text_of(&answer));
    }
out:
    text_release(&question);
    text_release(&answer);
    return status;
}

static enum status make_commonsense(struct task_sample *sample, const struct record *record,
                                    const struct task_options *options, struct task_draws *draws,
                                    bool choices)
{
    enum status status = OK;
    struct task_turn *turns;
    const int64_t n = task_turns(&turns, record, "vcr", TURNS_IN_ORDER, draws);
    int64_t at = 0, largest = 0;
    const struct record_text *text = next_text(record, "vcr", &at);
    for (int64_t i = 0; i < n; i++) {
        largest = task_larger(largest, largest_mentioned(turns[i].turn->question));
        largest = task_larger(largest, largest_mentioned(turns[i].turn->answer));
        for (int64_t c = 0; c < turns[i].turn->n_choices && choices; c++)
            largest = task_larger(largest, largest_mentioned(turns[i].turn->choices[c]));
    }
    if (text == NULL || (choices && text->turns[0].n_choices == 0)) {
        task_skip(sample, "no question of that kind");
        goto out;
    }
    if (largest > options->max_regions && !options->compat.unlisted_regions) {
        task_skip(sample, "speaks of a region beyond the limit");
        goto out;
    }
    TRY(list_all(sample, record, options));
    for (; text != NULL; text = next_text(record, "vcr", &at))
        TRY(ask_vcr(sample, record, options, draws, text, choices));
out:
    free(turns);
    return status;
}

static enum status make_vcr(struct task_sample *sample, const struct record *record,
                            const struct task_options *options, struct task_draws *draws)
{
    return make_commonsense(sample, record, options, draws, false);
}

static enum status make_vcr_choice(struct task_sample *sample, const struct record *record,
                                   const struct task_options *options, struct task_draws *draws)
{
    return make_commonsense(sample, record, options, draws, true);
}

static enum status make_grounded_caption(struct task_sample *sample, const struct record *record,
                                         const struct task_options *options,
                                         struct task_draws *draws)
{
    enum status status = OK;
    struct text_buffer answer = {0};
    struct task_turn *turns;
    const int64_t n = task_turns(&turns, record, "grounded", TURNS_IN_ORDER, draws);
    for (int64_t i = 0; i < n && i < options->max_turns; i++) {
        text_clear(&answer);
        TRY(markup_write(&answer, turns[i].turn->answer, MARKUP_BOXES, sample, record, options));
        TRY(task_ask(sample, record, options, draws,
                     task_draw_prompt(draws, PROMPT_GROUNDED_CAPTION)));
        task_answer(sample, text_of(&answer));
    }
    if (n == 0) task_skip(sample, "no grounded caption");
out:
    free(turns);
    text_release(&answer);
    return status;
}

static enum status make_grounded_vqa(struct task_sample *sample, const struct record *record,
                                     const struct task_options *options, struct task_draws *draws)
{
    enum status status = OK;
    struct text_buffer question = {0}, answer = {0};
    int64_t at = 0, n = 0;
    for (const struct record_text *text; (text = next_text(record, "cot", &at));) {
        if (text->n_turns != 2 || n == options->max_turns) continue;
        text_clear(&question);
        text_clear(&answer);
        text_printf(&question, "%s\n%s", text->turns[0].question,
                    task_draw_prompt(draws, PROMPT_GROUNDED_REASONING));
        TRY(markup_write(&answer, text->turns[0].answer, MARKUP_BOXES, sample, record, options));
        text_printf(&answer, "\nAnswer: %s", text->turns[1].answer);
        TRY(task_ask(sample, record, options, draws, question.text));
        task_answer(sample, answer.text);
        n++;
    }
    if (n == 0) task_skip(sample, "no question with its reasoning");
out:
    text_release(&question);
    text_release(&answer);
    return status;
}

const struct task task_box_vqa = {
    .name = "box_vqa",
    .purpose = "questions with the box of a region in them, a word or phrase as answer",
    .max_regions = 99,
    .max_turns = 10,
    .make = make_box_vqa,
};
const struct task task_point_vqa = {
    .name = "point_vqa",
    .purpose = "questions with a point in them, a word or phrase as answer",
    .max_regions = 99,
    .max_turns = 10,
    .make = make_point_vqa,
};
const struct task task_choice = {
    .name = "choice",
    .purpose = "questions with choices; the answer is a letter",
    .max_regions = 99,
    .max_turns = 10,
    .make = make_choice,
};
const struct task task_region_choice = {
    .name = "region_choice",
    .purpose = "which of some boxes answers a question; the answer is a letter",
    .max_regions = 99,
    .max_turns = 10,
    .make = make_region_choice,
};
const struct task task_vcr = {
    .name = "vcr",
    .purpose = "questions about people and things given as regions, and why",
    .max_regions = 40,
    .max_turns = 2,
    .make = make_vcr,
};
const struct task task_vcr_choice = {
    .name = "vcr_choice",
    .purpose = "the same with choices",
    .max_regions = 40,
    .max_turns = 2,
    .make = make_vcr_choice,
};
const struct task task_grounded_caption = {
    .name = "grounded_caption",
    .purpose = "a caption with the boxes of what it mentions",
    .max_regions = 99,
    .max_turns = 10,
    .make = make_grounded_caption,
};
const struct task task_grounded_vqa = {
    .name = "grounded_vqa",
    .purpose = "a question, reasoning with the boxes of what it mentions, the answer",
    .max_regions = 99,
    .max_turns = 10,
    .make = make_grounded_vqa,
};
