/* Boxes in text that a model wrote, and boxes written as text. */
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "fuzz/fuzz.h"
#include "text/box_text.h"

static void write_and_find(struct fuzz_input *input)
{
    struct box_format format = {.style = (enum box_style)fuzz_integer(input, 2),
                                .bounds = (enum box_bounds)fuzz_integer(input, 3),
                                .square = fuzz_integer(input, 2) == 1};
    int64_t width = (int64_t)fuzz_integer(input, 4096), height = (int64_t)fuzz_integer(input, 4096);
    struct box boxes[4];
    for (int i = 0; i < 4; i++) {
        double xy[4];
        for (int k = 0; k < 4; k++) xy[k] = fuzz_double(input);
        boxes[i] = (struct box){xy[0], xy[1], xy[2], xy[3]};
    }
    struct text_buffer text = {0};
    if (box_text_write(&text, boxes, 4, width, height, &format) == OK &&
        format.style == BOX_STYLE_QWEN && format.bounds != BOX_BOUNDS_KEEP) {
        struct box *found = NULL;
        int64_t n = 0;
        box_text_find(&found, &n, text_of(&text), text.length);
        fuzz_require(n == 4, "four boxes that were written are found");
        free(found);
    }
    text_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    if (fuzz_integer(&input, 2) == 1) {
        write_and_find(&input);
        return 0;
    }
    size_t n_bytes;
    char *text = fuzz_rest(&input, &n_bytes);
    struct box *boxes = NULL;
    int64_t n = 0;
    box_text_find(&boxes, &n, text, n_bytes);
    for (int64_t i = 0; i < n; i++) box_denormalise(boxes[i], 640, 480);
    free(boxes);
    free(text);
    return 0;
}
