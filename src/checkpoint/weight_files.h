/* The tensors of a model as others publish them: one safetensors file, or a folder with
 * model.safetensors, or with model.safetensors.index.json and the files it names. Everything is
 * checked when it is opened: every name of the index is in the file that the index says, and no
 * file holds a name that the index does not. */
#ifndef ROBIN_CHECKPOINT_WEIGHT_FILES_H
#define ROBIN_CHECKPOINT_WEIGHT_FILES_H

#include <stdint.h>

#include "base/status.h"
#include "checkpoint/safetensors.h"

struct weight_files;

struct weight_tensor {
    const struct safetensors *file;
    const struct safetensor *tensor;
};

/* ERR_UNSUPPORTED for pickles (.bin, .pt, .pth), saying how to convert them; ERR_FORMAT naming file
 * and tensor. */
enum status weight_files_open(struct weight_files **files_out, const char *path);
void weight_files_close(struct weight_files *files);
int64_t weight_files_count(const struct weight_files *files);
/* Sorted by name. */
struct weight_tensor weight_files_at(const struct weight_files *files, int64_t index);

#endif
