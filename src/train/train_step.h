/* One optimizer step over all ranks: gradients of this rank's micro-batches added up, summed over
 * the ranks, clipped, AdamW. Every rank calls the same collectives in the same order, whatever it
 * has to compute, also when it has nothing. */
#ifndef ROBIN_TRAIN_TRAIN_STEP_H
#define ROBIN_TRAIN_TRAIN_STEP_H

#include <stdint.h>

#include "base/status.h"
#include "comm/comm.h"
#include "model/robin_model.h"
#include "parallel/gradient_exchange.h"
#include "parallel/optimizer.h"
#include "train/micro_batch.h"
#include "train/schedule.h"
#include "train/step_verdict.h"
#include "train/task_loss.h"

/* Reducing includes waiting for ranks that had more to compute. */
enum train_phase { PHASE_DATA, PHASE_MODEL, PHASE_REDUCE, PHASE_OPTIMIZER, N_PHASES };
extern const char *const train_phase_names[N_PHASES];

struct train_parts {         /* borrowed */
    struct comm *comm;       /* all ranks */
    const struct mesh *mesh; /* of them; like the next two only where something is trained */
    struct gradient_exchange *exchange;
    struct optimizer *optimizer; /* of the exchange's buckets */
    struct model *model;
    const struct schedule *schedule;
};

struct train_input {
    int64_t step;               /* from 0 */
    const uint64_t *sample_ids; /* [n_samples] of the global batch: for sentences */
    int64_t n_samples;
    int64_t n_micro; /* of this rank */
    /* With an ordered reduction: which micro-batches of the global batch those are, the same on all
     * ranks of a tp group; tree_leaves_of of reduction_tree.h. Else 0. */
    int64_t first_micro, n_all_micro;
    /* Gives micro-batch 0 .. n_micro - 1 in turn; they are destroyed after use. */
    enum status (*next)(void *context, struct micro_batch **micro_out);
    void *context;
    struct task_loss *task_loss;   /* gets the sums of the step; NULL: nobody wants them */
    const struct run_means *means; /* NULL: nothing is a spike */
    double spike_factor;
};

struct train_result {
    double loss; /* the sum of target_weight * token loss over all ranks, before the update */
    double gradient_norm; /* before clipping */
    double module_norm[N_MODULES];
    double lr_factor;
    enum step_verdict verdict; /* STEP_TAKEN, or why weights and moments stayed as they were */
    double seconds[N_PHASES];  /* of this rank */
    double overlap; /* share of reducing and gathering that ran behind the model, on this rank; -1:
                       there was nothing to reduce */
};

/* Collective. All ranks get the same status and verdict. A loss that is not finite is OK here: the
 * rank and the samples it comes from are named in a warning, the verdict tells, and nothing moved.
 * ERR_DIVERGED when the loss is exactly 0. */
enum status train_step(const struct train_parts *parts, const struct train_input *input,
                       struct train_result *result_out);

#endif
