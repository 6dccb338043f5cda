/* Losses by task. */
#include "train/task_loss.h"

#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/text_buffer.h"

struct task_loss {
    struct model_observer observer;
    const char **names; /* [n_tasks], static */
    int64_t n_tasks;
    int64_t **task_of; /* [n_sources][tasks of it]: which of them */
    int64_t n_sources;
    double *sums; /* [2 n_tasks]: losses, then targets */
    const struct micro_batch *micro;
    int64_t seen, sequence; /* targets of the micro-batch, and where the last one stood */
};

static int64_t row_of(struct task_loss *losses, const char *name)
{
    for (int64_t i = 0; i < losses->n_tasks; i++)
        if (strcmp(losses->names[i], name) == 0) return i;
    losses->names[losses->n_tasks] = name;
    return losses->n_tasks++;
}

/* The observer: losses of the targets in their order, in pieces. */
static void see_losses(void *context, const char *name, const float *data, int64_t rows,
                       int64_t columns)
{
    struct task_loss *losses = context;
    const struct model_batch *batch = &losses->micro->batch;
    (void)name;
    ASSERT(columns == 1 && losses->seen + rows <= batch->n_targets, "losses of other targets");
    for (int64_t i = 0; i < rows; i++) {
        while (batch->target_row[losses->seen] >= batch->seq_start[losses->sequence + 1])
            losses->sequence++;
        const uint64_t id = losses->micro->sample_id[losses->sequence];
        const int64_t task = losses->task_of[order_id_source(id)][order_id_task(id)];
        losses->sums[task] += (double)data[i];
        losses->sums[losses->n_tasks + task] += 1;
        losses->seen++;
    }
}

void task_loss_create(struct task_loss **losses_out, const struct mixture *mixture)
{
    struct task_loss *losses = memory_new(1, sizeof *losses);
    int64_t most = 0;
    for (int64_t s = 0; s < mixture->n_entries; s++) most += mixture->entries[s].n_tasks;
    losses->names = memory_new((size_t)most + 1, sizeof *losses->names);
    losses->n_sources = mixture->n_entries;
    losses->task_of = memory_new((size_t)mixture->n_entries + 1, sizeof *losses->task_of);
    for (int64_t s = 0; s < mixture->n_entries; s++) {
        const struct corpus_entry *entry = &mixture->entries[s];
        losses->task_of[s] = memory_new((size_t)entry->n_tasks + 1, sizeof **losses->task_of);
        for (int64_t t = 0; t < entry->n_tasks; t++)
            losses->task_of[s][t] = row_of(losses, entry->tasks[t]->name);
    }
    losses->sums = memory_new(2 * (size_t)losses->n_tasks + 1, sizeof *losses->sums);
    losses->observer =
        (struct model_observer){.see = see_losses, .context = losses, .only = "token_loss"};
    *losses_out = losses;
}

void task_loss_destroy(struct task_loss *losses)
{
    if (losses == NULL) return;
    for (int64_t s = 0; s < losses->n_sources; s++) free(losses->task_of[s]);
    free(losses->task_of);
    free(losses->names);
    free(losses->sums);
    free(losses);
}

void task_loss_clear(struct task_loss *losses)
{
    if (losses != NULL) memset(losses->sums, 0, 2 * (size_t)losses->n_tasks * sizeof(double));
}

const struct model_observer *task_loss_watch(struct task_loss *losses,
                                             const struct micro_batch *micro)
{
    if (losses == NULL) return NULL;
    losses->micro = micro;
    losses->seen = losses->sequence = 0;
    return &losses->observer;
}

enum status task_loss_reduce(struct task_loss *losses, struct comm *comm)
{
    return losses == NULL ? OK : comm_sum_double(comm, losses->sums, 2 * losses->n_tasks);
}

int64_t task_loss_count(const struct task_loss *losses)
{
    return losses == NULL ? 0 : losses->n_tasks;
}

const char *task_loss_name(const struct task_loss *losses, int64_t task)
{
    return losses->names[task];
}

double task_loss_mean(const struct task_loss *losses, int64_t task, int64_t *n_out)
{
    const double n = losses->sums[losses->n_tasks + task];
    *n_out = (int64_t)n;
    return n > 0 ? losses->sums[task] / n : 0;
}
