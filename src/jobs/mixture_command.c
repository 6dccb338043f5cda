/* Walks one epoch of a mixture and counts. */
#include "jobs/mixture_command.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text_buffer.h"
#include "config/run_config.h"
#include "jobs/options.h"
#include "train/mixture.h"
#include "train/run_setup.h"
#include "train/unigram.h"

struct totals {
    int64_t samples, skipped, images, regions, rows, targets, cut, longest;
    int64_t *target_count; /* [vocab]: how often each id is a target */
};

static void add_sample(struct totals *totals, const struct sample *sample,
                       const struct sample_rows *rows)
{
    totals->images += sample->has_image;
    totals->regions += rows->n_regions;
    totals->rows += rows->n_rows;
    totals->targets += rows->n_targets;
    totals->cut += rows->n_cut > 0;
    if (rows->n_rows > totals->longest) totals->longest = rows->n_rows;
    for (int64_t r = 1; r < rows->n_rows; r++)
        if (rows->label[r] != IGNORE_LABEL) totals->target_count[rows->label[r]]++;
}

static enum status count_item(struct totals *totals, const struct order_item *item,
                              const struct sample_source *source,
                              const struct sample_rows_options *options)
{
    enum status status = OK;
    struct sample sample = {0};
    struct sample_rows rows = {0};
    const char *skipped = NULL;
    TRY(source->build(source->context, item, &sample, &skipped));
    totals->samples++;
    if (skipped != NULL) {
        totals->skipped++;
        goto out;
    }
    TRY(sample_rows_create(&rows, &sample, options));
    add_sample(totals, &sample, &rows);
out:
    sample_rows_release(&rows);
    sample_release(&sample);
    return status;
}

static void print_totals(const struct totals *totals, const struct run_config *config)
{
    const double n = (double)(totals->samples - totals->skipped);
    printf("samples an epoch     %" PRId64 ", %" PRId64 " of them with nothing to learn\n",
           totals->samples, totals->skipped);
    printf("steps an epoch       %.1f of %" PRId64 " samples\n",
           (double)totals->samples / (double)config->train.global_batch,
           config->train.global_batch);
    printf("pictures, regions    %" PRId64 ", %" PRId64 "\n", totals->images, totals->regions);
    printf("tokens               %" PRId64 ", %.1f a sample, %" PRId64 " in the longest\n",
           totals->rows, n > 0 ? (double)totals->rows / n : 0, totals->longest);
    printf("cut at max_length    %" PRId64 " samples\n", totals->cut);
    printf("target tokens        %" PRId64 "\n", totals->targets);
    if (totals->targets > 0)
        printf("unigram loss         %.4f (of knowing how often each token is a target)\n",
               unigram_loss(totals->target_count, config->model.lm_vocab));
}

static enum status count_epoch(const struct run_config *config)
{
    enum status status = OK;
    struct mixture mixture = {0};
    struct run_model model = {0};
    struct sample_rows_options options;
    struct totals totals = {0};
    TRY(run_model_size(&model, config, false));
    TRY(mixture_open(&mixture, config));
    TRY(run_rows_options(&options, config, &model, mixture.tokenizer));
    totals.target_count = memory_new((size_t)config->model.lm_vocab, sizeof(int64_t));
    const struct sample_source source = corpus_source_samples(&mixture.samples);
    for (int64_t i = 0; i < order_epoch_size(mixture.order); i++) {
        const struct order_item item = order_item_at(mixture.order, i);
        TRY(count_item(&totals, &item, &source, &options));
    }
    print_totals(&totals, config);
out:
    free(totals.target_count);
    mixture_release(&mixture);
    run_model_release(&model);
    return status;
}

enum status data_mixture_command(struct command_call *call)
{
    enum status status = OK;
    struct run_config config = {0};
    const char *path = NULL;
    bool helped = false;
    const struct option_row rows[] = {
        {"CONFIG.yaml", NULL, OPTION_TEXT, true, 0, 0, &path, "whose data.sources are counted"},
    };
    TRY(options_read(rows, 1, "data mixture", call, &helped));
    if (helped) goto out;
    TRY(run_config_load(&config, path, NULL, 0));
    TRY(count_epoch(&config));
out:
    run_config_release(&config);
    return status;
}
