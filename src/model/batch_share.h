/* A batch as one of several sharers of a model takes it: its own images with their regions, and
 * words counted from the first of its part of the vocabulary. The rows are everybody's. Internal
 * to src/model. */
#ifndef ROBIN_MODEL_BATCH_SHARE_H
#define ROBIN_MODEL_BATCH_SHARE_H

#include "base/arena.h"
#include "model/batch.h"
#include "model/lm_slice.h"
#include "model/robin_model.h"

struct batch_share {
    int64_t first_image, n_images;
    int64_t first_region, n_regions;
    int32_t *token_id, *target, *region_image; /* memory for the numbers that change */
    float *keep;
};

/* Which images: index-th part of all, even where there are fewer than sharers; and their regions,
 * which stand in the order of their images (asserted). */
void batch_share_choose(struct batch_share *share, const struct model_batch *batch,
                        const struct lm_slice *slice);
/* The most any sharer can have, for planning. */
void batch_share_most(struct batch_share *share, const struct model_limits *limits,
                      const struct lm_slice *slice);
/* Memory for a batch of these sizes and `n_blocks` of the tower. Alone: none. */
void batch_share_layout(struct batch_share *share, struct arena *arena,
                        const struct model_limits *sizes, const struct lm_slice *slice,
                        int64_t n_blocks);
/* The sharer's view of `batch`, which it borrows from. */
struct model_batch batch_share_view(const struct batch_share *share,
                                    const struct model_batch *batch, const struct lm_slice *slice,
                                    const struct model_config *config);

#endif
