/* Family "robin_full": the whole model at its true sizes, with gradients of everything but the
 * language model's matrices, whose gradients and copies no CPU of a laptop would hold. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "golden_families.h"
#include "golden_memory.h"
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
    struct model *model;
    enum status observed; /* first error of the observer */
    float *token_loss;
    int64_t n_losses;
};

/* Compares what passes by, and keeps nothing of it. */
static void see(void *context, const char *name, const float *data, int64_t rows, int64_t columns)
{
    struct run *run = context;
    if (run->observed != OK || !golden_reference_has(&run->reference, name)) return;
    if (strcmp(name, "token_loss") == 0) {
        size_t n = (size_t)(run->n_losses + rows);
        run->token_loss = memory_resize(run->token_loss, n + 1, sizeof *run->token_loss);
        memcpy(run->token_loss + run->n_losses, data, (size_t)rows * sizeof *data);
        run->n_losses += rows;
        return;
    }
    int64_t n_images = run->made.batch.n_images;
    bool is_map = strncmp(name, "res", 3) == 0;
    const int64_t sizes[3] = {n_images, rows / n_images, columns};
    run->observed =
        is_map ? golden_compare_map(&run->reference, name, data, sizes, GOLDEN_FORWARD)
               : golden_compare(&run->reference, name, data, rows * columns, GOLDEN_FORWARD);
}

/* ---- logits ---- */

/* The best word of every row, its logit, and how far the next one is. */
static enum status compare_best(struct run *run, const float *logits)
{
    enum status status = OK;
    int64_t t = run->made.batch.n_tokens;
    int64_t vocab = run->config.model.lm.vocab;
    int64_t *best = memory_new((size_t)t, sizeof *best);
    float *top = memory_new((size_t)t, sizeof *top);
    float *margin = memory_new((size_t)t, sizeof *margin);
    for (int64_t row = 0; row < t; row++) {
        const float *own = logits + row * vocab;
        float second = -INFINITY;
        for (int64_t v = 1; v < vocab; v++) {
            if (own[v] > own[best[row]]) {
                second = own[best[row]];
                best[row] = v;
            } else if (own[v] > second) {
                second = own[v];
            }
        }
        top[row] = own[best[row]];
        margin[row] = top[row] - second;
    }
    TRY(golden_compare(&run->reference, "top_logit", top, t, GOLDEN_FORWARD));
    TRY(golden_compare(&run->reference, "margin", margin, t, GOLDEN_FORWARD));
    TRY(golden_compare_integers(&run->reference, "argmax", best, t));
out:
    free(margin);
    free(top);
    free(best);
    return status;
}

static enum status compare_forward(struct run *run)
{
    enum status status = OK;
    const struct model_observer observer = {.see = see, .context = run};
    int64_t n = run->made.batch.n_tokens * run->config.model.lm.vocab;
    float *logits = malloc((size_t)n * sizeof *logits);
    struct model_batch all = run->made.batch;
    int32_t *rows = memory_new((size_t)all.n_tokens, sizeof *rows);
    if (logits == NULL) FAIL(ERR_MEMORY, "no memory for %lld logits", (long long)n);
    for (int64_t t = 0; t < all.n_tokens; t++) rows[t] = (int32_t)t;
    all.target_row = rows;
    all.n_targets = all.n_tokens;
    TRY(model_logits(run->model, &all, &observer, logits));
    TRY(run->observed);
    TRY(golden_compare(&run->reference, "logits", logits, n, GOLDEN_FORWARD));
    TRY(compare_best(run, logits));
out:
    free(rows);
    free(logits);
    return status;
}

/* ---- loss and gradients ---- */

static void see_loss(void *context, const char *name, const float *data, int64_t rows,
                     int64_t columns)
{
    if (strcmp(name, "token_loss") == 0) see(context, name, data, rows, columns);
}

static enum status compare_backward(struct run *run)
{
    enum status status = OK;
    const struct model_observer observer = {.see = see_loss, .context = run};
    const struct model_batch *batch = &run->made.batch;
    struct model_result result;
    int64_t *positions = memory_new((size_t)batch->n_targets + 1, sizeof *positions);
    for (int64_t i = 0; i < batch->n_targets; i++) positions[i] = batch->target_row[i];
    TRY(golden_compare_integers(&run->reference, "target_positions", positions, batch->n_targets));
    TRY(golden_compare_integers(&run->reference, "target_count", &batch->n_targets, 1));
    TRY(golden_compare_integers(&run->reference, "labels_spliced", run->made.labels,
                                batch->n_tokens));
    TRY(model_step(run->model, batch, true, &observer, &result));
    TRY(golden_compare(&run->reference, "token_loss", run->token_loss, run->n_losses,
                       GOLDEN_FORWARD));
    TRY(golden_compare_number(&run->reference, "loss_sum", result.loss_sum, GOLDEN_FORWARD));
    TRY(golden_compare_number(&run->reference, "loss_mean", result.weighted_loss, GOLDEN_FORWARD));
    TRY(golden_compare_gradients(&run->reference, "grad.", model_parameters(run->model),
                                 model_gradients(run->model)));
out:
    free(positions);
    return status;
}

static enum status set_up(struct run *run, const char *directory, struct golden_report *report)
{
    enum status status = OK;
    struct model_options options = {.trainable = {true, true, true, true},
                                    .backward = true,
                                    .recompute = true,
                                    .lm_matrices_frozen = true};
    struct model_memory memory;
    TRY(golden_config_read(&run->config, directory));
    TRY(golden_reference_open(&run->reference, directory, report));
    if (run->reference.noise == NULL) golden_reference_allow_depth(&run->reference);
    TRY(golden_samples_load(&run->samples, &run->reference, &run->config, "sample.",
                            "pixel_values."));
    TRY(golden_samples_batch(&run->made, &run->samples, 0, run->samples.n, &run->config,
                             run->options, 0));
    options.limits = golden_limits(&run->made.batch);
    options.loss_chunk_rows = run->made.batch.n_tokens; /* so that the final norm comes whole */
    TRY(model_plan(&memory, &run->config.model, &options, run->options->kernels));
    char *table = golden_memory_table(&memory);
    fputs(table, stdout);
    free(table);
    TRY(model_create(&run->model, &run->config.model, &options, run->options->kernels,
                     run->options->stream));
    parameters_fill(model_weights(run->model), model_parameters(run->model), run->config.seed);
out:
    return status;
}

static enum status run_full(const char *directory, const struct golden_options *options,
                            struct golden_report *report)
{
    if (golden_mesh_leaves(options, report)) return OK;
    enum status status = OK;
    struct run run = {.options = options};
    TRY(set_up(&run, directory, report));
    TRY(compare_forward(&run));
    TRY(compare_backward(&run));
    golden_reference_finish(&run.reference);
out:
    free(run.token_loss);
    model_destroy(run.model);
    batch_release(&run.made);
    golden_samples_release(&run.samples);
    golden_reference_release(&run.reference);
    golden_config_release(&run.config);
    return status;
}

static bool recognises_full(const char *directory)
{
    return golden_config_names(directory, "robin_full");
}

const struct golden_family golden_robin_full = {"robin_full", recognises_full, run_full};
