/* How evenly the ranks will be loaded: packs batches drawn from a sample of sizes. */
#ifndef ROBIN_TRAIN_BALANCE_H
#define ROBIN_TRAIN_BALANCE_H

#include "train/packer.h"

struct balance {
    int64_t n_steps;
    double mean, worst; /* over the steps, of the fullest rank's cost over the mean of all ranks */
    /* the worst step's fullest rank over the least it can be: the mean, or the dearest sample (or
     * micro-batch, where they are cut before they are dealt) */
    double worst_over_bound;
    int64_t n_over;       /* steps more than 2 % over it */
    double micro_batches; /* per rank and step */
};

/* Packs `n_steps` global batches, each of `global_batch` of the sizes [n], drawn by (seed, step)
 * without repetition within a batch (with, where n is less than a batch). ERR_LIMIT as
 * pack_plan_make. */
enum status balance_expect(struct balance *balance_out, const struct sample_size *sizes, int64_t n,
                           int64_t global_batch, int64_t n_steps,
                           const struct pack_options *options);

/* One line for people, without its end, to free(). */
char *balance_line(const struct balance *balance, int64_t global_batch, int n_ranks);

#endif
