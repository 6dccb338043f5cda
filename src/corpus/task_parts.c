/* See task_parts.h. */
#include "corpus/task_parts.h"

#include <stdlib.h>
#include <string.h>

struct task_draws task_draws(uint64_t seed, uint64_t sample, uint64_t epoch)
{
    struct random_stream fixed = random_substream(random_stream(seed, "task"), sample);
    return (struct task_draws){
        .fixed = fixed, .access = random_substream(fixed, epoch), .epoch = epoch};
}

int64_t task_draw_fixed(struct task_draws *draws, int64_t n)
{
    if (draws->pinned) return 0;
    return (int64_t)random_below(draws->fixed, draws->n_fixed++, (uint64_t)n);
}

int64_t task_draw_access(struct task_draws *draws, int64_t n)
{
    if (draws->pinned) return 0;
    return (int64_t)random_below(draws->access, draws->n_access++, (uint64_t)n);
}

const char *task_draw_prompt(struct task_draws *draws, enum prompt_kind kind)
{
    struct prompt_list list = prompt_list(kind);
    return list.texts[task_draw_fixed(draws, list.n)];
}

const char *task_draw_prompt_anew(struct task_draws *draws, enum prompt_kind kind)
{
    struct prompt_list list = prompt_list(kind);
    return list.texts[task_draw_access(draws, list.n)];
}

int64_t *task_order(struct task_draws *draws, int64_t n, bool fixed)
{
    int64_t *order = memory_new((size_t)n + 1, sizeof *order);
    for (int64_t i = 0; i < n; i++) order[i] = i;
    for (int64_t i = n - 1; i > 0 && !draws->pinned; i--) {
        int64_t j = fixed ? task_draw_fixed(draws, i + 1) : task_draw_access(draws, i + 1);
        int64_t kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
    return order;
}

int64_t task_smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t task_larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void task_skip(struct task_sample *sample, const char *reason)
{
    task_sample_release(sample);
    sample->skipped = reason;
}

int64_t task_place_of(const struct task_sample *sample, int64_t region)
{
    for (int64_t i = 0; i < sample->n_regions; i++)
        if (sample->regions[i] == region) return i;
    return -1;
}

void task_add_region(struct task_sample *sample, int64_t region)
{
    size_t n = (size_t)sample->n_regions + 1;
    sample->regions = memory_resize(sample->regions, n, sizeof *sample->regions);
    sample->regions[sample->n_regions++] = region;
}

enum status task_ask_first(struct task_sample *sample, const struct record *record,
                           const struct task_options *options, struct task_draws *draws,
                           const char *question)
{
    enum status status = OK;
    struct text_buffer text = {0};
    struct box *boxes = memory_new((size_t)sample->n_regions + 1, sizeof *boxes);
    for (int64_t i = 0; i < sample->n_regions; i++)
        boxes[i] = record->regions[sample->regions[i]].box;
    struct region_list list = {.n = sample->n_regions,
                               .boxes = options->box_text ? boxes : NULL,
                               .width = record->width,
                               .height = record->height,
                               .format = &options->box_format};
    bool whole = sample->n_regions == 0;
    int64_t choice = whole ? 0 : task_draw_access(draws, prompt_list(PROMPT_REGION_LISTS).n);
    TRY(prompt_first_message(&text, whole ? NULL : &list, choice, question, false));
    if (whole) task_add_region(sample, -1);
    conversation_add(&sample->conversation, CHAT_USER, text.text);
    sample->uses_image = true;
out:
    free(boxes);
    text_release(&text);
    return status;
}

enum status task_ask(struct task_sample *sample, const struct record *record,
                     const struct task_options *options, struct task_draws *draws,
                     const char *question)
{
    enum status status = OK;
    if (sample->conversation.n_turns == 0 && record->image_size > 0)
        TRY(task_ask_first(sample, record, options, draws, question));
    else
        conversation_add(&sample->conversation, CHAT_USER, question);
out:
    return status;
}

void task_answer(struct task_sample *sample, const char *answer)
{
    conversation_add(&sample->conversation, CHAT_ASSISTANT, answer);
}

enum status task_append_box(struct text_buffer *out, const struct record *record, int64_t region,
                            const struct task_options *options)
{
    return box_text_write(out, &record->regions[region].box, 1, record->width, record->height,
                          &options->box_format);
}

enum status task_append_region(struct text_buffer *out, struct task_sample *sample,
                               const struct record *record, int64_t region,
                               const struct task_options *options)
{
    enum status status = OK;
    text_append(out, PROMPT_REGION);
    task_add_region(sample, region);
    if (options->box_text) {
        text_append_char(out, ' ');
        TRY(task_append_box(out, record, region, options));
    }
out:
    return status;
}

bool task_is_ignored(const struct task_options *options, const char *predicate)
{
    for (int64_t i = 0; i < options->n_ignored_predicates; i++)
        if (strcmp(options->ignored_predicates[i], predicate) == 0) return true;
    return false;
}

static int compare_targets(const void *left, const void *right)
{
    const struct task_target *a = left, *b = right;
    if (a->place != b->place) return a->place < b->place ? -1 : 1;
    return a->relation < b->relation ? -1 : a->relation > b->relation;
}

void task_sort_targets(struct task_target *targets, int64_t n)
{
    qsort(targets, (size_t)n, sizeof *targets, compare_targets);
}

int64_t task_unique_targets(struct task_target *targets, int64_t n, const struct record *record)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i++) {
        const char *predicate = record->relations[targets[i].relation].predicate;
        bool seen = false;
        for (int64_t j = kept - 1; j >= 0 && targets[j].place == targets[i].place && !seen; j--)
            seen = strcmp(record->relations[targets[j].relation].predicate, predicate) == 0;
        if (!seen) targets[kept++] = targets[i];
    }
    return kept;
}

int64_t task_turns(struct task_turn **turns_out, const struct record *record, const char *kind,
                   enum turn_order turn_order, struct task_draws *draws)
{
    struct task_turn *turns = NULL;
    int64_t n = 0;
    struct task_draws kept = {.pinned = true};
    int64_t *order = task_order(turn_order == TURNS_IN_ORDER ? &kept : draws, record->n_texts,
                                turn_order == TURNS_DRAWN_ONCE);
    for (int64_t i = 0; i < record->n_texts; i++) {
        const struct record_text *text = &record->texts[order[i]];
        if (strcmp(text->task, kind) != 0) continue;
        turns = memory_resize(turns, (size_t)(n + text->n_turns) + 1, sizeof *turns);
        for (int64_t t = 0; t < text->n_turns; t++)
            turns[n++] = (struct task_turn){.text = text, .turn = &text->turns[t]};
    }
    free(order);
    *turns_out = turns;
    return n;
}
