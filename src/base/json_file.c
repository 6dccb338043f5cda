/* See json_file.h. */
#include "base/json_file.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

static const char *type_name(json_type type)
{
    switch (type) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL: return "a number with a fraction";
    case JSON_TRUE:
    case JSON_FALSE: return "true or false";
    case JSON_NULL: return "null";
    }
    return "an unknown value";
}

enum status json_file_read(json_t **root_out, const char *path, size_t limit)
{
    enum status status = OK;
    unsigned char *bytes = NULL;
    size_t size = 0;
    json_error_t error;
    TRY(file_read(&bytes, &size, path, limit));
    json_t *root = json_loadb((const char *)bytes, size, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        FAIL(ERR_FORMAT, "%s:%d:%d: not valid JSON: %s; repair or regenerate the file", path,
             error.line, error.column, error.text);
    *root_out = root;
out:
    free(bytes);
    return status;
}

enum status json_line_parse(json_t **root_out, const char *text, size_t size, const char *path,
                            int64_t line)
{
    enum status status = OK;
    json_error_t error;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        FAIL(ERR_FORMAT, "%s:%" PRId64 ":%d: not valid JSON: %s; repair or regenerate the file",
             path, line, error.column, error.text);
    *root_out = root;
out:
    return status;
}

/* "FILE: RECORD" or "FILE" alone at the root. */
#define PLACE_FORMAT "%s%s%s"
#define PLACE(place) (place).file, (place).record[0] != '\0' ? ": " : "", (place).record

static enum status find_field(const json_t **value_out, const json_t *object, const char *key,
                              struct json_place place)
{
    enum status status = OK;
    if (!json_is_object(object))
        FAIL(ERR_FORMAT, PLACE_FORMAT ": expected an object with field '%s', found %s",
             PLACE(place), key, object != NULL ? type_name(json_typeof(object)) : "nothing");
    const json_t *value = json_object_get(object, key);
    if (value == NULL) FAIL(ERR_FORMAT, PLACE_FORMAT ": field '%s' is missing", PLACE(place), key);
    *value_out = value;
out:
    return status;
}

enum status json_field(json_t **value_out, const json_t *object, const char *key, json_type type,
                       struct json_place place)
{
    enum status status = OK;
    const json_t *value = NULL;
    TRY(find_field(&value, object, key, place));
    json_type found = json_typeof(value);
    bool both_boolean = json_is_boolean(value) && (type == JSON_TRUE || type == JSON_FALSE);
    if (found != type && !both_boolean)
        FAIL(ERR_FORMAT, PLACE_FORMAT ": field '%s' must be %s, found %s", PLACE(place), key,
             type_name(type), type_name(found));
    *value_out = json_object_get(object, key);
out:
    return status;
}

enum status json_field_string(const char **value_out, const json_t *object, const char *key,
                              struct json_place place)
{
    enum status status = OK;
    json_t *value = NULL;
    TRY(json_field(&value, object, key, JSON_STRING, place));
    *value_out = json_string_value(value);
out:
    return status;
}

enum status json_field_integer(int64_t *value_out, const json_t *object, const char *key,
                               int64_t min, int64_t max, struct json_place place)
{
    enum status status = OK;
    json_t *value = NULL;
    TRY(json_field(&value, object, key, JSON_INTEGER, place));
    int64_t number = json_integer_value(value);
    if (number < min || number > max)
        FAIL(ERR_FORMAT,
             PLACE_FORMAT ": field '%s' is %" PRId64 ", must be %" PRId64 " .. %" PRId64,
             PLACE(place), key, number, min, max);
    *value_out = number;
out:
    return status;
}

enum status json_field_number(double *value_out, const json_t *object, const char *key,
                              struct json_place place)
{
    enum status status = OK;
    const json_t *value = NULL;
    TRY(find_field(&value, object, key, place));
    if (!json_is_number(value))
        FAIL(ERR_FORMAT, PLACE_FORMAT ": field '%s' must be a number, found %s", PLACE(place), key,
             type_name(json_typeof(value)));
    *value_out = json_number_value(value);
out:
    return status;
}
