/* See json_spans.h. */
#include "corpus/json_spans.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text_buffer.h"

#define JSON_TEXT_MAX_BYTES ((size_t)64 << 30)
#define JSON_SPAN_MAX_BYTES ((size_t)1 << 30)

static enum status check_parquet(const struct json_text *text)
{
    enum status status = OK;
    if (text->size >= 4 && memcmp(text->bytes, "PAR1", 4) == 0)
        FAIL(ERR_FORMAT,
             "%s is Apache Parquet, which this program does not read; make JSON lines of it: "
             "python3 "
             "datasets/rows_from_parquet.py %s >%s.jsonl (needs pyarrow)",
             text->path, text->path, text->path);
out:
    return status;
}

enum status json_text_open(struct json_text *text_out, const char *path)
{
    enum status status = OK;
    struct json_text text = {.path = text_copy(path)};
    struct stat about;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) FAIL(ERR_IO, "cannot open %s: %s", path, strerror(errno));
    if (fstat(fd, &about) != 0) FAIL(ERR_IO, "cannot look at %s: %s", path, strerror(errno));
    if (!S_ISREG(about.st_mode)) FAIL(ERR_IO, "cannot read %s: it is no regular file", path);
    if ((uint64_t)about.st_size > JSON_TEXT_MAX_BYTES)
        FAIL(ERR_LIMIT, "%s has %lld bytes; the limit is %zu: split it", path,
             (long long)about.st_size, JSON_TEXT_MAX_BYTES);
    if (about.st_size > 0) {
        void *bytes = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED) FAIL(ERR_IO, "cannot map %s: %s", path, strerror(errno));
        text.bytes = bytes;
        text.size = (size_t)about.st_size;
    }
    TRY(check_parquet(&text));
    *text_out = text;
    text = (struct json_text){0};
out:
    if (fd >= 0) close(fd);
    json_text_release(&text);
    return status;
}

void json_text_release(struct json_text *text)
{
    if (text->size > 0) munmap((void *)text->bytes, text->size);
    free(text->path);
    *text = (struct json_text){0};
}

struct json_span json_text_whole(const struct json_text *text)
{
    return (struct json_span){.text = text->size == 0 ? "" : (const char *)text->bytes,
                              .size = text->size};
}

void json_spans_release(struct json_spans *spans)
{
    free(spans->spans);
    *spans = (struct json_spans){0};
}

struct cursor {
    const struct json_text *text;
    const char *at, *end;
};

static enum status fail_at(const struct cursor *cursor, const char *wanted)
{
    return status_fail(
        ERR_FORMAT, "%s: not JSON at byte %zu: expected %s; repair or copy the file again",
        cursor->text->path, (size_t)(cursor->at - json_text_whole(cursor->text).text), wanted);
}

static void skip_space(struct cursor *cursor)
{
    while (cursor->at < cursor->end && memchr(" \t\r\n", *cursor->at, 4) != NULL) cursor->at++;
}

static enum status skip_string(struct cursor *cursor)
{
    if (cursor->at == cursor->end || *cursor->at != '"') return fail_at(cursor, "a string");
    for (cursor->at++; cursor->at < cursor->end; cursor->at++) {
        if (*cursor->at == '\\') {
            cursor->at++;
        } else if (*cursor->at == '"') {
            cursor->at++;
            return OK;
        }
    }
    cursor->at = cursor->end;
    return fail_at(cursor, "the end of a string");
}

/* To the bracket that closes the one at the cursor. */
static enum status skip_brackets(struct cursor *cursor)
{
    enum status status = OK;
    int64_t depth = 0;
    while (cursor->at < cursor->end) {
        const char c = *cursor->at;
        if (c == '"') {
            TRY(skip_string(cursor));
            continue;
        }
        cursor->at++;
        if (c == '{' || c == '[') depth++;
        if ((c == '}' || c == ']') && --depth == 0) return OK;
    }
    status = fail_at(cursor, "a closing bracket");
out:
    return status;
}

static enum status skip_value(struct cursor *cursor)
{
    if (cursor->at == cursor->end) return fail_at(cursor, "a value");
    if (*cursor->at == '"') return skip_string(cursor);
    if (*cursor->at == '{' || *cursor->at == '[') return skip_brackets(cursor);
    const char *start = cursor->at;
    while (cursor->at < cursor->end && memchr(",]} \t\r\n", *cursor->at, 7) == NULL) cursor->at++;
    return cursor->at == start ? fail_at(cursor, "a value") : OK;
}

static enum status take_span(struct cursor *cursor, bool is_object, struct json_span *span)
{
    enum status status = OK;
    *span = (struct json_span){0};
    skip_space(cursor);
    if (is_object) {
        span->key = cursor->at;
        TRY(skip_string(cursor));
        span->key_size = (size_t)(cursor->at - span->key);
        skip_space(cursor);
        if (cursor->at == cursor->end || *cursor->at != ':') TRY(fail_at(cursor, "':'"));
        cursor->at++;
        skip_space(cursor);
    }
    span->text = cursor->at;
    TRY(skip_value(cursor));
    span->size = (size_t)(cursor->at - span->text);
    skip_space(cursor);
out:
    return status;
}

static void spans_append(struct json_spans *spans, struct json_span span)
{
    if ((spans->n & (spans->n - 1)) == 0) /* grows at powers of two */
        spans->spans = memory_resize(spans->spans, spans->n == 0 ? 1 : 2 * (size_t)spans->n,
                                     sizeof *spans->spans);
    spans->spans[spans->n++] = span;
}

