/* Whether a batch fits a model. Internal to src/model. */
#ifndef ROBIN_MODEL_BATCH_CHECK_H
#define ROBIN_MODEL_BATCH_CHECK_H

#include "model/batch.h"
#include "model/robin_model.h"

/* The batch's own sizes in the fields of limits. */
struct model_limits batch_sizes(const struct model_batch *batch);

/* ERR_LIMIT if the batch has more of anything than planned, or a position beyond the rotary tables.
 * Indices out of their range are our error. */
enum status batch_check(const struct model_batch *batch, const struct model_config *config,
                        const struct model_limits *limits, int64_t n_positions);

#endif
