/* libyaml's events made into a tree, by one function per kind of node. */
#include "config/yaml_tree.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct tree_reader {
    yaml_parser_t parser;
    const char *file;
    struct config_errors *errors;
};

static struct config_place place_of(const struct tree_reader *reader, yaml_mark_t mark)
{
    return (struct config_place){
        .file = reader->file, .line = (int)mark.line + 1, .column = (int)mark.column + 1};
}

/* False, with the error added, where the text is not YAML. */
static bool next_event(struct tree_reader *reader, yaml_event_t *event)
{
    if (yaml_parser_parse(&reader->parser, event)) return true;
    const yaml_parser_t *parser = &reader->parser;
    yaml_mark_t mark = parser->problem_mark;
    const char *problem = parser->problem != NULL ? parser->problem : "unknown problem";
    if (parser->error == YAML_READER_ERROR) {
        mark = parser->mark;
        config_errors_add(reader->errors, place_of(reader, mark),
                          "not text: %s (byte %zu); is this a YAML file?", problem,
                          parser->problem_offset);
        return false;
    }
    config_errors_add(reader->errors, place_of(reader, mark), "not valid YAML: %s%s%s", problem,
                      parser->context != NULL ? ", " : "",
                      parser->context != NULL ? parser->context : "");
    return false;
}

static struct yaml_node *read_node(struct tree_reader *reader, yaml_event_t *event, int depth);

static struct yaml_node *new_node(enum yaml_kind kind, struct config_place place)
{
    struct yaml_node *node = memory_new(1, sizeof *node);
    node->kind = kind;
    node->place = place;
    return node;
}

static void add_entry(struct yaml_node *node, char *key, struct config_place key_place,
                      struct yaml_node *child)
{
    node->entries = memory_resize(node->entries, node->n_entries + 1, sizeof *node->entries);
    node->entries[node->n_entries++] =
        (struct yaml_entry){.key = key, .key_place = key_place, .node = child};
}

static struct yaml_node *read_list(struct tree_reader *reader, struct config_place place, int depth)
{
    struct yaml_node *list = new_node(YAML_LIST, place);
    for (;;) {
        yaml_event_t event;
        if (!next_event(reader, &event)) break;
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            return list;
        }
        struct yaml_node *child = read_node(reader, &event, depth + 1);
        if (child == NULL) break;
        child->in_list = true;
        add_entry(list, NULL, child->place, child);
    }
    yaml_tree_destroy(list);
    return NULL;
}

/* True, with the error added, if the key is already there. */
static bool is_duplicate(struct tree_reader *reader, const struct yaml_node *mapping,
                         const char *key, struct config_place place)
{
    for (size_t i = 0; i < mapping->n_entries; i++) {
        if (strcmp(mapping->entries[i].key, key) != 0) continue;
        config_errors_add(reader->errors, place,
                          "key '%s' was already given in line %d; remove one", key,
                          mapping->entries[i].key_place.line);
        return true;
    }
    return false;
}

static struct yaml_node *read_mapping(struct tree_reader *reader, struct config_place place,
                                      int depth)
{
    struct yaml_node *mapping = new_node(YAML_MAPPING, place);
    for (;;) {
        yaml_event_t event;
        if (!next_event(reader, &event)) break;
        if (event.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&event);
            return mapping;
        }
        struct yaml_node *key = read_node(reader, &event, depth + 1);
        if (key == NULL) break;
        if (key->kind != YAML_SCALAR) {
            config_errors_add(reader->errors, key->place,
                              "a key must be a word, found a list or mapping");
            yaml_tree_destroy(key);
            break;
        }
        bool duplicate = is_duplicate(reader, mapping, key->text, key->place);
        struct yaml_node *value = NULL;
        if (next_event(reader, &event)) value = read_node(reader, &event, depth + 1);
        bool good = value != NULL;
        if (good && !duplicate)
            add_entry(mapping, text_copy(key->text), key->place, value);
        else
            yaml_tree_destroy(value);
        yaml_tree_destroy(key);
        if (!good) break;
    }
    yaml_tree_destroy(mapping);
    return NULL;
}

