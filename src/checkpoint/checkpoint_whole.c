/* One process, one shard. */
#include "checkpoint/checkpoint_whole.h"

#include <inttypes.h>
#include <stdlib.h>

#include "checkpoint/checkpoint_shard.h"

static enum status write_all(const struct checkpoint_place *place, const char *name,
                             const struct manifest_header *header,
                             const struct checkpoint_shard *shard)
{
    enum status status = OK;
    char *aside = checkpoint_aside(place, name), *fragment = NULL;
    struct text_buffer manifest = {0};
    const struct shard_writing writing = {.layer = place->layer, .folder = aside};
    TRY(checkpoint_shard_write(shard, &writing, &fragment));
    TRY(manifest_write(&manifest, header, &fragment, 1));
    TRY(checkpoint_publish(place, name, manifest.text, manifest.length));
out:
    if (status != OK) checkpoint_abandon(place, name);
    text_release(&manifest);
    free(fragment);
    free(aside);
    return status;
}

enum status checkpoint_write_whole(const struct checkpoint_place *place,
                                   const struct manifest_header *header, const float *const *data)
{
    enum status status = OK;
    const int64_t n = header->n_tensors;
    struct checkpoint_source *sources = memory_new((size_t)n + 1, sizeof *sources);
    struct checkpoint_shard *shard = NULL;
    char *name = NULL;
    for (int64_t t = 0; t < n; t++)
        sources[t] = (struct checkpoint_source){
            .tensor = t,
            .runs = {.length = checkpoint_tensor_size(&header->tensors[t]), .n = 1},
            .data = data[t]};
    shard = checkpoint_shard_create(sources, n, 0);
    TRY(checkpoint_begin(place, header->progress.step, &name));
    TRY(write_all(place, name, header, shard));
out:
    if (status != OK)
        status_add_context("checkpoint of step %" PRId64 " is not written", header->progress.step);
    free(name);
    checkpoint_shard_destroy(shard);
    free(sources);
    return status;
}
