/* Conversions between YAML scalars and C fields, driven by the table's row. */
#include "config/config_value.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void *field_of(const struct config_key *key, void *base)
{
    return (char *)base + key->offset;
}

/* Position of `word` in "a|b|c", or -1. */
static int find_choice(const char *choices, const char *word)
{
    size_t length = strlen(word);
    int position = 0;
    for (const char *choice = choices; choice != NULL; position++) {
        const char *bar = strchr(choice, '|');
        size_t choice_length = bar != NULL ? (size_t)(bar - choice) : strlen(choice);
        if (choice_length == length && memcmp(choice, word, length) == 0) return position;
        choice = bar != NULL ? bar + 1 : NULL;
    }
    return -1;
}

static void print_choice(struct text_buffer *out, const char *choices, int position)
{
    while (position-- > 0) choices = strchr(choices, '|') + 1;
    text_append_bytes(out, choices, strcspn(choices, "|"));
}

/* "a|b|c" -> "a, b or c". */
static void print_choices(struct text_buffer *out, const char *choices)
{
    for (;;) {
        size_t length = strcspn(choices, "|");
        text_append_bytes(out, choices, length);
        choices += length;
        if (*choices == '\0') return;
        choices++;
        text_append(out, strchr(choices, '|') != NULL ? ", " : " or ");
    }
}

void config_value_describe(struct text_buffer *out, const struct config_key *key)
{
    bool numeric = true;
    switch (key->type) {
    case CONFIG_BOOLEAN: text_append(out, "true or false"); return;
    case CONFIG_STRING: text_append(out, "a string"); return;
    case CONFIG_CHOICE: print_choices(out, key->choices); return;
    case CONFIG_MAPPINGS: text_append(out, "a list of mappings"); return;
    case CONFIG_INTEGER: text_append(out, "an integer"); break;
    case CONFIG_NUMBER: text_append(out, "a number"); break;
    case CONFIG_INTEGERS: text_append(out, "a list of integers"); break;
    case CONFIG_NUMBERS: text_append(out, "a list of numbers"); break;
    case CONFIG_STRINGS:
        text_append(out, "a list of strings");
        numeric = false;
        break;
    }
    if (key->n_values > 0) text_printf(out, ", %lld of them", (long long)key->n_values);
    if (numeric) text_printf(out, ", %.16g to %.16g", key->min, key->max);
    if (!numeric && key->choices != NULL) {
        text_append(out, ", each ");
        print_choices(out, key->choices);
    }
}

static bool is_list(const struct config_key *key)
{
    return key->type == CONFIG_INTEGERS || key->type == CONFIG_NUMBERS ||
           key->type == CONFIG_STRINGS;
}

/* `node` is the value of the key, or one element of it where the key is a list. */
static bool refuse(const struct config_key *key, const struct yaml_node *node,
                   struct config_errors *errors)
{
    bool is_element = is_list(key) && node->in_list;
    struct text_buffer wanted = {0};
    config_value_describe(&wanted, key);
    const char *found = node->kind == YAML_LIST                  ? "a list"
                        : node->kind == YAML_MAPPING             ? "a mapping"
                        : node->text[0] == '\0' && !node->quoted ? "nothing"
                                                                 : NULL;
    if (found != NULL)
        config_errors_add(errors, node->place, "%s must be %s, found %s", key->path, wanted.text,
                          found);
    else
        config_errors_add(errors, node->place, "%s %s '%s' but must be %s", key->path,
                          is_element     ? "holds"
                          : node->quoted ? "is the string"
                                         : "is",
                          node->text, wanted.text);
    text_release(&wanted);
    return false;
}

/* Decimal only: no hexadecimal, no "nan", nothing behind the number. */
static bool parse_number(double *number_out, const struct yaml_node *node)
{
    if (node->kind != YAML_SCALAR || node->quoted || node->text[0] == '\0') return false;
    if (node->text[strspn(node->text, "0123456789+-.eE")] != '\0') return false;
    char *end;
    errno = 0;
    double number = strtod(node->text, &end);
    if (*end != '\0' || !isfinite(number)) return false;
    *number_out = number;
    return true;
}

