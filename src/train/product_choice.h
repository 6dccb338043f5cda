/* Which algorithms compute the matrix products of a training run on GPUs: timed once for a kind of
 * GPU, kept in a file, the same on all ranks. */
#ifndef ROBIN_TRAIN_PRODUCT_CHOICE_H
#define ROBIN_TRAIN_PRODUCT_CHOICE_H

#include "comm/comm.h"
#include "config/run_config.h"
#include "train/run_setup.h"

/* $ROBIN_CACHE, $XDG_CACHE_HOME/robin-dist or $HOME/.cache/robin-dist, the first that is set; NULL:
 * none is. To free(). */
char *product_cache_folder(void);

/* Choices as a file holds them, for what `identity` says; to free(). */
char *product_file_text(const char *identity, const char *choices);
/* The choices in such a text, to free(); NULL with *why_out, a sentence that lives on, where it is
 * damaged or for something else. */
char *product_file_choices(const char *text, const char *identity, const char **why_out);

/* Collective. By train.products: rank 0 reads the file, times what it lacks, writes it anew, and
 * all take its choices. A file that cannot be used or written is a warning. Nothing on the CPU. */
enum status products_choose(struct comm *comm, const struct run_model *model,
                            const struct run_config *config);

#endif
