/* Family "fingerprint_3b": the language model at the true widths, as summaries in
 * fingerprint.json. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_file.h"
#include "base/random.h"
#include "base/text_buffer.h"
#include "golden_families.h"
#include "golden_memory.h"
#include "golden_mesh.h"
#include "golden_reference.h"
#include "kernels.h"
#include "model/robin_model.h"
#include "support/batch_maker.h"

#define MAX_ENTRIES    256
#define DEEP_LAYERS    8                 /* from here on the limits of a model of full depth hold */
#define GRADIENT_BYTES ((size_t)8 << 30) /* more memory than this for a backward is not taken */

struct run {
    const struct golden_options *options;
    struct golden_report *report;
    char *path;
    json_t *root;
    const json_t *wanted; /* of the precision in work; borrowed of root */
    const struct kernels *kernels;
    const char *prefix; /* of the report's groups */
    struct model_config config;
    uint64_t seed;
    int64_t n_tokens;
    double loss_limit, forward_limit, gradient_limit;
    struct made_sample sample;
    struct made_batch made;
    struct model *model;
    bool has_gradients;
};

static enum status read_config(struct run *run)
{
    enum status status = OK;
    struct json_place place = {.file = run->path, .record = "config"};
    struct lm_config *lm = &run->config.lm;
    int64_t seed = 0;
    json_t *config = NULL;
    TRY(json_field(&config, run->root, "config", JSON_OBJECT, place));
    TRY(json_field_integer(&seed, config, "seed", 0, INT64_MAX, place));
    TRY(json_field_integer(&run->n_tokens, config, "tokens", 1, 1 << 20, place));
    TRY(json_field_integer(&lm->layers, config, "layers", 1, 10000, place));
    TRY(json_field_integer(&lm->hidden, config, "hidden", 1, 1 << 20, place));
    TRY(json_field_integer(&lm->heads, config, "heads", 1, 1 << 16, place));
    TRY(json_field_integer(&lm->kv_heads, config, "kv_heads", 1, 1 << 16, place));
    TRY(json_field_integer(&lm->ffn, config, "ffn", 1, 1 << 22, place));
    TRY(json_field_integer(&lm->vocab, config, "vocab", 1, INT32_MAX, place));
    run->seed = (uint64_t)seed;
    lm->max_positions = run->n_tokens;
    lm->rms_eps = 1e-6;
    lm->rope_theta = 1e6;
    lm->tied = true;
    run->wanted = json_object_get(run->root, "fp32");
    run->kernels = kernels_in(run->options->kernels, DTYPE_F32);
    run->prefix = "";
    bool deep = lm->layers >= DEEP_LAYERS;
    run->loss_limit = run->forward_limit = deep ? 5e-5 : 1e-5;
    run->gradient_limit = deep ? 3e-4 : 3e-5;
out:
    return status;
}

/* The smallest vision side there can be: no image is ever shown to it. */
static struct model_config blind_config(void)
{
    return (struct model_config){.image_height = 32,
                                 .image_width = 32,
                                 .vision = {.depths = {1, 1, 1, 1},
                                            .dims = {2, 2, 2, 2},
                                            .norm_eps = 1e-6,
                                            .layer_scale_init = 1e-6},
                                 .extractor = {.embed = 2, .mask_side = 2}};
}

static enum status make_batch(struct run *run)
{
    struct random_stream stream = random_stream(run->seed, "input_ids");
    int64_t *ids = memory_new((size_t)run->n_tokens, sizeof *ids);
    const struct maker_options maker = {.config = &run->config,
                                        .mask_id = -1,
                                        .kernels = run->options->host_kernels,
                                        .stream = run->options->host_stream};
    for (int64_t i = 0; i < run->n_tokens; i++)
        ids[i] = (int64_t)(random_uniform(stream, (uint64_t)i) * (double)run->config.lm.vocab);
    run->sample = (struct made_sample){.ids = ids, .labels = ids, .n_ids = run->n_tokens};
    return batch_make(&run->made, &run->sample, 1, &maker);
}

