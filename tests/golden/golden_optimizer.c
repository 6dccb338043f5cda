/* Families "schedule" and "adamw": rates over a run; AdamW on a toy with one parameter of each kind
 * that its grouping treats differently. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_file.h"
#include "base/text_buffer.h"
#include "checkpoint/safetensors.h"
#include "golden_config.h"
#include "golden_families.h"
#include "golden_reference.h"
#include "golden_vision.h"
#include "parallel/optimizer.h"
#include "train/schedule.h"

/* ---- schedule ---- */

static enum status compare_schedule(struct golden_reference *reference, int64_t total, double lr,
                                    double ratio)
{
    enum status status = OK;
    struct schedule schedule = schedule_make(total, ratio);
    double *rates = memory_new((size_t)total + 1, sizeof *rates);
    char *lr_name = text_format("lr.%lld", (long long)total);
    char *warmup_name = text_format("warmup_steps.%lld", (long long)total);
    for (int64_t step = 0; step <= total; step++)
        rates[step] = lr * schedule_factor(&schedule, step);
    TRY(golden_compare_numbers(reference, lr_name, rates, total + 1, GOLDEN_FORWARD));
    TRY(golden_compare_integers(reference, warmup_name, &schedule.warmup_steps, 1));
out:
    free(warmup_name);
    free(lr_name);
    free(rates);
    return status;
}

static enum status run_schedule(const char *directory, const struct golden_options *options,
                                struct golden_report *report)
{
    (void)options;
    enum status status = OK;
    struct golden_config config = {0};
    struct golden_reference reference = {0};
    json_t *totals = NULL;
    double lr = 0, ratio = 0;
    TRY(golden_config_read(&config, directory));
    TRY(golden_reference_open(&reference, directory, report));
    TRY(golden_config_number(&lr, &config, "lr"));
    TRY(golden_config_number(&ratio, &config, "warmup_ratio"));
    TRY(golden_config_value(&totals, &config, "totals", JSON_ARRAY));
    for (size_t i = 0; i < json_array_size(totals); i++)
        TRY(compare_schedule(&reference, json_integer_value(json_array_get(totals, i)), lr, ratio));
    golden_reference_finish(&reference);
out:
    golden_reference_release(&reference);
    golden_config_release(&config);
    return status;
}

static bool recognises_schedule(const char *directory)
{
    return golden_config_names(directory, "schedule");
}

const struct golden_family golden_schedule = {"schedule", recognises_schedule, run_schedule};

/* ---- adamw ---- */

struct toy {
    const struct golden_options *options;
    struct golden_config config;
    struct golden_reference reference;
    json_t *groups;
    struct parameter_table table;
    float *weights, *gradients;
    int64_t n_steps;
    double clip, large, small;
};

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Whether a run's groups put NAME where weights decay. */
static bool decays(const json_t *groups, const char *run, const char *name)
{
    const json_t *list = json_object_get(groups, run);
    for (size_t g = 0; g < json_array_size(list); g++) {
        const json_t *group = json_array_get(list, g);
        const json_t *names = json_object_get(group, "parameters");
        for (size_t i = 0; i < json_array_size(names); i++) {
            const char *member = json_string_value(json_array_get(names, i));
            if (member != NULL && strcmp(member, name) == 0)
                return json_number_value(json_object_get(group, "weight_decay")) > 0;
        }
    }
    return false;
}

static void add_parameter(struct toy *toy, const struct safetensor *tensor, const char *name)
{
    struct parameter_table *table = &toy->table;
    table->parameters = memory_resize(table->parameters, (size_t)table->n_parameters + 1,
                                      sizeof *table->parameters);
    struct parameter *parameter = &table->parameters[table->n_parameters++];
    *parameter = (struct parameter){.name = text_copy(name),
                                    .module = MODULE_LM,
                                    .n_dims = tensor->n_dims,
                                    .n_elements = tensor->n_elements,
                                    .offset = table->n_weight_elements,
                                    .gradient_offset = table->n_weight_elements,
                                    .used = true};
    for (int d = 0; d < tensor->n_dims && d < 4; d++) parameter->dims[d] = tensor->dims[d];
    if (strstr(name, "mm_projector") != NULL) parameter->module = MODULE_PROJECTOR;
    if (strstr(name, "vision_tower") != NULL) parameter->module = MODULE_TOWER;
    parameter->role = tensor->n_dims == 1 ? ROLE_NORM_WEIGHT : ROLE_MATRIX;
    if (ends_with(name, ".gamma")) parameter->role = ROLE_LAYER_SCALE;
    if (ends_with(name, ".bias")) parameter->role = ROLE_BIAS;
    table->n_weight_elements += (tensor->n_elements + 15) / 16 * 16;
    table->n_gradient_elements = table->n_weight_elements;
}

/* The toy's parameters are those stored after step 4 of the run. */
static void find_parameters(struct toy *toy, const char *run)
{
    char *prefix = text_format("%s.step4.param.", run);
    size_t length = strlen(prefix);
    for (int64_t i = 0; i < safetensors_count(toy->reference.file); i++) {
        const struct safetensor *tensor = safetensors_at(toy->reference.file, i);
        if (strncmp(tensor->name, prefix, length) == 0)
            add_parameter(toy, tensor, tensor->name + length);
    }
    free(prefix);
    toy->weights = memory_new((size_t)toy->table.n_weight_elements + 1, sizeof(float));
    toy->gradients = memory_new((size_t)toy->table.n_weight_elements + 1, sizeof(float));
}

