/* Family "robin_bf16": the model in the authors' own precision. A bf16 run may be twice as far from
 * the fp32 tensors of robin_tiny, beside it, as theirs is, tensor by tensor; three times where
 * sharers round their parts of a product before they add them. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "golden_capture.h"
#include "golden_families.h"
#include "golden_mesh.h"
#include "golden_samples.h"
#include "kernels.h"
#include "model/robin_model.h"

struct run {
    struct golden_options options; /* with the kernels for bf16 */
    struct golden_config config;
    struct golden_reference reference; /* robin_tiny's */
    struct golden_samples samples;
    struct made_batch made;
    struct model *model;
};

/* The second time recomputed, with small odd chunks of the loss. */
static enum status make_model(struct run *run, bool again)
{
    enum status status = OK;
    struct model_options options = {.limits = golden_limits(&run->made.batch),
                                    .trainable = {true, true, true, true},
                                    .backward = true,
                                    .recompute = again,
                                    .share = run->options.share,
                                    .loss_chunk_rows = again ? 7 : 0,
                                    .loss_chunk_vocab = again ? 100 : 0};
    model_destroy(run->model);
    run->model = NULL;
    TRY(model_create(&run->model, &run->config.model, &options, run->options.kernels,
                     run->options.stream));
    parameters_fill(model_weights(run->model), model_parameters(run->model), run->config.seed);
out:
    return status;
}

static enum status set_up(struct run *run, const char *directory, struct golden_report *report)
{
    enum status status = OK;
    char *parent = path_join(directory, "..");
    char *exact = path_join(parent, "robin_tiny");
    char *distances = path_join(directory, "distance_to_fp32.json");
    TRY(golden_config_read(&run->config, directory));
    TRY(golden_reference_open(&run->reference, exact, report));
    TRY(golden_samples_load(&run->samples, &run->reference, &run->config, "sample.",
                            "pixel_values."));
    TRY(golden_reference_use_distances(&run->reference, distances,
                                       run->options.share != NULL ? 3 : 2));
out:
    free(distances);
    free(exact);
    free(parent);
    return status;
}

static enum status compare_forward(struct run *run)
{
    enum status status = OK;
    struct golden_capture capture = {0};
    struct model_observer observer = golden_capture_observer(&capture);
    struct model_result result;
    struct model_batch *batch = &run->made.batch;
    float *logits = NULL;
    TRY(golden_samples_batch(&run->made, &run->samples, 0, run->samples.n, &run->config,
                             &run->options, 0));
    TRY(make_model(run, false));
    batch_target_all_rows(&run->made);
    logits = memory_new((size_t)(batch->n_tokens * run->config.model.lm.vocab) + 1, sizeof *logits);
    TRY(model_logits(run->model, batch, NULL, logits));
    TRY(model_step(run->model, batch, false, &observer, &result));
    TRY(golden_compare_padded(&run->reference, "inputs_embeds",
                              golden_captured(&capture, "inputs_embeds")->data, batch->seq_start,
                              batch->n_sequences));
    TRY(golden_compare_padded(&run->reference, "logits", logits, batch->seq_start,
                              batch->n_sequences));
out:
    free(logits);
    batch_release(&run->made);
    golden_capture_release(&capture);
    return status;
}

static enum status compare_backward(struct run *run, bool again)
{
    enum status status = OK;
    struct golden_whole gradients = {0};
    struct model_result result = {0};
    int64_t n_targets = 0;
    TRY(make_model(run, again));
    TRY(golden_mesh_weigh(&run->options, &run->made, &n_targets));
    if (run->made.batch.n_sequences > 0)
        TRY(model_step(run->model, &run->made.batch, true, NULL, &result));
    TRY(golden_mesh_sum(&run->options, &result));
    TRY(golden_compare_number(&run->reference, "loss_mean", result.weighted_loss, GOLDEN_FORWARD));
    TRY(golden_mesh_gradients(&gradients, &run->options, run->model));
    TRY(golden_compare_gradients(&run->reference, "grad.", gradients.table, gradients.values));
out:
    golden_whole_release(&gradients);
    return status;
}

static enum status run_bf16(const char *directory, const struct golden_options *options,
                            struct golden_report *report)
{
    enum status status = OK;
    struct run run = {.options = *options};
    int64_t first = 0, n = 0;
    run.options.kernels = kernels_in(options->kernels, DTYPE_BF16);
    if (run.options.kernels == NULL)
        FAIL(ERR_UNSUPPORTED, "kernels %s have none for bf16 beside them", options->kernels->name);
    TRY(set_up(&run, directory, report));
    TRY(compare_forward(&run));
    golden_mesh_deal(options, run.samples.n, &first, &n);
    TRY(golden_samples_batch(&run.made, &run.samples, first, n, &run.config, &run.options, 0));
    TRY(compare_backward(&run, false));
    TRY(compare_backward(&run, true));
    golden_reference_finish(&run.reference);
out:
    model_destroy(run.model);
    batch_release(&run.made);
    golden_samples_release(&run.samples);
    golden_reference_release(&run.reference);
    golden_config_release(&run.config);
    return status;
}

static bool recognises_bf16(const char *directory)
{
    return golden_config_names(directory, "robin_bf16");
}

const struct golden_family golden_robin_bf16 = {"robin_bf16", recognises_bf16, run_bf16};
