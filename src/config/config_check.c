/* The rules between keys. A rule is left out where one of its keys was refused already: the value
 * in the struct is then not the one that was meant. */
#include "config/config_check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"

struct check {
    const struct run_config *config;
    const struct config_place *places;
    struct config_errors *errors;
};

size_t config_key_index(const char *path)
{
    for (size_t i = 0; i < n_config_keys; i++)
        if (strcmp(config_keys[i].path, path) == 0) return i;
    ASSERT(0, "no config key %s", path);
    return 0;
}

static bool is_broken(const struct check *check, const char *path)
{
    return check->places[config_key_index(path)].broken;
}

/* Where `path` was given, or else `other`: one of the two has to change. */
static struct config_place place_of(const struct check *check, const char *path, const char *other)
{
    struct config_place place = check->places[config_key_index(path)];
    if (place.file == NULL && other != NULL) place = check->places[config_key_index(other)];
    return place;
}

/* " (line 6)" of a key in the same file, " (default)", or nothing. */
static char *line_of(const struct check *check, const char *path, const char *seen_from)
{
    struct config_place place = check->places[config_key_index(path)];
    struct config_place from = check->places[config_key_index(seen_from)];
    if (place.file == NULL) return text_copy(" (default)");
    if (from.file == NULL || place.line == 0) return text_copy("");
    if (strcmp(place.file, from.file) == 0) return text_format(" (line %d)", place.line);
    return text_format(" (%s:%d)", place.file, place.line);
}

static void check_multiple(const struct check *check, const char *path, int64_t value,
                           const char *of_path, int64_t of)
{
    if (value % of == 0 || is_broken(check, path) || is_broken(check, of_path)) return;
    char *line = line_of(check, of_path, path);
    config_errors_add(check->errors, place_of(check, path, of_path),
                      "%s is %" PRId64 " but must be a multiple of %s = %" PRId64 "%s", path, value,
                      of_path, of, line);
    free(line);
}

static void check_at_most(const struct check *check, const char *path, int64_t value,
                          const char *of_path, int64_t of)
{
    if (value <= of || is_broken(check, path) || is_broken(check, of_path)) return;
    char *line = line_of(check, of_path, path);
    config_errors_add(check->errors, place_of(check, path, of_path),
                      "%s is %" PRId64 " but must be at most %s = %" PRId64 "%s", path, value,
                      of_path, of, line);
    free(line);
}

static void check_side(const struct check *check, const char *path, int64_t pixels)
{
    if (pixels % 32 == 0 || is_broken(check, path)) return;
    int64_t below = pixels / 32 * 32;
    config_errors_add(check->errors, place_of(check, path, NULL),
                      "%s is %" PRId64 " but must be a multiple of 32, the stride of the tower's "
                      "last stage; use %" PRId64 " or %" PRId64,
                      path, pixels, below, below + 32);
}

static void check_model(const struct check *check)
{
    const struct config_model *model = &check->config->model;
    check_side(check, "model.image.height", model->image_height);
    check_side(check, "model.image.width", model->image_width);
    check_multiple(check, "model.lm.heads", model->lm_heads, "model.lm.kv_heads",
                   model->lm_kv_heads);
    check_multiple(check, "model.lm.hidden", model->lm_hidden, "model.lm.heads", model->lm_heads);
    int64_t head_size = model->lm_hidden / model->lm_heads;
    if (is_broken(check, "model.lm.heads") || is_broken(check, "model.lm.hidden")) return;
    if (model->lm_hidden % model->lm_heads == 0 && head_size % 2 != 0)
        config_errors_add(check->errors, place_of(check, "model.lm.heads", "model.lm.hidden"),
                          "model.lm.hidden / model.lm.heads is %" PRId64
                          " but must be even: rotary positions turn pairs of channels",
                          head_size);
}

