/* The entries of a JSON file too large to be held parsed: where each begins and ends, so that every
 * rank parses only its own. Only brackets and strings are looked at here; jansson judges an entry
 * when it is parsed. The file is mapped, so the ranks of a node share one copy of it in the page
 * cache and none of it has to stay; it must not be cut short while it is in use. */
#ifndef ROBIN_CORPUS_JSON_SPANS_H
#define ROBIN_CORPUS_JSON_SPANS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct json_span {   /* of the file's bytes, borrowed */
    const char *key; /* with its quotes; NULL inside an array */
    size_t key_size;
    const char *text; /* the value */
    size_t size;
};

struct json_spans { /* zeroed is empty and releasable */
    struct json_span *spans;
    int64_t n;
    bool is_object; /* each has a key */
    bool is_lines;  /* of JSON lines */
};

struct json_text { /* a mapped file; zeroed is empty and releasable */
    char *path;
    const unsigned char *bytes;
    size_t size;
};
/* Errors  ERR_IO; ERR_LIMIT above 64 GiB; ERR_FORMAT for an Apache Parquet file, saying how to
 * convert it */
enum status json_text_open(struct json_text *text_out, const char *path);
void json_text_release(struct json_text *text);

/* The members of the object or elements of the array that `whole` is. ERR_FORMAT names file and
 * byte. */
enum status json_spans_list(struct json_spans *spans_out, const struct json_text *text,
                            struct json_span whole);
/* The rows of a table: the elements of the array that the file is, or, in a file that begins with
 * an object, the objects of JSON lines (white space between them). Span i of JSON lines is row i,
 * whatever its line. */
enum status json_rows_list(struct json_spans *spans_out, const struct json_text *text);
void json_spans_release(struct json_spans *spans);
struct json_span json_text_whole(const struct json_text *text);

/* The member's value; NULL when there is none. Keys written with escapes are not found. */
const struct json_span *json_spans_find(const struct json_spans *spans, const char *key);

/* The value, to json_decref: an object or an array. ERR_FORMAT names file and byte; ERR_LIMIT
 * above 1 GiB. */
enum status json_span_parse(json_t **value_out, const struct json_text *text,
                            struct json_span span);
/* Members of one object, without listing or parsing it: found[k] is the value of keys[k], its text
 * NULL where there is none. It stops at the last one needed. Keys written with escapes are not
 * found. */
enum status json_span_members(struct json_span *found, const struct json_text *text,
                              struct json_span object, const char *const *keys, size_t n_keys);
/* The whole number that a value is; false for anything else, and where there is no value. */
bool json_span_integer(int64_t *value_out, struct json_span span);
/* The key without quotes and escapes, to free(). */
enum status json_span_key(char **key_out, const struct json_text *text, struct json_span span);

#endif
