/* Who computes attention on a GPU in a training run, and that all ranks do alike. */
#ifndef ROBIN_TRAIN_ATTENTION_CHOICE_H
#define ROBIN_TRAIN_ATTENTION_CHOICE_H

#include <stdbool.h>

#include "comm/comm.h"
#include "config/run_config.h"
#include "train/run_setup.h"

/* Whether cuDNN may come to compute attention with heads of that size. */
bool attention_may_be_cudnn(const struct run_config *config, int64_t head_size);

/* Collective. By train.attention and train.deterministic; with auto what rank 0 measured. Takes
 * memory of the model's stream (kernels.h, attention_prepare). ERR_ARGUMENT where device: cpu is
 * asked for cuDNN, ERR_UNSUPPORTED where a GPU's machine has none. */
enum status attention_choose(struct comm *comm, const struct run_model *model,
                             const struct run_config *config);

#endif
