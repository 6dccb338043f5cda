/* Families "robin" and "robin_truncated": the whole model on a few samples, in every regime of
 * freezing. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_file.h"
#include "base/text_buffer.h"
#include "comm/mesh.h"
#include "golden_capture.h"
#include "golden_families.h"
#include "golden_mesh.h"
#include "golden_samples.h"
#include "golden_vision.h"
#include "model/robin_model.h"

struct run {
    const struct golden_options *options;
    struct golden_config config;
    struct golden_reference reference;
    struct golden_samples samples;
    struct made_batch made;
    int64_t n_targets; /* of all ranks' batches */
    struct model *model;
    bool has_all; /* the regime "all", with which logits and loss are stored */
};

struct regime {
    const char *name, *key; /* in config.json; in front of the gradients' names */
    bool trainable[N_MODULES];
};

static const struct regime regimes[] = {
    {"all",
     "grad.",
     {[MODULE_TOWER] = true,
      [MODULE_PROJECTOR] = true,
      [MODULE_EXTRACTOR] = true,
      [MODULE_LM] = true}},
    {"stage0a", "grad_stage0a.", {[MODULE_PROJECTOR] = true}},
    {"stage0b", "grad_stage0b.", {[MODULE_EXTRACTOR] = true}},
    {"stage0c",
     "grad_stage0c.",
     {[MODULE_PROJECTOR] = true, [MODULE_EXTRACTOR] = true, [MODULE_LM] = true}},
};

static enum status make_model(struct run *run, const bool *trainable, bool recompute,
                              int64_t chunk_rows, int64_t chunk_vocab)
{
    enum status status = OK;
    struct model_options options = {.limits = golden_limits(&run->made.batch),
                                    .backward = true,
                                    .recompute = recompute,
                                    .share = run->options->share,
                                    .loss_chunk_rows = chunk_rows,
                                    .loss_chunk_vocab = chunk_vocab};
    memcpy(options.trainable, trainable, sizeof options.trainable);
    model_destroy(run->model);
    run->model = NULL;
    TRY(model_create(&run->model, &run->config.model, &options, run->options->kernels,
                     run->options->stream));
    parameters_fill(model_weights(run->model), model_parameters(run->model), run->config.seed);
out:
    return status;
}

static enum status set_up(struct run *run, const char *directory, struct golden_report *report)
{
    enum status status = OK;
    TRY(golden_config_read(&run->config, directory));
    TRY(golden_reference_open(&run->reference, directory, report));
    TRY(golden_samples_load(&run->samples, &run->reference, &run->config, "sample.",
                            "pixel_values."));
out:
    return status;
}

static void release(struct run *run)
{
    model_destroy(run->model);
    batch_release(&run->made);
    golden_samples_release(&run->samples);
    golden_reference_release(&run->reference);
    golden_config_release(&run->config);
}

/* ---- forward ---- */

/* The padded integers of the reference, [samples, positions], from our packed rows. */
static enum status compare_spliced(struct run *run)
{
    enum status status = OK;
    const struct model_batch *batch = &run->made.batch;
    int64_t *wanted = NULL, *labels = NULL, *mask = NULL, *lengths = NULL;
    int64_t n = 0;
    TRY(golden_load_integers(&run->reference, "labels_spliced", &wanted, &n));
    int64_t width = n / batch->n_sequences;
    labels = memory_new((size_t)n + 1, sizeof *labels);
    mask = memory_new((size_t)n + 1, sizeof *mask);
    lengths = memory_new((size_t)batch->n_sequences + 1, sizeof *lengths);
    for (int64_t i = 0; i < n; i++) labels[i] = MAKER_IGNORE;
    for (int64_t s = 0; s < batch->n_sequences; s++) {
        int64_t first = batch->seq_start[s];
        lengths[s] = batch->seq_start[s + 1] - first;
        for (int64_t i = 0; i < lengths[s] && i < width; i++) {
            labels[s * width + i] = run->made.labels[first + i];
            mask[s * width + i] = 1;
        }
    }
    TRY(golden_compare_integers(&run->reference, "labels_spliced", labels, n));
    TRY(golden_compare_integers(&run->reference, "attention_mask", mask, n));
    TRY(golden_compare_integers(&run->reference, "lengths", lengths, batch->n_sequences));
out:
    free(lengths);
    free(mask);
    free(labels);
    free(wanted);
    return status;
}

/* NAME.X of every sample's regions, from rows of all regions. */
static enum status compare_tokens(struct run *run, const char *name,
                                  const struct golden_capture *capture)
{
    enum status status = OK;
    const struct captured *rows = golden_captured(capture, name);
    int64_t at = 0;
    for (int64_t s = 0; s < run->samples.n; s++) {
        int64_t q = run->samples.samples[s].n_regions;
        if (q == 0 || rows == NULL) continue;
        char *full = text_format("%s.%s", name, run->samples.names[s]);
        status = golden_compare(&run->reference, full, rows->data + at * rows->columns,
                                q * rows->columns, GOLDEN_FORWARD);
        free(full);
        TRY(status);
        at += q;
    }
out:
    return status;
}

