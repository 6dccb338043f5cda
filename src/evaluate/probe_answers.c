/* Finds what a probe scores. The text of a turn is put together token by token, so that every byte
 * knows its row; then words are looked up in the vocabulary of the scenes. */
#include "evaluate/probe_answers.h"

#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "corpus/scenes_vocabulary.h"

struct turn_text {
    struct text_buffer text;
    int64_t *row_of; /* [text.length] */
};

static void turn_text_release(struct turn_text *turn)
{
    text_release(&turn->text);
    free(turn->row_of);
    *turn = (struct turn_text){0};
}

static void turn_text_add(struct turn_text *turn, const struct tokenizer *tokenizer, int32_t id,
                          int64_t row)
{
    const size_t before = turn->text.length;
    tokenizer_decode(tokenizer, &id, 1, false, &turn->text);
    turn->row_of = memory_resize(turn->row_of, turn->text.length + 1, sizeof *turn->row_of);
    for (size_t i = before; i < turn->text.length; i++) turn->row_of[i] = row;
}

/* ---- words ---- */

static bool same(const char *text, size_t size, const char *word)
{
    return strlen(word) == size && memcmp(text, word, size) == 0;
}

static bool find_word(struct probe_answer *answer, const char *text, size_t size)
{
    for (int i = 0; i < SCENES_COLOURS; i++) {
        if (!same(text, size, scenes_colour(i)->name)) continue;
        *answer = (struct probe_answer){.class = PROBE_COLOUR, .word = i};
        return true;
    }
    for (int i = 0; i < SCENES_NAMES; i++) {
        if (!same(text, size, scenes_name_text((enum scenes_name)i))) continue;
        *answer = (struct probe_answer){.class = PROBE_NAME, .word = i};
        return true;
    }
    for (int i = 0; i < SCENES_RELATIONS; i++) {
        const struct scenes_predicate *predicate = scenes_predicate((enum scenes_relation)i);
        if (!same(text, size, predicate->text)) continue;
        *answer = (struct probe_answer){
            .class = predicate->decided_by_pixels ? PROBE_PIXELS : PROBE_GEOMETRY, .word = i};
        return true;
    }
    return false;
}

/* Bytes first .. end - 1 of the turn are one word of the scenes. */
static enum status add_word(struct probe_answers *answers, const struct turn_text *turn,
                            size_t first, size_t end)
{
    enum status status = OK;
    struct probe_answer answer;
    if (end <= first || !find_word(&answer, turn->text.text + first, end - first))
        FAIL(ERR_FORMAT, "'%.*s' in the answer '%s' is no word of the scenes", (int)(end - first),
             turn->text.text + first, text_of(&turn->text));
    answer.first_row = turn->row_of[first];
    answer.n_rows = turn->row_of[end - 1] - answer.first_row + 1;
    answers->answers =
        memory_resize(answers->answers, (size_t)answers->n + 1, sizeof *answers->answers);
    answers->answers[answers->n++] = answer;
out:
    return status;
}

/* ---- graphs ---- */

/* "regionK: NAME is COLOUR[, ...]" between the bytes. */
static enum status add_object(struct probe_answers *answers, const struct turn_text *turn,
                              size_t first, size_t end)
{
    enum status status = OK;
    const char *text = turn->text.text;
    const char *is = memmem(text + first, end - first, " is ", 4);
    const size_t name_end = is == NULL ? end : (size_t)(is - text);
    TRY(add_word(answers, turn, first, name_end));
    if (is == NULL) goto out;
    const size_t colour = name_end + 4;
    const char *comma = memchr(text + colour, ',', end - colour);
    TRY(add_word(answers, turn, colour, comma == NULL ? end : (size_t)(comma - text)));
out:
    return status;
}

