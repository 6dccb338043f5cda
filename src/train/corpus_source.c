/* Samples from corpora. */
#include "train/corpus_source.h"

#include <inttypes.h>

static enum status build(void *context, const struct order_item *item, struct sample *sample_out,
                         const char **skipped_out)
{
    enum status status = OK;
    const struct corpus_source *source = context;
    const struct corpus_entry *entry = &source->entries[item->source];
    const struct task *task = entry->tasks[item->task];
    struct record record = {0};
    TRY(corpus_read(entry->corpus, item->record, &record));
    struct sample_request request = {.id = item->id,
                                     .task = task,
                                     .tokenizer = source->tokenizer,
                                     .options = &entry->options,
                                     .draws = task_draws(source->seed, item->id, item->round)};
    TRY_WHERE(sample_build(sample_out, skipped_out, &record, &request),
              "record %" PRId64 " of %s, task %s", item->record, corpus_name(entry->corpus),
              task->name);
out:
    record_release(&record);
    return status;
}

struct sample_source corpus_source_samples(const struct corpus_source *source)
{
    /* the source is only read: sample_source's context is not const for the sake of others */
    return (struct sample_source){.build = build, .context = (void *)(uintptr_t)source};
}
