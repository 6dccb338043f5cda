/* Folder tokenizer: pieces, ids and decoded texts of Qwen2's tokenizer, and its Unicode tables. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "golden.h"
#include "golden_families.h"
#include "golden_text.h"
#include "text/pretokenize.h"
#include "text/unicode.h"

static bool recognises(const char *directory)
{
    return golden_text_holds(directory, "tokenizer.json") &&
           golden_text_holds(directory, "unicode_tables.json");
}

/* Takes a run of pieces between added tokens apart again. */
static bool same_pieces(const json_t *pieces, size_t first, size_t last)
{
    struct text_buffer all = {0};
    bool same = true;
    for (size_t i = first; i < last; i++) {
        const json_t *piece = json_array_get(pieces, i);
        text_append_bytes(&all, json_string_value(piece), json_string_length(piece));
    }
    size_t at = 0;
    for (size_t i = first; i < last && same; i++) {
        size_t length = at < all.length ? pretoken_length(all.text + at, all.length - at) : 0;
        same = length > 0 && golden_text_equal(json_array_get(pieces, i), all.text + at, length);
        at += length;
    }
    same = same && at == all.length;
    text_release(&all);
    return same;
}

static bool check_pieces(const struct tokenizer *tokenizer, const json_t *pieces)
{
    size_t n = json_array_size(pieces), first = 0;
    for (size_t i = 0; i <= n; i++) {
        const json_t *piece = json_array_get(pieces, i);
        const char *text = json_string_value(piece);
        bool added = i == n || tokenizer_find_added(tokenizer, text, json_string_length(piece));
        if (!added) continue;
        if (!same_pieces(pieces, first, i)) return false;
        first = i + 1;
    }
    return true;
}

static void check_decoding(const struct tokenizer *tokenizer, const json_t *row,
                           struct golden_report *report)
{
    struct token_list ids = {0};
    struct text_buffer all = {0}, plain = {0};
    const json_t *list = json_object_get(row, "ids");
    for (size_t i = 0; i < json_array_size(list); i++)
        token_list_append(&ids, (int32_t)json_integer_value(json_array_get(list, i)));
    tokenizer_decode(tokenizer, ids.ids, ids.n, false, &all);
    tokenizer_decode(tokenizer, ids.ids, ids.n, true, &plain);
    const char *id = golden_text_string(row, "id");
    bool same = golden_text_equal(json_object_get(row, "decoded"), all.text, all.length);
    golden_report_case(report, "decode", same, "%s: decoded \"%s\"", id, text_of(&all));
    same =
        golden_text_equal(json_object_get(row, "decoded_skip_special"), plain.text, plain.length);
    golden_report_case(report, "decode without special", same, "%s: decoded \"%s\"", id,
                       text_of(&plain));
    token_list_release(&ids);
    text_release(&all);
    text_release(&plain);
}

static void check_row(const struct tokenizer *tokenizer, const json_t *row,
                      struct golden_report *report)
{
    const char *id = golden_text_string(row, "id");
    const json_t *text = json_object_get(row, "text");
    if (text) {
        struct token_list ids = {0};
        bool done = tokenizer_encode(tokenizer, json_string_value(text), json_string_length(text),
                                     &ids) == OK;
        bool same = done && golden_text_same_ids(json_object_get(row, "ids"), &ids);
        golden_report_case(report, "encode", same, "%s: other ids, %" PRId64 " of them %s", id,
                           ids.n, done ? "" : status_message());
        golden_report_case(report, "pieces",
                           check_pieces(tokenizer, json_object_get(row, "pretokens")),
                           "%s: cut into other pieces", id);
        token_list_release(&ids);
    }
    check_decoding(tokenizer, row, report);
}

static enum status check_tokenizer(const char *directory, struct golden_report *report)
{
    enum status status = OK;
    struct tokenizer *tokenizer = NULL;
    json_t *cases = NULL;
    TRY(golden_text_tokenizer(&tokenizer, directory));
    TRY(golden_text_cases(&cases, directory, "tokenizer.json"));
    for (size_t i = 0; i < json_array_size(cases); i++)
        check_row(tokenizer, json_array_get(cases, i), report);
out:
    json_decref(cases);
    tokenizer_close(tokenizer);
    return status;
}

