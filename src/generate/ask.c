/* Requests from questions: prompts in the words of the reference, one branch for each thing
 * asked. */
#include "generate/ask.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/text_buffer.h"
#include "text/prompts.h"

const char *const ask_mode_names[N_ASK_MODES] = {"holistic", "per_object", "detection",
                                                 "refexp",   "question",   "yes_no"};

struct ask_options ask_options_default(enum ask_mode mode)
{
    static const int64_t max_tokens[N_ASK_MODES] = {
        [ASK_HOLISTIC] = 2048, [ASK_PER_OBJECT] = 256, [ASK_DETECTION] = 2048,
        [ASK_REFEXP] = 64,     [ASK_QUESTION] = 256,   [ASK_YES_NO] = 8};
    return (struct ask_options){.mode = mode, .max_tokens = max_tokens[mode], .top_p = 1};
}

static bool has_questions(enum ask_mode mode)
{
    return mode == ASK_REFEXP || mode == ASK_QUESTION || mode == ASK_YES_NO;
}

/* The question lists of the mode, and how the answer looks. */
static const struct {
    enum prompt_kind released, trained; /* of the first turn; text 0 */
    enum answer_format format;
} modes[N_ASK_MODES] = {
    [ASK_HOLISTIC] = {PROMPT_SCENE_GRAPH_DETAILED, PROMPT_SCENE_GRAPH, ANSWER_GRAPH},
    [ASK_PER_OBJECT] = {PROMPT_DESCRIPTION, PROMPT_DESCRIPTION, ANSWER_FREE},
    [ASK_DETECTION] = {PROMPT_SCENE_GRAPH_DETECTION, PROMPT_SCENE_GRAPH_DETECTION,
                       ANSWER_DETECTION},
    [ASK_REFEXP] = {PROMPT_GROUNDING, PROMPT_GROUNDING, ANSWER_BOXES},
    [ASK_QUESTION] = {PROMPT_KINDS, PROMPT_KINDS, ANSWER_FREE},
    [ASK_YES_NO] = {PROMPT_KINDS, PROMPT_KINDS, ANSWER_YES_NO},
};

/* The whole of a request's own memory. */
struct made { /* zeroed is releasable */
    struct conversation *prompts;
    struct engine_branch *branches;
    struct engine_turn *turns; /* two for each branch */
    char **later;              /* second questions */
    int64_t n;
    struct rle whole; /* mask of the whole picture */
};

static void made_release(struct made *made)
{
    for (int64_t b = 0; b < made->n; b++) {
        conversation_release(&made->prompts[b]);
        free(made->later[b]);
    }
    free(made->prompts);
    free(made->branches);
    free(made->turns);
    free(made->later);
    rle_release(&made->whole);
}

/* The question of branch `index`, to free(). */
static char *first_question(const struct ask *ask, const struct ask_options *options, int64_t index)
{
    const enum prompt_kind kind = options->wording == ASK_AS_RELEASED
                                      ? modes[options->mode].released
                                      : modes[options->mode].trained;
    const char *text = kind == PROMPT_KINDS ? "" : prompt_list(kind).texts[0];
    if (has_questions(options->mode)) return text_format("%s%s", text, ask->questions[index]);
    struct text_buffer filled = {0};
    char *region = text_format("region%" PRId64, index + 1);
    prompt_fill(&filled, text, region, NULL);
    free(region);
    return text_take(&filled);
}

static char *relations_question(int64_t region)
{
    struct text_buffer filled = {0};
    char *name = text_format("region%" PRId64, region);
    prompt_fill(&filled, prompt_list(PROMPT_RELATIONS).texts[0], name, NULL);
    free(name);
    return text_take(&filled);
}

static enum status make_prompt(struct conversation *prompt, const struct ask *ask,
                               const struct ask_options *options, int64_t index)
{
    enum status status = OK;
    struct text_buffer message = {0};
    const struct box_format format = {
        .bounds = options->wording == ASK_AS_RELEASED ? BOX_BOUNDS_KEEP : BOX_BOUNDS_CLIP};
    const struct region_list list = {.n = ask->n_regions,
                                     .boxes = options->box_text ? ask->boxes : NULL,
                                     .width = ask->width,
                                     .height = ask->height,
                                     .format = &format};
    char *question = first_question(ask, options, index);
    if (ask->picture.bytes != NULL)
        TRY(prompt_first_message(&message, ask->n_regions > 0 ? &list : NULL, 0, question,
                                 options->wording == ASK_AS_RELEASED));
    else
        text_append(&message, question);
    conversation_add(prompt, CHAT_USER, text_of(&message));
out:
    free(question);
    text_release(&message);
    return status;
}

