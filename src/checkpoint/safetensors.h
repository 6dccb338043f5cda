/* Reads safetensors files, strictly: a file that breaks the format in any way is refused when it is
 * opened, with a sentence that names file, tensor and field; after that every read is in bounds.
 *
 *     8 bytes, little endian: N;  N bytes of JSON: {"NAME": {"dtype", "shape", "data_offsets"},
 *         ...,
 *     "__metadata__": {string: string}};  the data, indexed by the offsets without gap or overlap
 */
#ifndef ROBIN_CHECKPOINT_SAFETENSORS_H
#define ROBIN_CHECKPOINT_SAFETENSORS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "dims.h"

#define SAFETENSORS_MAX_DIMS   8
#define SAFETENSORS_MAX_HEADER (INT64_C(100) << 20) /* bytes of JSON, the format's own limit */

struct safetensor {
    const char *name;
    enum dtype dtype;
    int n_dims; /* 0: a scalar of one element */
    int64_t dims[SAFETENSORS_MAX_DIMS];
    int64_t n_elements;
    uint64_t offset; /* of its first byte in the file */
};

struct safetensors;

/* ERR_IO, ERR_FORMAT, ERR_LIMIT (header or dims), ERR_UNSUPPORTED (a dtype that dims.h has not). */
enum status safetensors_open(struct safetensors **file_out, const char *path);
void safetensors_close(struct safetensors *file);

const char *safetensors_path(const struct safetensors *file);
/* Tensors in order of their offsets. */
int64_t safetensors_count(const struct safetensors *file);
const struct safetensor *safetensors_at(const struct safetensors *file, int64_t index);
/* NULL if there is none of that name. */
const struct safetensor *safetensors_find(const struct safetensors *file, const char *name);

/* Elements first .. first + n - 1 as they are stored. ERR_IO; out of bounds is our error. */
enum status safetensors_read(const struct safetensors *file, const struct safetensor *tensor,
                             void *out, int64_t first, int64_t n);
/* The same as fp32: from F32, F16, BF16 (exactly) or F64 (rounded). ERR_UNSUPPORTED for
 * integers. */
enum status safetensors_read_float(const struct safetensors *file, const struct safetensor *tensor,
                                   float *out, int64_t first, int64_t n);

#endif
