/* The table written out: as help, as the reference file, and with the values of one run. */
#include "config/config_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/text_buffer.h"
#include "config/config_table.h"
#include "config/config_value.h"

static bool matches(const struct config_key *key, const char *path)
{
    size_t length = strlen(path);
    if (length == 0) return true;
    if (strncmp(key->path, path, length) != 0) return false;
    return key->path[length] == '\0' || key->path[length] == '.' || key->path[length] == '[';
}

static void append_facts(struct text_buffer *out, const struct config_key *key)
{
    config_value_describe(out, key);
    if (key->unit[0] != '\0') text_printf(out, "; %s", key->unit);
}

char *config_help(const char *path)
{
    struct text_buffer out = {0};
    for (size_t i = 0; i < n_config_keys; i++) {
        const struct config_key *key = &config_keys[i];
        if (!matches(key, path)) continue;
        text_printf(&out, "%s\n    %s\n    ", key->path, key->sentence);
        append_facts(&out, key);
        if (key->fallback != NULL)
            text_printf(&out, "; default %s\n", key->fallback);
        else
            text_append(&out, "; must be given\n");
    }
    return out.length > 0 ? text_take(&out) : NULL;
}

/* Writes paths as nested YAML: opens the groups that the last path was not in. */
struct outline {
    struct text_buffer *out;
    const char *last; /* NULL at the start */
};

/* How many leading characters of `path` are groups shared with `last`. */
static size_t shared_groups(const char *last, const char *path)
{
    size_t shared = 0;
    for (size_t i = 0; last != NULL && last[i] != '\0' && last[i] == path[i]; i++)
        if (path[i] == '.') shared = i + 1;
    return shared;
}

static void indent(struct text_buffer *out, int depth)
{
    for (int i = 0; i < depth; i++) text_append(out, "  ");
}

/* Opens groups and returns the depth of the key itself; *name_out is its last word. */
static int open_groups(struct outline *outline, const char *path, const char **name_out)
{
    size_t shared = shared_groups(outline->last, path);
    int depth = 0;
    const char *word = path;
    for (const char *dot = strchr(path, '.'); dot != NULL; dot = strchr(word, '.')) {
        if ((size_t)(dot - path) >= shared) {
            if (depth == 0 && outline->last != NULL) text_append_char(outline->out, '\n');
            indent(outline->out, depth);
            text_printf(outline->out, "%.*s:\n", (int)(dot - word), word);
        }
        depth++;
        word = dot + 1;
    }
    outline->last = path;
    *name_out = word;
    return depth;
}

static void write_elements(struct text_buffer *out, const struct config_key *list,
                           const struct run_config *config, int depth)
{
    const char *elements = *(char *const *)(const void *)((const char *)config + list->offset);
    int64_t n = *(const int64_t *)(const void *)((const char *)config + list->count_offset);
    char *prefix = text_format("%s[].", list->path);
    size_t length = strlen(prefix);
    for (int64_t i = 0; i < n; i++) {
        bool first = true;
        for (size_t k = 0; k < n_config_keys; k++) {
            if (strncmp(config_keys[k].path, prefix, length) != 0) continue;
            indent(out, depth);
            text_printf(out, "%s%s: ", first ? "- " : "  ", config_keys[k].path + length);
            config_value_write(out, &config_keys[k], elements + (size_t)i * list->element_size);
            text_append_char(out, '\n');
            first = false;
        }
    }
    free(prefix);
}

static bool is_in_list(const struct config_key *key)
{
    return strstr(key->path, "[]") != NULL;
}

char *run_config_write(const struct run_config *config)
{
    struct text_buffer out = {0};
    struct outline outline = {.out = &out};
    for (size_t i = 0; i < n_config_keys; i++) {
        const struct config_key *key = &config_keys[i];
        const char *name;
        /* The values of the model file are written out: nothing to start from is left. */
        if (is_in_list(key) || strcmp(key->path, "model.base") == 0) continue;
        int depth = open_groups(&outline, key->path, &name);
        indent(&out, depth);
        text_printf(&out, "%s:", name);
        if (key->type != CONFIG_MAPPINGS) {
            text_append_char(&out, ' ');
            config_value_write(&out, key, config);
            text_append_char(&out, '\n');
            continue;
        }
        int64_t n = *(const int64_t *)(const void *)((const char *)config + key->count_offset);
        text_append(&out, n == 0 ? " []\n" : "\n");
        write_elements(&out, key, config, depth + 1);
    }
    return text_take(&out);
}

#define COMMENT_COLUMNS 100

/* The text as comment lines, broken between words. */
static void append_comment(struct text_buffer *out, const char *text, int depth)
{
    size_t column = COMMENT_COLUMNS; /* the first word opens a line */
    for (const char *word = text; *word != '\0';) {
        size_t length = strcspn(word, " ");
        if (column + 1 + length > COMMENT_COLUMNS) {
            if (word != text) text_append_char(out, '\n');
            indent(out, depth);
            text_append_char(out, '#');
            column = 2 * (size_t)depth + 1;
        }
        text_printf(out, " %.*s", (int)length, word);
        column += 1 + length;
        word += length + strspn(word + length, " ");
    }
    text_append_char(out, '\n');
}

static void reference_comment(struct text_buffer *out, const struct config_key *key, int depth)
{
    struct text_buffer facts = {0};
    append_facts(&facts, key);
    append_comment(out, key->sentence, depth);
    append_comment(out, text_of(&facts), depth);
    text_release(&facts);
}

/* A key that must be given has a value of its type in the reference, to be replaced; to free(). */
static char *reference_value(const struct config_key *key)
{
    if (key->fallback != NULL) return text_copy(key->fallback);
    switch (key->type) {
    case CONFIG_STRING: return text_copy("required");
    case CONFIG_STRINGS: return text_copy("[required]");
    case CONFIG_CHOICE: return text_format("%.*s", (int)strcspn(key->choices, "|"), key->choices);
    case CONFIG_INTEGER:
    case CONFIG_NUMBER: return text_format("%g", key->min > 0 ? key->min : 0);
    default: break;
    }
    ASSERT(false, "%s must be given: what would its example be", key->path);
    return NULL;
}

static void reference_elements(struct text_buffer *out, const struct config_key *list, int depth)
{
    char *prefix = text_format("%s[].", list->path);
    size_t length = strlen(prefix);
    bool first = true;
    for (size_t i = 0; i < n_config_keys; i++) {
        const struct config_key *key = &config_keys[i];
        if (strncmp(key->path, prefix, length) != 0) continue;
        reference_comment(out, key, depth + 1);
        indent(out, depth);
        char *value = reference_value(key);
        text_printf(out, "%s%s: %s\n", first ? "- " : "  ", key->path + length, value);
        free(value);
        first = false;
    }
    free(prefix);
}

char *config_reference(void)
{
    struct text_buffer out = {0};
    struct outline outline = {.out = &out};
    text_append(&out, "# Every key with its default. Written by: robin-dist help-config --yaml\n");
    for (size_t i = 0; i < n_config_keys; i++) {
        const struct config_key *key = &config_keys[i];
        const char *name;
        if (is_in_list(key)) continue;
        int depth = open_groups(&outline, key->path, &name);
        reference_comment(&out, key, depth);
        indent(&out, depth);
        if (key->type != CONFIG_MAPPINGS) {
            char *value = reference_value(key);
            text_printf(&out, "%s: %s\n", name, value);
            free(value);
            continue;
        }
        text_printf(&out, "%s:\n", name);
        reference_elements(&out, key, depth + 1);
    }
    return text_take(&out);
}
