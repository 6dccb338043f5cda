/* Tokens that are matched whole in the raw text: the chat's and ROBIN's own. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_file.h"
#include "base/text_buffer.h"
#include "text/vocabulary.h"
#include "text/vocabulary_tables.h"

#define FILE_LIMIT ((size_t)16 << 20)

/* Qwen2.5's, in the order of their ids. */
static const struct {
    const char *text;
    bool special;
} known_tokens[] = {
    {"<|endoftext|>", true},
    {"<|im_start|>", true},
    {"<|im_end|>", true},
    {"<|object_ref_start|>", true},
    {"<|object_ref_end|>", true},
    {"<|box_start|>", true},
    {"<|box_end|>", true},
    {"<|quad_start|>", true},
    {"<|quad_end|>", true},
    {"<|vision_start|>", true},
    {"<|vision_end|>", true},
    {"<|vision_pad|>", true},
    {"<|image_pad|>", true},
    {"<|video_pad|>", true},
    {"<tool_call>", false},
    {"</tool_call>", false},
    {"<|fim_prefix|>", false},
    {"<|fim_middle|>", false},
    {"<|fim_suffix|>", false},
    {"<|fim_pad|>", false},
    {"<|repo_name|>", false},
    {"<|file_sep|>", false},
    {"<mask>", true},
    {"<pos>", true},
};
#define N_KNOWN (sizeof known_tokens / sizeof known_tokens[0])

static struct added_token *find_added(struct vocabulary *v, const char *text, size_t size)
{
    for (int64_t i = 0; i < v->n_added; i++)
        if (v->added[i].size == size && memcmp(v->added[i].text, text, size) == 0)
            return &v->added[i];
    return NULL;
}

static bool known_special(const char *text)
{
    for (size_t i = 0; i < N_KNOWN; i++)
        if (strcmp(known_tokens[i].text, text) == 0) return known_tokens[i].special;
    return false;
}

static enum status add(struct vocabulary *v, struct added_token token, const char *path)
{
    enum status status = OK;
    struct added_token *same = find_added(v, token.text, token.size);
    if (token.size == 0) FAIL(ERR_FORMAT, "%s: the added token of id %d is empty", path, token.id);
    if (same && same->id != token.id)
        FAIL(ERR_FORMAT, "%s: the added token %.60s has id %d here and %d elsewhere", path,
             token.text, token.id, same->id);
    if (same) goto out;
    for (int64_t i = 0; i < v->n_added; i++)
        if (v->added[i].id == token.id)
            FAIL(ERR_FORMAT, "%s: the added tokens %.60s and %.60s have the same id %d", path,
                 token.text, v->added[i].text, token.id);
    if (token.id < v->n_ids && v->length[token.id] != 0)
        FAIL(ERR_FORMAT, "%s: the id %d of the added token %.60s belongs to another in vocab.json",
             path, token.id, token.text);
    vocabulary_grow(v, token.id + 1);
    v->added = memory_resize(v->added, (size_t)v->n_added + 1, sizeof *v->added);
    token.text = text_copy(token.text);
    v->added[v->n_added++] = token;
out:
    return status;
}

static enum status checked_id(int32_t *id_out, int64_t id, const char *token, const char *path)
{
    enum status status = OK;
    if (id < 0 || id >= VOCABULARY_MAX_ID)
        FAIL(ERR_FORMAT, "%s: the id %" PRId64 " of the added token %.60s is not in 0 .. %" PRId64,
             path, id, token, VOCABULARY_MAX_ID - 1);
    *id_out = (int32_t)id;
out:
    return status;
}

/* One entry of tokenizer_config.json's added_tokens_decoder. */
static enum status add_decoder_entry(struct vocabulary *v, const char *key, const json_t *entry,
                                     const char *path)
{
    enum status status = OK;
    const char *text;
    struct json_place place = {.file = path, .record = "added_tokens_decoder"};
    TRY(json_field_string(&text, entry, "content", place));
    char *end;
    int64_t id = strtoll(key, &end, 10);
    struct added_token token = {.text = (char *)text, .size = strlen(text)};
    TRY(checked_id(&token.id, *end ? -1 : id, text, path));
    const char *const unsupported[] = {"lstrip", "rstrip", "single_word", "normalized"};
    for (size_t i = 0; i < 4; i++)
        if (json_is_true(json_object_get(entry, unsupported[i])))
            FAIL(ERR_UNSUPPORTED, "%s: the added token %.60s has %s true; only false is supported",
                 path, text, unsupported[i]);
    token.special = json_is_true(json_object_get(entry, "special"));
    TRY(add(v, token, path));
out:
    return status;
}

static enum status read_config(struct vocabulary *v, const char *path)
{
    enum status status = OK;
    json_t *root = NULL, *entry;
    const char *key;
    TRY(json_file_read(&root, path, FILE_LIMIT));
    json_t *decoder = json_object_get(root, "added_tokens_decoder");
    if (!decoder) goto out;
    if (!json_is_object(decoder))
        FAIL(ERR_FORMAT, "%s: added_tokens_decoder is not an object", path);
    json_object_foreach(decoder, key, entry) TRY(add_decoder_entry(v, key, entry, path));
out:
    json_decref(root);
    return status;
}

static enum status read_list(struct vocabulary *v, const char *path)
{
    enum status status = OK;
    json_t *root = NULL, *value;
    const char *key;
    TRY(json_file_read(&root, path, FILE_LIMIT));
    if (!json_is_object(root)) FAIL(ERR_FORMAT, "%s: not an object of token: id", path);
    json_object_foreach(root, key, value)
    {
        struct added_token token = {
            .text = (char *)key, .size = strlen(key), .special = known_special(key)};
        int64_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        TRY(checked_id(&token.id, id, key, path));
        TRY(add(v, token, path));
    }
out:
    json_decref(root);
    return status;
}

enum status vocabulary_read_added(struct vocabulary *v, const char *directory)
{
    enum status status = OK;
    char *config = path_join(directory, "tokenizer_config.json");
    char *list = path_join(directory, "added_tokens.json");
    if (file_exists(config)) TRY(read_config(v, config));
    if (file_exists(list)) TRY(read_list(v, list));
    bool complete = find_added(v, "<mask>", 6) != NULL;
    for (size_t i = 0; i < N_KNOWN && !complete; i++) {
        const char *text = known_tokens[i].text;
        if (find_added(v, text, strlen(text))) continue;
        struct added_token token = {.text = (char *)text,
                                    .size = strlen(text),
                                    .id = v->n_ids,
                                    .special = known_tokens[i].special};
        TRY(add(v, token, directory));
    }
    if (!find_added(v, "<pos>", 5))
        FAIL(ERR_FORMAT, "%s: lists <mask> but not <pos>; add both or neither", list);
out:
    free(config);
    free(list);
    return status;
}
