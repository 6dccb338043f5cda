/* Families "parameter_names" and "decay_groups": the parameter table against lists of names. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_file.h"
#include "golden_config.h"
#include "golden_families.h"
#include "model/parameters.h"

#define JSON_LIMIT (64 << 20)

static enum status make_table(struct parameter_table **table_out, const char *directory)
{
    enum status status = OK;
    const bool trainable[N_MODULES] = {true, true, true, true};
    struct golden_config config = {0};
    TRY(golden_config_read(&config, directory));
    TRY(parameter_table_create(table_out, &config.model, trainable));
out:
    golden_config_release(&config);
    return status;
}

static enum status read_json(json_t **root_out, const char *directory, const char *name)
{
    char *path = path_join(directory, name);
    enum status status = json_file_read(root_out, path, JSON_LIMIT);
    free(path);
    return status;
}

/* ---- parameter_names ---- */

static bool same_shape(const struct parameter *parameter, const json_t *shape)
{
    if (!json_is_array(shape) || json_array_size(shape) != (size_t)parameter->n_dims) return false;
    for (int d = 0; d < parameter->n_dims; d++) {
        if (json_integer_value(json_array_get(shape, (size_t)d)) != parameter->dims[d])
            return false;
    }
    return true;
}

static void check_row(struct golden_report *report, const struct parameter_table *table,
                      const json_t *row)
{
    const char *name = json_string_value(json_object_get(row, "name"));
    const struct parameter *parameter = name == NULL ? NULL : parameter_find(table, name);
    golden_report_case(report, "names", parameter != NULL, "%s is not in our table",
                       name == NULL ? "(no name)" : name);
    if (parameter == NULL) return;
    double centre = 0, amplitude = 0;
    parameter_fill_range(&centre, &amplitude, parameter);
    golden_report_case(report, "shapes", same_shape(parameter, json_object_get(row, "shape")),
                       "%s has another shape", name);
    golden_report_case(report, "decay",
                       json_is_true(json_object_get(row, "decay")) == parameter->decays,
                       "%s: our decay is %d", name, parameter->decays);
    double wanted_centre = json_number_value(json_object_get(row, "centre"));
    double wanted = json_number_value(json_object_get(row, "amplitude"));
    golden_report_case(report, "fill", centre == wanted_centre && amplitude == wanted,
                       "%s: our fill is %.17g +- %.17g", name, centre, amplitude);
}

/* The reference's own division of the sum of all parameters. */
static const char *total_of(const struct parameter *parameter)
{
    static const char *const parts[] = {"mm_projector", "mask_extractor", "visual.trunk.head",
                                        "visual.head", "vision_tower"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (strstr(parameter->name, parts[i]) != NULL) return parts[i];
    }
    return "language_model";
}

static void check_totals(struct golden_report *report, const struct parameter_table *table,
                         json_t *totals)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(totals, key, value)
    {
        int64_t sum = 0;
        for (int64_t i = 0; i < table->n_parameters; i++) {
            if (strcmp(total_of(&table->parameters[i]), key) == 0)
                sum += table->parameters[i].n_elements;
        }
        golden_report_case(report, "totals", sum == json_integer_value(value),
                           "%s: we count %lld parameters, the reference %lld", key, (long long)sum,
                           (long long)json_integer_value(value));
    }
}

static enum status run_parameter_names(const char *directory, const struct golden_options *options,
                                       struct golden_report *report)
{
    (void)options;
    enum status status = OK;
    struct parameter_table *table = NULL;
    json_t *root = NULL;
    TRY(make_table(&table, directory));
    TRY(read_json(&root, directory, "parameters.json"));
    const json_t *rows = json_object_get(root, "parameters");
    golden_report_case(report, "count", json_array_size(rows) == (size_t)table->n_parameters,
                       "we have %lld parameters, the reference %zu", (long long)table->n_parameters,
                       json_array_size(rows));
    for (size_t i = 0; i < json_array_size(rows); i++)
        check_row(report, table, json_array_get(rows, i));
    check_totals(report, table, json_object_get(root, "totals"));
out:
    json_decref(root);
    parameter_table_destroy(table);
    return status;
}

static bool recognises_parameter_names(const char *directory)
{
    return golden_config_names(directory, "parameter_names");
}

const struct golden_family golden_parameter_names = {"parameter_names", recognises_parameter_names,
                                                     run_parameter_names};

/* ---- decay_groups ---- */

static int64_t check_group(struct golden_report *report, const struct parameter_table *table,
                           const json_t *root, const char *key)
{
    const json_t *names = json_object_get(root, key);
    bool decays = strcmp(key, "decay") == 0;
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        const struct parameter *parameter = name == NULL ? NULL : parameter_find(table, name);
        golden_report_case(report, key, parameter != NULL && parameter->decays == decays, "%s: %s",
                           name == NULL ? "(no name)" : name,
                           parameter == NULL ? "not in our table" : "in our other group");
    }
    return (int64_t)json_array_size(names);
}

static enum status run_decay_groups(const char *directory, const struct golden_options *options,
                                    struct golden_report *report)
{
    (void)options;
    enum status status = OK;
    struct parameter_table *table = NULL;
    json_t *root = NULL;
    TRY(make_table(&table, directory));
    TRY(read_json(&root, directory, "decay.json"));
    int64_t n = check_group(report, table, root, "decay");
    n += check_group(report, table, root, "no_decay");
    golden_report_case(report, "count", n == table->n_parameters,
                       "we have %lld parameters, the reference %lld",
                       (long long)table->n_parameters, (long long)n);
out:
    json_decref(root);
    parameter_table_destroy(table);
    return status;
}

static bool recognises_decay_groups(const char *directory)
{
    return golden_config_names(directory, "decay_groups");
}

const struct golden_family golden_decay_groups = {"decay_groups", recognises_decay_groups,
                                                  run_decay_groups};
