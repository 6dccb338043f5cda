/* The way from files and arguments to a struct run_config: defaults, then the model file, then the
 * file itself, then the overrides, each over what came before. */
#include "config/run_config.h"

#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/file.h"
#include "config/config_check.h"
#include "config/config_suggest.h"
#include "config/config_table.h"
#include "config/config_value.h"

/* A struct that keys are being written to: the run_config, or one element of a list. */
struct scope {
    void *base;
    struct config_place *places; /* [n_config_keys] */
    struct config_errors *errors;
};

static bool apply_mapping(struct scope *scope, const char *prefix, const struct yaml_node *node);

/* Whether the row stands directly in the list or struct that `list_prefix` ends: "" or
 * "data.sources[]." */
static bool belongs_to(const struct config_key *key, const char *list_prefix)
{
    size_t length = strlen(list_prefix);
    return strncmp(key->path, list_prefix, length) == 0 && strstr(key->path + length, "[]") == NULL;
}

static void apply_defaults(struct scope *scope, const char *list_prefix)
{
    for (size_t i = 0; i < n_config_keys; i++) {
        const struct config_key *key = &config_keys[i];
        if (!belongs_to(key, list_prefix)) continue;
        if (key->fallback == NULL || key->type == CONFIG_MAPPINGS) continue;
        struct config_errors errors = {0};
        struct yaml_node *node = yaml_tree_parse(key->path, (const unsigned char *)key->fallback,
                                                 strlen(key->fallback), &errors);
        bool good = node != NULL && config_value_set(key, scope->base, node, &errors);
        ASSERT(good, "the default of %s is wrong: %s", key->path,
               errors.n > 0 ? errors.errors[0].message : "");
        yaml_tree_destroy(node);
        config_errors_release(&errors);
    }
}

static void check_required(struct scope *scope, const char *list_prefix, struct config_place place)
{
    for (size_t i = 0; i < n_config_keys; i++) {
        const struct config_key *key = &config_keys[i];
        if (!belongs_to(key, list_prefix) || key->fallback != NULL) continue;
        if (scope->places[i].file != NULL) continue;
        struct text_buffer wanted = {0};
        config_value_describe(&wanted, key);
        config_errors_add(scope->errors, place, "%s is missing; give %s", key->path,
                          text_of(&wanted));
        text_release(&wanted);
    }
}

static void release_scope(void *base, const char *list_prefix)
{
    for (size_t i = 0; i < n_config_keys; i++)
        if (belongs_to(&config_keys[i], list_prefix) && config_keys[i].type != CONFIG_MAPPINGS)
            config_value_release(&config_keys[i], base);
}

static void release_mappings(const struct config_key *key, void *base)
{
    char **elements = (char **)(void *)((char *)base + key->offset);
    int64_t *n = (int64_t *)(void *)((char *)base + key->count_offset);
    char *prefix = text_format("%s[].", key->path);
    for (int64_t i = 0; i < *n; i++)
        release_scope(*elements + (size_t)i * key->element_size, prefix);
    free(prefix);
    free(*elements);
    *elements = NULL;
    *n = 0;
}

static bool apply_mappings(struct scope *scope, const struct config_key *key,
                           const struct yaml_node *node)
{
    if (node->kind != YAML_LIST) {
        config_errors_add(scope->errors, node->place, "%s must be a list of mappings", key->path);
        return false;
    }
    release_mappings(key, scope->base);
    size_t n = node->n_entries;
    char *elements = memory_new(n, key->element_size);
    *(char **)(void *)((char *)scope->base + key->offset) = elements;
    *(int64_t *)(void *)((char *)scope->base + key->count_offset) = (int64_t)n;
    char *inner = text_format("%s[]", key->path);
    char *list_prefix = text_format("%s.", inner);
    struct config_place *places = memory_new(n_config_keys, sizeof *places);
    bool good = true;
    for (size_t i = 0; i < n; i++) {
        const struct yaml_node *element = node->entries[i].node;
        struct scope within = {elements + i * key->element_size, places, scope->errors};
        memset(places, 0, n_config_keys * sizeof *places);
        apply_defaults(&within, list_prefix);
        if (apply_mapping(&within, inner, element))
            check_required(&within, list_prefix, element->place);
        else
            good = false;
    }
    free(places);
    free(list_prefix);
    free(inner);
    return good;
}

/* "model: NAME" stands for "model: {base: NAME}"; every other group must be a mapping. */
static bool is_model_shorthand(const char *path, const struct yaml_node *node)
{
    return strcmp(path, "model") == 0 && node->kind == YAML_SCALAR;
}

