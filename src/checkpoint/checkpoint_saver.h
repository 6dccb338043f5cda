/* Saving by all ranks of a run: each copies its shard, a thread of its own writes the copy while
 * the run goes on, and at a later step, when all have written, rank 0's thread commits it. Threads
 * make no MPI calls. Where one rank fails, all leave the checkpoint aside and the ones before stay.
 */
#ifndef ROBIN_CHECKPOINT_CHECKPOINT_SAVER_H
#define ROBIN_CHECKPOINT_CHECKPOINT_SAVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "checkpoint/checkpoint_commit.h"
#include "checkpoint/checkpoint_shard.h"
#include "checkpoint/manifest.h"
#include "comm/comm.h"

struct checkpoint_saver;

/* Past the page cache, through it, or by what a few megabytes are written faster with at the start
 * (write_probe.h). */
enum saver_io { SAVER_IO_AUTO, SAVER_IO_DIRECT, SAVER_IO_PLAIN };

struct saver_options {
    struct comm *comm;
    const struct file_layer *layer; /* NULL: the system's */
    const char *directory;          /* copied */
    struct checkpoint_keep keep;
    bool in_background; /* from a copy; else the run stands still until all is written */
    enum saver_io io;
    bool
        failures_go_on; /* a checkpoint that fails is a warning, unless it must be; else an error */
    uint64_t file_bytes;                     /* of a data file, at most; 0: the default */
    const json_t *about;                     /* kept: what the manifest says of the run */
    const struct checkpoint_tensor *tensors; /* the same on all ranks; borrowed */
    int64_t n_tensors;
    const struct checkpoint_source *sources; /* of this rank; together all of all tensors once */
    int64_t n_sources;
};

/* Collective. Takes the memory of the copy. */
enum status checkpoint_saver_create(struct checkpoint_saver **saver_out,
                                    const struct saver_options *options);
/* Not collective: waits for the thread; what was not committed is left aside. */
void checkpoint_saver_destroy(struct checkpoint_saver *saver);

/* Collective. Waits for the one before, if it is not done, then begins this one. If it `must` be,
 * its failure is an error, whatever failures_go_on. */
enum status checkpoint_saver_begin(struct checkpoint_saver *saver,
                                   const struct run_progress *progress, bool must);

/* Between steps: while checkpoint_saver_works is false on all ranks and checkpoint_saver_is_idle
 * is not, all call checkpoint_saver_advance. The second is the same on all ranks. */
bool checkpoint_saver_works(struct checkpoint_saver *saver);
bool checkpoint_saver_is_idle(const struct checkpoint_saver *saver);
/* Collective. */
enum status checkpoint_saver_advance(struct checkpoint_saver *saver);
/* Collective. Waits until what was begun is committed. No collective of it lasts. */
enum status checkpoint_saver_finish(struct checkpoint_saver *saver);

/* Seconds that the run stood still for all of this since the last call. */
double checkpoint_saver_stall(struct checkpoint_saver *saver);
/* Bytes of the copy. */
size_t checkpoint_saver_memory(const struct checkpoint_saver *saver);

#endif
