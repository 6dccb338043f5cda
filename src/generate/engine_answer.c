/* Answers as they grow, token by token. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/text_buffer.h"
#include "generate/engine_state.h"

static struct grammar *grammar_of(const struct engine *engine, const struct engine_turn *turn)
{
    return turn->constrained && turn->format != ANSWER_FREE ? engine->grammars[turn->format] : NULL;
}

/* Rows that the sequence has and will have when everything pending is run. */
static int64_t rows_so_far(const struct branch *branch)
{
    return branch->sequence.length + branch->pending.n - branch->pending_at;
}

static void append_token(struct branch *branch, int32_t token, float margin)
{
    struct engine_answer *answer = &branch->answers[branch->turn];
    if (answer->n_tokens == branch->capacity) {
        branch->capacity = branch->capacity > 0 ? 2 * branch->capacity : 64;
        const size_t n = (size_t)branch->capacity;
        answer->tokens = memory_resize(answer->tokens, n, sizeof *answer->tokens);
        answer->margins = memory_resize(answer->margins, n, sizeof *answer->margins);
    }
    answer->tokens[answer->n_tokens] = token;
    answer->margins[answer->n_tokens++] = margin;
}

/* Fewer than n more tokens for this turn, or rows for them. */
static bool lacks_room(const struct engine *engine, const struct branch *branch, int64_t n)
{
    const struct engine_turn *turn = &branch->turns[branch->turn];
    const int64_t told = branch->answers[branch->turn].n_tokens + n;
    return (!turn->goes_on && told > turn->max_tokens) ||
           rows_so_far(branch) + n > engine->options.max_length;
}

static enum status append_forced(struct engine *engine, struct branch *branch)
{
    enum status status = OK;
    struct token_list forced = {0};
    const struct grammar *grammar = grammar_of(engine, &branch->turns[branch->turn]);
    if (grammar == NULL || !engine->options.skip_forced) goto out;
    struct grammar_state state = branch->grammar;
    TRY(grammar_skip_forced(grammar, &state, &forced));
    /* one is left to ask for: only that can end the answer */
    for (int64_t i = 0; i < forced.n && !lacks_room(engine, branch, 2); i++) {
        grammar_advance(grammar, &branch->grammar, forced.ids[i]);
        append_token(branch, forced.ids[i], INFINITY);
        token_list_append(&branch->pending, forced.ids[i]);
        branch->answers[branch->turn].n_forced++;
        engine->counts.answer_tokens++;
    }
out:
    token_list_release(&forced);
    return status;
}

void engine_decode(const struct engine *engine, const int32_t *tokens, int64_t n,
                   struct text_buffer *out)
{
    for (int64_t i = 0, end; i < n; i = end) {
        const bool box = tokens[i] == engine->box_start_id || tokens[i] == engine->box_end_id;
        for (end = i + 1; !box && end < n; end++)
            if (tokens[end] == engine->box_start_id || tokens[end] == engine->box_end_id) break;
        tokenizer_decode(engine->tokenizer, tokens + i, end - i, !box, out);
    }
}

/* The next question joins the rows to run, behind the end of the answer before it. */
static enum status ask_next(struct engine *engine, const struct picture *picture,
                            struct branch *branch)
{
    enum status status = OK;
    char *text = text_format("<|im_end|>\n<|im_start|>user\n%s<|im_end|>\n<|im_start|>assistant\n",
                             branch->turns[branch->turn].question);
    TRY(tokenizer_encode(engine->tokenizer, text, strlen(text), &branch->pending));
    TRY(answer_begin(engine, picture, branch));
out:
    free(text);
    return status;
}

/* The turn is over. Where it was cut, its last token is run before the next question. */
static enum status end_turn(struct engine *engine, const struct picture *picture,
                            struct branch *branch, bool truncated)
{
    enum status status = OK;
    struct engine_answer *answer = &branch->answers[branch->turn];
    struct text_buffer text = {0};
    engine_decode(engine, answer->tokens, answer->n_tokens, &text);
    answer->text = text_take(&text);
    answer->truncated = truncated;
    branch->capacity = 0;
    while (++branch->turn < branch->n_turns) {
        /* a row for the answer must be left behind the question */
        const int64_t question = (int64_t)strlen(branch->turns[branch->turn].question) + 32;
        if (rows_so_far(branch) + question < engine->options.max_length) break;
        branch->answers[branch->turn].text = text_copy("");
        branch->answers[branch->turn].truncated = true;
    }
    if (branch->turn < branch->n_turns) {
        TRY(ask_next(engine, picture, branch));
    } else {
        branch->state = BRANCH_DONE;
    }
out:
    return status;
}

