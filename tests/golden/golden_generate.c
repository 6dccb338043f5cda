/* Family "generate": greedy decoding after a prompt with an image and regions, twice: by the whole
 * forward for every token, and by the decoder with its cache (not where sharers hold the model). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "device/stream.h"
#include "golden_families.h"
#include "golden_samples.h"
#include "model/decoder.h"
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

/* ---- by the decoder ---- */

#define BLOCK   16
#define PORTION 7 /* rows of the prompt that go in at a time: several portions, the last one odd */

/* Rows first .. first + n - 1 of a sequence that lies in blocks 0, 1, 2, ... */
static enum status run_rows(struct run *run, struct decoder *decoder, int64_t first, int64_t n,
                            const int32_t *ids, const float *embedded, float *logits)
{
    enum status status = OK;
    int32_t position[PORTION], row[PORTION], token[PORTION];
    const int32_t row_start[2] = {0, (int32_t)n}, group[2] = {0, 1}, shared = 0;
    const int32_t last = (int32_t)n - 1;
    const int64_t n_blocks = (first + n + BLOCK - 1) / BLOCK;
    int32_t *table = memory_new((size_t)n_blocks, sizeof *table);
    const float *there;
    for (int64_t b = 0; b < n_blocks; b++) table[b] = (int32_t)b;
    for (int64_t i = 0; i < n; i++) {
        position[i] = (int32_t)(first + i);
        row[i] = (int32_t)i;
        token[i] = embedded != NULL ? -1 : ids[i];
    }
    const struct decoder_source source = {.rows = embedded, .n = n, .index = row};
    const struct decoder_rows rows = {.n_rows = n,
                                      .token_id = token,
                                      .sources = &source,
                                      .n_sources = embedded != NULL,
                                      .slot = position, /* blocks in order: a slot is a position */
                                      .cached = {.block = BLOCK,
                                                 .n_sequences = 1,
                                                 .row_start = row_start,
                                                 .position = position,
                                                 .table = table,
                                                 .table_width = n_blocks,
                                                 .n_groups = 1,
                                                 .group_start = group,
                                                 .shared = &shared},
                                      .logit_row = &last,
                                      .n_logits = 1};
    TRY(decoder_run(decoder, &rows, &there));
    TRY(stream_read(run->options->stream, logits, there,
                    (size_t)run->config.model.lm.vocab * sizeof *logits));
out:
    free(table);
    return status;
}

static enum status decode_cached(struct run *run, const struct made_sample *prompt,
                                 struct answer *answer)
{
    enum status status = OK;
    const size_t n = (size_t)run->n_new;
    const struct lm_config *lm = &run->config.model.lm;
    struct made_batch made = {0};
    struct golden_samples one = {.n = 1, .samples = (struct made_sample *)(uintptr_t)prompt};
    struct decoder *decoder = NULL;
    float *logits = memory_new((size_t)lm->vocab, sizeof *logits), *embedded = NULL;
    *answer = (struct answer){.ids = memory_new(n, sizeof(int64_t)),
                              .margins = memory_new(n, sizeof(double)),
                              .tops = memory_new(n, sizeof(double))};
    TRY(golden_samples_batch(&made, &one, 0, 1, &run->config, run->options, 0));
    made.batch.n_targets = 0;
    const int64_t n_prompt = made.batch.n_tokens, n_all = n_prompt + run->n_new;
    const struct decoder_limits limits = {.max_rows = PORTION,
                                          .max_logits = 1,
                                          .n_blocks = (n_all + BLOCK - 1) / BLOCK,
                                          .block = BLOCK,
                                          .n_positions = n_all};
    TRY(decoder_create(&decoder, run->model, &limits));
    embedded = memory_new((size_t)(n_prompt * lm->hidden), sizeof *embedded);
    TRY(model_embed(run->model, &made.batch, embedded));
    for (int64_t first = 0; first < n_prompt; first += PORTION) {
        const int64_t left = n_prompt - first;
        TRY(run_rows(run, decoder, first, left < PORTION ? left : PORTION, NULL,
                     embedded + first * lm->hidden, logits));
    }
    for (int64_t step = 0; step < run->n_new; step++) {
        choose(logits, lm->vocab, answer, step);
        const int32_t id = (int32_t)answer->ids[step];
        TRY(run_rows(run, decoder, n_prompt + step, 1, &id, NULL, logits));
    }
out:
    free(embedded);
    free(logits);
    decoder_destroy(decoder);
    batch_release(&made);
    return status;
}

/* ---- comparison ---- */

static enum status compare_answer(struct run *run, int64_t index, bool cached)
{
    enum status status = OK;
    struct answer answer = {0};
    const struct made_sample *prompt = &run->samples.samples[index];
    const char *name = run->samples.names[index];
    char *ids = text_format("new_ids.%s", name);
    char *margin = text_format("margin.%s", name);
    char *top = text_format("top_logit.%s", name);
    TRY(cached ? decode_cached(run, prompt, &answer) : decode(run, prompt, &answer));
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
    const bool decodes =
        options->share == NULL && kernels_missing_decoding(options->kernels) == NULL;
    for (int64_t s = 0; s < run.samples.n; s++) {
        TRY(compare_answer(&run, s, false));
        if (decodes) TRY(compare_answer(&run, s, true));
    }
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