static struct yaml_node *read_scalar(struct tree_reader *reader, const yaml_event_t *event)
{
    struct config_place place = place_of(reader, event->start_mark);
    const char *text = (const char *)event->data.scalar.value;
    if (strlen(text) != event->data.scalar.length) {
        config_errors_add(reader->errors, place, "a value holds a NUL character; remove it");
        return NULL;
    }
    struct yaml_node *node = new_node(YAML_SCALAR, place);
    node->text = text_copy(text);
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return node;
}

/* The name of what is not taken in this event, or NULL. */
static const char *refused_feature(const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (event->type) {
    case YAML_ALIAS_EVENT: return "an alias (*name)";
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
        break;
    default: break;
    }
    if (anchor != NULL) return "an anchor (&name)";
    return tag != NULL ? "a tag (!name)" : NULL;
}

/* Consumes the event. NULL with an error added on failure. */
static struct yaml_node *read_node(struct tree_reader *reader, yaml_event_t *event, int depth)
{
    struct yaml_node *node = NULL;
    struct config_place place = place_of(reader, event->start_mark);
    const char *refused = refused_feature(event);
    if (refused != NULL) {
        config_errors_add(reader->errors, place, "%s is not taken here; write the value itself",
                          refused);
    } else if (depth > YAML_DEPTH_LIMIT) {
        config_errors_add(reader->errors, place, "nested deeper than %d levels", YAML_DEPTH_LIMIT);
    } else if (event->type == YAML_SCALAR_EVENT) {
        node = read_scalar(reader, event);
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        node = read_list(reader, place, depth);
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        node = read_mapping(reader, place, depth);
    } else {
        config_errors_add(reader->errors, place, "not valid YAML: a value was expected");
    }
    yaml_event_delete(event);
    return node;
}

/* The one document of the stream. */
static struct yaml_node *read_document(struct tree_reader *reader)
{
    yaml_event_t event;
    struct yaml_node *root = NULL;
    for (;;) {
        if (!next_event(reader, &event)) break;
        yaml_event_type_t type = event.type;
        if (type == YAML_STREAM_END_EVENT) {
            yaml_event_delete(&event);
            if (root == NULL) root = new_node(YAML_MAPPING, place_of(reader, (yaml_mark_t){0}));
            return root;
        }
        if (type == YAML_STREAM_START_EVENT || type == YAML_DOCUMENT_START_EVENT ||
            type == YAML_DOCUMENT_END_EVENT) {
            yaml_event_delete(&event);
            continue;
        }
        if (root != NULL) {
            config_errors_add(reader->errors, place_of(reader, event.start_mark),
                              "a second document starts here; use one file for each");
            yaml_event_delete(&event);
            break;
        }
        root = read_node(reader, &event, 1);
        if (root == NULL) break;
    }
    yaml_tree_destroy(root);
    return NULL;
}

struct yaml_node *yaml_tree_parse(const char *file, const unsigned char *bytes, size_t size,
                                  struct config_errors *errors)
{
    struct tree_reader reader = {.file = file, .errors = errors};
    if (!yaml_parser_initialize(&reader.parser)) {
        config_errors_add(errors, (struct config_place){.file = file}, "no memory for its parser");
        return NULL;
    }
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, bytes, size);
    struct yaml_node *root = read_document(&reader);
    yaml_parser_delete(&reader.parser);
    return root;
}

void yaml_tree_destroy(struct yaml_node *node)
{
    if (node == NULL) return;
    for (size_t i = 0; i < node->n_entries; i++) {
        free(node->entries[i].key);
        yaml_tree_destroy(node->entries[i].node);
    }
    free(node->entries);
    free(node->text);
    free(node);
}
