/* Looking at some samples of a mixture. */
#include "plan/sample_survey.h"

#include "train/mixture.h"

struct survey {
    struct model_load load;
    int64_t n;
};

static enum status look_at(struct survey *survey, const struct order_item *item,
                           const struct sample_source *source,
                           const struct sample_rows_options *options)
{
    enum status status = OK;
    struct sample sample = {0};
    struct sample_rows rows = {0};
    const char *skipped = NULL;
    TRY(source->build(source->context, item, &sample, &skipped));
    if (skipped != NULL) goto out;
    TRY(sample_rows_create(&rows, &sample, options));
    model_load_add(&survey->load, rows.n_rows, rows.image_row >= 0,
                   rows.image_row >= 0 ? rows.n_regions : 0, rows.n_targets);
    survey->n++;
out:
    sample_rows_release(&rows);
    sample_release(&sample);
    return status;
}

enum status sample_survey(struct plan_sample *sample_out, const struct run_config *config,
                          int64_t n)
{
    enum status status = OK;
    struct mixture mixture = {0};
    struct run_model model = {0};
    struct sample_rows_options options;
    struct survey survey = {0};
    TRY(run_model_size(&model, config, false));
    TRY(mixture_open(&mixture, config));
    TRY(run_rows_options(&options, config, &model, mixture.tokenizer));
    const struct sample_source source = corpus_source_samples(&mixture.samples);
    const int64_t size = order_epoch_size(mixture.order);
    if (n > size) n = size;
    for (int64_t i = 0; i < n; i++) {
        const struct order_item item = order_item_at(mixture.order, i * (size / n));
        TRY(look_at(&survey, &item, &source, &options));
    }
    if (survey.n == 0) FAIL(ERR_FORMAT, "none of %lld samples has anything to learn", (long long)n);
    const double count = (double)survey.n;
    *sample_out = (struct plan_sample){.tokens = survey.load.tokens / count,
                                       .images = survey.load.images / count,
                                       .regions = survey.load.regions / count,
                                       .targets = survey.load.targets / count,
                                       .pairs = survey.load.pairs / count,
                                       .per_epoch = (double)size};
out:
    mixture_release(&mixture);
    run_model_release(&model);
    return status;
}

struct plan_sample sample_assumed(const struct run_config *config)
{
    const double rows =
        (double)(config->model.image_height / 16 * (config->model.image_width / 16));
    const double longest = (double)config->data.max_length;
    const double text = longest - rows < longest / 4 ? longest - rows : longest / 4;
    const double tokens = rows + text;
    return (struct plan_sample){.tokens = tokens,
                                .images = 1,
                                .regions = 10,
                                .targets = text / 2,
                                .pairs = tokens * (tokens + 1) / 2,
                                .assumed = true};
}
