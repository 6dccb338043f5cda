/* From the residual stream to the loss: final RMSNorm, head and cross-entropy at the target rows
 * only, over chunks of rows and of the vocabulary: no [T, V] matrix of logits ever stands in
 * memory. Where sharers split the vocabulary each has the logits of its own words, and three
 * numbers a row are made common: the largest logit, the sum of exponentials, the target's logit.
 * Internal to src/model. */
#ifndef ROBIN_MODEL_LM_HEAD_H
#define ROBIN_MODEL_LM_HEAD_H

#include "model/batch.h"
#include "model/lm_slice.h"
#include "model/model_run.h"

struct lm_head {
    const struct lm_slice *slice;
    struct norm norm;
    struct weight weight; /* [V_loc, D]; the embedding if tied */
};

struct lm_head_activations {
    enum dtype dtype; /* of the tensors: the kernels' */
    bool backward;
    int64_t chunk_rows, chunk_vocab;
    void *rows, *norm;               /* [chunk rows, D] */
    float *rstd;                     /* [chunk rows] */
    void *dnorm, *drows;             /* [chunk rows, D] */
    void *logits;                    /* [chunk rows, chunk vocab] */
    float *row_max, *row_sum, *loss; /* [chunk rows] */
    float *target_logit;             /* [chunk rows], behind the chunk's row_sum */
    float *common_max;               /* [chunk rows] over all sharers */
    void *all_rows, *all_gradients;  /* [T, D] where the sharers split rows */
    void *workspace;
};

/* What chunks are taken for options of 0: at most 2^24 logits at a time, on a GPU 2^29, whose
 * products want many rows and whose sums of gradients cost every chunk a pass over the head; whole
 * rows of the vocabulary where at least 128 of them fit (then no logit is computed twice). */
void lm_head_choose_chunks(int64_t *rows, int64_t *vocab, int64_t n_words, int64_t max_targets,
                           bool on_gpu);

void lm_head_init(struct lm_head *head, const struct lm_slice *slice,
                  const struct flat_weights *flat);
struct lm_head_sizes {
    int64_t n_tokens, n_targets;
    bool backward;
};
void lm_head_layout(struct lm_head_activations *activations, struct arena *arena,
                    const struct lm_slice *slice, const struct kernels *kernels,
                    const struct lm_head_sizes *sizes);

/* The residual stream after the last layer. */
struct lm_head_rows {
    const void *x; /* [T, D] */
    void *dx;      /* [T, D] written: gradient of the weighted loss; NULL: forward only */
    const float *target_weight; /* [N]: the batch's, for the host */
};

/* Loss of the batch's targets; with a gradient also adds those of norm and head. */
enum status lm_head_loss(const struct lm_head *head, struct lm_head_activations *activations,
                         const struct lm_head_rows *rows, const struct model_batch *batch,
                         const struct model_run *run, struct model_result *result);
/* logits [N, V] of the batch's target rows; whole on every sharer, for what is small. */
enum status lm_head_logits(const struct lm_head *head, struct lm_head_activations *activations,
                           const void *x, float *logits, const struct model_batch *batch,
                           const struct model_run *run);

#endif
