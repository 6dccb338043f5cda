/* Says what a mixture amounts to before anything is learnt from it. */
#include "jobs/mixture_command.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "config/run_config.h"
#include "corpus/corpus_index.h"
#include "jobs/options.h"
#include "train/balance.h"
#include "train/mixture.h"
#include "train/mixture_count.h"
#include "train/run_setup.h"
#include "train/unigram.h"

struct mixture_call {
    const char *path, *missing;
    struct option_texts set;
    int64_t n_samples, n_ranks;
};

static void print_totals(const struct mixture_count *count, const struct run_config *config)
{
    const struct mixture_part *total = &count->total;
    const double batch = (double)config->train.global_batch, epoch = (double)count->epoch_size;
    const double n = (double)(total->samples - total->skipped);
    printf("\nsamples an epoch     %" PRId64 "; counted %" PRId64 "%s\n", count->epoch_size,
           count->n_counted,
           count->n_counted < count->epoch_size
               ? ", the first in the order of training; numbers of an epoch are of these, scaled"
               : "");
    printf("steps                %.1f an epoch of %" PRId64 " samples, %.0f in %g epochs\n",
           epoch / batch, config->train.global_batch, epoch * config->train.epochs / batch,
           config->train.epochs);
    const double scale = epoch / (double)count->n_counted;
    printf("pictures, regions    %.0f, %.0f an epoch\n", (double)total->images * scale,
           (double)total->regions * scale);
    printf("tokens               %.0f an epoch, %.1f a sample, %" PRId64 " in the longest\n",
           (double)total->tokens * scale, n > 0 ? (double)total->tokens / n : 0, total->longest);
    printf("target tokens        %.0f an epoch\n", (double)total->targets * scale);
    printf("cut at max_length    %.2f %% of the samples\n",
           n > 0 ? 100 * (double)total->cut / n : 0);
    printf("relations left out   %.0f an epoch, by limits and options of the tasks\n",
           (double)total->dropped_relations * scale);
    if (total->targets > 0)
        printf("unigram loss         %.4f (of knowing how often each token is a target)\n",
               unigram_loss(count->target_count, config->model.lm_vocab));
}

#define BALANCE_STEPS 200

/* How evenly batches of these lengths load the ranks. */
static enum status print_balance(const struct mixture_count *count, const struct run_config *config,
                                 const struct run_model *model, int n_ranks)
{
    enum status status = OK;
    struct balance balance;
    const bool by_group = config->train.loss_average == CONFIG_LOSS_MICROBATCH;
    const struct pack_options options = {
        .mode = by_group ? PACK_SEQUENTIAL : PACK_BALANCED,
        .n_ranks = n_ranks,
        .multiple = 1,
        .limits = model->options.limits,
        .cost = sample_cost_of(&model->config, model->options.trainable)};
    TRY(balance_expect(&balance, count->sizes, count->n_counted, config->train.global_batch,
                       BALANCE_STEPS, &options));
    char *line = balance_line(&balance, config->train.global_batch, n_ranks);
    puts(line);
    free(line);
out:
    return status;
}

/* Sources whose corpus is not there go to the end of the list, named; returns how many are left. */
static int64_t set_aside_missing(struct run_config *config)
{
    int64_t n = config->data.n_sources;
    for (int64_t i = 0; i < n;) {
        struct config_source *source = &config->data.sources[i];
        char *index = path_join(source->corpus, CORPUS_INDEX_FILE);
        const bool is_there = file_exists(index);
        free(index);
        if (is_there) {
            i++;
            continue;
        }
        printf("not here: %s\n", source->corpus);
        const struct config_source kept = *source;
        memmove(source, source + 1, (size_t)(n - i - 1) * sizeof *source);
        config->data.sources[--n] = kept;
    }
    return n;
}

static enum status count_mixture(const struct run_config *config, const struct mixture_call *call)
{
    enum status status = OK;
    struct mixture mixture = {0};
    struct run_model model = {0};
    struct sample_rows_options rows;
    struct mixture_count count = {0};
    struct text_buffer tables = {0};
    TRY(run_model_size(&model, config, true));
    TRY(mixture_open(&mixture, config));
    TRY(run_rows_options(&rows, config, &model, mixture.tokenizer));
    TRY(mixture_count_make(&count, &mixture, &rows, config->data.max_length, call->n_samples));
    mixture_count_write(&tables, &count, &mixture);
    fputs(text_of(&tables), stdout);
    print_totals(&count, config);
    if (count.total.samples > count.total.skipped)
        TRY(print_balance(&count, config, &model, (int)call->n_ranks));
out:
    text_release(&tables);
    mixture_count_release(&count);
    mixture_release(&mixture);
    run_model_release(&model);
    return status;
}

/* A file that begins, but for comments, with "sources:" is a mixture; others are configurations. */
static enum status is_mixture(bool *is_out, const char *path)
{
    enum status status = OK;
    unsigned char *bytes = NULL;
    size_t size = 0;
    TRY(file_read(&bytes, &size, path, 1 << 24));
    const char *text = (const char *)bytes;
    while (*text == '#' || *text == '\n') {
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    *is_out = strncmp(text, "sources:", strlen("sources:")) == 0;
out:
    free(bytes);
    return status;
}

enum status mixture_load(struct run_config *config, const char *path,
                         const struct option_texts *set)
{
    enum status status = OK;
    bool mixture = false;
    char *named = text_format("data.mixture=%s", path);
    const char **overrides = memory_new((size_t)set->n + 1, sizeof *overrides);
    int n = 0;
    TRY(is_mixture(&mixture, path));
    if (mixture) overrides[n++] = named;
    for (int64_t i = 0; i < set->n; i++) overrides[n++] = set->values[i];
    TRY(run_config_load(config, mixture ? NULL : path, overrides, n));
out:
    free(overrides);
    free(named);
    return status;
}

enum status data_mixture_command(struct command_call *call)
{
    enum status status = OK;
    struct run_config config = {0};
    struct mixture_call own = {.missing = "refuse", .n_samples = 20000, .n_ranks = 8};
    bool helped = false;
    int64_t n_all = 0;
    const struct option_row rows[] = {
        {"FILE", NULL, OPTION_TEXT, true, 0, 0, &own.path, "a configuration or a mixture file"},
        {"--set", "KEY=VALUE", OPTION_TEXTS, false, 0, 0, &own.set,
         "a key of the configuration, such as tokenizer=DIR"},
        {"--samples", "N", OPTION_INTEGER, false, 0, 1e12, &own.n_samples,
         "how many are built and counted; 0: an epoch"},
        {"--ranks", "N", OPTION_INTEGER, false, 1, 65536, &own.n_ranks,
         "data-parallel ranks that batches are dealt to"},
        {"--missing", "WORD", OPTION_TEXT, false, 0, 0, &own.missing,
         "refuse, or list: sources whose corpus is not there are named and left out"},
    };
    TRY(options_read(rows, sizeof rows / sizeof rows[0], "data mixture", call, &helped));
    if (helped) goto out;
    const bool list = strcmp(own.missing, "list") == 0;
    if (!list && strcmp(own.missing, "refuse") != 0)
        FAIL(ERR_ARGUMENT, "data mixture: --missing is '%s', must be refuse or list", own.missing);
    TRY(mixture_load(&config, own.path, &own.set));
    n_all = config.data.n_sources;
    if (list) config.data.n_sources = set_aside_missing(&config);
    if (config.data.n_sources > 0) TRY(count_mixture(&config, &own));
out:
    if (n_all > 0) config.data.n_sources = n_all; /* released together */
    free(own.set.values);
    run_config_release(&config);
    return status;
}