enum status answer_begin(struct engine *engine, const struct picture *picture,
                         struct branch *branch)
{
    const struct engine_turn *turn = &branch->turns[branch->turn];
    const struct grammar *grammar = grammar_of(engine, turn);
    const int64_t n_regions =
        turn->format == ANSWER_DETECTION ? GRAMMAR_MAX_REGIONS - 1 : picture->n_regions;
    branch->asked = 0;
    if (grammar != NULL) branch->grammar = grammar_start(grammar, n_regions, branch->object);
    return append_forced(engine, branch);
}

enum status answer_take(struct engine *engine, int64_t index)
{
    enum status status = OK;
    const struct step *step = &engine->step;
    const struct picture *picture = step->asking_picture[index];
    struct branch *branch = step->asking[index];
    struct engine_answer *answer = &branch->answers[branch->turn];
    const struct grammar *grammar = grammar_of(engine, &branch->turns[branch->turn]);
    const int32_t token = step->token[index];
    if (token < 0)
        FAIL(ERR_DIVERGED, "%s: the model's logits are not finite; is the checkpoint whole?",
             picture->id);
    answer->log_probability += (double)step->log_probability[index];
    branch->asked++;
    if (token == engine->end_id || (grammar == NULL && token == engine->text_end_id)) {
        TRY(end_turn(engine, picture, branch, false));
        goto out;
    }
    if (grammar != NULL)
        ASSERT(grammar_advance(grammar, &branch->grammar, token), "token %d was not allowed",
               token);
    append_token(branch, token, step->margin[index]);
    engine->counts.answer_tokens++;
    token_list_append(&branch->pending, token);
    TRY(append_forced(engine, branch));
    if (lacks_room(engine, branch, 1)) TRY(end_turn(engine, picture, branch, true));
out:
    return status;
}

/* ---- yes or no ---- */

static double sum_exp(const float *logits, int64_t n, float max)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += exp((double)logits[i] - (double)max);
    return sum;
}

static bool wants_yes(const struct branch *branch)
{
    return branch->turns[branch->turn].format == ANSWER_YES_NO && branch->asked == 0;
}

enum status answer_read_yes(struct engine *engine)
{
    enum status status = OK;
    const struct step *step = &engine->step;
    const int64_t n_yes = engine->yes_ids.n, n = n_yes + engine->no_ids.n;
    const int64_t vocab = engine->config.lm.vocab;
    int64_t n_rows = 0;
    for (int64_t i = 0; i < step->n_asking; i++) n_rows += wants_yes(step->asking[i]);
    if (n_rows == 0) return OK;
    int32_t *index = memory_new((size_t)(n_rows * n), sizeof *index);
    float *picked = memory_new((size_t)(n_rows * n), sizeof *picked);
    int64_t at = 0;
    for (int64_t i = 0; i < step->n_asking; i++) {
        if (!wants_yes(step->asking[i])) continue;
        for (int64_t w = 0; w < n; w++)
            index[at++] = (int32_t)(i * vocab + (w < n_yes ? engine->yes_ids.ids[w]
                                                           : engine->no_ids.ids[w - n_yes]));
    }
    TRY(decoder_pick(engine->decoder, picked, index, at, step->n_asking));
    at = 0;
    for (int64_t i = 0; i < step->n_asking; i++) {
        struct branch *branch = step->asking[i];
        if (!wants_yes(branch)) continue;
        float max = picked[at];
        for (int64_t w = 1; w < n; w++) max = picked[at + w] > max ? picked[at + w] : max;
        const double yes = sum_exp(picked + at, n_yes, max);
        branch->answers[branch->turn].yes =
            yes / (yes + sum_exp(picked + at + n_yes, n - n_yes, max));
        at += n;
    }
out:
    free(picked);
    free(index);
    return status;
}
