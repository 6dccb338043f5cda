/* Conversations as a source has them: without regions (LLaVA), with regions listed before them or
 * inside them (Osprey). */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "corpus/record_text.h"
#include "corpus/task_markup.h"
#include "corpus/task_parts.h"

#define IMAGE "<image>"

static void delete_all(char *text, const char *word)
{
    const size_t size = strlen(word);
    for (char *at = text; (at = strstr(at, word));) memmove(at, at + size, strlen(at + size) + 1);
}

static void delete_angle_brackets(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++)
        if (*from != '<' && *from != '>') *to++ = *from;
    *to = '\0';
}

/* Control tokens lose their brackets: what is left is words. What is round one may become another:
 * "<<|im_end|>>"; so back to the beginning. */
static void disarm(char *text)
{
    for (char *at = text; (at = strchr(at, '<'));) {
        const size_t length = record_control_length(at);
        if (length == 0) {
            at++;
            continue;
        }
        memmove(at + length - 1, at + length, strlen(at + length) + 1);
        memmove(at, at + 1, strlen(at + 1) + 1);
        at = text;
    }
}

/* A message without the places of pictures. The release looks for them beside a line end only and
 * deletes all angle brackets, so that others become the word "image". */
static char *plain_message(const char *raw, const struct task_options *options)
{
    char *text = text_copy(raw);
    delete_all(text, IMAGE "\n");
    delete_all(text, "\n" IMAGE);
    if (options->compat.angle_brackets) {
        delete_angle_brackets(text);
    } else {
        delete_all(text, IMAGE);
        disarm(text);
    }
    return text;
}

static enum status make_raw(struct task_sample *sample, const struct record *record,
                            const struct task_options *options, struct task_draws *draws,
                            bool keeps_empty)
{
    enum status status = OK;
    char *question = NULL, *answer = NULL;
    struct task_turn *turns;
    const int64_t n = task_turns(&turns, record, "llava", TURNS_IN_ORDER, draws);
    int64_t n_asked = 0;
    for (int64_t i = 0; i < n && n_asked < options->max_turns; i++) {
        free(question);
        free(answer);
        question = plain_message(turns[i].turn->question, options);
        answer = plain_message(turns[i].turn->answer, options);
        if (answer[0] == '\0' && !keeps_empty) continue;
        TRY(task_ask(sample, record, options, draws, question));
        task_answer(sample, answer);
        n_asked++;
    }
    if (n_asked == 0) task_skip(sample, "no question with an answer");
out:
    free(turns);
    free(question);
    free(answer);
    return status;
}

static enum status make_llava(struct task_sample *sample, const struct record *record,
                              const struct task_options *options, struct task_draws *draws)
{
    return make_raw(sample, record, options, draws, false);
}

static enum status make_llava_one_vision(struct task_sample *sample, const struct record *record,
                                         const struct task_options *options,
                                         struct task_draws *draws)
{
    return make_raw(sample, record, options, draws, true);
}

/* The largest N of a <regionN> in the conversation. */
static int64_t largest_place(const struct task_turn *turns, int64_t n)
{
    int64_t largest = 0;
    size_t length;
    for (int64_t i = 0; i < 2 * n; i++) {
        const char *at = i % 2 == 0 ? turns[i / 2].turn->question : turns[i / 2].turn->answer;
        for (; (at = strchr(at, '<')); at++)
            largest = task_larger(largest, markup_number(at, "region", &length));
    }
    return largest;
}

/* "There are 2 part regions in the picture: region1 <mask><pos>,region2 <mask><pos>. " */
static enum status append_part_regions(struct text_buffer *out, struct task_sample *sample,
                                       const struct record *record,
                                       const struct task_options *options)
{
    enum status status = OK;
    const int64_t n = record->n_regions;
    text_printf(out, "There are %lld part region%s in the picture: ", (long long)n,
                n == 1 ? "" : "s");
    for (int64_t i = 0; i < n; i++) {
        text_printf(out, "%sregion%lld ", i > 0 ? "," : "", (long long)i + 1);
        TRY(task_append_region(out, sample, record, i, options));
    }
    text_append(out, ". ");
out:
    return status;
}

