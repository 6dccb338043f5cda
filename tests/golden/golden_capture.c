/* See golden_capture.h. */
#include "golden_capture.h"

#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/text_buffer.h"

static struct captured *find(const struct golden_capture *capture, const char *name)
{
    for (int64_t i = 0; i < capture->n_items; i++) {
        if (strcmp(capture->items[i].name, name) == 0) return &capture->items[i];
    }
    return NULL;
}

static void see(void *context, const char *name, const float *data, int64_t rows, int64_t columns)
{
    struct golden_capture *capture = context;
    struct captured *item = find(capture, name);
    if (item == NULL) {
        capture->items =
            memory_resize(capture->items, (size_t)capture->n_items + 1, sizeof *capture->items);
        item = &capture->items[capture->n_items++];
        *item = (struct captured){.name = text_copy(name), .columns = columns};
    }
    ASSERT(item->columns == columns, "%s changed its width", name);
    item->data =
        memory_resize(item->data, (size_t)((item->rows + rows) * columns) + 1, sizeof *item->data);
    memcpy(item->data + item->rows * columns, data, (size_t)(rows * columns) * sizeof *data);
    item->rows += rows;
}

struct model_observer golden_capture_observer(struct golden_capture *capture)
{
    return (struct model_observer){.see = see, .context = capture};
}

const struct captured *golden_captured(const struct golden_capture *capture, const char *name)
{
    return find(capture, name);
}

void golden_capture_release(struct golden_capture *capture)
{
    for (int64_t i = 0; i < capture->n_items; i++) {
        free(capture->items[i].name);
        free(capture->items[i].data);
    }
    free(capture->items);
    *capture = (struct golden_capture){0};
}
