/* A YAML text as a tree that remembers where everything stood. The plain part of YAML only:
 * anchors, aliases, tags and several documents in one file are refused, since a configuration that
 * refers to itself is hard to read and easy to make huge. */
#ifndef ROBIN_CONFIG_YAML_TREE_H
#define ROBIN_CONFIG_YAML_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config_errors.h"

#define YAML_SIZE_LIMIT  (256 * 1024) /* bytes */
#define YAML_DEPTH_LIMIT 16

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAPPING };

struct yaml_node;

struct yaml_entry {
    char *key; /* NULL in a list */
    struct config_place key_place;
    struct yaml_node *node;
};

struct yaml_node {
    enum yaml_kind kind;
    struct config_place place;
    char *text;  /* of a scalar */
    bool quoted; /* '1' is a word, 1 a number */
    bool in_list;
    struct yaml_entry *entries;
    size_t n_entries;
};

/* NULL, with the error added, if the text is not such a YAML. An empty text is an empty mapping.
 * `file` must outlive the tree. */
struct yaml_node *yaml_tree_parse(const char *file, const unsigned char *bytes, size_t size,
                                  struct config_errors *errors);
void yaml_tree_destroy(struct yaml_node *node);

#endif
