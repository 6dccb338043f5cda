/* What the reader and the writer of a run's checkpoints must agree on. */
#ifndef ROBIN_CHECKPOINT_CHECKPOINT_LAYOUT_H
#define ROBIN_CHECKPOINT_CHECKPOINT_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "checkpoint/run_checkpoint.h"

#define CHECKPOINT_MAGIC        "ROBINCK1"
#define CHECKPOINT_MAX_HEADER   ((uint64_t)64 << 20)
#define CHECKPOINT_MAX_ELEMENTS ((int64_t)1 << 40)
#define CHECKPOINT_MAX_BYTES    ((uint64_t)1 << 46)

struct checkpoint_prefix {
    char magic[8];
    uint64_t header_size;
    uint32_t header_crc;
    uint32_t zero;
};

extern const char *const checkpoint_part_names[CHECKPOINT_PARTS];

static inline uint64_t checkpoint_align(uint64_t offset)
{
    return (offset + 63) / 64 * 64;
}

/* "step-000000042.ckpt" */
bool checkpoint_is_name(const char *name);

#endif
