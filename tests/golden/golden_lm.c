/* Families "lm" and "lm_packed": the language model alone. */
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "base/text_buffer.h"
#include "golden_capture.h"
#include "golden_config.h"
#include "golden_families.h"
#include "golden_mesh.h"
#include "golden_reference.h"
#include "model/robin_model.h"
#include "support/batch_maker.h"

#define MASKED_SHARE 0.3 /* of the labels, by the fill */

struct run {
    const struct golden_options *options;
    struct golden_config config;
    struct golden_reference reference;
    struct model *model;
    struct made_batch made;
    int64_t n_sequences;
    struct made_sample *samples; /* their ids and labels are ours */
};

/* ---- inputs ---- */

/* Ids and labels by the fill; NAME.S where the folder numbers its sequences. */
static void make_sequence(struct made_sample *sample, const struct run *run, int64_t length,
                          int64_t first, const char *suffix)
{
    int64_t vocab = run->config.model.lm.vocab;
    int64_t *ids = memory_new((size_t)length + 1, sizeof *ids);
    int64_t *labels = memory_new((size_t)length + 1, sizeof *labels);
    char *ids_name = text_format("input_ids%s", suffix);
    char *mask_name = text_format("label_mask%s", suffix);
    struct random_stream id_stream = random_stream(run->config.seed, ids_name);
    struct random_stream mask_stream = random_stream(run->config.seed, mask_name);
    for (int64_t i = 0; i < length; i++) {
        uint64_t index = (uint64_t)(first + i);
        ids[i] = (int64_t)(random_uniform(id_stream, index) * (double)vocab);
        bool masked = random_uniform(mask_stream, index) < MASKED_SHARE;
        labels[i] = masked ? MAKER_IGNORE : ids[i];
    }
    *sample = (struct made_sample){.ids = ids, .labels = labels, .n_ids = length};
    free(mask_name);
    free(ids_name);
}

static enum status make_model(struct run *run, bool recompute, int64_t chunk_rows,
                              int64_t chunk_vocab)
{
    enum status status = OK;
    const struct model_batch *batch = &run->made.batch;
    const struct model_options options = {.limits = {.max_sequences = batch->n_sequences,
                                                     .max_tokens = batch->n_tokens,
                                                     .max_targets = batch->n_tokens},
                                          .trainable = {[MODULE_LM] = true},
                                          .backward = true,
                                          .recompute = recompute,
                                          .share = run->options->share,
                                          .loss_chunk_rows = chunk_rows,
                                          .loss_chunk_vocab = chunk_vocab};
    model_destroy(run->model);
    run->model = NULL;
    TRY(model_create(&run->model, &run->config.model, &options, run->options->kernels,
                     run->options->stream));
    parameters_fill(model_weights(run->model), model_parameters(run->model), run->config.seed);
out:
    return status;
}

static enum status make_batch_of(struct run *run, int64_t first, int64_t n)
{
    const struct maker_options maker = {.config = &run->config.model,
                                        .mask_id = -1,
                                        .kernels = run->options->host_kernels,
                                        .stream = run->options->host_stream};
    batch_release(&run->made);
    return batch_make(&run->made, run->samples + first, n, &maker);
}

static enum status make_batch(struct run *run)
{
    return make_batch_of(run, 0, run->n_sequences);
}

/* The sequences of this dp rank. */
static enum status make_own_batch(struct run *run, int64_t *n_out)
{
    int64_t first = 0;
    golden_mesh_deal(run->options, run->n_sequences, &first, n_out);
    return make_batch_of(run, first, *n_out);
}

static void release(struct run *run)
{
    for (int64_t s = 0; run->samples != NULL && s < run->n_sequences; s++) {
        free((void *)(uintptr_t)run->samples[s].ids);
        free((void *)(uintptr_t)run->samples[s].labels);
    }
    free(run->samples);
    batch_release(&run->made);
    model_destroy(run->model);
    golden_reference_release(&run->reference);
    golden_config_release(&run->config);
}

/* ---- comparing ---- */

