/* Which way a disk writes faster, found by writing. */
#ifndef ROBIN_CHECKPOINT_WRITE_PROBE_H
#define ROBIN_CHECKPOINT_WRITE_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "checkpoint/file_layer.h"
#include "comm/comm.h"

/* A rank that saves fewer bytes is not worth a look: past the page cache. */
#define WRITE_PROBE_LEAST ((size_t)16 << 20)

/* Past the page cache, unless the same bytes took at least twice as long there as through it: while
 * the cache has room it flatters the way through it (checkpoints/README.md, what it costs). */
bool write_probe_choice(int64_t past_ns, int64_t through_ns);

/* Collective. All ranks write at once into the directory, which is made where it is missing, past
 * the page cache and through it, twice each, and bring it to disk; the slowest rank's best counts.
 * `bytes` is what this rank will save. The answer is the same on all ranks. Where writing fails, a
 * warning and past the page cache: the checkpoint itself will tell. */
enum status write_probe(bool *direct_out, struct comm *comm, const struct file_layer *layer,
                        const char *directory, size_t bytes);

#endif
