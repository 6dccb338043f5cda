/* Family "train": optimizer steps of the whole model, with both ways of averaging the loss. */
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "golden_families.h"
#include "golden_mesh.h"
#include "golden_samples.h"
#include "kernels.h"
#include "model/robin_model.h"
#include "parallel/gradient_exchange.h"
#include "parallel/reduction_tree.h"
#include "train/schedule.h"

#define BUCKET_ELEMENTS 8192 /* so that a small model has several */

static int64_t max_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

struct run {
    const struct golden_options *options;
    struct golden_config config;
    struct golden_reference reference;
    int64_t n_steps, n_micro;
    double lr, warmup_ratio, clip;

    /* of one way of averaging */
    const char *average;
    struct model *model;
    struct gradient_exchange *exchange;
    struct optimizer *optimizer;
    double *losses, *norms, *rates; /* per step */
};

static enum status read_settings(struct run *run)
{
    enum status status = OK;
    TRY(golden_config_integer(&run->n_steps, &run->config, "steps", 1, 1 << 20));
    TRY(golden_config_integer(&run->n_micro, &run->config, "micro_batches", 1, 1 << 16));
    TRY(golden_config_number(&run->lr, &run->config, "lr"));
    TRY(golden_config_number(&run->warmup_ratio, &run->config, "warmup_ratio"));
    TRY(golden_config_number(&run->clip, &run->config, "clip"));
out:
    return status;
}

/* ---- micro-batches ---- */

struct micro {
    struct golden_samples samples;
    struct made_batch made;
};

static void release_micros(struct micro *micros, int64_t n)
{
    for (int64_t m = 0; micros != NULL && m < n; m++) {
        batch_release(&micros[m].made);
        golden_samples_release(&micros[m].samples);
    }
    free(micros);
}

static enum status load_micros(struct run *run, struct micro **micros_out, int64_t step)
{
    enum status status = OK;
    struct micro *micros = memory_new((size_t)run->n_micro, sizeof *micros);
    for (int64_t m = 0; m < run->n_micro; m++) {
        char *prefix = text_format("step%lld.micro%lld.", (long long)step, (long long)m);
        char *pixels = text_format("pixel_values.%s", prefix);
        status =
            golden_samples_load(&micros[m].samples, &run->reference, &run->config, prefix, pixels);
        free(pixels);
        free(prefix);
        TRY(status);
        TRY(golden_samples_batch(&micros[m].made, &micros[m].samples, 0, micros[m].samples.n,
                                 &run->config, run->options, 0));
    }
    *micros_out = micros;
    micros = NULL;
out:
    release_micros(micros, run->n_micro);
    return status;
}

/* The share of each target in the loss of the step. */
static void weigh_targets(const struct run *run, struct micro *micros)
{
    bool global = strcmp(run->average, "global") == 0;
    int64_t total = 0;
    for (int64_t m = 0; m < run->n_micro; m++) total += micros[m].made.batch.n_targets;
    for (int64_t m = 0; m < run->n_micro; m++) {
        int64_t n = micros[m].made.batch.n_targets;
        double weight = 1.0 / (double)(global ? total : n * run->n_micro);
        for (int64_t i = 0; i < n; i++) micros[m].made.target_weight[i] = (float)weight;
    }
}

/* ---- steps ---- */

static enum status compare_counts(struct run *run, const struct micro *micros, int64_t step)
{
    int64_t *counts = memory_new((size_t)run->n_micro, sizeof *counts);
    char *name = text_format("target_count.step%lld", (long long)step);
    for (int64_t m = 0; m < run->n_micro; m++) counts[m] = micros[m].made.batch.n_targets;
    enum status status = golden_compare_integers(&run->reference, name, counts, run->n_micro);
    free(name);
    free(counts);
    return status;
}

static enum status train_step(struct run *run, const struct schedule *schedule, int64_t step)
{
    enum status status = OK;
    struct micro *micros = NULL;
    struct model_result result;
    const struct mesh *mesh = run->options->mesh;
    int64_t first = 0, last = 0;
    double factor = schedule_factor(schedule, step), module_norms[N_MODULES];
    TRY(load_micros(run, &micros, step));
    weigh_targets(run, micros);
    TRY(compare_counts(run, micros, step));
    tree_leaves_of(&first, &last, run->n_micro, mesh->dp_rank, mesh->dp_size);
    TRY(exchange_begin(run->exchange, first, last));
    for (int64_t m = first; m < last; m++) {
        exchange_begin_micro(run->exchange);
        TRY(model_step(run->model, &micros[m].made.batch, true, NULL, &result));
        TRY(exchange_end_micro(run->exchange));
        run->losses[step] += result.weighted_loss;
    }
    TRY(exchange_finish(run->exchange));
    TRY(comm_sum_double(mesh->dp, &run->losses[step], 1));
    TRY(exchange_norm(run->exchange, run->optimizer, &run->norms[step], module_norms));
    run->rates[step] = run->lr * factor;
    TRY(exchange_update(run->exchange, run->optimizer, run->norms[step], factor));
out:
    release_micros(micros, run->n_micro);
    return status;
}