static bool apply_key(struct scope *scope, size_t index, const struct yaml_entry *entry)
{
    const struct config_key *key = &config_keys[index];
    const struct config_place *before = &scope->places[index];
    if (before->file != NULL && before->file == entry->key_place.file) {
        config_errors_add(scope->errors, entry->key_place,
                          "%s was already given in line %d; remove one", key->path, before->line);
        return false;
    }
    scope->places[index] = entry->key_place;
    bool good = key->type == CONFIG_MAPPINGS
                    ? apply_mappings(scope, key, entry->node)
                    : config_value_set(key, scope->base, entry->node, scope->errors);
    scope->places[index].broken = !good;
    return good;
}

static bool is_group(const char *path)
{
    size_t length = strlen(path);
    for (size_t i = 0; i < n_config_keys; i++)
        if (strncmp(config_keys[i].path, path, length) == 0 && config_keys[i].path[length] == '.')
            return true;
    return false;
}

static bool apply_entry(struct scope *scope, const char *path, const struct yaml_entry *entry)
{
    if (is_model_shorthand(path, entry->node))
        return apply_key(scope, config_key_index("model.base"), entry);
    for (size_t i = 0; i < n_config_keys; i++)
        if (strcmp(config_keys[i].path, path) == 0) return apply_key(scope, i, entry);
    if (is_group(path)) return apply_mapping(scope, path, entry->node);
    char *nearest = config_suggest(path);
    if (nearest != NULL)
        config_errors_add(scope->errors, entry->key_place, "unknown key %s; did you mean %s?", path,
                          nearest);
    else
        config_errors_add(scope->errors, entry->key_place,
                          "unknown key %s; 'robin-dist help-config' lists the keys", path);
    free(nearest);
    return false;
}

static bool apply_mapping(struct scope *scope, const char *prefix, const struct yaml_node *node)
{
    if (node->kind != YAML_MAPPING) {
        config_errors_add(scope->errors, node->place, "%s must be a mapping of keys to values",
                          prefix[0] != '\0' ? prefix : "the file");
        return false;
    }
    bool good = true;
    for (size_t i = 0; i < node->n_entries; i++) {
        const struct yaml_entry *entry = &node->entries[i];
        char *path =
            prefix[0] != '\0' ? text_format("%s.%s", prefix, entry->key) : text_copy(entry->key);
        if (!apply_entry(scope, path, entry)) good = false;
        free(path);
    }
    return good;
}

static bool is_listed(const struct config_strings *list, const char *word)
{
    for (int64_t i = 0; i < list->n; i++)
        if (strcmp(list->values[i], word) == 0) return true;
    return false;
}

/* What data.without names goes, and then the list itself: the result is a configuration that never
 * had these sources. */
static void drop_sources(struct run_config *config)
{
    struct config_data *data = &config->data;
    int64_t kept = 0;
    for (int64_t i = 0; i < data->n_sources; i++) {
        if (is_listed(&data->without, data->sources[i].corpus))
            release_scope(&data->sources[i], "data.sources[].");
        else
            data->sources[kept++] = data->sources[i];
    }
    data->n_sources = kept;
    config_value_release(&config_keys[config_key_index("data.without")], config);
}

/* Files and arguments of one load: trees point into the labels, so all live until the end. */
struct loader {
    const char *path; /* of the file, and where model files are looked for */
    bool without_file;
    struct config_errors errors;
    struct yaml_node *file_tree;
    bool model_wanted; /* a model file was named */
    char *model_path;  /* NULL without a model file */
    struct yaml_node *model_tree;
    char *mixture_path; /* NULL without a mixture file */
    struct yaml_node *mixture_tree;
    struct yaml_node **override_trees;
    char **override_labels;
    int n_overrides;
};

static enum status read_tree(struct yaml_node **tree_out, const char *path,
                             struct config_errors *errors)
{
    enum status status = OK;
    unsigned char *bytes = NULL;
    size_t size = 0;
    TRY(file_read(&bytes, &size, path, YAML_SIZE_LIMIT));
    *tree_out = yaml_tree_parse(path, bytes, size, errors);
out:
    free(bytes);
    return status;
}

/* Lines and columns within an argument say nothing. */
static void set_places(struct yaml_node *node, struct config_place place)
{
    node->place = place;
    for (size_t i = 0; i < node->n_entries; i++) {
        node->entries[i].key_place = place;
        set_places(node->entries[i].node, place);
    }
}

