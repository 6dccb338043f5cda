/* Opening the sources of a mixture. */
#include "train/mixture.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text_buffer.h"

static enum status find_tasks(struct corpus_entry *entry, const struct config_source *source)
{
    enum status status = OK;
    struct text_buffer names = {0};
    entry->tasks = memory_new((size_t)source->tasks.n + 1, sizeof *entry->tasks);
    for (int64_t i = 0; i < source->tasks.n; i++) {
        const struct task *task = task_find(source->tasks.values[i]);
        if (task != NULL) {
            entry->tasks[entry->n_tasks++] = task;
            continue;
        }
        int64_t n = 0;
        const struct task *const *all = task_list(&n);
        for (int64_t t = 0; t < n; t++)
            text_printf(&names, "%s%s", t > 0 ? ", " : "", all[t]->name);
        FAIL(ERR_ARGUMENT, "data.sources: corpus %s: there is no task %s; use one of %s",
             source->corpus, source->tasks.values[i], text_of(&names));
    }
out:
    text_release(&names);
    return status;
}

static void set_options(struct task_options *options, const struct config_source *source,
                        const struct run_config *config)
{
    *options = task_options_default();
    if (source->max_regions >= 0) options->max_regions = source->max_regions;
    if (source->max_relations >= 0) options->max_relations = source->max_relations;
    if (source->max_turns >= 0) options->max_turns = source->max_turns;
    options->box_text = source->box_text;
    if (source->max_attributes >= 0) options->max_attributes = source->max_attributes;
    options->sg_mode = (int)source->sg_mode;
    options->region_setup = (enum region_setup)source->region_setup;
    options->region_order = (enum region_order)source->region_order;
    options->min_region_keep = source->min_region_keep;
    options->no_description = source->no_description;
    options->sort_by_box = source->sort_by_box;
    options->relevant_relations = source->relevant_relations;
    if (source->question_prefix[0] != '\0') options->question_prefix = source->question_prefix;
    options->fresh_draws = !config->data.fixed_draws;
    options->compat = (struct task_compat){
        .angle_brackets = config->compat.angle_brackets,
        .blank_picture = config->compat.blank_picture,
        .cot_relations = config->compat.cot_relations,
        .description_line = config->compat.description_line,
        .doubled_prefix = config->compat.doubled_prefix,
        .mentioned_only = config->compat.mentioned_only,
        .statement_wording = config->compat.statement_wording,
        .unlisted_regions = config->compat.unlisted_regions,
    };
    options->ignored_predicates = (const char *const *)source->ignored_predicates.values;
    options->n_ignored_predicates = source->ignored_predicates.n;
    options->chat.unmask_template_tokens = config->unmask_template_tokens;
}

/* A form of graphs that a task does not have is said before the first step. */
static enum status check_modes(const struct corpus_entry *entry, const struct config_source *source)
{
    for (int64_t t = 0; t < entry->n_tasks; t++) {
        const char *name = entry->tasks[t]->name;
        const bool detection = strcmp(name, "sg_detection") == 0;
        if ((strcmp(name, "sg") == 0 && source->sg_mode == 0) ||
            (detection && source->sg_mode == 3))
            return status_fail(
                ERR_ARGUMENT, "data.sources: corpus %s: sg_mode is %" PRId64 "; task %s has %s",
                source->corpus, source->sg_mode, name, detection ? "0, 1 and 2" : "1, 2 and 3");
    }
    return OK;
}

static enum status open_entries(struct mixture *mixture, const struct run_config *config)
{
    enum status status = OK;
    const struct config_data *data = &config->data;
    mixture->entries = memory_new((size_t)data->n_sources + 1, sizeof *mixture->entries);
    mixture->sources = memory_new((size_t)data->n_sources + 1, sizeof *mixture->sources);
    for (int64_t i = 0; i < data->n_sources; i++) {
        const struct config_source *source = &data->sources[i];
        struct corpus_entry *entry = &mixture->entries[mixture->n_entries++];
        TRY(find_tasks(entry, source));
        set_options(&entry->options, source, config);
        TRY(check_modes(entry, source));
        TRY(corpus_open(&entry->corpus, source->corpus));
        mixture->sources[i] = (struct order_source){
            .name = source->corpus,
            .n_records = corpus_size(entry->corpus),
            .n_tasks = entry->n_tasks,
            .weight = source->weight,
            .count = source->count,
        };
    }
out:
    return status;
}

enum status mixture_open(struct mixture *mixture, const struct run_config *config)
{
    enum status status = OK;
    if (config->data.n_sources == 0)
        FAIL(ERR_ARGUMENT, "data.sources is empty; name a corpus and its tasks");
    if (config->data.n_sources > ORDER_MAX_SOURCES)
        FAIL(ERR_ARGUMENT, "data.sources has %" PRId64 " rows but at most %d are possible",
             config->data.n_sources, ORDER_MAX_SOURCES);
    TRY_WHERE(tokenizer_open(&mixture->tokenizer, config->tokenizer), "tokenizer");
    if (tokenizer_size(mixture->tokenizer) > config->model.lm_vocab)
        FAIL(ERR_ARGUMENT,
             "tokenizer %s has ids up to %d but model.lm.vocab is %" PRId64 "; raise it",
             config->tokenizer, tokenizer_size(mixture->tokenizer) - 1, config->model.lm_vocab);
    TRY(open_entries(mixture, config));
    TRY(order_create(&mixture->order, (uint64_t)config->seed, config->train.global_batch,
                     mixture->sources, mixture->n_entries));
    mixture->samples = (struct corpus_source){.entries = mixture->entries,
                                              .tokenizer = mixture->tokenizer,
                                              .seed = (uint64_t)config->seed};
out:
    return status;
}

void mixture_release(struct mixture *mixture)
{
    for (int64_t i = 0; i < mixture->n_entries; i++) {
        corpus_close(mixture->entries[i].corpus);
        free(mixture->entries[i].tasks);
    }
    order_destroy(mixture->order);
    tokenizer_close(mixture->tokenizer);
    free(mixture->sources);
    free(mixture->entries);
    *mixture = (struct mixture){0};
}

void mixture_print(const struct mixture *mixture)
{
    for (int64_t i = 0; i < mixture->n_entries; i++) {
        const struct order_source *source = order_source(mixture->order, i);
        struct text_buffer tasks = {0};
        for (int64_t t = 0; t < mixture->entries[i].n_tasks; t++)
            text_printf(&tasks, "%s%s", t > 0 ? ", " : "", mixture->entries[i].tasks[t]->name);
        log_info("data: %s: %" PRId64 " records, tasks %s, %" PRId64 " samples an epoch",
                 source->name, source->n_records, text_of(&tasks), source->n_draws);
        text_release(&tasks);
    }
    log_info("data: %" PRId64 " samples an epoch in all", order_epoch_size(mixture->order));
}