/* The loss and every gradient of the batch, under names with this suffix for the mean loss. */
static enum status compare_step(struct run *run)
{
    enum status status = OK;
    struct model_result result = {0};
    struct golden_whole gradients = {0};
    int64_t n_targets = 0;
    TRY(golden_mesh_weigh(run->options, &run->made, &n_targets));
    if (run->made.batch.n_sequences > 0)
        TRY(model_step(run->model, &run->made.batch, true, NULL, &result));
    TRY(golden_mesh_sum(run->options, &result));
    TRY(golden_compare_integers(&run->reference, "target_count", &n_targets, 1));
    TRY(golden_compare_number(&run->reference, "loss_sum", result.loss_sum, GOLDEN_FORWARD));
    TRY(golden_compare_number(&run->reference, "loss_mean", result.weighted_loss, GOLDEN_FORWARD));
    TRY(golden_mesh_gradients(&gradients, run->options, run->model));
    TRY(golden_compare_gradients(&run->reference, "grad.", gradients.table, gradients.values));
out:
    golden_whole_release(&gradients);
    return status;
}

/* Both ways of computing: everything kept and whole logits; recomputed and small odd chunks. */
static enum status compare_steps(struct run *run)
{
    enum status status = OK;
    int64_t n = 0;
    TRY(make_own_batch(run, &n));
    TRY(make_model(run, false, 0, 0));
    TRY(compare_step(run));
    TRY(make_model(run, true, 7, 100));
    TRY(compare_step(run));
out:
    return status;
}

static enum status compare_captured(struct run *run, const struct golden_capture *capture)
{
    enum status status = OK;
    const struct captured *embed = golden_captured(capture, "inputs_embeds");
    TRY(golden_compare(&run->reference, "hidden.embed", embed->data, embed->rows * embed->columns,
                       GOLDEN_FORWARD));
    for (int64_t i = 0; i < capture->n_items; i++) {
        const struct captured *item = &capture->items[i];
        if (item == embed || strcmp(item->name, "token_loss") == 0) continue;
        TRY(golden_compare(&run->reference, item->name, item->data, item->rows * item->columns,
                           GOLDEN_FORWARD));
    }
out:
    return status;
}

/* Hidden states and logits of every row, then the batch's own targets again. */
static enum status compare_forward(struct run *run, float **logits_out)
{
    enum status status = OK;
    struct golden_capture capture = {0};
    struct model_observer observer = golden_capture_observer(&capture);
    struct model_result result;
    float *logits = NULL;
    TRY(make_model(run, false, 0, 0));
    batch_target_all_rows(&run->made);
    int64_t n = run->made.batch.n_tokens * run->config.model.lm.vocab;
    logits = memory_new((size_t)n + 1, sizeof *logits);
    TRY(model_logits(run->model, &run->made.batch, NULL, logits));
    if (golden_reference_has(&run->reference, "hidden.embed")) {
        TRY(model_step(run->model, &run->made.batch, false, &observer, &result));
        TRY(compare_captured(run, &capture));
    }
    TRY(make_batch(run));
    *logits_out = logits;
    logits = NULL;
out:
    free(logits);
    golden_capture_release(&capture);
    return status;
}

/* ---- lm ---- */

static enum status compare_ids(struct run *run, const char *suffix, int64_t first, int64_t count)
{
    enum status status = OK;
    int64_t n = 0;
    for (int64_t s = first; s < first + count; s++) n += run->samples[s].n_ids;
    int64_t *ids = memory_new((size_t)n + 1, sizeof *ids);
    int64_t *labels = memory_new((size_t)n + 1, sizeof *labels);
    char *ids_name = text_format("input_ids%s", suffix);
    char *labels_name = text_format("labels%s", suffix);
    int64_t at = 0;
    for (int64_t s = first; s < first + count; s++) {
        size_t bytes = (size_t)run->samples[s].n_ids * sizeof *ids;
        memcpy(ids + at, run->samples[s].ids, bytes);
        memcpy(labels + at, run->samples[s].labels, bytes);
        at += run->samples[s].n_ids;
    }
    TRY(golden_compare_integers(&run->reference, ids_name, ids, n));
    TRY(golden_compare_integers(&run->reference, labels_name, labels, n));
out:
    free(labels_name);
    free(ids_name);
    free(labels);
    free(ids);
    return status;
}

