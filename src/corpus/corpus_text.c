/* See corpus_text.h. */
#include "corpus/corpus_text.h"

static enum status add_record(struct text_buffer *out, const struct record *record,
                              const struct task *task, int64_t index)
{
    enum status status = OK;
    struct task_sample sample = {0};
    struct task_options options = task_options_default();
    TRY(task_make(&sample, record, task, &options, task_draws(0, (uint64_t)index, 0)));
    if (!sample.skipped) chat_prompt_text(out, &sample.conversation);
out:
    task_sample_release(&sample);
    return status;
}

enum status corpus_text(struct text_buffer *out, const struct corpus *corpus, int64_t n_records,
                        const struct task *const *tasks, int64_t n_tasks)
{
    enum status status = OK;
    struct record record = {0};
    int64_t n = corpus_size(corpus) < n_records ? corpus_size(corpus) : n_records;
    for (int64_t i = 0; i < n; i++) {
        TRY(corpus_read(corpus, i, &record));
        for (int64_t k = 0; k < n_tasks; k++) TRY(add_record(out, &record, tasks[k], i));
        record_release(&record);
    }
out:
    record_release(&record);
    return status;
}
