/* See chat_choice.h. */
#include "serve/chat_choice.h"

#include <string.h>

/* The stop that is complete first ends the text before it; of two that are at once, the longer. */
static bool find_stop(const struct chat_choice *choice, const struct chat_request *request,
                      size_t from, size_t *at_out)
{
    const struct text_buffer *text = &choice->text;
    size_t best = text->length + 1;
    for (int64_t i = 0; i < request->n_stops; i++) {
        const size_t size = strlen(request->stops[i]), back = from > size ? from - size : 0;
        const char *at = memmem(text_of(text) + back, text->length - back, request->stops[i], size);
        const size_t end = at == NULL ? text->length + 1 : (size_t)(at - text_of(text)) + size;
        if (at == NULL || end > best || (end == best && end - size > *at_out)) continue;
        best = end;
        *at_out = end - size;
    }
    return best <= text->length;
}

static bool ends_broken(const struct text_buffer *text)
{
    static const char replacement[] = "\xEF\xBF\xBD";
    return text->length >= 3 && memcmp(text->text + text->length - 3, replacement, 3) == 0;
}

bool chat_choice_take(struct chat_choice *choice, const struct chat_request *request,
                      const struct text_buffer *piece, int64_t n_tokens, bool whole)
{
    const size_t from = choice->text.length;
    size_t stop = 0;
    if (!whole && ends_broken(piece)) return false;
    text_append_bytes(&choice->text, text_of(piece), piece->length);
    choice->n_tokens += n_tokens;
    choice->ended = whole;
    if (!find_stop(choice, request, from, &stop)) return true;
    choice->text.text[stop] = '\0';
    choice->text.length = stop;
    choice->ended = true;
    choice->cut = false;
    return true;
}

size_t chat_choice_sure(const struct chat_choice *choice, const struct chat_request *request)
{
    const size_t length = choice->text.length;
    size_t sure = length;
    if (choice->ended) return length;
    for (int64_t i = 0; i < request->n_stops; i++) {
        const char *stop = request->stops[i];
        size_t begun = strlen(stop) - 1;
        if (begun > length) begun = length;
        while (begun > 0 && memcmp(text_of(&choice->text) + length - begun, stop, begun) != 0)
            begun--;
        if (length - begun < sure) sure = length - begun;
    }
    return sure;
}

void chat_choice_release(struct chat_choice *choice)
{
    text_release(&choice->text);
    *choice = (struct chat_choice){0};
}