static enum status run_lm(const char *directory, const struct golden_options *options,
                          struct golden_report *report)
{
    enum status status = OK;
    struct run run = {.options = options};
    float *logits = NULL;
    int64_t length = 0;
    TRY(golden_config_read(&run.config, directory));
    TRY(golden_reference_open(&run.reference, directory, report));
    TRY(golden_config_integer(&run.n_sequences, &run.config, "batch", 1, 1 << 20));
    TRY(golden_config_integer(&length, &run.config, "tokens_per_sequence", 1, 1 << 20));
    run.samples = memory_new((size_t)run.n_sequences, sizeof *run.samples);
    for (int64_t s = 0; s < run.n_sequences; s++)
        make_sequence(&run.samples[s], &run, length, s * length, "");
    TRY(compare_ids(&run, "", 0, run.n_sequences));
    TRY(make_batch(&run));
    TRY(compare_forward(&run, &logits));
    TRY(golden_compare(&run.reference, "logits", logits,
                       run.made.batch.n_tokens * run.config.model.lm.vocab, GOLDEN_FORWARD));
    TRY(compare_steps(&run));
    golden_reference_finish(&run.reference);
out:
    free(logits);
    release(&run);
    return status;
}

static bool recognises_lm(const char *directory)
{
    return golden_config_names(directory, "lm");
}

const struct golden_family golden_lm = {"lm", recognises_lm, run_lm};

/* ---- lm_packed ---- */

/* Logits, loss and target count of sequence s, computed among its neighbours. */
static enum status compare_sequence(struct run *run, const float *logits, int64_t s)
{
    enum status status = OK;
    const struct model_batch *all = &run->made.batch;
    int64_t vocab = run->config.model.lm.vocab;
    int64_t first = all->seq_start[s];
    int64_t n_rows = all->seq_start[s + 1] - first;
    char *name = text_format("logits.%lld", (long long)s);
    char *loss = text_format("loss_sum.%lld", (long long)s);
    char *count = text_format("target_count.%lld", (long long)s);
    char *suffix = text_format(".%lld", (long long)s);
    TRY(compare_ids(run, suffix, s, 1));
    TRY(golden_compare(&run->reference, name, logits + first * vocab, n_rows * vocab,
                       GOLDEN_FORWARD));
    struct model_batch own = *all;
    while (own.n_targets > 0 && own.target_row[0] < first) {
        own.target_row++;
        own.target++;
        own.target_weight++;
        own.n_targets--;
    }
    int64_t n = 0;
    while (n < own.n_targets && own.target_row[n] < first + n_rows) n++;
    own.n_targets = n;
    struct model_result result;
    TRY(model_step(run->model, &own, false, NULL, &result));
    TRY(golden_compare_number(&run->reference, loss, result.loss_sum, GOLDEN_FORWARD));
    TRY(golden_compare_integers(&run->reference, count, &n, 1));
out:
    free(suffix);
    free(count);
    free(loss);
    free(name);
    return status;
}

static enum status run_lm_packed(const char *directory, const struct golden_options *options,
                                 struct golden_report *report)
{
    enum status status = OK;
    struct run run = {.options = options};
    float *logits = NULL;
    int64_t *lengths = NULL;
    json_t *array = NULL;
    TRY(golden_config_read(&run.config, directory));
    TRY(golden_reference_open(&run.reference, directory, report));
    TRY(golden_config_value(&array, &run.config, "lengths", JSON_ARRAY));
    run.n_sequences = (int64_t)json_array_size(array);
    lengths = memory_new((size_t)run.n_sequences + 1, sizeof *lengths);
    TRY(golden_integers(lengths, run.n_sequences, array, 1 << 20, run.config.path, "lengths"));
    run.samples = memory_new((size_t)run.n_sequences + 1, sizeof *run.samples);
    for (int64_t s = 0; s < run.n_sequences; s++) {
        char *suffix = text_format(".%lld", (long long)s);
        make_sequence(&run.samples[s], &run, lengths[s], 0, suffix);
        free(suffix);
    }
    TRY(make_batch(&run));
    TRY(compare_forward(&run, &logits));
    for (int64_t s = 0; s < run.n_sequences; s++) TRY(compare_sequence(&run, logits, s));
    TRY(compare_steps(&run));
    golden_reference_finish(&run.reference);
out:
    free(lengths);
    free(logits);
    release(&run);
    return status;
}

static bool recognises_lm_packed(const char *directory)
{
    return golden_config_names(directory, "lm_packed");
}

const struct golden_family golden_lm_packed = {"lm_packed", recognises_lm_packed, run_lm_packed};