static enum status make_model(struct run *run)
{
    enum status status = OK;
    struct model_memory memory;
    struct model_options options = {
        .limits = {.max_sequences = 1, .max_tokens = run->n_tokens, .max_targets = run->n_tokens},
        .trainable = {[MODULE_LM] = true},
        .backward = true};
    TRY(model_plan(&memory, &run->config, &options, run->kernels));
    run->has_gradients =
        memory.weights + memory.gradients + memory.activations + memory.workspace <= GRADIENT_BYTES;
    if (!run->has_gradients) {
        options.backward = false;
        TRY(model_plan(&memory, &run->config, &options, run->kernels));
        golden_report_skip(run->report, "gradients",
                           "they would double the memory of a model of this size");
    }
    char *table = golden_memory_table(&memory);
    fputs(table, stdout);
    free(table);
    TRY(model_create(&run->model, &run->config, &options, run->kernels, run->options->stream));
    parameters_fill(model_weights(run->model), model_parameters(run->model), run->seed);
out:
    return status;
}

/* ---- comparing ---- */

static void compare_summary(struct run *run, const char *group, const json_t *summary,
                            const char *name, const float *x, int64_t n, double limit)
{
    double values[MAX_ENTRIES + 2];
    size_t size = json_array_size(summary);
    if (size < 3 || size > MAX_ENTRIES + 2) {
        golden_report_case(run->report, group, false, "%s has no summary in fingerprint.json",
                           name);
        return;
    }
    for (size_t i = 0; i < size; i++) values[i] = json_number_value(json_array_get(summary, i));
    char *full = text_format("%s%s", run->prefix, group);
    golden_report_float(run->report, full, name,
                        golden_summary_difference(values, (int64_t)size - 2, x, n), limit);
    free(full);
}

static void compare_parameters(struct run *run, const char *group, const json_t *summaries,
                               const float *flat, bool gradients)
{
    const struct parameter_table *table = model_parameters(run->model);
    int64_t n = 0;
    for (int64_t i = 0; i < table->n_parameters; i++) {
        const struct parameter *parameter = &table->parameters[i];
        if (parameter->module != MODULE_LM) continue;
        int64_t offset = gradients ? parameter->gradient_offset : parameter->offset;
        compare_summary(run, group, json_object_get(summaries, parameter->name), parameter->name,
                        flat + offset, parameter->n_elements,
                        gradients ? run->gradient_limit : 1e-9);
        n++;
    }
    golden_report_case(run->report, group, (size_t)n == json_object_size(summaries),
                       "%zu summaries are stored for our %lld parameters",
                       json_object_size(summaries), (long long)n);
}

/* "embed", "layer3", "final_norm" as fingerprint.json calls what the model shows. */
static void see(void *context, const char *name, const float *data, int64_t rows, int64_t columns)
{
    struct run *run = context;
    const json_t *hidden = json_object_get(run->wanted, "hidden");
    const char *key = strncmp(name, "hidden.", 7) == 0 ? name + 7 : NULL;
    if (strcmp(name, "inputs_embeds") == 0) key = "embed";
    if (key == NULL) return;
    compare_summary(run, "hidden", json_object_get(hidden, key), key, data, rows * columns,
                    run->forward_limit);
}

static void compare_argmax(struct run *run, const float *logits)
{
    const json_t *wanted = json_object_get(run->wanted, "argmax_first_32");
    int64_t vocab = run->config.lm.vocab;
    for (size_t row = 0; row < json_array_size(wanted) && (int64_t)row < run->n_tokens; row++) {
        const float *own = logits + (int64_t)row * vocab;
        int64_t best = 0;
        for (int64_t v = 1; v < vocab; v++) {
            if (own[v] > own[best]) best = v;
        }
        golden_report_case(run->report, "argmax",
                           best == json_integer_value(json_array_get(wanted, row)),
                           "row %zu: ours is word %lld", row, (long long)best);
    }
}