static void check_class(const json_t *row, enum unicode_class class, struct golden_report *report)
{
    const json_t *ranges = json_object_get(row, "ranges");
    int64_t wrong = 0;
    size_t next = 0;
    int64_t first = -1, last = -1;
    for (uint32_t c = 0; c < 0x110000; c++) {
        if (c > last && next < json_array_size(ranges)) {
            first = json_integer_value(json_array_get(json_array_get(ranges, next), 0));
            last = json_integer_value(json_array_get(json_array_get(ranges, next++), 1));
        }
        bool is_surrogate = c >= 0xD800 && c <= 0xDFFF;
        bool wanted = c >= first && c <= last;
        wrong += !is_surrogate && wanted != (unicode_class_of(c) == class);
    }
    golden_report_case(report, "classes", wrong == 0, "%s: %" PRId64 " code points differ",
                       golden_text_string(row, "id"), wrong);
}

/* Form C of the first n members of the list against the JSON list `want`. */
static bool same_form(const json_t *from, size_t n, const json_t *want)
{
    struct text_buffer text = {0}, ours = {0}, theirs = {0};
    for (size_t i = 0; i < n; i++)
        utf8_append(&text, (uint32_t)json_integer_value(json_array_get(from, i)));
    for (size_t i = 0; i < json_array_size(want); i++)
        utf8_append(&theirs, (uint32_t)json_integer_value(json_array_get(want, i)));
    unicode_to_nfc(&ours, text.text, text.length);
    bool changed = ours.length != text.length || memcmp(ours.text, text.text, text.length) != 0;
    bool same = ours.length == theirs.length && memcmp(ours.text, theirs.text, ours.length) == 0 &&
                !(changed && unicode_is_nfc(text.text, text.length));
    text_release(&text);
    text_release(&ours);
    text_release(&theirs);
    return same;
}

static void check_forms(const json_t *rows, size_t n, struct golden_report *report)
{
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        golden_report_case(report, "form C", same_form(row, n, json_array_get(row, n)), "U+%04X",
                           (unsigned)json_integer_value(json_array_get(row, 0)));
    }
}

/* A mark that the library does not know stays behind U+0345, whose class is the highest. */
static void check_marks(const json_t *points, struct golden_report *report)
{
    for (size_t i = 0; i < json_array_size(points); i++) {
        json_t *row =
            json_pack("[i, i, I]", 'q', 0x345, json_integer_value(json_array_get(points, i)));
        golden_report_case(report, "form C", same_form(row, 3, row), "mark U+%04X is reordered",
                           (unsigned)json_integer_value(json_array_get(points, i)));
        json_decref(row);
    }
}

static enum status check_tables(const char *directory, struct golden_report *report)
{
    enum status status = OK;
    json_t *rows = NULL;
    TRY(golden_text_cases(&rows, directory, "unicode_tables.json"));
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const char *id = golden_text_string(row, "id");
        if (strcmp(id, "letter") == 0) check_class(row, UNICODE_LETTER, report);
        if (strcmp(id, "number") == 0) check_class(row, UNICODE_NUMBER, report);
        if (strcmp(id, "space") == 0) check_class(row, UNICODE_SPACE, report);
        check_forms(json_object_get(row, "changes"), 1, report);
        check_forms(json_object_get(row, "composed"), 2, report);
        check_forms(json_object_get(row, "not_composed"), 2, report);
        check_marks(json_object_get(row, "reorder_differs_from_unicode_14"), report);
    }
out:
    json_decref(rows);
    return status;
}

static enum status run(const char *directory, const struct golden_options *options,
                       struct golden_report *report)
{
    (void)options;
    enum status status = OK;
    TRY(check_tokenizer(directory, report));
    TRY(check_tables(directory, report));
out:
    return status;
}

const struct golden_family golden_tokenizer = {
    .name = "tokenizer", .recognises = recognises, .run = run};