static void check_lengths(const struct check *check)
{
    const struct run_config *config = check->config;
    const struct config_model *model = &config->model;
    check_at_most(check, "data.max_length", config->data.max_length, "data.max_tokens",
                  config->data.max_tokens);
    check_at_most(check, "data.max_length", config->data.max_length, "model.lm.max_positions",
                  model->lm_max_positions);
    int64_t image_tokens = model->image_height / 16 * (model->image_width / 16);
    if (config->data.max_length > image_tokens + 2 || is_broken(check, "data.max_length")) return;
    if (is_broken(check, "model.image.height") || is_broken(check, "model.image.width")) return;
    config_errors_add(check->errors, place_of(check, "data.max_length", "model.image.height"),
                      "data.max_length is %" PRId64 " but a picture of %" PRId64 " x %" PRId64
                      " alone takes %" PRId64 " tokens; use more than %" PRId64,
                      config->data.max_length, model->image_height, model->image_width,
                      image_tokens, image_tokens + 2);
}

static void check_sources(const struct check *check)
{
    const struct config_data *data = &check->config->data;
    struct config_place place = place_of(check, "data.sources", NULL);
    if (is_broken(check, "data.sources")) return;
    if (data->n_sources == 0)
        config_errors_add(check->errors, place,
                          "data.sources is empty: nothing to learn from; add a corpus and tasks");
    for (int64_t i = 0; i < data->n_sources; i++) {
        const struct config_source *source = &data->sources[i];
        if (source->tasks.n == 0)
            config_errors_add(check->errors, place,
                              "data.sources[%" PRId64 "].tasks is empty; name a task", i);
        if (source->count > 0 && source->weight != 1.0)
            config_errors_add(
                check->errors, place,
                "data.sources[%" PRId64 "] has both a weight and a count; remove one of them", i);
        if (source->count == 0 && source->weight == 0.0)
            config_errors_add(check->errors, place,
                              "data.sources[%" PRId64
                              "].weight is 0: it would never be read; remove the source",
                              i);
    }
}

/* A source that is left out must be there; something must remain. */
static void check_without(const struct check *check)
{
    const struct config_data *data = &check->config->data;
    const struct config_place place = place_of(check, "data.without", NULL);
    int64_t left = data->n_sources;
    if (is_broken(check, "data.without") || is_broken(check, "data.sources")) return;
    for (int64_t i = 0; i < data->without.n; i++) {
        int64_t found = 0;
        for (int64_t s = 0; s < data->n_sources; s++)
            found += strcmp(data->sources[s].corpus, data->without.values[i]) == 0;
        if (found == 0)
            config_errors_add(check->errors, place,
                              "data.without names %s, which no row of data.sources has",
                              data->without.values[i]);
        left -= found;
    }
    if (data->without.n > 0 && left <= 0)
        config_errors_add(check->errors, place,
                          "data.without leaves no source: nothing to learn from");
}

static void check_modules(const struct check *check)
{
    const struct config_strings *modules = &check->config->train.modules;
    struct config_place place = place_of(check, "train.modules", NULL);
    if (is_broken(check, "train.modules")) return;
    if (modules->n == 0)
        config_errors_add(check->errors, place,
                          "train.modules is empty: nothing would learn; name a part of the model");
    for (int64_t i = 0; i < modules->n; i++)
        for (int64_t j = i + 1; j < modules->n; j++)
            if (strcmp(modules->values[i], modules->values[j]) == 0)
                config_errors_add(check->errors, place, "train.modules names %s twice; remove one",
                                  modules->values[i]);
}

static bool is_listed(const struct config_strings *list, const char *word)
{
    for (int64_t i = 0; i < list->n; i++)
        if (strcmp(list->values[i], word) == 0) return true;
    return false;
}

/* A part that learns at the rate 0 is one that was meant to be frozen, or a slip. */
static void check_rates(const struct check *check)
{
    const struct config_optimizer *optimizer = &check->config->optimizer;
    const struct {
        const char *module, *path;
        double lr;
    } groups[] = {
        {"vision_tower", "optimizer.tower_lr", optimizer->tower_lr},
        {"projector", "optimizer.projector_lr", optimizer->projector_lr},
        {"mask_extractor", "optimizer.extractor_lr", optimizer->extractor_lr},
        {"lm", "optimizer.lm_lr", optimizer->lm_lr},
    };
    bool said = is_broken(check, "optimizer.lr");
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        const bool own = groups[i].lr != -1;
        const char *path = own ? groups[i].path : "optimizer.lr";
        const double lr = own ? groups[i].lr : optimizer->lr;
        if (is_broken(check, path) || is_broken(check, "train.modules")) continue;
        if (own && lr < 0)
            config_errors_add(check->errors, place_of(check, path, NULL),
                              "%s is %g but must be positive, or -1 for optimizer.lr", path, lr);
        if (lr != 0 || !is_listed(&check->config->train.modules, groups[i].module)) continue;
        if (own || !said)
            config_errors_add(check->errors, place_of(check, path, "train.modules"),
                              "%s is 0 but %s learns: nothing would change; use a positive rate, "
                              "or take it out of train.modules",
                              path, groups[i].module);
        said = said || !own;
    }
}