static enum status compare_forward(struct run *run)
{
    enum status status = OK;
    struct golden_capture capture = {0};
    struct model_observer observer = golden_capture_observer(&capture);
    struct model_result result;
    const struct model_batch *batch = &run->made.batch;
    int64_t vocab = run->config.model.lm.vocab;
    float *logits = NULL;
    TRY(make_model(run, regimes[0].trainable, false, 0, 0));
    batch_target_all_rows(&run->made);
    logits = memory_new((size_t)(batch->n_tokens * vocab) + 1, sizeof *logits);
    TRY(model_logits(run->model, batch, NULL, logits));
    TRY(model_step(run->model, batch, false, &observer, &result));
    const struct captured *image = golden_captured(&capture, "image_tokens");
    const struct captured *embeds = golden_captured(&capture, "inputs_embeds");
    TRY(golden_compare(&run->reference, "image_tokens", image->data, image->rows * image->columns,
                       GOLDEN_FORWARD));
    TRY(compare_tokens(run, "t", &capture));
    TRY(compare_tokens(run, "s", &capture));
    TRY(golden_compare_padded(&run->reference, "inputs_embeds", embeds->data, batch->seq_start,
                              batch->n_sequences));
    if (run->has_all)
        TRY(golden_compare_padded(&run->reference, "logits", logits, batch->seq_start,
                                  batch->n_sequences));
out:
    free(logits);
    golden_capture_release(&capture);
    return status;
}

/* ---- backward ---- */

static enum status compare_loss(struct run *run, const struct model_result *result,
                                const char *suffix)
{
    enum status status = OK;
    char *sum = text_format("loss_sum%s", suffix);
    char *mean = text_format("loss_mean%s", suffix);
    char *count = text_format("target_count%s", suffix);
    TRY(golden_compare_number(&run->reference, sum, result->loss_sum, GOLDEN_FORWARD));
    TRY(golden_compare_number(&run->reference, mean, result->weighted_loss, GOLDEN_FORWARD));
    TRY(golden_compare_integers(&run->reference, count, &run->n_targets, 1));
out:
    free(count);
    free(mean);
    free(sum);
    return status;
}

/* One regime, with everything kept, and again recomputed with small odd chunks of the loss. */
static enum status compare_regime(struct run *run, const struct regime *regime)
{
    enum status status = OK;
    struct golden_whole gradients = {0};
    for (int pass = 0; pass < 2; pass++) {
        struct model_result result = {0};
        bool again = pass == 1;
        TRY(make_model(run, regime->trainable, again, again ? 7 : 0, again ? 100 : 0));
        if (run->made.batch.n_sequences > 0)
            TRY(model_step(run->model, &run->made.batch, true, NULL, &result));
        TRY(golden_mesh_sum(run->options, &result));
        if (run->has_all) TRY(compare_loss(run, &result, ""));
        TRY(golden_mesh_gradients(&gradients, run->options, run->model));
        TRY(golden_compare_gradients(&run->reference, regime->key, gradients.table,
                                     gradients.values));
        golden_whole_release(&gradients);
    }
out:
    golden_whole_release(&gradients);
    return status;
}

static const struct regime *find_regime(const char *name)
{
    for (size_t r = 0; name != NULL && r < sizeof regimes / sizeof regimes[0]; r++) {
        if (strcmp(regimes[r].name, name) == 0) return &regimes[r];
    }
    return NULL;
}

static bool names_all(const struct run *run)
{
    const json_t *list = json_object_get(run->config.root, "regimes");
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (find_regime(json_string_value(json_array_get(list, i))) == &regimes[0]) return true;
    }
    return false;
}

static enum status compare_regimes(struct run *run)
{
    enum status status = OK;
    json_t *list = NULL;
    TRY(golden_config_value(&list, &run->config, "regimes", JSON_ARRAY));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const struct regime *found = find_regime(json_string_value(json_array_get(list, i)));
        if (found == NULL)
            FAIL(ERR_FORMAT, "%s: regimes[%zu] is not one we know", run->config.path, i);
        TRY(compare_regime(run, found));
    }
out:
    return status;
}