/* "a.b=value" as a mapping of the one key "a.b". */
static void read_override(struct loader *loader, int index, const char *argument)
{
    char *label = text_format("command line: %s", argument);
    struct config_place place = {.file = label};
    const char *equals = strchr(argument, '=');
    loader->override_labels[index] = label;
    if (equals == NULL || equals == argument) {
        config_errors_add(&loader->errors, place, "not of the form key=value");
        return;
    }
    const unsigned char *text = (const unsigned char *)equals + 1;
    struct config_errors errors = {0};
    struct yaml_node *value = yaml_tree_parse(label, text, strlen(equals + 1), &errors);
    if (value == NULL) config_errors_add(&loader->errors, place, "%s", errors.errors[0].message);
    config_errors_release(&errors);
    if (value == NULL) return;
    set_places(value, place);
    if (equals[1] == '\0') { /* "key=": an empty string was meant */
        value->kind = YAML_SCALAR;
        value->text = text_copy("");
        value->quoted = true;
    }
    struct yaml_node *mapping = memory_new(1, sizeof *mapping);
    mapping->kind = YAML_MAPPING;
    mapping->place = place;
    mapping->entries = memory_new(1, sizeof *mapping->entries);
    mapping->n_entries = 1;
    mapping->entries[0] =
        (struct yaml_entry){text_format("%.*s", (int)(equals - argument), argument), place, value};
    loader->override_trees[index] = mapping;
}

static const struct yaml_node *child_of(const struct yaml_node *node, const char *key)
{
    if (node == NULL || node->kind != YAML_MAPPING) return NULL;
    for (size_t i = 0; i < node->n_entries; i++)
        if (strcmp(node->entries[i].key, key) == 0) return node->entries[i].node;
    return NULL;
}

/* The scalar that names the model file in this tree, or NULL. */
static const struct yaml_node *base_in(const struct yaml_node *tree)
{
    const struct yaml_node *model = child_of(tree, "model");
    const struct yaml_node *base = child_of(tree, "model.base");
    if (model != NULL && model->kind == YAML_SCALAR) base = model;
    if (model != NULL && model->kind == YAML_MAPPING) base = child_of(model, "base");
    return base != NULL && base->kind == YAML_SCALAR && base->text[0] != '\0' ? base : NULL;
}

/* DIRECTORY/model/NAME.yaml, or the same one folder up; NULL if neither is there. */
static char *find_model_file(const char *config_path, const char *name)
{
    const char *slash = strrchr(config_path, '/');
    int length = slash != NULL ? (int)(slash - config_path) : 1;
    const char *directory = slash != NULL ? config_path : ".";
    static const char *const ways[] = {"model", "../model"};
    for (size_t i = 0; i < 2; i++) {
        char *path = text_format("%.*s/%s/%s.yaml", length, directory, ways[i], name);
        if (file_exists(path)) return path;
        free(path);
    }
    return NULL;
}

static enum status read_model_file(struct loader *loader)
{
    enum status status = OK;
    const struct yaml_node *base = base_in(loader->file_tree);
    for (int i = 0; i < loader->n_overrides; i++) {
        const struct yaml_node *other = base_in(loader->override_trees[i]);
        if (other != NULL) base = other;
    }
    if (base == NULL) return OK;
    loader->model_wanted = true;
    loader->model_path = find_model_file(loader->path, base->text);
    if (loader->model_path == NULL) {
        config_errors_add(&loader->errors, base->place,
                          "no model file model/%s.yaml in the folder of %s or the one above it",
                          base->text, loader->path);
        return OK;
    }
    TRY(read_tree(&loader->model_tree, loader->model_path, &loader->errors));
    const struct yaml_node *nested = child_of(loader->model_tree, "base");
    if (nested != NULL)
        config_errors_add(&loader->errors, nested->place,
                          "a model file cannot start from another one; write all keys here");
out:
    return status;
}

/* The node at group.key of this tree, or NULL. */
static const struct yaml_node *node_in(const struct yaml_node *tree, const char *group,
                                       const char *key)
{
    const struct yaml_node *node = child_of(child_of(tree, group), key);
    char *path = text_format("%s.%s", group, key);
    if (node == NULL) node = child_of(tree, path);
    free(path);
    return node;
}

/* The scalar that names the mixture file: in the last override that has it, or in the file. */
static const struct yaml_node *mixture_in(const struct loader *loader)
{
    const struct yaml_node *found = node_in(loader->file_tree, "data", "mixture");
    for (int i = 0; i < loader->n_overrides; i++) {
        const struct yaml_node *other = node_in(loader->override_trees[i], "data", "mixture");
        if (other != NULL) found = other;
    }
    const bool named = found != NULL && found->kind == YAML_SCALAR && found->text[0] != '\0';
    return named ? found : NULL;
}

