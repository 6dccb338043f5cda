/* What one key alone cannot say: keys that must fit together. */
#ifndef ROBIN_CONFIG_CONFIG_CHECK_H
#define ROBIN_CONFIG_CONFIG_CHECK_H

#include "config/config_errors.h"
#include "config/config_table.h"

/* The row of `path`, which must exist. */
size_t config_key_index(const char *path);

/* `places` [n_config_keys]: where each key was given, file NULL for defaults. Errors stand at the
 * key that is easiest to change, or nowhere if all keys in question are defaults. */
void config_check(const struct run_config *config, const struct config_place *places,
                  struct config_errors *errors);

#endif
