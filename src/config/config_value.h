/* One value of the table: from a YAML node into its field, and back to text. */
#ifndef ROBIN_CONFIG_CONFIG_VALUE_H
#define ROBIN_CONFIG_CONFIG_VALUE_H

#include <stdbool.h>

#include "config/config_errors.h"
#include "config/config_table.h"
#include "config/yaml_tree.h"

/* Replaces the field of `key` in the struct at `base`; false, with the error added and the field
 * unchanged, where the node is not such a value. Not for CONFIG_MAPPINGS. */
bool config_value_set(const struct config_key *key, void *base, const struct yaml_node *node,
                      struct config_errors *errors);
/* Frees what the field owns and zeroes it. Not for CONFIG_MAPPINGS. */
void config_value_release(const struct config_key *key, void *base);
/* The field as YAML. Not for CONFIG_MAPPINGS. */
void config_value_write(struct text_buffer *out, const struct config_key *key, const void *base);
/* "an integer, 1 to 64", "cpu or ref", ... */
void config_value_describe(struct text_buffer *out, const struct config_key *key);

#endif
