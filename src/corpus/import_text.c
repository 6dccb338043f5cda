/* See import_text.h. */
#include "corpus/import_text.h"

#include <string.h>

#include "base/text_buffer.h"

/* Room for one more of `n` items of `size` bytes, zeroed: arrays grow at powers of two. */
static void *one_more(void *items, int64_t n, size_t size)
{
    if ((n & (n - 1)) == 0) items = memory_resize(items, n == 0 ? 1 : 2 * (size_t)n, size);
    memset((char *)items + (size_t)n * size, 0, size);
    return items;
}

struct record_text *import_add_text(struct record *record, const char *task, int64_t region,
                                    const char *origin)
{
    record->texts = one_more(record->texts, record->n_texts, sizeof *record->texts);
    struct record_text *text = &record->texts[record->n_texts++];
    text->task = text_copy(task);
    text->region = region;
    text->origin = origin == NULL ? NULL : text_copy(origin);
    return text;
}

struct record_turn *import_add_turn(struct record_text *text, const char *question,
                                    const char *answer)
{
    text->turns = one_more(text->turns, text->n_turns, sizeof *text->turns);
    struct record_turn *turn = &text->turns[text->n_turns++];
    turn->question = text_copy(question);
    turn->answer = text_copy(answer);
    return turn;
}

void import_add_choice(struct record_turn *turn, const char *choice)
{
    turn->choices = one_more(turn->choices, turn->n_choices, sizeof *turn->choices);
    turn->choices[turn->n_choices++] = text_copy(choice);
}

void import_add_reference(struct record_turn *turn, int64_t object)
{
    turn->objects = one_more(turn->objects, turn->n_objects, sizeof *turn->objects);
    turn->objects[turn->n_objects++] = object;
}