static bool parse_in_range(double *number_out, const struct config_key *key,
                           const struct yaml_node *node, struct config_errors *errors)
{
    double number;
    if (!parse_number(&number, node)) return refuse(key, node, errors);
    if (number < key->min || number > key->max) return refuse(key, node, errors);
    bool whole = key->type == CONFIG_INTEGER || key->type == CONFIG_INTEGERS;
    if (whole && number != floor(number)) return refuse(key, node, errors);
    *number_out = number;
    return true;
}

/* A string is any scalar but an empty plain one, which is mostly a forgotten value. */
static bool is_string(const struct yaml_node *node)
{
    return node->kind == YAML_SCALAR && (node->quoted || node->text[0] != '\0');
}

static bool set_scalar(const struct config_key *key, void *field, const struct yaml_node *node,
                       struct config_errors *errors)
{
    double number = 0.0;
    int choice = -1;
    bool is_word = is_string(node);
    switch (key->type) {
    case CONFIG_BOOLEAN:
        choice = is_word && !node->quoted ? find_choice("false|true", node->text) : -1;
        if (choice < 0) return refuse(key, node, errors);
        *(bool *)field = choice == 1;
        return true;
    case CONFIG_INTEGER:
        if (!parse_in_range(&number, key, node, errors)) return false;
        *(int64_t *)field = (int64_t)number;
        return true;
    case CONFIG_NUMBER:
        if (!parse_in_range(&number, key, node, errors)) return false;
        *(double *)field = number;
        return true;
    case CONFIG_STRING:
        if (!is_word) return refuse(key, node, errors);
        free(*(char **)field);
        *(char **)field = text_copy(node->text);
        return true;
    default:
        choice = is_word ? find_choice(key->choices, node->text) : -1;
        if (choice < 0) return refuse(key, node, errors);
        *(int *)field = choice;
        return true;
    }
}

/* Checks the whole list before the field changes. */
static bool check_list(const struct config_key *key, const struct yaml_node *node,
                       struct config_errors *errors)
{
    bool good = true;
    double number;
    if (node->kind != YAML_LIST) return refuse(key, node, errors);
    for (size_t i = 0; i < node->n_entries; i++) {
        const struct yaml_node *element = node->entries[i].node;
        if (key->type != CONFIG_STRINGS) {
            if (!parse_in_range(&number, key, element, errors)) good = false;
            continue;
        }
        bool known = is_string(element) &&
                     (key->choices == NULL || find_choice(key->choices, element->text) >= 0);
        if (!known) good = refuse(key, element, errors);
    }
    if (key->n_values == 0 || (int64_t)node->n_entries == key->n_values) return good;
    config_errors_add(errors, node->place, "%s has %zu values but must have %lld", key->path,
                      node->n_entries, (long long)key->n_values);
    return false;
}

static void set_list(const struct config_key *key, void *field, const struct yaml_node *node)
{
    size_t n = node->n_entries;
    struct config_integers *integers = field;
    struct config_numbers *numbers = field;
    struct config_strings *strings = field;
    if (key->type == CONFIG_INTEGERS)
        *integers = (struct config_integers){memory_new(n, sizeof(int64_t)), (int64_t)n};
    else if (key->type == CONFIG_NUMBERS)
        *numbers = (struct config_numbers){memory_new(n, sizeof(double)), (int64_t)n};
    else
        *strings = (struct config_strings){memory_new(n, sizeof(char *)), (int64_t)n};
    for (size_t i = 0; i < n; i++) {
        const struct yaml_node *element = node->entries[i].node;
        double number = 0.0;
        if (key->type == CONFIG_STRINGS) {
            strings->values[i] = text_copy(element->text);
            continue;
        }
        parse_number(&number, element);
        if (key->type == CONFIG_INTEGERS)
            integers->values[i] = (int64_t)number;
        else
            numbers->values[i] = number;
    }
}

