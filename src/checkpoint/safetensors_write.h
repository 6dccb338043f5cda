/* Writes safetensors files as Hugging Face's from_pretrained reads them: one file, or several with
 * an index when they would pass a size. */
#ifndef ROBIN_CHECKPOINT_SAFETENSORS_WRITE_H
#define ROBIN_CHECKPOINT_SAFETENSORS_WRITE_H

#include <stdint.h>

#include "base/status.h"
#include "dims.h"

struct safetensor_source {
    const char *name;
    int n_dims;
    int64_t dims[4];
    const float *data;
};

/* DIRECTORY/model.safetensors, or model-0000i-of-0000n.safetensors and the index when the data pass
 * `shard_bytes`; tensors in the order given, as F32, BF16 or F16 (round to nearest even). Each file
 * appears only when it is whole, the index last. ERR_LIMIT names a tensor with a finite value that
 * F16 cannot hold. */
enum status safetensors_write_folder(const char *directory, const struct safetensor_source *tensors,
                                     int64_t n_tensors, enum dtype dtype, uint64_t shard_bytes);

#endif
