/* See golden_memory.h. */
#include "golden_memory.h"

#include "base/text_buffer.h"

static void append_line(struct text_buffer *text, const char *what, size_t bytes)
{
    text_printf(text, "%-28s %12.1f MB\n", what, (double)bytes / 1e6);
}

char *golden_memory_table(const struct model_memory *memory)
{
    struct text_buffer text = {0};
    append_line(&text, "weights", memory->weights);
    append_line(&text, "gradients", memory->gradients);
    append_line(&text, "activations", memory->activations);
    for (int m = 0; m < N_MODULES; m++) {
        text_append(&text, "  ");
        text_printf(&text, "%-26s %12.1f MB\n", module_names[m],
                    (double)memory->by_module[m] / 1e6);
    }
    append_line(&text, "workspace", memory->workspace);
    append_line(&text, "sum",
                memory->weights + memory->gradients + memory->activations + memory->workspace);
    return text_take(&text);
}