/* "regionT PREDICATE, regionU PREDICATE" between the bytes. */
static enum status add_relations(struct probe_answers *answers, const struct turn_text *turn,
                                 size_t first, size_t end)
{
    enum status status = OK;
    const char *text = turn->text.text;
    while (first < end) {
        const char *comma = memchr(text + first, ',', end - first);
        const size_t item_end = comma == NULL ? end : (size_t)(comma - text);
        const char *space = memchr(text + first, ' ', item_end - first);
        if (space == NULL)
            FAIL(ERR_FORMAT, "relation '%.*s' has no predicate", (int)(item_end - first),
                 text + first);
        TRY(add_word(answers, turn, (size_t)(space - text) + 1, item_end));
        first = item_end + 2;
    }
out:
    return status;
}

static enum status add_graph(struct probe_answers *answers, const struct turn_text *turn)
{
    enum status status = OK;
    const char *text = turn->text.text;
    bool relations = false;
    for (size_t first = 0, end; first < turn->text.length; first = end + 1) {
        const char *line_end = memchr(text + first, '\n', turn->text.length - first);
        end = line_end == NULL ? turn->text.length : (size_t)(line_end - text);
        relations = relations || same(text + first, end - first, "Relations:");
        const char *colon = memmem(text + first, end - first, ": ", 2);
        if (colon == NULL) continue; /* a heading or an empty line */
        const size_t content = (size_t)(colon - text) + 2;
        if (relations)
            TRY(add_relations(answers, turn, content, end));
        else
            TRY(add_object(answers, turn, content, end));
    }
out:
    return status;
}

/* ---- turns ---- */

struct template_ids {
    int32_t turn, end, newline;
    struct token_list assistant; /* the role's name */
};

static enum status template_ids_find(struct template_ids *ids, const struct tokenizer *tokenizer)
{
    enum status status = OK;
    struct token_list newline = {0};
    ids->turn = tokenizer_id(tokenizer, "<|im_start|>");
    ids->end = tokenizer_id(tokenizer, "<|im_end|>");
    TRY(tokenizer_encode(tokenizer, "assistant", 9, &ids->assistant));
    TRY(tokenizer_encode(tokenizer, "\n", 1, &newline));
    if (ids->turn < 0 || ids->end < 0 || newline.n != 1)
        FAIL(ERR_UNSUPPORTED, "the tokenizer has no <|im_start|>, <|im_end|> or newline token");
    ids->newline = newline.ids[0];
out:
    token_list_release(&newline);
    return status;
}

/* The row behind "<|im_start|>assistant\n" that begins at `row`; -1 if that does not stand
 * there. */
static int64_t content_row(const struct sample_rows *rows, int64_t row,
                           const struct template_ids *ids)
{
    const int64_t n = ids->assistant.n;
    if (rows->token_id[row] != ids->turn || row + n + 2 > rows->n_rows) return -1;
    for (int64_t i = 0; i < n; i++)
        if (rows->token_id[row + 1 + i] != ids->assistant.ids[i]) return -1;
    return rows->token_id[row + 1 + n] == ids->newline ? row + n + 2 : -1;
}

enum status probe_answers_find(struct probe_answers *answers_out, const struct sample_rows *rows,
                               const struct tokenizer *tokenizer)
{
    enum status status = OK;
    struct probe_answers answers = {0};
    struct template_ids ids = {0};
    struct turn_text turn = {0};
    TRY(template_ids_find(&ids, tokenizer));
    for (int64_t row = 0; row < rows->n_rows; row++) {
        int64_t content = content_row(rows, row, &ids);
        if (content < 0) continue;
        turn_text_release(&turn);
        for (; content < rows->n_rows && rows->token_id[content] != ids.end; content++)
            turn_text_add(&turn, tokenizer, rows->token_id[content], content);
        row = content - 1;
        if (strncmp(text_of(&turn.text), "Objects:", 8) == 0)
            TRY(add_graph(&answers, &turn));
        else
            TRY(add_word(&answers, &turn, 0, turn.text.length));
    }
    *answers_out = answers;
    answers = (struct probe_answers){0};
out:
    turn_text_release(&turn);
    token_list_release(&ids.assistant);
    probe_answers_release(&answers);
    return status;
}

void probe_answers_release(struct probe_answers *answers)
{
    free(answers->answers);
    *answers = (struct probe_answers){0};
}
