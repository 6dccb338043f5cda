/* A run's own checkpoints, read: weights and optimizer moments by logical name, and where the run
 * stood. One is a folder of data files, one or a few from each rank that wrote it, and a manifest;
 * checkpoints/README.md is the format. In the first format it was one file, which is read as well.
 * Any rank of any run reads what it needs of the tensors, whatever ranks wrote them.
 *
 * Opening checks the manifest against itself and the sizes of the files; every block of a data file
 * is checked against its CRC-32C when it is read. */
#ifndef ROBIN_CHECKPOINT_RUN_CHECKPOINT_H
#define ROBIN_CHECKPOINT_RUN_CHECKPOINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "checkpoint/tensor_runs.h"

enum checkpoint_part {
    CHECKPOINT_WEIGHT, /* fp32, where there is a master copy that one */
    CHECKPOINT_FIRST_MOMENT,
    CHECKPOINT_SECOND_MOMENT,
    CHECKPOINT_MEAN_WEIGHT /* running mean, where one is kept */,
    CHECKPOINT_PARTS
};
extern const char *const checkpoint_part_names[CHECKPOINT_PARTS]; /* "weight" ... */

struct checkpoint_tensor {
    enum checkpoint_part part;
    const char *name; /* logical name of the parameter */
    int n_dims;
    int64_t dims[4];
    bool bf16; /* in the file; read it is widened to fp32, which loses nothing */
};
int64_t checkpoint_tensor_size(const struct checkpoint_tensor *tensor); /* elements */

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

struct run_checkpoint;

/* The sentence names file and field. */
enum status run_checkpoint_open(struct run_checkpoint **checkpoint_out, const char *path);
void run_checkpoint_close(struct run_checkpoint *checkpoint);

const char *run_checkpoint_path(const struct run_checkpoint *checkpoint);
const struct run_progress *run_checkpoint_progress(const struct run_checkpoint *checkpoint);
/* What the manifest says of the run that wrote it; NULL in the first format. */
const json_t *run_checkpoint_about(const struct run_checkpoint *checkpoint);
/* Data files, and bytes of all of them. */
int64_t run_checkpoint_files(const struct run_checkpoint *checkpoint, uint64_t *bytes_out);
int64_t run_checkpoint_size(const struct run_checkpoint *checkpoint); /* tensors */
const struct checkpoint_tensor *run_checkpoint_tensor(const struct run_checkpoint *checkpoint,
                                                      int64_t index);
/* -1 if there is none. */
int64_t run_checkpoint_find(const struct run_checkpoint *checkpoint, enum checkpoint_part part,
                            const char *name);

/* What is wanted of one tensor; a tensor may be asked for several times. */
struct checkpoint_request {
    int64_t tensor;
    struct tensor_target target;
};
/* Reads the blocks that hold what is wanted, each once and in the order of the files, checks them
 * and copies. After a failure the targets hold anything. */
enum status run_checkpoint_load(const struct run_checkpoint *checkpoint,
                                const struct checkpoint_request *requests, int64_t n);
/* One whole tensor. */
enum status run_checkpoint_read(const struct run_checkpoint *checkpoint, int64_t index,
                                float *data);
/* Reads every file and compares every CRC. */
enum status run_checkpoint_verify(const struct run_checkpoint *checkpoint);

/* The newest whole checkpoint of a directory, verified, to be closed; NULL if there is none.
 * Damaged newer ones are named in a warning and passed over; that all are damaged is an error. */
enum status run_checkpoint_open_newest(struct run_checkpoint **checkpoint_out,
                                       const char *directory);
/* The newest whole one of what checkpoint_paths_of finds, verified. ERR_IO if there is none; the
 * failure itself where the path is of one. */
enum status run_checkpoint_open_path(struct run_checkpoint **checkpoint_out, const char *path);

#endif
