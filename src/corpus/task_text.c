/* Sentences about the picture: referring expressions both ways, questions, conversations,
 * captions. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "corpus/task_markup.h"
#include "corpus/task_parts.h"

/* Turns about a region, at most max_turns; with box text off their regions, at most max_regions,
 * are added to the sample. */
static int64_t choose_expressions(struct task_sample *sample, struct task_turn *turns, int64_t n,
                                  const struct task_options *options)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < n && kept < options->max_turns; i++) {
        int64_t region = turns[i].text->region;
        if (region < 0) continue;
        const bool listed = !options->box_text && !options->compat.unlisted_regions;
        if (listed && task_place_of(sample, region) < 0) {
            if (sample->n_regions == options->max_regions) continue;
            task_add_region(sample, region);
        }
        turns[kept++] = turns[i];
    }
    return kept;
}

/* The candidates: the regions that are meant among others of the picture, in any order. */
static void add_candidates(struct task_sample *sample, const struct record *record,
                           const struct task_options *options, struct task_draws *draws)
{
    if (options->compat.unlisted_regions) { /* the first ones, whoever is meant */
        for (int64_t i = 0; i < record->n_regions && i < options->max_regions; i++)
            task_add_region(sample, i);
        return;
    }
    int64_t *others = task_order(draws, record->n_regions, true);
    for (int64_t i = 0; i < record->n_regions && sample->n_regions < options->max_regions; i++)
        if (task_place_of(sample, others[i]) < 0) task_add_region(sample, others[i]);
    int64_t *order = task_order(draws, sample->n_regions, true);
    for (int64_t i = 0; i < sample->n_regions; i++) others[i] = sample->regions[order[i]];
    memcpy(sample->regions, others, (size_t)sample->n_regions * sizeof *others);
    free(others);
    free(order);
}

/* How a region is named: its box as text, or its number in the list. */
static enum status append_reference(struct text_buffer *out, const struct task_sample *sample,
                                    const struct record *record, int64_t region,
                                    const struct task_options *options)
{
    enum status status = OK;
    if (options->box_text)
        TRY(task_append_box(out, record, region, options));
    else if (options->compat.unlisted_regions)
        text_printf(out, "region%lld", (long long)region + 1);
    else
        text_printf(out, "region%lld", (long long)task_place_of(sample, region) + 1);
out:
    return status;
}

static enum status make_expressions(struct task_sample *sample, const struct record *record,
                                    const struct task_options *options, struct task_draws *draws,
                                    bool reverse)
{
    enum status status = OK;
    struct text_buffer question = {0}, reference = {0};
    struct task_turn *turns;
    int64_t n = task_turns(&turns, record, "refexp", TURNS_DRAWN_ONCE, draws);
    n = choose_expressions(sample, turns, n, options);
    if (n > 0 && !options->box_text) add_candidates(sample, record, options, draws);
    /* With box text the boxes stand in the conversation; the picture's mask is the whole. */
    for (int64_t i = 0; i < n; i++) {
        text_clear(&question);
        text_clear(&reference);
        TRY(append_reference(&reference, sample, record, turns[i].text->region, options));
        const char *expression = turns[i].turn->answer;
        if (reverse) {
            const char *prompt = task_draw_prompt(draws, PROMPT_REGION_CAPTION);
            prompt_fill(&question, prompt, NULL, reference.text);
        } else {
            text_append(&question, task_draw_prompt(draws, PROMPT_GROUNDING));
            text_append(&question, expression);
        }
        if (i == 0)
            TRY(task_ask_first(sample, record, options, draws, question.text));
        else
            conversation_add(&sample->conversation, CHAT_USER, question.text);
        conversation_add(&sample->conversation, CHAT_ASSISTANT,
                         reverse ? expression : reference.text);
    }
    if (n == 0) task_skip(sample, "no referring expression");
out:
    free(turns);
    text_release(&question);
    text_release(&reference);
    return status;
}

static enum status make_refexp(struct task_sample *sample, const struct record *record,
                               const struct task_options *options, struct task_draws *draws)
{
    return make_expressions(sample, record, options, draws, false);
}

static enum status make_refexp_reverse(struct task_sample *sample, const struct record *record,
                                       const struct task_options *options, struct task_draws *draws)
{
    return make_expressions(sample, record, options, draws, true);
}

/* The number behind the "region" at `text`, which counts from 1, or 0. */
static int64_t mentioned(const char *text, size_t *length_out)
{
    size_t n = strlen("region");
    if (strncmp(text, "region", n) != 0) return 0;
    int64_t number = 0;
    for (; isdigit((unsigned char)text[n]) && number < RECORD_MAX_ITEMS; n++)
        number = number * 10 + (text[n] - '0');
    *length_out = n;
    return number;
}

/* Adds the regions that a text mentions; false where the record has none of that number. */
static bool add_mentioned(struct task_sample *sample, const struct record *record, const char *text)
{
    for (const char *at = text; (at = strstr(at, "region")); at++) {
        size_t length;
        int64_t number = mentioned(at, &length);
        if (number == 0) continue;
        if (number > record->n_regions) return false;
        if (task_place_of(sample, number - 1) < 0) task_add_region(sample, number - 1);
    }
    return true;
}

