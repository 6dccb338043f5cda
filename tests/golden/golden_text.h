/* What the families of text share: JSON lists of cases, and the tokenizer they were made with. */
#ifndef ROBIN_TESTS_GOLDEN_TEXT_H
#define ROBIN_TESTS_GOLDEN_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "text/tokenizer.h"

/* True if the folder holds this file and no config.json. */
bool golden_text_holds(const char *directory, const char *file);
/* The list of cases in DIRECTORY/FILE, to json_decref. Strings may hold U+0000. */
enum status golden_text_cases(json_t **cases_out, const char *directory, const char *file);
/* data/qwen2-tokenizer beside the goldens, or below $ROBIN_SHARED. */
enum status golden_text_tokenizer(struct tokenizer **tokenizer_out, const char *directory);
/* "" where the object has no such string. */
const char *golden_text_string(const json_t *object, const char *key);
/* True if the JSON string is exactly these bytes. */
bool golden_text_equal(const json_t *string, const char *text, size_t size);
/* True if the JSON list of integers is exactly these ids. */
bool golden_text_same_ids(const json_t *list, const struct token_list *ids);

#endif