enum status json_spans_list(struct json_spans *spans_out, const struct json_text *text,
                            struct json_span whole)
{
    enum status status = OK;
    struct json_spans spans = {0};
    struct cursor cursor = {text, whole.text, whole.text + whole.size};
    skip_space(&cursor);
    if (cursor.at == cursor.end || (*cursor.at != '{' && *cursor.at != '['))
        TRY(fail_at(&cursor, "an object or an array"));
    spans.is_object = *cursor.at == '{';
    const char close = spans.is_object ? '}' : ']';
    cursor.at++;
    skip_space(&cursor);
    bool more = cursor.at == cursor.end || *cursor.at != close;
    while (more) {
        struct json_span span;
        TRY(take_span(&cursor, spans.is_object, &span));
        spans_append(&spans, span);
        more = cursor.at < cursor.end && *cursor.at == ',';
        if (more) cursor.at++;
    }
    if (cursor.at == cursor.end || *cursor.at != close)
        TRY(fail_at(&cursor, spans.is_object ? "',' or '}'" : "',' or ']'"));
    cursor.at++;
    skip_space(&cursor);
    if (cursor.at != cursor.end) TRY(fail_at(&cursor, "the end"));
    *spans_out = spans;
    spans = (struct json_spans){0};
out:
    json_spans_release(&spans);
    return status;
}

enum status json_rows_list(struct json_spans *spans_out, const struct json_text *text)
{
    enum status status = OK;
    struct json_spans spans = {0};
    const struct json_span whole = json_text_whole(text);
    struct cursor cursor = {text, whole.text, whole.text + whole.size};
    skip_space(&cursor);
    if (cursor.at < cursor.end && *cursor.at == '[') return json_spans_list(spans_out, text, whole);
    spans.is_lines = true;
    while (cursor.at < cursor.end) {
        const char *start = cursor.at;
        if (*start != '{')
            TRY(fail_at(&cursor, spans.n == 0 ? "an object or an array" : "the end or an object"));
        TRY(skip_brackets(&cursor));
        spans_append(&spans,
                     (struct json_span){.text = start, .size = (size_t)(cursor.at - start)});
        skip_space(&cursor);
    }
    *spans_out = spans;
    spans = (struct json_spans){0};
out:
    json_spans_release(&spans);
    return status;
}

enum status json_span_members(struct json_span *found, const struct json_text *text,
                              struct json_span object, const char *const *keys, size_t n_keys)
{
    enum status status = OK;
    struct cursor cursor = {text, object.text, object.text + object.size};
    size_t n_found = 0;
    for (size_t k = 0; k < n_keys; k++) found[k] = (struct json_span){0};
    if (cursor.at == cursor.end || *cursor.at != '{') return OK; /* judged when it is parsed */
    cursor.at++;
    skip_space(&cursor);
    while (n_found < n_keys && cursor.at < cursor.end && *cursor.at != '}') {
        struct json_span span;
        TRY(take_span(&cursor, true, &span));
        for (size_t k = 0; k < n_keys; k++) {
            const size_t size = strlen(keys[k]);
            if (span.key_size != size + 2 || memcmp(span.key + 1, keys[k], size) != 0) continue;
            found[k] = span;
            n_found++;
        }
        if (cursor.at < cursor.end && *cursor.at == ',') cursor.at++;
    }
out:
    return status;
}

bool json_span_integer(int64_t *value_out, struct json_span span)
{
    char digits[24];
    char *end = NULL;
    if (span.text == NULL || span.size == 0 || span.size >= sizeof digits) return false;
    memcpy(digits, span.text, span.size);
    digits[span.size] = '\0';
    if (strspn(digits, "-0123456789") != span.size) return false;
    errno = 0;
    *value_out = strtoll(digits, &end, 10);
    return *end == '\0' && errno == 0;
}

const struct json_span *json_spans_find(const struct json_spans *spans, const char *key)
{
    const size_t size = strlen(key);
    for (int64_t i = 0; i < spans->n; i++) {
        const struct json_span *span = &spans->spans[i];
        if (span->key != NULL && span->key_size == size + 2 &&
            memcmp(span->key + 1, key, size) == 0)
            return span;
    }
    return NULL;
}

static enum status parse_with(json_t **value_out, const struct json_text *text, const char *start,
                              size_t size, size_t flags)
{
    enum status status = OK;
    json_error_t error;
    if (size > JSON_SPAN_MAX_BYTES)
        FAIL(ERR_LIMIT, "%s: the entry at byte %zu has %zu bytes; the limit is %zu", text->path,
             (size_t)(start - (const char *)text->bytes), size, JSON_SPAN_MAX_BYTES);
    json_t *value = json_loadb(start, size, JSON_REJECT_DUPLICATES | flags, &error);
    if (value == NULL)
        FAIL(ERR_FORMAT, "%s: not JSON near byte %zu: %s; repair or copy the file again",
             text->path,
             (size_t)(start - (const char *)text->bytes) +
                 (error.position > 0 ? (size_t)error.position : 0),
             error.text);
    *value_out = value;
out:
    return status;
}

enum status json_span_parse(json_t **value_out, const struct json_text *text, struct json_span span)
{
    return parse_with(value_out, text, span.text, span.size, 0);
}

enum status json_span_key(char **key_out, const struct json_text *text, struct json_span span)
{
    enum status status = OK;
    json_t *key = NULL;
    TRY(parse_with(&key, text, span.key, span.key_size, JSON_DECODE_ANY));
    *key_out = text_copy(json_string_value(key));
out:
    json_decref(key);
    return status;
}