static void check_parallel(const struct check *check)
{
    const struct config_parallel *parallel = &check->config->parallel;
    if (!parallel->shard_gradients || parallel->reduction != CONFIG_REDUCTION_ORDERED) return;
    if (is_broken(check, "parallel.shard_gradients") || is_broken(check, "parallel.reduction"))
        return;
    config_errors_add(check->errors,
                      place_of(check, "parallel.shard_gradients", "parallel.reduction"),
                      "parallel.shard_gradients adds up micro-batches in another order than "
                      "parallel.reduction ordered asks for; leave one of them out");
}

static void check_train(const struct check *check)
{
    const struct run_config *config = check->config;
    check_sources(check);
    check_without(check);
    check_modules(check);
    if (config->tokenizer[0] == '\0' && !is_broken(check, "tokenizer"))
        config_errors_add(check->errors, place_of(check, "tokenizer", NULL),
                          "tokenizer is not given; name the directory that holds vocab.json and "
                          "merges.txt");
    if (config->train.steps == 0 && config->train.epochs == 0.0 &&
        !is_broken(check, "train.steps") && !is_broken(check, "train.epochs"))
        config_errors_add(check->errors, place_of(check, "train.steps", "train.epochs"),
                          "train.steps and train.epochs are both 0; give the run a length");
    check_rates(check);
}

/* Its stages are checked when they are read. */
static void check_curriculum(const struct check *check)
{
    if (check->config->curriculum.n_stages == 0 && !is_broken(check, "curriculum.stages"))
        config_errors_add(check->errors, place_of(check, "curriculum.stages", NULL),
                          "curriculum.stages is empty: nothing would run; name configurations");
}

static bool is_a_column(const struct config_evaluate *evaluate, const char *name)
{
    static const char *const always[] = {"majority", "zeroed", "swapped"};
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
        if (strcmp(always[i], name) == 0) return true;
    for (int64_t i = 0; i < evaluate->n_beside; i++)
        if (strcmp(evaluate->beside[i].name, name) == 0) return true;
    return false;
}

static void check_evaluate(const struct check *check)
{
    const struct config_evaluate *evaluate = &check->config->evaluate;
    const struct config_place margins = place_of(check, "evaluate.margins", NULL);
    const struct config_place beside = place_of(check, "evaluate.beside", NULL);
    if (is_broken(check, "evaluate.margins") || is_broken(check, "evaluate.beside")) return;
    for (int64_t i = 0; i < evaluate->n_margins; i++)
        if (!is_a_column(evaluate, evaluate->margins[i].over))
            config_errors_add(check->errors, margins,
                              "evaluate.margins[%" PRId64 "].over is '%s'; use majority, zeroed, "
                              "swapped or the name of a row of evaluate.beside",
                              i, evaluate->margins[i].over);
    for (int64_t i = 0; i < evaluate->n_beside; i++) {
        const size_t length = strlen(evaluate->beside[i].name);
        if (length == 0 || length > 12)
            config_errors_add(check->errors, beside,
                              "evaluate.beside[%" PRId64 "].name is '%s'; use 1 to 12 characters",
                              i, evaluate->beside[i].name);
    }
}

void config_check(const struct run_config *config, const struct config_place *places,
                  struct config_errors *errors)
{
    struct check check = {.config = config, .places = places, .errors = errors};
    if (config->job == CONFIG_JOB_CURRICULUM) {
        check_curriculum(&check);
        return;
    }
    check_model(&check);
    if (config->job == CONFIG_JOB_EVALUATE) check_evaluate(&check);
    if (config->job != CONFIG_JOB_TRAIN) return;
    check_lengths(&check);
    check_parallel(&check);
    check_train(&check);
}
