/* Saving a run: its state, compared over the ranks, to its checkpoints. */
#ifndef ROBIN_TRAIN_RUN_SAVER_H
#define ROBIN_TRAIN_RUN_SAVER_H

#include "checkpoint/checkpoint_saver.h"
#include "train/train_step.h"

struct run_saver;

/* Collective. Of the options comm, tensors and sources are set here. Parts are borrowed and must
 * stay where they are. */
enum status run_saver_create(struct run_saver **saver_out, const struct train_parts *parts,
                             const struct saver_options *options);
/* Not collective. What is not committed by then never will be. */
void run_saver_destroy(struct run_saver *saver);

/* Collective. Begins a checkpoint as checkpoint_saver_begin does, once weights are finite and the
 * same on all ranks that hold them; ERR_FORMAT or ERR_DIVERGED where they are not. */
enum status run_saver_begin(struct run_saver *saver, const struct run_progress *progress,
                            bool must);
/* What goes on behind it: works, advance, finish. */
struct checkpoint_saver *run_saver_files(const struct run_saver *saver);

#endif
