#include "support/saved_state.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "checkpoint/checkpoint_shard.h"
#include "checkpoint/manifest.h"

#define MAX_RANKS 4
#define ROWS      37
#define COLUMNS   12 /* 1 to 4 ranks divide them */
#define LARGE     1021

static const struct checkpoint_tensor tensors[] = {
    {CHECKPOINT_WEIGHT, "lm.small", 2, {2, 3}, false},
    {CHECKPOINT_WEIGHT, "lm.columns", 2, {ROWS, COLUMNS}, false},
    {CHECKPOINT_SECOND_MOMENT, "lm.large", 1, {LARGE}, false},
};
#define N_TENSORS ((int64_t)(sizeof tensors / sizeof tensors[0]))

static float value_at(int64_t step, int64_t tensor, int64_t i)
{
    return (float)(step * 10000 + tensor * 2000 + i) * (i % 2 == 0 ? 1.0f : -0.5f);
}

static float *values_of(int64_t step, int64_t tensor)
{
    const int64_t n = checkpoint_tensor_size(&tensors[tensor]);
    float *values = memory_new((size_t)n, sizeof *values);
    for (int64_t i = 0; i < n; i++) values[i] = value_at(step, tensor, i);
    return values;
}

struct run_progress saved_state_progress(int64_t step)
{
    return (struct run_progress){.step = step,
                                 .skipped_steps = step / 2,
                                 .means = {.loss = 0.1 * (double)step, .norm = 1e-300, .n = step},
                                 .samples = step * 8,
                                 .order_hash = 0xfedcba9876543210u + (uint64_t)step,
                                 .order_key = 7,
                                 .config_hash = UINT64_MAX};
}

/* The last rank has the small one; columns and the large one are shared. */
static enum status write_shard(const struct saved_run *run, const char *folder, int rank,
                               float *const *values, char **fragment_out)
{
    const int64_t n = run->n_ranks, width = COLUMNS / n;
    const int64_t from = LARGE * rank / n, to = LARGE * (rank + 1) / n;
    const struct checkpoint_source sources[] = {
        {1, {rank * width, COLUMNS, width, ROWS}, values[1] + rank * width, COLUMNS},
        {2, {from, 0, to - from, 1}, values[2] + from, 0},
        {0, {0, 0, 6, 1}, values[0], 0},
    };
    const struct shard_writing writing = {.layer = run->layer, .folder = folder, .rank = rank};
    struct checkpoint_shard *shard =
        checkpoint_shard_create(sources, rank == n - 1 ? 3 : 2, run->file_bytes);
    const enum status status = checkpoint_shard_write(shard, &writing, fragment_out);
    checkpoint_shard_destroy(shard);
    return status;
}

static enum status publish(const struct checkpoint_place *place, const struct saved_run *run,
                           int64_t step, const char *name, char *const *fragments)
{
    enum status status = OK;
    struct text_buffer manifest = {0};
    json_t *about = json_pack("{s:s}", "program", "a test");
    const struct manifest_header header = {.progress = saved_state_progress(step),
                                           .tensors = tensors,
                                           .n_tensors = N_TENSORS,
                                           .about = about};
    TRY(manifest_write(&manifest, &header, fragments, run->n_ranks));
    TRY(checkpoint_publish(place, name, manifest.text, manifest.length));
    TRY(checkpoint_prune(place, &run->keep));
out:
    text_release(&manifest);
    json_decref(about);
    return status;
}

enum status saved_state_save(const struct saved_run *given, int64_t step)
{
    enum status status = OK;
    struct saved_run run = *given;
    if (run.layer == NULL) run.layer = &file_layer_system;
    const struct checkpoint_place place = {.layer = run.layer, .directory = run.directory};
    char *name = NULL, *aside = NULL, *fragments[MAX_RANKS] = {NULL};
    float *values[N_TENSORS];
    for (int64_t t = 0; t < N_TENSORS; t++) values[t] = values_of(step, t);
    TRY(checkpoint_begin(&place, step, &name));
    aside = checkpoint_aside(&place, name);
    for (int rank = 0; rank < run.n_ranks; rank++)
        TRY(write_shard(&run, aside, rank, values, &fragments[rank]));
    TRY(publish(&place, &run, step, name, fragments));
out:
    if (status != OK) status_add_context("checkpoint of step %" PRId64 " is not written", step);
    if (status != OK && name != NULL) checkpoint_abandon(&place, name);
    for (int64_t t = 0; t < N_TENSORS; t++) free(values[t]);
    for (int rank = 0; rank < MAX_RANKS; rank++) free(fragments[rank]);
    free(aside);
    free(name);
    return status;
}

int saved_state_is(const struct run_checkpoint *checkpoint, int64_t step)
{
    const struct run_progress expected = saved_state_progress(step);
    int same = memcmp(run_checkpoint_progress(checkpoint), &expected, sizeof expected) == 0 &&
               run_checkpoint_size(checkpoint) == N_TENSORS;
    for (int64_t t = 0; same && t < N_TENSORS; t++) {
        const int64_t n = checkpoint_tensor_size(&tensors[t]);
        const int64_t at = run_checkpoint_find(checkpoint, tensors[t].part, tensors[t].name);
        float *wanted = values_of(step, t), *found = memory_new((size_t)n, sizeof *found);
        same = at >= 0 && run_checkpoint_read(checkpoint, at, found) == OK &&
               memcmp(found, wanted, (size_t)n * sizeof *found) == 0;
        free(found);
        free(wanted);
    }
    return same;
}
