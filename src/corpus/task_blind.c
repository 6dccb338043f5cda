/* Questions to a model that sees no picture, only a scene graph in words, or nothing. */
#include <stdlib.h>
#include <string.h>

#include "corpus/task_markup.h"
#include "corpus/task_parts.h"

/* The graph before the first question. */
static enum status ask_blind(struct text_buffer *question, struct task_sample *sample,
                             const struct record *record, const struct task_options *options,
                             const char *asked, bool graph)
{
    enum status status = OK;
    text_clear(question);
    if (graph && sample->conversation.n_turns == 0) {
        TRY(task_write_graph(question, record, options));
        text_append_char(question, '\n');
    }
    text_append(question, asked);
out:
    return status;
}

static enum status make_words(struct task_sample *sample, const struct record *record,
                              const struct task_options *options, struct task_draws *draws,
                              bool graph)
{
    enum status status = OK;
    struct text_buffer question = {0};
    struct task_turn *turns;
    const int64_t n = task_turns(&turns, record, "vqa", TURNS_DRAWN, draws);
    int64_t n_asked = 0;
    for (int64_t i = 0; i < n && n_asked < options->max_turns; i++) {
        const char *asked = turns[i].turn->question;
        if (markup_holds(asked, "region") || markup_holds(asked, "point")) continue;
        TRY(ask_blind(&question, sample, record, options, asked, graph));
        text_append(&question, "\n" PROMPT_SHORT_ANSWER);
        conversation_add(&sample->conversation, CHAT_USER, question.text);
        task_answer(sample, turns[i].turn->answer);
        n_asked++;
    }
    if (n_asked == 0)
        task_skip(sample, "no question");
    else if (graph && record->n_objects == 0)
        task_skip(sample, "no objects");
out:
    free(turns);
    text_release(&question);
    return status;
}

static enum status make_blind_vqa(struct task_sample *sample, const struct record *record,
                                  const struct task_options *options, struct task_draws *draws)
{
    return make_words(sample, record, options, draws, true);
}

static enum status make_blind_question(struct task_sample *sample, const struct record *record,
                                       const struct task_options *options, struct task_draws *draws)
{
    return make_words(sample, record, options, draws, false);
}

static enum status make_blind_choice(struct task_sample *sample, const struct record *record,
                                     const struct task_options *options, struct task_draws *draws)
{
    enum status status = OK;
    struct text_buffer question = {0};
    struct task_turn *turns;
    const int64_t n = task_turns(&turns, record, "choice", TURNS_DRAWN, draws);
    int64_t n_asked = 0;
    for (int64_t i = 0; i < n && n_asked < options->max_turns; i++) {
        const struct record_turn *turn = turns[i].turn;
        if (turn->n_choices == 0 || markup_holds(turn->choices[0], "region")) continue;
        TRY(ask_blind(&question, sample, record, options, turn->question, true));
        TRY(task_append_choices(&question, turn, sample, record, options));
        const char letter[2] = {(char)('A' + turn->choice), '\0'};
        conversation_add(&sample->conversation, CHAT_USER, question.text);
        task_answer(sample, letter);
        n_asked++;
    }
    if (n_asked == 0)
        task_skip(sample, "no question with choices");
    else if (record->n_objects == 0)
        task_skip(sample, "no objects");
out:
    free(turns);
    text_release(&question);
    return status;
}

const struct task task_blind_vqa = {
    .name = "blind_vqa",
    .purpose = "no picture: questions about a scene graph in words, a word or phrase as answer",
    .max_regions = 99,
    .max_relations = 5,
    .max_attributes = 5,
    .max_turns = 10,
    .make = make_blind_vqa,
};
const struct task task_blind_choice = {
    .name = "blind_choice",
    .purpose = "no picture: the same with choices",
    .max_regions = 99,
    .max_relations = 5,
    .max_attributes = 5,
    .max_turns = 10,
    .make = make_blind_choice,
};
const struct task task_blind_question = {
    .name = "blind_question",
    .purpose = "no picture and no graph: what the words of a question alone give away",
    .max_regions = 1,
    .max_turns = 10,
    .make = make_blind_question,
};
