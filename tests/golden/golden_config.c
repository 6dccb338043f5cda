/* See golden_config.h. */
#include "golden_config.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_file.h"

#define MAX_INTEGER (INT64_C(1) << 40)

static struct json_place place_of(const struct golden_config *config, const char *record)
{
    return (struct json_place){.file = config->path, .record = record};
}

enum status golden_integers(int64_t *values, int64_t n, const json_t *array, int64_t max,
                            const char *path, const char *what)
{
    enum status status = OK;
    if (!json_is_array(array) || json_array_size(array) != (size_t)n)
        FAIL(ERR_FORMAT, "%s: %s must be an array of %lld integers", path, what, (long long)n);
    for (int64_t i = 0; i < n; i++) {
        const json_t *value = json_array_get(array, (size_t)i);
        if (!json_is_integer(value) || json_integer_value(value) < 1 ||
            json_integer_value(value) > max)
            FAIL(ERR_FORMAT, "%s: %s[%lld] must be an integer from 1 to %lld", path, what,
                 (long long)i, (long long)max);
        values[i] = json_integer_value(value);
    }
out:
    return status;
}

static enum status read_vision(struct golden_config *config, const json_t *vision)
{
    enum status status = OK;
    struct vision_config *out = &config->model.vision;
    TRY(golden_integers(out->depths, N_LEVELS, json_object_get(vision, "depths"), 10000,
                        config->path, "vision.depths"));
    TRY(golden_integers(out->dims, N_LEVELS, json_object_get(vision, "dims"), 1 << 20, config->path,
                        "vision.dims"));
out:
    return status;
}

static enum status read_extractor(struct golden_config *config, const json_t *extractor)
{
    enum status status = OK;
    struct json_place place = place_of(config, "extractor");
    struct model_config *out = &config->model;
    TRY(json_field_integer(&out->extractor.embed, extractor, "embed", 1, MAX_INTEGER, place));
    TRY(json_field_integer(&out->extractor.mask_side, extractor, "mask_shape", 1, MAX_INTEGER,
                           place));
    TRY(json_field_integer(&out->lm.hidden, extractor, "out", 1, MAX_INTEGER, place));
    TRY(golden_integers(out->vision.dims, N_LEVELS, json_object_get(extractor, "dims"), 1 << 20,
                        config->path, "extractor.dims"));
out:
    return status;
}

static enum status read_lm(struct golden_config *config, const json_t *lm)
{
    enum status status = OK;
    struct json_place place = place_of(config, "lm");
    struct lm_config *out = &config->model.lm;
    json_t *tied = json_object_get(lm, "tied");
    TRY(json_field_integer(&out->vocab, lm, "vocab", 1, MAX_INTEGER, place));
    TRY(json_field_integer(&out->hidden, lm, "hidden", 1, MAX_INTEGER, place));
    TRY(json_field_integer(&out->ffn, lm, "ffn", 1, MAX_INTEGER, place));
    TRY(json_field_integer(&out->layers, lm, "layers", 1, MAX_INTEGER, place));
    TRY(json_field_integer(&out->heads, lm, "heads", 1, MAX_INTEGER, place));
    TRY(json_field_integer(&out->kv_heads, lm, "kv_heads", 1, MAX_INTEGER, place));
    if (json_object_get(lm, "max_positions") != NULL)
        TRY(json_field_integer(&out->max_positions, lm, "max_positions", 1, MAX_INTEGER, place));
    if (json_object_get(lm, "rms_eps") != NULL)
        TRY(json_field_number(&out->rms_eps, lm, "rms_eps", place));
    if (json_object_get(lm, "rope_theta") != NULL)
        TRY(json_field_number(&out->rope_theta, lm, "rope_theta", place));
    out->tied = tied == NULL || json_is_true(tied);
out:
    return status;
}

static enum status read_sections(struct golden_config *config)
{
    enum status status = OK;
    struct json_place root = place_of(config, "");
    const json_t *vision = json_object_get(config->root, "vision");
    const json_t *extractor = json_object_get(config->root, "extractor");
    const json_t *lm = json_object_get(config->root, "lm");
    const json_t *tokens = json_object_get(config->root, "tokens");
    int64_t seed = 0;
    TRY(json_field_integer(&seed, config->root, "seed", INT64_MIN, INT64_MAX, root));
    config->seed = (uint64_t)seed;
    if (json_object_get(config->root, "height") != NULL) {
        TRY(json_field_integer(&config->model.image_height, config->root, "height", 1, 1 << 16,
                               root));
        TRY(json_field_integer(&config->model.image_width, config->root, "width", 1, 1 << 16,
                               root));
    }
    if (extractor != NULL) TRY(read_extractor(config, extractor));
    if (vision != NULL) TRY(read_vision(config, vision));
    if (lm != NULL) TRY(read_lm(config, lm));
    if (tokens != NULL)
        TRY(json_field_integer(&config->mask_id, tokens, "mask", 0, INT32_MAX,
                               place_of(config, "tokens")));
out:
    return status;
}

enum status golden_config_read(struct golden_config *config, const char *directory)
{
    enum status status = OK;
    *config = (struct golden_config){.path = path_join(directory, "config.json"),
                                     .mask_id = -1,
                                     .model = {.image_height = 32,
                                               .image_width = 32,
                                               .vision = {.depths = {1, 1, 1, 1},
                                                          .dims = {2, 2, 2, 2},
                                                          .norm_eps = 1e-6,
                                                          .layer_scale_init = 1e-6},
                                               .extractor = {.embed = 2, .mask_side = 2},
                                               .lm = {.vocab = 2,
                                                      .hidden = 2,
                                                      .ffn = 2,
                                                      .layers = 0,
                                                      .heads = 1,
                                                      .kv_heads = 1,
                                                      .max_positions = 32768,
                                                      .rms_eps = 1e-6,
                                                      .rope_theta = 1e6,
                                                      .tied = true}}};
    TRY(json_file_read(&config->root, config->path, 1 << 20));
    TRY(read_sections(config));
out:
    if (status != OK) golden_config_release(config);
    return status;
}

void golden_config_release(struct golden_config *config)
{
    json_decref(config->root);
    free(config->path);
    config->root = NULL;
    config->path = NULL;
}

enum status golden_config_integer(int64_t *value_out, const struct golden_config *config,
                                  const char *key, int64_t min, int64_t max)
{
    return json_field_integer(value_out, config->root, key, min, max, place_of(config, ""));
}

enum status golden_config_number(double *value_out, const struct golden_config *config,
                                 const char *key)
{
    return json_field_number(value_out, config->root, key, place_of(config, ""));
}

enum status golden_config_value(json_t **value_out, const struct golden_config *config,
                                const char *key, json_type type)
{
    return json_field(value_out, config->root, key, type, place_of(config, ""));
}
