/* Family "generate": greedy decoding after a prompt with an image and regions. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "golden_families.h"
#include "golden_samples.h"
#include "model/robin_model.h"

struct run {
    const struct golden_options *options;
    struct golden_config config;
    struct golden_reference reference;
    struct golden_samples samples;
    struct model *model;
    int64_t n_new;
};

/* The answer to one prompt, and how sure each word was. */
struct answer {
    int64_t *ids;
    double *margins, *tops;
};

static void answer_release(struct answer *answer)
{
    free(answer->ids);
    free(answer->margins);
    free(answer->tops);
}

/* The two largest logits. */
static void choose(const float *logits, int64_t n, struct answer *answer, int64_t step)
{
    int64_t best = 0;
    double second = -INFINITY;
    for (int64_t v = 1; v < n; v++) {
        if (logits[v] > logits[best]) {
            second = (double)logits[best];
            best = v;
        } else if ((double)logits[v] > second) {
            second = (double)logits[v];
        }
    }
    answer->ids[step] = best;
    answer->tops[step] = (double)logits[best];
    answer->margins[step] = (double)logits[best] - second;
}

/* The logits behind the last row of prompt and answer so far. */
static enum status next_logits(struct run *run, const struct made_sample *sample, float *logits)
{
    enum status status = OK;
    struct made_batch made = {0};
    struct golden_samples one = {.n = 1, .samples = (struct made_sample *)(uintptr_t)sample};
    TRY(golden_samples_batch(&made, &one, 0, 1, &run->config, run->options, 0));
    made.batch.n_targets = 1;
    made.target_row[0] = (int32_t)made.batch.n_tokens - 1;
    TRY(model_logits(run->model, &made.batch, NULL, logits));
out:
    batch_release(&made);
    return status;
}

static enum status decode(struct run *run, const struct made_sample *prompt, struct answer *answer)
{
    enum status status = OK;
    size_t n = (size_t)run->n_new;
    int64_t vocab = run->config.model.lm.vocab;
    float *logits = memory_new((size_t)vocab, sizeof *logits);
    int64_t *ids = memory_new((size_t)prompt->n_ids + n, sizeof *ids);
    *answer = (struct answer){.ids = memory_new(n, sizeof(int64_t)),
                              .margins = memory_new(n, sizeof(double)),
                              .tops = memory_new(n, sizeof(double))};
    memcpy(ids, prompt->ids, (size_t)prompt->n_ids * sizeof *ids);
    struct made_sample sample = *prompt;
    sample.ids = ids;
    for (int64_t step = 0; step < run->n_new; step++) {
        TRY(next_logits(run, &sample, logits));
        choose(logits, vocab, answer, step);
        ids[sample.n_ids++] = answer->ids[step];
    }
out:
    free(ids);
    free(logits);
    return status;
}

static enum status compare_answer(struct run *run, int64_t index)
{
    enum status status = OK;
    struct answer answer = {0};
    const char *name = run->samples.names[index];
    char *ids = text_format("new_ids.%s", name);
    char *margin = text_format("margin.%s", name);
    char *top = text_format("top_logit.%s", name);
    TRY(decode(run, &run->samples.samples[index], &answer));
    TRY(golden_compare_integers(&run->reference, ids, answer.ids, run->n_new));
    TRY(golden_compare_numbers(&run->reference, margin, answer.margins, run->n_new,
                               GOLDEN_FORWARD));
    TRY(golden_compare_numbers(&run->reference, top, answer.tops, run->n_new, GOLDEN_FORWARD));
out:
    free(top);
    free(margin);
    free(ids);
    answer_release(&answer);
    return status;
}

/* Room for the longest prompt with its answer. */
static enum status make_model(struct run *run)
{
    enum status status = OK;
    const struct model_config *config = &run->config.model;
    int64_t points = level_side(config->image_height, IMAGE_LEVEL) *
                     level_side(config->image_width, IMAGE_LEVEL);
    struct model_options options = {
        .limits = {.max_images = 1, .max_sequences = 1, .max_targets = 1},
        .share = run->options->share};
    for (int64_t s = 0; s < run->samples.n; s++) {
        const struct made_sample *sample = &run->samples.samples[s];
        int64_t n_tokens = sample->n_ids + points + run->n_new;
        if (n_tokens > options.limits.max_tokens) options.limits.max_tokens = n_tokens;
        if (sample->n_regions > options.limits.max_regions)
            options.limits.max_regions = sample->n_regions;
    }
    TRY(model_create(&run->model, config, &options, run->options->kernels, run->options->stream));
    parameters_fill(model_weights(run->model), model_parameters(run->model), run->config.seed);
out:
    return status;
}

static enum status run_generate(const char *directory, const struct golden_options *options,
                                struct golden_report *report)
{
    enum status status = OK;
    struct run run = {.options = options};
    TRY(golden_config_read(&run.config, directory));
    TRY(golden_reference_open(&run.reference, directory, report));
    TRY(golden_samples_load(&run.samples, &run.reference, &run.config, "sample.", "pixel_values."));
    TRY(golden_config_integer(&run.n_new, &run.config, "new_tokens", 1, 1 << 20));
    TRY(make_model(&run));
    for (int64_t s = 0; s < run.samples.n; s++) TRY(compare_answer(&run, s));
    golden_reference_finish(&run.reference);
out:
    model_destroy(run.model);
    golden_samples_release(&run.samples);
    golden_reference_release(&run.reference);
    golden_config_release(&run.config);
    return status;
}

static bool recognises_generate(const char *directory)
{
    return golden_config_names(directory, "generate");
}

const struct golden_family golden_generate = {"generate", recognises_generate, run_generate};