/* The text with regions numbered as the conversation lists them. */
static void renumber(struct text_buffer *out, const struct task_sample *sample, const char *text)
{
    for (const char *at; (at = strstr(text, "region"));) {
        size_t length;
        int64_t number = mentioned(at, &length);
        text_append_bytes(out, text, (size_t)(at - text));
        text = at + strlen("region");
        text_append(out, "region");
        if (number == 0) continue;
        text_printf(out, "%lld", (long long)task_place_of(sample, number - 1) + 1);
        text = at + length;
    }
    text_append(out, text);
}

/* Such questions belong to box_vqa and point_vqa. */
static bool holds_mark(const char *question)
{
    return markup_holds(question, "region") || markup_holds(question, "point");
}

static enum status make_turns(struct task_sample *sample, const struct record *record,
                              const struct task_options *options, struct task_draws *draws,
                              const char *kind)
{
    enum status status = OK;
    struct text_buffer question = {0}, answer = {0};
    struct task_turn *turns;
    const bool short_answers = strcmp(kind, "vqa") == 0;
    const int64_t n_all = task_turns(&turns, record, kind, TURNS_DRAWN, draws);
    int64_t n = 0;
    for (int64_t i = 0; i < n_all && n < options->max_turns; i++)
        if (!short_answers || !holds_mark(turns[i].turn->question)) turns[n++] = turns[i];
    const char *nothing = n == 0 ? "no question" : NULL;
    for (int64_t i = 0; i < n; i++)
        if (!add_mentioned(sample, record, turns[i].turn->question) ||
            !add_mentioned(sample, record, turns[i].turn->answer))
            nothing = "speaks of a region that it does not have";
    if (sample->n_regions > options->max_regions) nothing = "speaks of more regions than the limit";
    if (nothing != NULL) {
        task_skip(sample, nothing);
        goto out;
    }
    for (int64_t i = 0; i < n; i++) {
        text_clear(&question);
        text_clear(&answer);
        renumber(&question, sample, turns[i].turn->question);
        renumber(&answer, sample, turns[i].turn->answer);
        if (short_answers) text_append(&question, "\n" PROMPT_SHORT_ANSWER);
        if (i == 0 && record->image_size > 0)
            TRY(task_ask_first(sample, record, options, draws, text_of(&question)));
        else
            conversation_add(&sample->conversation, CHAT_USER, text_of(&question));
        conversation_add(&sample->conversation, CHAT_ASSISTANT, text_of(&answer));
    }
out:
    free(turns);
    text_release(&question);
    text_release(&answer);
    return status;
}

static enum status make_vqa(struct task_sample *sample, const struct record *record,
                            const struct task_options *options, struct task_draws *draws)
{
    return make_turns(sample, record, options, draws, "vqa");
}

static enum status make_conversation(struct task_sample *sample, const struct record *record,
                                     const struct task_options *options, struct task_draws *draws)
{
    return make_turns(sample, record, options, draws, "conversation");
}

static enum status make_caption(struct task_sample *sample, const struct record *record,
                                const struct task_options *options, struct task_draws *draws)
{
    enum status status = OK;
    struct task_turn *turns;
    int64_t n = task_turns(&turns, record, "caption", TURNS_DRAWN, draws), at = 0;
    while (at < n && turns[at].text->region >= 0) at++;
    if (at == n) {
        task_skip(sample, "no caption of the whole picture");
        goto out;
    }
    const char *question = turns[at].turn->question;
    if (!question[0]) question = task_draw_prompt(draws, PROMPT_CAPTION);
    TRY(task_ask_first(sample, record, options, draws, question));
    conversation_add(&sample->conversation, CHAT_ASSISTANT, turns[at].turn->answer);
out:
    free(turns);
    return status;
}

static enum status make_plain(struct task_sample *sample, const struct record *record,
                              const struct task_options *options, struct task_draws *draws)
{
    (void)options;
    struct task_turn *turns;
    const int64_t n = task_turns(&turns, record, "caption", TURNS_DRAWN, draws);
    int64_t at = 0;
    while (at < n && turns[at].text->region >= 0) at++;
    if (at == n || record->image_size == 0) {
        task_skip(sample, "no caption of the whole picture");
    } else {
        conversation_add(&sample->conversation, CHAT_USER, "<image>");
        task_answer(sample, turns[at].turn->answer);
        sample->uses_image = sample->plain = true;
    }
    free(turns);
    return OK;
}

const struct task task_refexp = {
    .name = "refexp",
    .purpose = "which region an expression means: its box, or its number in a list",
    .max_regions = 30,
    .max_turns = 10,
    .make = make_refexp,
};
const struct task task_refexp_reverse = {
    .name = "refexp_reverse",
    .purpose = "an expression for a box, or for a region of a list",
    .max_regions = 30,
    .max_turns = 10,
    .make = make_refexp_reverse,
};
const struct task task_vqa = {
    .name = "vqa",
    .purpose = "questions with a word or phrase as answer",
    .max_regions = 99,
    .max_turns = 10,
    .make = make_vqa,
};
const struct task task_conversation = {
    .name = "conversation",
    .purpose = "questions and answers as they stand in the record",
    .max_regions = 99,
    .max_turns = 10,
    .make = make_conversation,
};
const struct task task_plain_caption = {
    .name = "plain_caption",
    .purpose = "the picture and its caption, no words of a conversation round them",
    .max_regions = 1,
    .make = make_plain,
};
const struct task task_caption = {
    .name = "caption",
    .purpose = "the whole picture in words",
    .max_regions = 1,
    .make = make_caption,
};