bool config_value_set(const struct config_key *key, void *base, const struct yaml_node *node,
                      struct config_errors *errors)
{
    bool is_list =
        key->type == CONFIG_INTEGERS || key->type == CONFIG_NUMBERS || key->type == CONFIG_STRINGS;
    if (!is_list) return set_scalar(key, field_of(key, base), node, errors);
    if (!check_list(key, node, errors)) return false;
    config_value_release(key, base);
    set_list(key, field_of(key, base), node);
    return true;
}

void config_value_release(const struct config_key *key, void *base)
{
    void *field = field_of(key, base);
    if (key->type == CONFIG_STRING) {
        free(*(char **)field);
        *(char **)field = NULL;
    } else if (key->type == CONFIG_INTEGERS) {
        struct config_integers *integers = field;
        free(integers->values);
        *integers = (struct config_integers){0};
    } else if (key->type == CONFIG_NUMBERS) {
        struct config_numbers *numbers = field;
        free(numbers->values);
        *numbers = (struct config_numbers){0};
    } else if (key->type == CONFIG_STRINGS) {
        struct config_strings *strings = field;
        for (int64_t i = 0; i < strings->n; i++) free(strings->values[i]);
        free(strings->values);
        *strings = (struct config_strings){0};
    }
}

/* The shortest decimal that reads back as the same double. */
static void write_number(struct text_buffer *out, double number)
{
    for (int digits = 6; digits <= 17; digits++) {
        char *text = text_format("%.*g", digits, number);
        bool exact = strtod(text, NULL) == number;
        if (exact || digits == 17) text_append(out, text);
        free(text);
        if (exact) return;
    }
}

/* Plain where nobody could read it as something else, else in single quotes, or in double quotes
 * where it holds control characters. */
static void write_string(struct text_buffer *out, const char *text)
{
    static const char harmless[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";
    bool starts_well =
        (text[0] >= 'a' && text[0] <= 'z') || text[0] == '/' || (text[0] >= 'A' && text[0] <= 'Z');
    bool reserved = find_choice("true|false|null|yes|no|on|off|True|False|Null|y|n", text) >= 0;
    bool control = false;
    for (const char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7F) control = true;
    if (starts_well && !reserved && text[strspn(text, harmless)] == '\0') {
        text_append(out, text);
        return;
    }
    text_append_char(out, control ? '"' : '\'');
    for (const char *c = text; *c != '\0'; c++) {
        if (control && ((unsigned char)*c < ' ' || *c == 0x7F))
            text_printf(out, "\\x%02x", (unsigned)(unsigned char)*c);
        else if (control && (*c == '"' || *c == '\\'))
            text_printf(out, "\\%c", *c);
        else if (!control && *c == '\'')
            text_append(out, "''");
        else
            text_append_char(out, *c);
    }
    text_append_char(out, control ? '"' : '\'');
}

static void write_list(struct text_buffer *out, const struct config_key *key, const void *field)
{
    const struct config_integers *integers = field;
    const struct config_numbers *numbers = field;
    const struct config_strings *strings = field;
    int64_t n = key->type == CONFIG_INTEGERS  ? integers->n
                : key->type == CONFIG_NUMBERS ? numbers->n
                                              : strings->n;
    text_append_char(out, '[');
    for (int64_t i = 0; i < n; i++) {
        if (i > 0) text_append(out, ", ");
        if (key->type == CONFIG_INTEGERS)
            text_printf(out, "%lld", (long long)integers->values[i]);
        else if (key->type == CONFIG_NUMBERS)
            write_number(out, numbers->values[i]);
        else
            write_string(out, strings->values[i]);
    }
    text_append_char(out, ']');
}

void config_value_write(struct text_buffer *out, const struct config_key *key, const void *base)
{
    const void *field = (const char *)base + key->offset;
    switch (key->type) {
    case CONFIG_BOOLEAN: text_append(out, *(const bool *)field ? "true" : "false"); break;
    case CONFIG_INTEGER: text_printf(out, "%lld", (long long)*(const int64_t *)field); break;
    case CONFIG_NUMBER: write_number(out, *(const double *)field); break;
    case CONFIG_STRING: write_string(out, *(char *const *)field); break;
    case CONFIG_CHOICE: print_choice(out, key->choices, *(const int *)field); break;
    default: write_list(out, key, field); break;
    }
}
