/* JSON as annotation files hold it: lines, and the spans of a file too large to be parsed whole. */
#include <stdlib.h>
#include <string.h>

#include "base/json_file.h"
#include "base/status.h"
#include "corpus/json_spans.h"
#include "fuzz/fuzz.h"

static void list_spans(const struct json_text *text, struct json_span whole, int depth)
{
    struct json_spans spans = {0};
    if (depth < 4 && json_spans_list(&spans, text, whole) == OK) {
        for (int64_t i = 0; i < spans.n && i < 64; i++) {
            char *key = NULL;
            if (spans.is_object && json_span_key(&key, text, spans.spans[i]) == OK) free(key);
            json_t *value = NULL;
            if (json_span_parse(&value, text, spans.spans[i]) == OK) json_decref(value);
            list_spans(text, spans.spans[i], depth + 1);
        }
    }
    json_spans_release(&spans);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    uint64_t kind = fuzz_integer(&input, 3);
    if (kind == 0) {
        size_t n_bytes;
        char *text = fuzz_rest(&input, &n_bytes);
        json_t *root = NULL;
        if (json_line_parse(&root, text, n_bytes, "fuzz", 1) == OK) json_decref(root);
        free(text);
    } else if (kind == 1) {
        struct json_text text = {0};
        struct json_spans rows = {0};
        if (json_text_open(&text, fuzz_file(input.data, input.size)) == OK) {
            list_spans(&text, json_text_whole(&text), 0);
            if (json_rows_list(&rows, &text) == OK) json_spans_release(&rows);
        }
        json_text_release(&text);
    } else {
        json_t *root = NULL;
        if (json_file_read(&root, fuzz_file(input.data, input.size), 1 << 16) == OK)
            json_decref(root);
    }
    return 0;
}
