/* A run's own checkpoints: weights and optimizer moments by logical name, and where the run stood.
 * One file per checkpoint, written aside, synced and renamed, every part under a CRC-32C; a file
 * that is there under its name is whole or is refused. Which tensors there are and who calls this
 * on which rank is the caller's affair.
 *
 * The file, little-endian: "ROBINCK1", u64 bytes of the header, u32 CRC-32C of the header, u32 0,
 * the header (JSON), then the tensors in its order, f32, each at the next multiple of 64 bytes. */
#ifndef ROBIN_CHECKPOINT_RUN_CHECKPOINT_H
#define ROBIN_CHECKPOINT_RUN_CHECKPOINT_H

#include <stdint.h>

#include "base/status.h"

enum checkpoint_part {
    CHECKPOINT_WEIGHT,
    CHECKPOINT_FIRST_MOMENT,
    CHECKPOINT_SECOND_MOMENT,
    CHECKPOINT_MEAN_WEIGHT /* running mean, where one is kept */,
    CHECKPOINT_PARTS
};

struct checkpoint_tensor {
    enum checkpoint_part part;
    const char *name; /* logical name of the parameter */
    int n_dims;
    int64_t dims[4];
    const float *data; /* to be written; NULL in a checkpoint that was opened */
};

/* Running means of the steps that were taken: what a spike is measured by. */
struct run_means {
    double loss, norm;
    int64_t n; /* steps in them */
};

struct run_progress {      /* all zero: imported weights that no run has trained */
    int64_t step;          /* global batches consumed */
    int64_t skipped_steps; /* of them, those whose update was left out */
    struct run_means means;
    int64_t samples;      /* consumed since the run began */
    uint64_t order_hash;  /* rolling hash of their ids */
    uint64_t order_key;   /* what decides the order: seed, mixture, batch size */
    uint64_t config_hash; /* of everything that decides the numbers */
};

/* Writes DIRECTORY/step-NNNNNNNNN.ckpt, then DIRECTORY/latest with its name, then removes all but
 * the newest `keep` (0: keeps all) and what killed runs left aside. Creates the directory. */
enum status run_checkpoint_write(const char *directory, int64_t keep,
                                 const struct run_progress *progress,
                                 const struct checkpoint_tensor *tensors, int64_t n_tensors);

struct run_checkpoint;

/* Opens a file and checks its header against its size; the tensors are checked when read. The
 * sentence names file and field. */
enum status run_checkpoint_open(struct run_checkpoint **checkpoint_out, const char *path);
void run_checkpoint_close(struct run_checkpoint *checkpoint);

const struct run_progress *run_checkpoint_progress(const struct run_checkpoint *checkpoint);
int64_t run_checkpoint_size(const struct run_checkpoint *checkpoint); /* tensors */
const struct checkpoint_tensor *run_checkpoint_tensor(const struct run_checkpoint *checkpoint,
                                                      int64_t index);
/* -1 if there is none. */
int64_t run_checkpoint_find(const struct run_checkpoint *checkpoint, enum checkpoint_part part,
                            const char *name);

/* Reads tensor `index`, product-of-dims floats, and compares its CRC. */
enum status run_checkpoint_read(const struct run_checkpoint *checkpoint, int64_t index,
                                float *data);
/* Reads everything and compares every CRC. */
enum status run_checkpoint_verify(const struct run_checkpoint *checkpoint);

/* The newest whole checkpoint of a directory, verified, to be closed; NULL if there is none.
 * Damaged newer ones are named in a warning and passed over; that all are damaged is an error. */
enum status run_checkpoint_open_newest(struct run_checkpoint **checkpoint_out,
                                       const char *directory);
/* What people name: a file is opened as it is; of a folder of checkpoints, a run directory or the
 * file `latest`, the newest whole one. ERR_IO if there is none. */
enum status run_checkpoint_open_path(struct run_checkpoint **checkpoint_out, const char *path);
const char *run_checkpoint_path(const struct run_checkpoint *checkpoint);

#endif
