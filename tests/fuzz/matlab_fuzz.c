/* MATLAB files as Pascal-Part has them: every field and element is walked to. */
#include <stdlib.h>

#include "base/status.h"
#include "corpus/matlab_file.h"
#include "fuzz/fuzz.h"

static void walk(const struct matlab_file *file, const struct matlab_value *value, int depth)
{
    static const char *const names[] = {"imname", "objects", "class", "class_ind",
                                        "bbox",   "mask",    "parts", "part_name"};
    char *text = matlab_text(value);
    free(text);
    if (value->class == MATLAB_NUMBERS) {
        for (int64_t i = 0; i < value->height * value->width && i < 4096; i++)
            if (matlab_is_set(value, i)) break;
        if (value->height > 0 && value->width > 0)
            matlab_is_set(value, value->height * value->width - 1);
    }
    for (int64_t i = 0; depth < 4 && i < matlab_n_structs(value) && i < 4; i++) {
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
            struct matlab_value field;
            if (matlab_field(&field, file, value, names[k], i) == OK) walk(file, &field, depth + 1);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct matlab_file file = {0};
    struct matlab_value value;
    if (matlab_open(&file, &value, fuzz_file(data, size), "anno") == OK) walk(&file, &value, 0);
    matlab_release(&file);
    status_clear();
    return 0;
}