/* `text` with its <regionN>: numbers where regions are listed, masks inside otherwise. */
static enum status append_message(struct text_buffer *out, const char *text, bool listed,
                                  struct task_sample *sample, const struct record *record,
                                  const struct task_options *options)
{
    enum status status = OK;
    struct text_buffer written = {0};
    TRY(markup_write(&written, text, listed ? MARKUP_NUMBERS : MARKUP_MASKS, sample, record,
                     options));
    if (listed && options->compat.angle_brackets && written.length > 0)
        delete_angle_brackets(written.text);
    text_append(out, text_of(&written));
out:
    text_release(&written);
    return status;
}

static enum status make_dialogue(struct task_sample *sample, const struct record *record,
                                 const struct task_options *options, struct task_draws *draws,
                                 bool listed)
{
    enum status status = OK;
    struct text_buffer question = {0}, answer = {0};
    struct task_turn *turns;
    const int64_t n = task_turns(&turns, record, "conversation", TURNS_IN_ORDER, draws);
    const char *nothing = NULL;
    if (n == 0)
        nothing = "no conversation";
    else if (record->n_regions == 0 || record->n_regions > options->max_regions)
        nothing = record->n_regions == 0 ? "no regions" : "more regions than the limit";
    else if (largest_place(turns, n) > record->n_regions)
        nothing = "speaks of a region that it does not have";
    if (nothing != NULL) {
        task_skip(sample, nothing);
        goto out;
    }
    for (int64_t i = 0; i < n && i < options->max_turns; i++) {
        text_clear(&question);
        text_clear(&answer);
        if (i == 0) {
            const uint64_t prefixes = options->compat.doubled_prefix && !listed ? draws->epoch : 0;
            text_append(&question, PROMPT_BEGIN);
            for (uint64_t k = 0; k < prefixes; k++)
                text_append(&question, PROMPT_BEGIN + strlen(IMAGE));
        }
        if (i == 0 && listed) TRY(append_part_regions(&question, sample, record, options));
        TRY(append_message(&question, turns[i].turn->question, listed, sample, record, options));
        TRY(append_message(&answer, turns[i].turn->answer, listed, sample, record, options));
        conversation_add(&sample->conversation, CHAT_USER, text_of(&question));
        task_answer(sample, text_of(&answer));
    }
    sample->uses_image = true;
    if (sample->n_regions == 0) task_skip(sample, "speaks of no region");
out:
    free(turns);
    text_release(&question);
    text_release(&answer);
    return status;
}

static enum status make_region_dialogue(struct task_sample *sample, const struct record *record,
                                        const struct task_options *options,
                                        struct task_draws *draws)
{
    return make_dialogue(sample, record, options, draws, true);
}

static enum status make_inline_dialogue(struct task_sample *sample, const struct record *record,
                                        const struct task_options *options,
                                        struct task_draws *draws)
{
    return make_dialogue(sample, record, options, draws, false);
}

const struct task task_llava = {
    .name = "llava",
    .purpose = "a conversation of LLaVA's format about the whole picture, or about none",
    .max_regions = 1,
    .max_turns = 1000,
    .make = make_llava,
};
const struct task task_llava_one_vision = {
    .name = "llava_one_vision",
    .purpose = "the same, empty answers kept",
    .max_regions = 1,
    .max_turns = 1000,
    .make = make_llava_one_vision,
};
const struct task task_region_dialogue = {
    .name = "region_dialogue",
    .purpose = "a conversation about regions that are listed before it",
    .max_regions = 99,
    .max_turns = 1000,
    .make = make_region_dialogue,
};
const struct task task_inline_dialogue = {
    .name = "inline_dialogue",
    .purpose = "a conversation with the regions inside its questions",
    .max_regions = 99,
    .max_turns = 1000,
    .make = make_inline_dialogue,
};
