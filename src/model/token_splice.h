/* Where the token stream meets the images: embedded text, image tokens and region tokens become one
 * sequence of rows. svg/model/robin_arch.py prepare_inputs_labels_for_multimodal. Internal to
 * src/model. */
#ifndef ROBIN_MODEL_TOKEN_SPLICE_H
#define ROBIN_MODEL_TOKEN_SPLICE_H

#include "model/batch.h"
#include "model/model_run.h"

/* Rows of the three sources. In the forward the tokens, in the backward their gradients. */
struct splice_rows {
    int64_t n_image_tokens; /* B * P of the image level */
    void *image_tokens;     /* [B * P, D]; NULL: none, or their gradient is not wanted */
    void *t, *s;            /* [Q, D]; likewise */
    int64_t vocab, width;   /* V, D */
};

/* x [T, D]: row by row the embedding of token_id, an image token, or a region token. */
enum status splice_forward(void *x, const struct weight *embedding, const struct splice_rows *rows,
                           const struct model_batch *batch, const struct model_run *run);
/* The adjoint: gradients of the sources from dx [T, D]; zero for sources that stand nowhere. The
 * embedding's is added to (if it has one). */
enum status splice_backward(struct splice_rows *rows, const void *dx,
                            const struct weight *embedding, const struct model_batch *batch,
                            const struct model_run *run);

#endif
