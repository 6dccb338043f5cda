/* See job_mesh.h. */
#include "jobs/job_mesh.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/random.h"
#include "base/text_buffer.h"
#include "comm/comm_device.h"
#include "parallel/tensor_parallel.h"
#include "train/run_directory.h"

/* Of what a run may change between two calls, but not between its ranks. */
static uint64_t parallel_hash(const struct config_parallel *keys)
{
    char *text = text_format("%" PRId64 " %" PRId64 " %d %d %d %d %d %" PRId64, keys->tp, keys->dp,
                             keys->backend, keys->tp_across_hosts, keys->sequence,
                             keys->shard_gradients, keys->overlap, keys->bucket_elements);
    const uint64_t hash = hash_fnv1a(text, strlen(text));
    free(text);
    return hash;
}

/* Collective: ranks that were started with other files or arguments must not train together. */
static enum status compare_configs(struct comm *comm, const struct run_config *config)
{
    enum status status = OK;
    const int size = comm_size(comm);
    int64_t *hashes = memory_new((size_t)size, sizeof *hashes);
    const uint64_t hash = run_directory_config_hash(config) ^ parallel_hash(&config->parallel);
    memcpy(&hashes[comm_rank(comm)], &hash, sizeof hash);
    TRY(comm_sum_int64(comm, hashes, size));
    for (int rank = 1; rank < size && status == OK; rank++)
        if (hashes[rank] != hashes[0])
            status = status_fail(ERR_ARGUMENT,
                                 "rank %d of %d was given another configuration than rank 0; give "
                                 "all ranks the same file and the same key=value arguments",
                                 rank, size);
    TRY(comm_agree(comm, status));
out:
    free(hashes);
    return status;
}

enum status job_mesh_make(struct mesh *mesh_out, struct model_share *share_out, struct comm *comm,
                          const struct run_config *config)
{
    enum status status = OK;
    const struct config_parallel *keys = &config->parallel;
    const struct mesh_options options = {
        .tp = keys->tp, .dp = keys->dp, .tp_across_hosts = keys->tp_across_hosts};
    TRY(compare_configs(comm, config));
    TRY(mesh_init(mesh_out, comm, &options));
    *share_out = tensor_parallel_share(mesh_out->tp, keys->sequence);
out:
    return status;
}

enum status job_mesh_use_device(struct mesh *mesh, struct device *device,
                                const struct run_config *config)
{
    enum status status = OK;
    TRY(comm_use_device(mesh->tp, device, (enum comm_backend)config->parallel.backend));
    if (comm_has_nccl(mesh->tp)) log_info("values of the ranks of a model travel by NCCL");
out:
    return status;
}