static enum status make_branch(struct made *made, const struct ask *ask,
                               const struct ask_options *options, int64_t index)
{
    enum status status = OK;
    struct engine_branch *branch = &made->branches[index];
    struct engine_turn *turns = made->turns + 2 * index;
    const struct engine_turn turn = {.constrained = options->constrained,
                                     .max_tokens = options->max_tokens,
                                     .goes_on = options->goes_on,
                                     .temperature = options->temperature,
                                     .top_p = options->top_p,
                                     .format = modes[options->mode].format};
    const bool regions = options->mode == ASK_PER_OBJECT;
    TRY(make_prompt(&made->prompts[index], ask, options, index));
    turns[0] = turns[1] = turn;
    *branch =
        (struct engine_branch){.object = regions || has_questions(options->mode) ? index + 1 : 0,
                               .prompt = &made->prompts[index],
                               .turns = turns,
                               .n_turns = regions ? 2 : 1};
    if (!regions) goto out;
    made->later[index] = relations_question(index + 1);
    turns[1].question = made->later[index];
    turns[1].format = ANSWER_RELATIONS;
out:
    return status;
}

static enum status check(const struct tokenizer *tokenizer, const struct ask *ask,
                         const struct ask_options *options)
{
    enum status status = OK;
    if (has_questions(options->mode) && ask->n_questions < 1)
        FAIL(ERR_ARGUMENT, "%s: mode %s needs questions", ask->id, ask_mode_names[options->mode]);
    if (!has_questions(options->mode) && ask->n_questions > 0)
        FAIL(ERR_ARGUMENT, "%s: mode %s asks its own question", ask->id,
             ask_mode_names[options->mode]);
    if (options->mode == ASK_PER_OBJECT && ask->n_regions < 1)
        FAIL(ERR_ARGUMENT, "%s: mode per_object needs regions", ask->id);
    if (options->mode == ASK_DETECTION && ask->n_regions > 0)
        FAIL(ERR_ARGUMENT, "%s: mode detection finds regions itself; give none", ask->id);
    if (ask->n_regions > 0 && options->box_text && ask->boxes == NULL)
        FAIL(ERR_ARGUMENT, "%s: boxes are to be written but there are none", ask->id);
    for (int64_t q = 0; q < ask->n_questions; q++) {
        const char *added =
            tokenizer_find_added(tokenizer, ask->questions[q], strlen(ask->questions[q]));
        if (added != NULL)
            FAIL(ERR_FORMAT, "%s: question %" PRId64 " holds the control token %s", ask->id, q + 1,
                 added);
    }
out:
    return status;
}

enum status ask_submit(struct engine *engine, const struct tokenizer *tokenizer,
                       const struct ask *ask, const struct ask_options *options)
{
    enum status status = OK;
    struct made made = {0};
    TRY(check(tokenizer, ask, options));
    made.n = options->mode == ASK_PER_OBJECT ? ask->n_regions
             : has_questions(options->mode)  ? ask->n_questions
                                             : 1;
    made.prompts = memory_new((size_t)made.n, sizeof *made.prompts);
    made.branches = memory_new((size_t)made.n, sizeof *made.branches);
    made.turns = memory_new(2 * (size_t)made.n, sizeof *made.turns);
    made.later = memory_new((size_t)made.n, sizeof *made.later);
    for (int64_t b = 0; b < made.n; b++) TRY(make_branch(&made, ask, options, b));
    const struct box all = {0, 0, (double)ask->width, (double)ask->height};
    const bool whole = ask->picture.bytes != NULL && ask->n_regions == 0;
    if (whole) TRY(rle_from_box(&made.whole, all, ask->height, ask->width));
    const struct engine_request request = {.tag = ask->tag,
                                           .id = ask->id,
                                           .picture = ask->picture,
                                           .masks = whole ? &made.whole : ask->masks,
                                           .n_masks = whole ? 1 : ask->n_regions,
                                           .branches = made.branches,
                                           .n_branches = made.n};
    TRY(engine_submit(engine, &request));
out:
    made_release(&made);
    return status;
}