static void fill_gradients(struct toy *toy, int64_t step)
{
    double amplitude = step % 3 == 2 ? toy->small : toy->large;
    for (int64_t i = 0; i < toy->table.n_parameters; i++) {
        const struct parameter *parameter = &toy->table.parameters[i];
        char *name = text_format("grad.%lld.%s", (long long)step, parameter->name);
        golden_fill(toy->gradients + parameter->gradient_offset, parameter->n_elements,
                    toy->config.seed, name, amplitude);
        free(name);
    }
}

static enum status compare_state(struct toy *toy, struct optimizer *optimizer, const char *run,
                                 int64_t step)
{
    enum status status = OK;
    const size_t n_floats = (size_t)toy->table.n_gradient_elements + 1;
    float *first = memory_new(n_floats, sizeof *first),
          *second = memory_new(n_floats, sizeof *second);
    optimizer_get_state(optimizer, OPTIMIZER_FIRST_MOMENT, first);
    optimizer_get_state(optimizer, OPTIMIZER_SECOND_MOMENT, second);
    const struct {
        const char *what;
        const float *data;
        enum golden_kind kind;
    } states[] = {{"param", toy->weights, GOLDEN_TRAINED},
                  {"m", first, GOLDEN_GRADIENT},
                  {"v", second, GOLDEN_GRADIENT}};
    for (int64_t i = 0; i < toy->table.n_parameters; i++) {
        const struct parameter *parameter = &toy->table.parameters[i];
        for (int s = 0; s < 3; s++) {
            char *name = text_format("%s.step%lld.%s.%s", run, (long long)step, states[s].what,
                                     parameter->name);
            status = golden_compare(&toy->reference, name, states[s].data + parameter->offset,
                                    parameter->n_elements, states[s].kind);
            free(name);
            TRY(status);
        }
    }
out:
    free(second);
    free(first);
    return status;
}

static double number_or(const json_t *object, const char *key, double otherwise)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : otherwise;
}

static enum status run_steps(struct toy *toy, struct optimizer *optimizer, const char *run)
{
    enum status status = OK;
    double *norms = memory_new((size_t)toy->n_steps, sizeof *norms);
    char *norm_name = text_format("%s.grad_norm", run);
    parameters_fill(toy->weights, &toy->table, toy->config.seed);
    for (int64_t step = 0; step < toy->n_steps; step++) {
        fill_gradients(toy, step);
        TRY(optimizer_gradient_norm(optimizer, toy->gradients, &norms[step], NULL));
        TRY(optimizer_step(optimizer, toy->weights, toy->gradients, norms[step], 1.0));
        if ((step + 1) % 4 == 0) TRY(compare_state(toy, optimizer, run, step + 1));
    }
    TRY(golden_compare_numbers(&toy->reference, norm_name, norms, toy->n_steps, GOLDEN_FORWARD));
out:
    free(norm_name);
    free(norms);
    return status;
}

static enum status run_one(struct toy *toy, const char *run, const json_t *settings)
{
    enum status status = OK;
    struct optimizer *optimizer = NULL;
    double lr = number_or(settings, "lr", 0);
    struct optimizer_options options = {
        .lr = {[MODULE_LM] = lr,
               [MODULE_EXTRACTOR] = lr,
               [MODULE_PROJECTOR] = number_or(settings, "mm_projector_lr", lr),
               [MODULE_TOWER] = number_or(settings, "mm_vision_tower_lr", lr)},
        .beta1 = 0.9,
        .beta2 = 0.999,
        .eps = 1e-8,
        .weight_decay = number_or(settings, "weight_decay", 0),
        .clip_norm = toy->clip};
    if (toy->table.n_parameters == 0) find_parameters(toy, run);
    for (int64_t i = 0; i < toy->table.n_parameters; i++)
        toy->table.parameters[i].decays = decays(toy->groups, run, toy->table.parameters[i].name);
    TRY(optimizer_create(&optimizer, &toy->table, NULL, &options, toy->options->host_kernels,
                         toy->options->host_stream));
    TRY(run_steps(toy, optimizer, run));
out:
    optimizer_destroy(optimizer);
    return status;
}

static enum status run_adamw(const char *directory, const struct golden_options *options,
                             struct golden_report *report)
{
    enum status status = OK;
    struct toy toy = {.options = options};
    char *path = path_join(directory, "groups.json");
    json_t *runs = NULL;
    const char *name = NULL;
    json_t *settings = NULL;
    TRY(golden_config_read(&toy.config, directory));
    TRY(golden_reference_open(&toy.reference, directory, report));
    TRY(json_file_read(&toy.groups, path, 1 << 20));
    TRY(golden_config_integer(&toy.n_steps, &toy.config, "steps", 1, 1 << 20));
    TRY(golden_config_number(&toy.clip, &toy.config, "clip"));
    TRY(golden_config_number(&toy.large, &toy.config, "large_gradient"));
    TRY(golden_config_number(&toy.small, &toy.config, "small_gradient"));
    TRY(golden_config_value(&runs, &toy.config, "runs", JSON_OBJECT));
    json_object_foreach(runs, name, settings) TRY(run_one(&toy, name, settings));
    golden_reference_finish(&toy.reference);
out:
    free(path);
    json_decref(toy.groups);
    for (int64_t i = 0; i < toy.table.n_parameters; i++) free(toy.table.parameters[i].name);
    free(toy.table.parameters);
    free(toy.weights);
    free(toy.gradients);
    golden_reference_release(&toy.reference);
    golden_config_release(&toy.config);
    return status;
}

static bool recognises_adamw(const char *directory)
{
    return golden_config_names(directory, "adamw");
}

const struct golden_family golden_adamw = {"adamw", recognises_adamw, run_adamw};
