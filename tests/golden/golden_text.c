/* See golden_text.h. */
#include "golden_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"

bool golden_text_holds(const char *directory, const char *file)
{
    char *path = path_join(directory, file), *config = path_join(directory, "config.json");
    bool holds = file_exists(path) && !file_exists(config);
    free(path);
    free(config);
    return holds;
}

enum status golden_text_cases(json_t **cases_out, const char *directory, const char *file)
{
    enum status status = OK;
    unsigned char *bytes = NULL;
    size_t size;
    json_error_t error;
    char *path = path_join(directory, file);
    TRY(file_read(&bytes, &size, path, (size_t)64 << 20));
    json_t *cases = json_loadb((const char *)bytes, size, JSON_ALLOW_NUL, &error);
    if (!json_is_array(cases)) {
        json_decref(cases);
        FAIL(ERR_FORMAT, "%s: not a list of cases (%s)", path, error.text);
    }
    *cases_out = cases;
out:
    free(path);
    free(bytes);
    return status;
}

enum status golden_text_tokenizer(struct tokenizer **tokenizer_out, const char *directory)
{
    enum status status = OK;
    const char *shared = getenv("ROBIN_SHARED");
    char *place = text_format("%s/../../data/qwen2-tokenizer", directory);
    if (!file_exists(place)) {
        free(place);
        place = text_format("%s/data/qwen2-tokenizer", shared ? shared : "../shared");
    }
    TRY(tokenizer_open(tokenizer_out, place));
out:
    free(place);
    return status;
}

const char *golden_text_string(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

bool golden_text_equal(const json_t *string, const char *text, size_t size)
{
    return json_is_string(string) && json_string_length(string) == size &&
           (size == 0 || memcmp(json_string_value(string), text, size) == 0);
}

bool golden_text_same_ids(const json_t *list, const struct token_list *ids)
{
    if ((int64_t)json_array_size(list) != ids->n) return false;
    for (int64_t i = 0; i < ids->n; i++)
        if (json_integer_value(json_array_get(list, (size_t)i)) != ids->ids[i]) return false;
    return true;
}