/* Room for the largest micro-batch of the run. */
static enum status measure_limits(struct run *run, struct model_limits *limits)
{
    enum status status = OK;
    struct micro *micros = NULL;
    *limits = (struct model_limits){0};
    for (int64_t step = 0; step < run->n_steps; step++) {
        TRY(load_micros(run, &micros, step));
        for (int64_t m = 0; m < run->n_micro; m++) {
            struct model_limits own = golden_limits(&micros[m].made.batch);
            limits->max_images = max_of(limits->max_images, own.max_images);
            limits->max_regions = max_of(limits->max_regions, own.max_regions);
            limits->max_sequences = max_of(limits->max_sequences, own.max_sequences);
            limits->max_tokens = max_of(limits->max_tokens, own.max_tokens);
            limits->max_targets = max_of(limits->max_targets, own.max_targets);
        }
        release_micros(micros, run->n_micro);
        micros = NULL;
    }
out:
    release_micros(micros, run->n_micro);
    return status;
}

static enum status begin(struct run *run)
{
    enum status status = OK;
    const bool on_gpu = kernels_on_gpu(run->options->kernels);
    struct model_options options = {.trainable = {true, true, true, true},
                                    .backward = true,
                                    .updates_on_gpu = on_gpu,
                                    .share = run->options->share};
    const struct exchange_options exchange = {.mesh = run->options->mesh,
                                              .kernels = run->options->host_kernels,
                                              .bucket_elements = BUCKET_ELEMENTS,
                                              .overlap = true,
                                              .gpu = on_gpu ? run->options->stream : NULL,
                                              .device = run->options->device};
    struct optimizer_options adamw = {
        .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0, .clip_norm = run->clip};
    for (int m = 0; m < N_MODULES; m++) adamw.lr[m] = run->lr;
    TRY(measure_limits(run, &options.limits));
    TRY(model_create(&run->model, &run->config.model, &options, run->options->kernels,
                     run->options->stream));
    parameters_fill(model_weights(run->model), model_parameters(run->model), run->config.seed);
    TRY(exchange_create(&run->exchange, run->model, &exchange));
    TRY(optimizer_create(
        &run->optimizer, model_parameters(run->model), exchange_buckets(run->exchange), &adamw,
        on_gpu ? kernels_in(run->options->kernels, DTYPE_F32) : run->options->host_kernels,
        on_gpu ? run->options->stream : run->options->host_stream));
    size_t n = (size_t)run->n_steps;
    run->losses = memory_new(n, sizeof(double));
    run->norms = memory_new(n, sizeof(double));
    run->rates = memory_new(n, sizeof(double));
out:
    return status;
}

static void end(struct run *run)
{
    optimizer_destroy(run->optimizer);
    exchange_destroy(run->exchange);
    model_destroy(run->model);
    free(run->losses);
    free(run->norms);
    free(run->rates);
    run->optimizer = NULL;
    run->exchange = NULL;
    run->model = NULL;
    run->losses = run->norms = run->rates = NULL;
}

static enum status compare_curve(struct run *run, const char *what, const double *values,
                                 enum golden_kind kind)
{
    char *name = text_format("%s.%s", run->average, what);
    enum status status = golden_compare_numbers(&run->reference, name, values, run->n_steps, kind);
    free(name);
    return status;
}

static enum status compare_final(struct run *run)
{
    enum status status = OK;
    struct golden_whole weights = {0};
    TRY(exchange_settle(run->exchange));
    TRY(golden_mesh_weights(&weights, run->options, run->model));
    for (int64_t i = 0; i < weights.table->n_parameters; i++) {
        const struct parameter *parameter = &weights.table->parameters[i];
        char *name = text_format("%s.final.%s", run->average, parameter->name);
        status = golden_compare(&run->reference, name, weights.values + parameter->offset,
                                parameter->n_elements, GOLDEN_TRAINED);
        free(name);
        TRY(status);
    }
out:
    golden_whole_release(&weights);
    return status;
}

static enum status run_average(struct run *run, const char *average)
{
    enum status status = OK;
    struct schedule schedule = schedule_make(run->n_steps, run->warmup_ratio);
    run->average = average;
    TRY(begin(run));
    for (int64_t step = 0; step < run->n_steps; step++) TRY(train_step(run, &schedule, step));
    TRY(compare_curve(run, "loss", run->losses, GOLDEN_FORWARD));
    TRY(compare_curve(run, "grad_norm", run->norms, GOLDEN_FORWARD));
    TRY(compare_curve(run, "lr", run->rates, GOLDEN_FORWARD));
    TRY(compare_final(run));
out:
    end(run);
    return status;
}

static enum status run_train(const char *directory, const struct golden_options *options,
                             struct golden_report *report)
{
    enum status status = OK;
    struct run run = {.options = options};
    json_t *averages = NULL;
    TRY(golden_config_read(&run.config, directory));
    TRY(golden_reference_open(&run.reference, directory, report));
    TRY(read_settings(&run));
    TRY(golden_config_value(&averages, &run.config, "averages", JSON_ARRAY));
    for (size_t i = 0; i < json_array_size(averages); i++) {
        const char *average = json_string_value(json_array_get(averages, i));
        if (average == NULL ||
            (strcmp(average, "global") != 0 && strcmp(average, "microbatch") != 0))
            FAIL(ERR_FORMAT, "%s: averages[%zu] is neither global nor microbatch", run.config.path,
                 i);
        TRY(run_average(&run, average));
    }
    golden_reference_finish(&run.reference);
out:
    golden_reference_release(&run.reference);
    golden_config_release(&run.config);
    return status;
}

static bool recognises_train(const char *directory)
{
    return golden_config_names(directory, "train");
}

const struct golden_family golden_train = {"train", recognises_train, run_train};
