/* Texts put together from the lists of prompt_lists.c. */
#include "text/prompts.h"

#include <string.h>

#include "base/assertion.h"

void prompt_fill(struct text_buffer *out, const char *text, const char *braces, const char *region)
{
    const struct {
        const char *place, *with;
    } fills[] = {{"{}", braces}, {"<region>", region}};
    const char *at[2];
    for (int i = 0; i < 2; i++) at[i] = fills[i].with ? strstr(text, fills[i].place) : NULL;
    while (at[0] || at[1]) {
        int i = !at[0] || (at[1] && at[1] < at[0]);
        text_append_bytes(out, text, (size_t)(at[i] - text));
        text_append(out, fills[i].with);
        text = at[i] + strlen(fills[i].place);
        at[i] = NULL;
    }
    text_append(out, text);
}

static enum status write_region_list(struct text_buffer *out, const struct region_list *list,
                                     int64_t choice)
{
    enum status status = OK;
    struct prompt_list templates = prompt_list(PROMPT_REGION_LISTS);
    struct text_buffer regions = {0}, count = {0};
    ASSERT(choice >= 0 && choice < templates.n, "no region list %d", (int)choice);
    for (int64_t i = 0; i < list->n; i++) {
        text_printf(&regions, "%sregion%lld " PROMPT_REGION, i ? ", " : "", (long long)i + 1);
        if (!list->boxes) continue;
        text_append_char(&regions, ' ');
        TRY(box_text_write(&regions, &list->boxes[i], 1, list->width, list->height, list->format));
    }
    text_printf(&count, "%lld", (long long)list->n);
    prompt_fill(out, templates.texts[choice], count.text, text_of(&regions));
out:
    text_release(&regions);
    text_release(&count);
    return status;
}

enum status prompt_first_message(struct text_buffer *out, const struct region_list *list,
                                 int64_t choice, const char *question, bool inference)
{
    enum status status = OK;
    text_append(out, PROMPT_BEGIN);
    if (list)
        TRY(write_region_list(out, list, choice));
    else
        text_append(out, inference ? PROMPT_WHOLE_INFER : PROMPT_WHOLE);
    if (list && inference) text_append_char(out, ' ');
    text_append(out, question);
out:
    return status;
}
