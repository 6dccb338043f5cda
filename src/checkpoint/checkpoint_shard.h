/* What one rank writes of a checkpoint: pieces of tensors, taken from the run's memory, laid out in
 * data files. */
#ifndef ROBIN_CHECKPOINT_CHECKPOINT_SHARD_H
#define ROBIN_CHECKPOINT_CHECKPOINT_SHARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "checkpoint/file_layer.h"
#include "checkpoint/manifest.h"
#include "checkpoint/tensor_runs.h"

struct checkpoint_source {
    int64_t tensor; /* index in the list that all ranks have */
    struct tensor_runs runs;
    const float *data; /* run k lies at data + k * data_step */
    int64_t data_step;
};

#define SHARD_CHUNK_BYTES (8 * MANIFEST_BLOCK_BYTES) /* written at once */

struct checkpoint_shard;

/* Copies the sources, not what they point to. A file is closed before it would pass file_bytes,
 * unless one piece alone does; 0: 4 GiB. */
struct checkpoint_shard *checkpoint_shard_create(const struct checkpoint_source *sources, int64_t n,
                                                 uint64_t file_bytes);
void checkpoint_shard_destroy(struct checkpoint_shard *shard);

/* Bytes of all files. */
uint64_t checkpoint_shard_bytes(const struct checkpoint_shard *shard);
/* Of a copy of all of it, at addresses that are multiples of FILE_LAYER_ALIGNMENT. */
size_t checkpoint_shard_snapshot_bytes(const struct checkpoint_shard *shard);
void checkpoint_shard_snapshot(const struct checkpoint_shard *shard, unsigned char *snapshot);

struct shard_writing {
    const struct file_layer *layer;
    const char *folder;
    int64_t rank;
    bool direct;                   /* past the page cache */
    const unsigned char *snapshot; /* NULL: from the run's memory as it is now */
};
/* Writes the files and brings them and their folder to disk. *fragment_out is for manifest_write,
 * to free(). */
enum status checkpoint_shard_write(const struct checkpoint_shard *shard,
                                   const struct shard_writing *writing, char **fragment_out);

#endif
