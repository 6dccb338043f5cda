/* What every job over a model needs first, from its configuration: sizes, limits, kernels, the
 * model with new weights, how samples become rows, where weights come from. */
#ifndef ROBIN_TRAIN_RUN_SETUP_H
#define ROBIN_TRAIN_RUN_SETUP_H

#include <stdbool.h>

#include "config/run_config.h"
#include "model/robin_model.h"
#include "text/tokenizer.h"
#include "train/run_state.h"
#include "train/sample_rows.h"

struct run_model { /* zeroed is releasable */
    struct model_config config;
    struct model_options options;
    const struct kernels *kernels,
        *host_kernels; /* the model's, the optimizer's: alike on the CPU */
    struct device *device;
    struct stream *stream, *host_stream;
    struct model *model; /* NULL until run_model_create */
};

/* Fills in config, options (limits for micro-batches of data.max_tokens; `backward` false:
 * inference alone) and kernels; takes no memory. */
enum status run_model_size(struct run_model *model, const struct run_config *config, bool backward);
/* The stream and the model, whose weights are nothing yet. */
enum status run_model_create(struct run_model *model, const struct run_config *config);
void run_model_release(struct run_model *model);

/* How samples of this tokenizer become rows. */
enum status run_rows_options(struct sample_rows_options *options_out,
                             const struct run_config *config, const struct run_model *model,
                             const struct tokenizer *tokenizer);

/* Collective. The weights that train.init and its keys name; all others new, of config->seed. Of
 * the parts only comm, model and, where there is one, the optimizer's running mean are used. */
enum status run_take_init(const struct train_parts *parts, const struct run_config *config);

#endif
