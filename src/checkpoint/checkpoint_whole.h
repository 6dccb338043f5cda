/* A checkpoint written by one process that has all tensors whole. */
#ifndef ROBIN_CHECKPOINT_CHECKPOINT_WHOLE_H
#define ROBIN_CHECKPOINT_CHECKPOINT_WHOLE_H

#include "base/status.h"
#include "checkpoint/checkpoint_commit.h"
#include "checkpoint/manifest.h"

/* data[t] is tensor t of the header, row-major. */
enum status checkpoint_write_whole(const struct checkpoint_place *place,
                                   const struct manifest_header *header, const float *const *data);

#endif
