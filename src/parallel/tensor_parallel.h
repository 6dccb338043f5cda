/* What the sharers of a model do together (model/lm_slice.h), over the tp axis of a mesh. */
#ifndef ROBIN_PARALLEL_TENSOR_PARALLEL_H
#define ROBIN_PARALLEL_TENSOR_PARALLEL_H

#include <stdbool.h>

#include "comm/comm.h"
#include "model/lm_slice.h"

/* The share of this rank; `tp` is borrowed and must outlive the model. `sequence`: norms and
 * residual stream split by rows. */
struct model_share tensor_parallel_share(struct comm *tp, bool sequence);

#endif
