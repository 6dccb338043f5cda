/* config.json of a numeric golden folder: sizes and seed. */
#ifndef ROBIN_TESTS_GOLDEN_CONFIG_H
#define ROBIN_TESTS_GOLDEN_CONFIG_H

#include <jansson.h>
#include <stdint.h>

#include "base/status.h"
#include "model/model_config.h"

struct golden_config {
    char *path;
    json_t *root;
    uint64_t seed;
    struct model_config model; /* parts that the folder does not name are as small as can be */
    int64_t mask_id;           /* "tokens"."mask"; -1 if not named */
};

enum status golden_config_read(struct golden_config *config, const char *directory);
void golden_config_release(struct golden_config *config);

/* Fields at the root of config.json. */
enum status golden_config_integer(int64_t *value_out, const struct golden_config *config,
                                  const char *key, int64_t min, int64_t max);
enum status golden_config_number(double *value_out, const struct golden_config *config,
                                 const char *key);
/* An array or object at the root, borrowed. */
enum status golden_config_value(json_t **value_out, const struct golden_config *config,
                                const char *key, json_type type);
/* Array of exactly `n` integers, each 1 .. max. */
enum status golden_integers(int64_t *values, int64_t n, const json_t *array, int64_t max,
                            const char *path, const char *what);

#endif
