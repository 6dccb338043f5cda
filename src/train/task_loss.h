/* The loss of each task of a mixture apart: a sum over all hides one that is not learnt. */
#ifndef ROBIN_TRAIN_TASK_LOSS_H
#define ROBIN_TRAIN_TASK_LOSS_H

#include "comm/comm.h"
#include "model/robin_model.h"
#include "train/micro_batch.h"
#include "train/mixture.h"

struct task_loss;

/* One row for each name of a task, in whatever sources it stands. The mixture is read only here. */
void task_loss_create(struct task_loss **losses_out, const struct mixture *mixture);
void task_loss_destroy(struct task_loss *losses);

/* Before a step: forgets the last one. */
void task_loss_clear(struct task_loss *losses);
/* To be handed to model_step of this micro-batch, and of it alone. NULL is fine, and gives NULL. */
const struct model_observer *task_loss_watch(struct task_loss *losses,
                                             const struct micro_batch *micro);
/* Collective. Sums of the ranks that hold different micro-batches, or all of them equally often. */
enum status task_loss_reduce(struct task_loss *losses, struct comm *comm);

int64_t task_loss_count(const struct task_loss *losses);
const char *task_loss_name(const struct task_loss *losses, int64_t task);
/* Nats per target token, and how many there were; the mean of none is 0. */
double task_loss_mean(const struct task_loss *losses, int64_t task, int64_t *n_out);

#endif