static enum status read_mixture_file(struct loader *loader)
{
    enum status status = OK;
    const struct yaml_node *named = mixture_in(loader);
    const struct yaml_node *sources = node_in(loader->file_tree, "data", "sources");
    if (named == NULL) return OK;
    if (sources != NULL)
        config_errors_add(&loader->errors, sources->place,
                          "data.sources stands beside data.mixture; remove one of them");
    loader->mixture_path = text_copy(named->text);
    if (!file_exists(loader->mixture_path)) {
        config_errors_add(&loader->errors, named->place, "no mixture file %s",
                          loader->mixture_path);
        return OK;
    }
    TRY(read_tree(&loader->mixture_tree, loader->mixture_path, &loader->errors));
    const struct yaml_node *tree = loader->mixture_tree;
    const bool is_mixture = tree != NULL && tree->kind == YAML_MAPPING && tree->n_entries == 1 &&
                            strcmp(tree->entries[0].key, "sources") == 0;
    if (tree != NULL && !is_mixture)
        config_errors_add(&loader->errors, tree->place,
                          "a mixture file has one key, sources: a list as in data.sources");
    if (is_mixture) return OK;
    yaml_tree_destroy(loader->mixture_tree);
    loader->mixture_tree = NULL;
out:
    return status;
}

static void loader_release(struct loader *loader)
{
    yaml_tree_destroy(loader->file_tree);
    yaml_tree_destroy(loader->model_tree);
    yaml_tree_destroy(loader->mixture_tree);
    for (int i = 0; i < loader->n_overrides; i++) {
        yaml_tree_destroy(loader->override_trees[i]);
        free(loader->override_labels[i]);
    }
    free(loader->override_trees);
    free(loader->override_labels);
    free(loader->model_path);
    free(loader->mixture_path);
    config_errors_release(&loader->errors);
}

static void mark_broken(struct config_place *places, const char *prefix)
{
    for (size_t i = 0; i < n_config_keys; i++)
        if (strncmp(config_keys[i].path, prefix, strlen(prefix)) == 0) places[i].broken = true;
}

/* False where the file is not a mapping at all. */
static bool apply_root(struct scope *scope, const struct yaml_node *tree)
{
    apply_mapping(scope, "", tree);
    return tree->kind == YAML_MAPPING;
}

static void apply_all(struct loader *loader, struct run_config *config)
{
    struct config_place *places = memory_new(n_config_keys, sizeof *places);
    struct scope scope = {config, places, &loader->errors};
    apply_defaults(&scope, "");
    if (loader->model_tree != NULL)
        apply_mapping(&scope, "model", loader->model_tree);
    else if (loader->model_wanted)
        mark_broken(places, "model.");
    if (loader->mixture_tree != NULL)
        apply_mapping(&scope, "data", loader->mixture_tree);
    else if (loader->mixture_path != NULL)
        mark_broken(places, "data.sources");
    bool is_config = loader->without_file ||
                     (loader->file_tree != NULL && apply_root(&scope, loader->file_tree));
    for (int i = 0; i < loader->n_overrides; i++)
        if (loader->override_trees[i] != NULL) apply_mapping(&scope, "", loader->override_trees[i]);
    if (is_config) { /* of a file that is something else, more need not be said */
        check_required(&scope, "", (struct config_place){.file = loader->path});
        config_check(config, places, &loader->errors);
    }
    if (loader->mixture_tree != NULL) config->data.mixture[0] = '\0'; /* its sources are here now */
    for (size_t i = 0; i < loader->errors.n; i++) /* what only defaults are to blame for */
        if (loader->errors.errors[i].place.file == NULL)
            loader->errors.errors[i].place.file = loader->path;
    free(places);
}

enum status run_config_load(struct run_config *config_out, const char *path,
                            const char *const *overrides, int n_overrides)
{
    enum status status = OK;
    struct run_config config = {0};
    struct text_buffer report = {0};
    struct loader loader = {.path = path != NULL ? path : "configs/(no file)",
                            .without_file = path == NULL,
                            .n_overrides = n_overrides};
    loader.override_trees = memory_new((size_t)n_overrides, sizeof *loader.override_trees);
    loader.override_labels = memory_new((size_t)n_overrides, sizeof *loader.override_labels);
    if (path != NULL) TRY(read_tree(&loader.file_tree, path, &loader.errors));
    for (int i = 0; i < n_overrides; i++) read_override(&loader, i, overrides[i]);
    TRY(read_model_file(&loader));
    TRY(read_mixture_file(&loader));
    apply_all(&loader, &config);
    if (loader.errors.n > 0) {
        config_errors_print(&report, &loader.errors);
        FAIL(ERR_ARGUMENT, "%s cannot be used, %zu error%s\n%s", loader.path, loader.errors.n,
             loader.errors.n == 1 ? "" : "s", text_of(&report));
    }
    drop_sources(&config);
    *config_out = config;
    config = (struct run_config){0};
out:
    text_release(&report);
    loader_release(&loader);
    run_config_release(&config);
    return status;
}

void run_config_release(struct run_config *config)
{
    for (size_t i = 0; i < n_config_keys; i++)
        if (config_keys[i].type == CONFIG_MAPPINGS) release_mappings(&config_keys[i], config);
    release_scope(config, "");
    *config = (struct run_config){0};
}