static enum status compare_forward(struct run *run)
{
    enum status status = OK;
    const struct model_observer observer = {.see = see, .context = run};
    struct model_batch all = run->made.batch;
    int64_t n = all.n_tokens * run->config.lm.vocab;
    float *logits = malloc((size_t)n * sizeof *logits);
    int32_t *rows = memory_new((size_t)all.n_tokens, sizeof *rows);
    if (logits == NULL) FAIL(ERR_MEMORY, "no memory for %lld logits", (long long)n);
    for (int64_t t = 0; t < all.n_tokens; t++) rows[t] = (int32_t)t;
    all.target_row = rows;
    all.n_targets = all.n_tokens;
    TRY(model_logits(run->model, &all, &observer, logits));
    compare_summary(run, "logits", json_object_get(run->wanted, "logits"), "logits", logits, n,
                    run->forward_limit);
    if (run->kernels->dtype == DTYPE_F32) compare_argmax(run, logits);
out:
    free(rows);
    free(logits);
    return status;
}

static enum status compare_step(struct run *run)
{
    enum status status = OK;
    struct model_result result;
    double wanted = json_number_value(json_object_get(run->wanted, "loss"));
    int64_t n_targets = json_integer_value(json_object_get(run->wanted, "target_count"));
    golden_report_case(run->report, "target_count", n_targets == run->made.batch.n_targets,
                       "we count %lld targets", (long long)run->made.batch.n_targets);
    TRY(model_step(run->model, &run->made.batch, run->has_gradients, NULL, &result));
    char *name = text_format("%sloss", run->prefix);
    golden_report_float(run->report, name, "loss", fabs(result.weighted_loss - wanted) / wanted,
                        run->loss_limit);
    free(name);
    if (!run->has_gradients) goto out;
    compare_parameters(run, "grad", json_object_get(run->wanted, "grad"),
                       model_gradients(run->model), true);
    double norm = 0;
    double wanted_norm = json_number_value(json_object_get(run->wanted, "grad_norm"));
    TRY(run->options->host_kernels->sum_squares(&norm, model_gradients(run->model),
                                                model_parameters(run->model)->n_gradient_elements,
                                                run->options->host_stream));
    name = text_format("%sgrad_norm", run->prefix);
    golden_report_float(run->report, name, "grad_norm",
                        fabs(sqrt(norm) - wanted_norm) / wanted_norm, run->gradient_limit);
    free(name);
out:
    return status;
}

/* By the folder's rule: loss to 1e-3, norms to 1 %, of entries a few per cent, here ten times the
 * norm's. */
static enum status compare_bf16(struct run *run)
{
    enum status status = OK;
    run->kernels = kernels_in(run->options->kernels, DTYPE_BF16);
    run->wanted = json_object_get(run->root, "bf16");
    if (run->wanted == NULL || run->kernels == NULL) goto out;
    run->prefix = "bf16 ";
    run->loss_limit = 1e-3;
    run->forward_limit = run->gradient_limit = 1e-2;
    model_destroy(run->model);
    run->model = NULL;
    TRY(make_model(run));
    TRY(compare_forward(run));
    TRY(compare_step(run));
out:
    return status;
}

static enum status run_fingerprint(const char *directory, const struct golden_options *options,
                                   struct golden_report *report)
{
    if (golden_mesh_leaves(options, report)) return OK;
    enum status status = OK;
    struct run run = {.options = options,
                      .report = report,
                      .path = path_join(directory, "fingerprint.json"),
                      .config = blind_config()};
    TRY(json_file_read(&run.root, run.path, 16 << 20));
    TRY(read_config(&run));
    TRY(make_batch(&run));
    TRY(make_model(&run));
    compare_parameters(&run, "weights", json_object_get(run.root, "weights"),
                       model_weights(run.model), false);
    TRY(compare_forward(&run));
    TRY(compare_step(&run));
    TRY(compare_bf16(&run));
out:
    model_destroy(run.model);
    batch_release(&run.made);
    free((void *)(uintptr_t)run.sample.ids);
    json_decref(run.root);
    free(run.path);
    return status;
}

static bool recognises_fingerprint(const char *directory)
{
    char *path = path_join(directory, "fingerprint.json");
    bool is_there = file_exists(path);
    free(path);
    return is_there;
}

const struct golden_family golden_fingerprint = {"fingerprint_3b", recognises_fingerprint,
                                                 run_fingerprint};
