/* See token_splice.h. */
#include "model/token_splice.h"

enum status splice_forward(void *x, const struct weight *embedding, const struct splice_rows *rows,
                           const struct model_batch *batch, const struct model_run *run)
{
    enum status status = OK;
    const struct kernels *k = run->kernels;
    int64_t t = batch->n_tokens;
    int64_t d = rows->width;
    TRY(k->embedding_forward(x, embedding->value, batch->token_id, t, rows->vocab, d, run->stream));
    if (rows->image_tokens != NULL)
        TRY(k->rows_scatter(x, rows->image_tokens, batch->image_row, t, rows->n_image_tokens, d,
                            run->stream));
    if (rows->t != NULL) {
        TRY(k->rows_scatter(x, rows->t, batch->mask_row, t, batch->n_regions, d, run->stream));
        TRY(k->rows_scatter(x, rows->s, batch->pos_row, t, batch->n_regions, d, run->stream));
    }
out:
    return status;
}

enum status splice_backward(struct splice_rows *rows, const void *dx,
                            const struct weight *embedding, const struct model_batch *batch,
                            const struct model_run *run)
{
    enum status status = OK;
    const struct kernels *k = run->kernels;
    int64_t t = batch->n_tokens;
    int64_t d = rows->width;
    if (embedding->gradient != NULL)
        TRY(k->embedding_backward(embedding->gradient, dx, batch->token_id, t, rows->vocab, d,
                                  run->stream));
    if (rows->image_tokens != NULL)
        TRY(k->rows_gather(rows->image_tokens, dx, batch->image_row, t, rows->n_image_tokens, d,
                           run->stream));
    if (rows->t != NULL) {
        TRY(k->rows_gather(rows->t, dx, batch->mask_row, t, batch->n_regions, d, run->stream));
        TRY(k->rows_gather(rows->s, dx, batch->pos_row, t, batch->n_regions, d, run->stream));
    }
out:
    return status;
}
