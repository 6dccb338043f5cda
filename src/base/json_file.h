/* JSON (jansson) with errors that name file, record and field. */
#ifndef ROBIN_BASE_JSON_FILE_H
#define ROBIN_BASE_JSON_FILE_H

#include <jansson.h>
#include <stdint.h>

#include "base/status.h"

/* Where a value stands, for the sentence: "annotations.json: data[17].regions[2]". */
struct json_place {
    const char *file;
    const char *record; /* a path inside the file, "" at its root */
};

/* The parsed file, to json_decref. Refuses duplicate keys, depth beyond jansson's limit, more than
 * `limit` bytes. */
enum status json_file_read(json_t **root_out, const char *path, size_t limit);
/* One line of a JSON-lines file; `line` counts from 1 for the sentence. */
enum status json_line_parse(json_t **root_out, const char *text, size_t size, const char *path,
                            int64_t line);

/* Fields of an object that must be there and of that type; ERR_FORMAT names file, record, field and
 * what was found. The json_t and strings are borrowed. Integers out of [min, max] are refused. */
enum status json_field(json_t **value_out, const json_t *object, const char *key, json_type type,
                       struct json_place place);
enum status json_field_string(const char **value_out, const json_t *object, const char *key,
                              struct json_place place);
enum status json_field_integer(int64_t *value_out, const json_t *object, const char *key,
                               int64_t min, int64_t max, struct json_place place);
enum status json_field_number(double *value_out, const json_t *object, const char *key,
                              struct json_place place);

#endif
