/* A batch in a GPU's memory: its arrays are copied there before a run, and the view's pointers lead
 * to the copies. On the CPU a batch is used where it is. Internal to src/model. */
#ifndef ROBIN_MODEL_BATCH_UPLOAD_H
#define ROBIN_MODEL_BATCH_UPLOAD_H

#include "base/arena.h"
#include "model/batch.h"
#include "model/robin_model.h"

struct stream;

struct batch_upload {
    float *pixels, *keep, *position_grid, *target_weight;
    uint8_t *footprint[N_LEVELS];
    int32_t *region_image, *seq_start, *position, *token_id, *image_row, *mask_row, *pos_row;
    int32_t *target_row, *target;
};

/* Memory for batches of these sizes. */
void batch_upload_layout(struct batch_upload *upload, struct arena *arena,
                         const struct model_config *config, const struct model_limits *sizes);
/* Copies what `batch` has and turns its pointers to the copies; the originals must stay as they are
 * until the stream was waited for. */
enum status batch_upload(const struct batch_upload *upload, struct model_batch *batch,
                         const struct model_config *config, struct stream *stream);

#endif
