/* The manifest of a checkpoint: what each rank wrote, put together to the text that a checkpoint is
 * read by. checkpoints/README.md explains every field; stored_checkpoint.h reads it. */
#ifndef ROBIN_CHECKPOINT_MANIFEST_H
#define ROBIN_CHECKPOINT_MANIFEST_H

#include <jansson.h>
#include <stdint.h>

#include "base/status.h"
#include "base/text_buffer.h"
#include "checkpoint/run_checkpoint.h"

#define MANIFEST_FORMAT      "robin-dist checkpoint"
#define MANIFEST_VERSION     2
#define MANIFEST_CRC_BYTES   21 /* {"crc32c":"xxxxxxxx", and the CRC is of all behind them */
#define MANIFEST_MAX_BYTES   ((size_t)1 << 30)
#define MANIFEST_BLOCK_BYTES ((uint64_t)1 << 20)

struct manifest_header {
    struct run_progress progress;
    const struct checkpoint_tensor *tensors; /* of all ranks, the same on all */
    int64_t n_tensors;
    const json_t *about; /* an object: of the run that writes */
};

/* One data file and one piece of what a rank wrote, as JSON that goes to the rank that writes the
 * manifest: {"files": [[BYTES, CRC, ...], ...], "pieces": [[TENSOR, FILE, OFFSET, START, STEP,
 * LENGTH, N], ...]}. */
struct manifest_piece {
    int64_t tensor, file;
    uint64_t offset;
    struct tensor_runs runs;
};

/* "data-00003-000.bin"; rank and part up to 5 and 3 digits, more where needed. To free(). */
char *manifest_file_name(int64_t rank, int64_t part);

/* Fragments [n_ranks] in order of rank: the whole text. ERR_FORMAT naming the rank whose fragment
 * cannot be read. */
enum status manifest_write(struct text_buffer *out, const struct manifest_header *header,
                           char *const *fragments, int64_t n_ranks);

#endif
