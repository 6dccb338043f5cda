/* What lies where in a checkpoint that was opened: common ground of those who read a manifest, the
 * first format, and blocks. */
#ifndef ROBIN_CHECKPOINT_STORED_CHECKPOINT_H
#define ROBIN_CHECKPOINT_STORED_CHECKPOINT_H

#include "base/json_file.h"
#include "checkpoint/run_checkpoint.h"

#define CHECKPOINT_MAX_BYTES    ((uint64_t)1 << 46) /* of a data file */
#define CHECKPOINT_MAX_ELEMENTS ((int64_t)1 << 42)  /* of a tensor */
#define CHECKPOINT_ALIGNMENT    64                  /* of pieces in a data file */

struct stored_block {
    uint64_t start, size;
    uint32_t crc;
};

struct stored_file {
    char *path;
    uint64_t size;
    struct stored_block *blocks; /* in order; what is between them belongs to nobody */
    int64_t n_blocks;
    int64_t first_piece, n_pieces;
};

struct stored_piece {
    int64_t tensor, file;
    uint64_t offset;
    struct tensor_runs runs;
};

struct run_checkpoint {
    char *path;
    json_t *root;
    struct run_progress progress;
    struct checkpoint_tensor *tensors; /* names borrowed from root */
    struct stored_file *files;
    struct stored_piece *pieces; /* by file and offset */
    int64_t n_tensors, n_files, n_pieces;
};

static inline uint64_t checkpoint_align(uint64_t offset)
{
    return (offset + CHECKPOINT_ALIGNMENT - 1) / CHECKPOINT_ALIGNMENT * CHECKPOINT_ALIGNMENT;
}

/* Of one element in the file. */
static inline size_t checkpoint_element_bytes(const struct checkpoint_tensor *tensor)
{
    return tensor->bf16 ? sizeof(uint16_t) : sizeof(float);
}

/* Fields that both formats have. */
enum status stored_progress_read(struct run_progress *progress, const json_t *object,
                                 struct json_place place);
/* Name, part and dims of a tensor; its size in elements is within CHECKPOINT_MAX_ELEMENTS. */
enum status stored_tensor_read(struct checkpoint_tensor *tensor, const json_t *entry,
                               struct json_place place);

/* path/manifest.json into everything; the files' sizes are those of the disk. */
enum status manifest_read(struct run_checkpoint *checkpoint);
/* A checkpoint of the first format, which is one file. */
enum status format1_read(struct run_checkpoint *checkpoint);

/* Every element of every tensor lies in exactly one piece. */
enum status pieces_check(const struct run_checkpoint *checkpoint);

#endif