/* What trains without ever getting a gradient is exactly what our graph never reads. */
static enum status compare_unused(struct run *run, const char *directory)
{
    enum status status = OK;
    json_t *list = NULL;
    char *path = path_join(directory, "parameters_without_gradient.json");
    const struct parameter_table *table = model_parameters(run->model);
    int64_t n_unused = 0;
    if (!file_exists(path)) goto out;
    TRY(json_file_read(&list, path, 1 << 20));
    for (int64_t i = 0; i < table->n_parameters; i++) n_unused += !table->parameters[i].used;
    bool same = json_array_size(list) == (size_t)n_unused;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        const struct parameter *parameter = name == NULL ? NULL : parameter_find(table, name);
        same = same && parameter != NULL && !parameter->used;
    }
    golden_report_case(run->reference.report, "without gradient", same,
                       "our list of parameters that the graph never reads is another");
out:
    json_decref(list);
    free(path);
    return status;
}

static enum status run_robin(const char *directory, const struct golden_options *options,
                             struct golden_report *report)
{
    enum status status = OK;
    struct run run = {.options = options};
    TRY(set_up(&run, directory, report));
    TRY(golden_samples_batch(&run.made, &run.samples, 0, run.samples.n, &run.config, options, 0));
    run.has_all = names_all(&run);
    golden_leave(&run.reference, "batch."); /* the padded collation before the splice */
    TRY(compare_spliced(&run));
    TRY(compare_forward(&run));
    TRY(compare_unused(&run, directory));
    batch_release(&run.made);
    int64_t first = 0, n = 0;
    golden_mesh_deal(options, run.samples.n, &first, &n);
    TRY(golden_samples_batch(&run.made, &run.samples, first, n, &run.config, options, 0));
    TRY(golden_mesh_weigh(options, &run.made, &run.n_targets));
    TRY(compare_regimes(&run));
    golden_reference_finish(&run.reference);
out:
    release(&run);
    return status;
}

static bool recognises_robin(const char *directory)
{
    return golden_config_names(directory, "robin");
}

const struct golden_family golden_robin = {"robin", recognises_robin, run_robin};

/* ---- robin_truncated ---- */

static enum status compare_alone(struct run *run, int64_t sample, int64_t max_length)
{
    enum status status = OK;
    struct golden_capture capture = {0};
    struct model_observer observer = golden_capture_observer(&capture);
    struct model_result result;
    const char *name = run->samples.names[sample];
    char *suffix = text_format(".%s", name);
    char *key = text_format("grad.%s.", name);
    char *embeds_name = text_format("inputs_embeds.%s", name);
    char *labels_name = text_format("labels_spliced.%s", name);
    char *logits_name = text_format("logits.%s", name);
    float *logits = NULL;
    struct golden_whole gradients = {0};
    batch_release(&run->made);
    TRY(golden_samples_batch(&run->made, &run->samples, sample, 1, &run->config, run->options,
                             max_length));
    run->n_targets = run->made.batch.n_targets;
    TRY(make_model(run, regimes[0].trainable, sample % 2 == 1, 0, 0));
    TRY(model_step(run->model, &run->made.batch, true, &observer, &result));
    if (run->options->mesh->dp_rank > 0) model_zero_gradients(run->model); /* the same sample */
    TRY(compare_loss(run, &result, suffix));
    TRY(golden_mesh_gradients(&gradients, run->options, run->model));
    TRY(golden_compare_gradients(&run->reference, key, gradients.table, gradients.values));
    const struct captured *embeds = golden_captured(&capture, "inputs_embeds");
    TRY(golden_compare(&run->reference, embeds_name, embeds->data, embeds->rows * embeds->columns,
                       GOLDEN_FORWARD));
    int64_t n = run->made.batch.n_tokens;
    int64_t vocab = run->config.model.lm.vocab;
    TRY(golden_compare_integers(&run->reference, labels_name, run->made.labels, n));
    batch_target_all_rows(&run->made);
    logits = memory_new((size_t)(n * vocab) + 1, sizeof *logits);
    TRY(model_logits(run->model, &run->made.batch, NULL, logits));
    TRY(golden_compare(&run->reference, logits_name, logits, n * vocab, GOLDEN_FORWARD));
out:
    free(logits);
    free(logits_name);
    free(labels_name);
    free(embeds_name);
    free(key);
    free(suffix);
    golden_whole_release(&gradients);
    golden_capture_release(&capture);
    return status;
}

static enum status run_truncated(const char *directory, const struct golden_options *options,
                                 struct golden_report *report)
{
    enum status status = OK;
    struct run run = {.options = options};
    int64_t max_length = 0;
    TRY(set_up(&run, directory, report));
    TRY(golden_config_integer(&max_length, &run.config, "model_max_length", 1, 1 << 30));
    for (int64_t s = 0; s < run.samples.n; s++) TRY(compare_alone(&run, s, max_length));
    golden_reference_finish(&run.reference);
out:
    release(&run);
    return status;
}

static bool recognises_truncated(const char *directory)
{
    return golden_config_names(directory, "robin_truncated");
}

const struct golden_family golden_robin_truncated = {"robin_truncated", recognises_truncated,
                                                     run_truncated};
