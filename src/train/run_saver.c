/* A run's saver. */
#include "train/run_saver.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/text_buffer.h"
#include "parallel/replica.h"
#include "train/run_state.h"
#include "train/state_pieces.h"

struct run_saver {
    const struct train_parts *parts;
    struct state_tensors tensors;
    struct checkpoint_saver *files;
};

enum status run_saver_create(struct run_saver **saver_out, const struct train_parts *parts,
                             const struct saver_options *options)
{
    enum status status = OK;
    struct saver_options all = *options;
    struct state_sources sources = {0};
    struct run_saver *saver = memory_new(1, sizeof *saver);
    saver->parts = parts;
    TRY(comm_agree(parts->comm, state_tensors_list(&saver->tensors, parts)));
    state_sources_make(&sources, parts, &saver->tensors);
    all.comm = parts->comm;
    all.tensors = saver->tensors.tensors;
    all.n_tensors = saver->tensors.n;
    all.sources = sources.sources;
    all.n_sources = sources.n;
    TRY(checkpoint_saver_create(&saver->files, &all));
    *saver_out = saver;
    saver = NULL;
out:
    state_sources_release(&sources);
    run_saver_destroy(saver);
    return status;
}

void run_saver_destroy(struct run_saver *saver)
{
    if (saver == NULL) return;
    checkpoint_saver_destroy(saver->files);
    state_tensors_release(&saver->tensors);
    free(saver);
}

/* Collective. Whole parameters on all ranks, slices along dp. */
static enum status check_replicas(const struct train_parts *parts)
{
    enum status status = OK;
    const struct parameter_table *table = model_parameters(parts->model);
    int64_t whole = table->n_weight_elements;
    for (int64_t i = table->n_parameters - 1; i >= 0; i--)
        if (parameter_is_split(&table->parameters[i])) whole = table->parameters[i].offset;
    TRY(exchange_settle(parts->exchange));
    TRY(replica_check(parts->mesh->world, model_weights(parts->model), whole, "weights"));
    status = replica_check(parts->mesh->dp, model_weights(parts->model) + whole,
                           table->n_weight_elements - whole, "weights");
    TRY(comm_agree(parts->comm, status));
out:
    return status;
}

enum status run_saver_begin(struct run_saver *saver, const struct run_progress *progress, bool must)
{
    enum status status = OK;
    char *where = text_format("no checkpoint of step %" PRId64 " is written", progress->step);
    TRY(run_state_check_weights(saver->parts, where));
    TRY(check_replicas(saver->parts));
    TRY(optimizer_fetch(saver->parts->optimizer));
    TRY(checkpoint_saver_begin(saver->files, progress, must));
out:
    free(where);
    return status;
}

struct checkpoint_saver *run_saver_files(const struct run_saver *saver)
{
    return saver->files;
}
