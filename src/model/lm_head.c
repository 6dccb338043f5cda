/* See lm_head.h. */
#include "model/lm_head.h"

#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "device/stream.h"

#define MAX_LOGITS      (INT64_C(1) << 24)
#define MAX_LOGITS_GPU  (INT64_C(1) << 29)
#define MIN_WHOLE_ROWS  128
#define MAX_ROWS        1024
#define MAX_ROWS_GPU    8192
#define VOCAB_ALIGNMENT 64

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    if (value > high) value = high;
    return value < low ? low : value;
}

void lm_head_choose_chunks(int64_t *rows, int64_t *vocab, int64_t n_words, int64_t max_targets,
                           bool on_gpu)
{
    const int64_t most = on_gpu ? MAX_LOGITS_GPU : MAX_LOGITS;
    const int64_t most_rows = on_gpu ? MAX_ROWS_GPU : MAX_ROWS;
    if (*rows == 0) {
        int64_t whole = most / (*vocab == 0 ? n_words : *vocab);
        *rows = whole >= MIN_WHOLE_ROWS ? whole : most_rows;
        *rows = clamp(*rows, 1, clamp(max_targets, 1, most_rows));
    }
    if (*vocab == 0) {
        *vocab = most / *rows;
        if (*vocab < n_words) *vocab = *vocab / VOCAB_ALIGNMENT * VOCAB_ALIGNMENT;
    }
    *vocab = clamp(*vocab, 1, n_words);
}

void lm_head_init(struct lm_head *head, const struct lm_slice *slice,
                  const struct flat_weights *flat)
{
    head->slice = slice;
    head->norm = norm_find(flat, "model.norm", false);
    head->weight =
        weight_find(flat, slice->config->tied ? "model.embed_tokens.weight" : "lm_head.weight");
}

void lm_head_layout(struct lm_head_activations *a, struct arena *arena,
                    const struct lm_slice *slice, const struct kernels *kernels,
                    const struct lm_head_sizes *sizes)
{
    const int64_t n = sizes->n_targets < a->chunk_rows ? sizes->n_targets : a->chunk_rows;
    const int64_t d = slice->config->hidden;
    a->backward = sizes->backward;
    if (slice->sequence) a->all_rows = take_tensor(arena, a->dtype, sizes->n_tokens, d);
    a->rows = take_tensor(arena, a->dtype, n, d);
    a->rstd = take_floats(arena, n, 1);
    a->norm = take_tensor(arena, a->dtype, n, d);
    a->logits = take_tensor(arena, a->dtype, n, a->chunk_vocab);
    a->row_max = take_floats(arena, n, 1);
    a->row_sum = take_floats(arena, n, 2);
    if (slice->size > 1) a->common_max = take_floats(arena, n, 1);
    a->loss = take_floats(arena, n, 1);
    if (!sizes->backward) return;
    if (slice->sequence) a->all_gradients = take_tensor(arena, a->dtype, sizes->n_tokens, d);
    a->dnorm = take_tensor(arena, a->dtype, n, d);
    a->drows = take_tensor(arena, a->dtype, n, d);
    a->workspace = arena_take(arena, kernels->norm_workspace(n, d));
}

/* A chunk of the targets: `n` of them from `first`. */
struct chunk {
    const struct lm_head *head;
    struct lm_head_activations *activations;
    const struct model_batch *batch;
    const struct model_run *run;
    int64_t first, n;
};

static struct chunk chunk_at(const struct lm_head *head, struct lm_head_activations *a,
                             const struct model_batch *batch, const struct model_run *run,
                             int64_t first)
{
    int64_t left = batch->n_targets - first;
    int64_t n = left < a->chunk_rows ? left : a->chunk_rows;
    a->target_logit = a->row_sum + n;
    return (struct chunk){
        .head = head, .activations = a, .batch = batch, .run = run, .first = first, .n = n};
}

/* activations->norm = RMSNorm of the chunk's rows of x */
static enum status norm_forward(const struct chunk *chunk, const void *x)
{
    enum status status = OK;
    const struct kernels *k = chunk->run->kernels;
    const struct lm_config *c = chunk->head->slice->config;
    struct lm_head_activations *a = chunk->activations;
    TRY(k->rows_gather(a->rows, x, chunk->batch->target_row + chunk->first, chunk->batch->n_tokens,
                       chunk->n, c->hidden, chunk->run->stream));
    TRY(k->rmsnorm_forward(a->norm, a->rstd, a->rows, chunk->head->norm.weight.value, chunk->n,
                           c->hidden, c->rms_eps, chunk->run->stream));
    TRY(observe(chunk->run, a->norm, chunk->n, c->hidden, "hidden.final_norm"));
out:
    return status;
}

static int64_t vocab_chunk_size(const struct chunk *chunk, int64_t v0)
{
    int64_t left = chunk->head->slice->vocab - v0;
    int64_t size = chunk->activations->chunk_vocab;
    return left < size ? left : size;
}

/* The head's rows from word v0 on. */
static const void *words_at(const struct chunk *chunk, int64_t v0)
{
    return element_at(chunk->head->weight.value, v0 * chunk->head->slice->config->hidden,
                      dtype_of(chunk->run));
}

/* activations->logits of vocabulary v0 .. v0 + vc - 1 */
static enum status logits_forward(const struct chunk *chunk, int64_t v0, int64_t vc)
{
    const struct lm_head_activations *a = chunk->activations;
    int64_t d = chunk->head->slice->config->hidden;
    return chunk->run->kernels->linear_forward(a->logits, a->norm, words_at(chunk, v0), NULL,
                                               chunk->n, vc, d, chunk->run->stream);
}

/* From the statistics of each sharer's words to those of all words. */
static enum status share_statistics(const struct chunk *chunk)
{
    enum status status = OK;
    const struct model_run *run = chunk->run;
    struct lm_head_activations *a = chunk->activations;
    if (run->share == NULL) goto out;
    TRY(stream_copy(run->stream, a->common_max, a->row_max,
                    (size_t)chunk->n * sizeof *a->common_max));
    TRY(share_max(run, a->common_max, chunk->n, "largest logits"));
    TRY(run->kernels->cross_entropy_rescale(a->row_max, a->row_sum, a->common_max, chunk->n,
                                            run->stream));
    TRY(share_sum_floats(run, a->row_sum, 2 * chunk->n, "sums of logits"));
out:
    return status;
}

/* `weight` of the chunk's targets, for the host. */
static enum status loss_forward(const struct chunk *chunk, const float *weight,
                                struct model_result *result)
{
    enum status status = OK;
    const struct kernels *k = chunk->run->kernels;
    struct lm_head_activations *a = chunk->activations;
    const int32_t *target = chunk->batch->target + chunk->first;
    struct stream *stream = chunk->run->stream;
    float *loss = memory_new((size_t)chunk->n + 1, sizeof *loss);
    for (int64_t v0 = 0; v0 < chunk->head->slice->vocab; v0 += a->chunk_vocab) {
        int64_t vc = vocab_chunk_size(chunk, v0);
        TRY(logits_forward(chunk, v0, vc));
        TRY(k->cross_entropy_stats(a->row_max, a->row_sum, a->target_logit, a->logits, target,
                                   chunk->n, vc, v0, stream));
    }
    TRY(share_statistics(chunk));
    TRY(k->cross_entropy_loss(a->loss, a->row_max, a->row_sum, a->target_logit, chunk->n, stream));
    TRY(observe_floats(chunk->run, a->loss, chunk->n, 1, "token_loss"));
    TRY(stream_read(stream, loss, a->loss, (size_t)chunk->n * sizeof *loss));
    for (int64_t i = 0; i < chunk->n; i++) {
        result->loss_sum += (double)loss[i];
        result->weighted_loss += (double)weight[i] * (double)loss[i];
    }
out:
    free(loss);
    return status;
}

/* Gradient of the chunk's weighted loss: added to norm and head, and put into its rows of dx. */
static enum status loss_backward(const struct chunk *chunk, void *dx)
{
    enum status status = OK;
    const struct kernels *k = chunk->run->kernels;
    const struct lm_head *head = chunk->head;
    struct lm_head_activations *a = chunk->activations;
    const struct model_batch *batch = chunk->batch;
    struct stream *stream = chunk->run->stream;
    int64_t d = head->slice->config->hidden;
    bool whole = a->chunk_vocab >= head->slice->vocab; /* the forward's logits are still there */
    for (int64_t v0 = 0; v0 < head->slice->vocab; v0 += a->chunk_vocab) {
        int64_t vc = vocab_chunk_size(chunk, v0);
        if (!whole) TRY(logits_forward(chunk, v0, vc));
        TRY(k->cross_entropy_gradient(
            a->logits, a->row_max, a->row_sum, batch->target + chunk->first,
            batch->target_weight + chunk->first, chunk->n, vc, v0, stream));
        TRY(k->linear_backward_input(a->dnorm, a->logits, words_at(chunk, v0), chunk->n, vc, d,
                                     v0 > 0, stream));
        if (head->weight.gradient != NULL)
            TRY(k->linear_backward_weight(head->weight.gradient + v0 * d, NULL, a->logits, a->norm,
                                          chunk->n, vc, d, stream));
    }
    TRY(share_sum(chunk->run, a->dnorm, chunk->n * d, "gradients of the head"));
    float *dweight = counts_shared(chunk->run) ? head->norm.weight.gradient : NULL;
    TRY(k->rmsnorm_backward(a->drows, dweight, a->dnorm, a->rows, head->norm.weight.value, a->rstd,
                            chunk->n, d, 0, a->workspace, stream));
    TRY(k->rows_scatter(dx, a->drows, batch->target_row + chunk->first, batch->n_tokens, chunk->n,
                        d, stream));
out:
    return status;
}

enum status lm_head_loss(const struct lm_head *head, struct lm_head_activations *a,
                         const struct lm_head_rows *rows, const struct model_batch *batch,
                         const struct model_run *run, struct model_result *result)
{
    enum status status = OK;
    *result = (struct model_result){0};
    if (rows->dx != NULL)
        TRY(zero_tensor(run, rows->dx, batch->n_tokens * head->slice->config->hidden));
    for (int64_t first = 0; first < batch->n_targets; first += a->chunk_rows) {
        struct chunk chunk = chunk_at(head, a, batch, run, first);
        TRY(norm_forward(&chunk, rows->x));
        TRY(loss_forward(&chunk, rows->target_weight + first, result));
        if (rows->dx != NULL) TRY(loss_backward(&chunk, rows->dx));
    }
out:
    return status;
}

/* logits [n, V] of the chunk's rows, from everybody's words. */
static enum status chunk_logits(const struct chunk *chunk, float *logits)
{
    enum status status = OK;
    const struct lm_slice *slice = chunk->head->slice;
    const struct lm_head_activations *a = chunk->activations;
    const int64_t v = slice->config->vocab, d = slice->config->hidden;
    float *part = NULL;
    if (slice->size == 1 && !kernels_on_gpu(chunk->run->kernels) && a->dtype == DTYPE_F32)
        return chunk->run->kernels->linear_forward(logits, a->norm, chunk->head->weight.value, NULL,
                                                   chunk->n, v, d, chunk->run->stream);
    part = memory_new((size_t)(chunk->n * a->chunk_vocab) + 1, sizeof *part);
    memset(logits, 0, (size_t)(chunk->n * v) * sizeof *logits);
    for (int64_t v0 = 0; v0 < slice->vocab; v0 += a->chunk_vocab) {
        const int64_t vc = vocab_chunk_size(chunk, v0);
        TRY(logits_forward(chunk, v0, vc));
        TRY(read_tensor(chunk->run, part, a->logits, chunk->n * vc));
        for (int64_t row = 0; row < chunk->n; row++)
            memcpy(logits + row * v + slice->first_word + v0, part + row * vc,
                   (size_t)vc * sizeof *logits);
    }
    TRY(share_sum_floats(chunk->run, logits, chunk->n * v, "logits"));
out:
    free(part);
    return status;
}

enum status lm_head_logits(const struct lm_head *head, struct lm_head_activations *a, const void *x,
                           float *logits, const struct model_batch *batch,
                           const struct model_run *run)
{
    enum status status = OK;
    int64_t v = head->slice->config->vocab;
    for (int64_t first = 0; first < batch->n_targets; first += a->chunk_rows) {
        struct chunk chunk = chunk_at(head, a, batch, run, first);
        TRY(norm_forward(&chunk, x));
        TRY(chunk_logits(&chunk, logits + first * v));
    }
out:
    return status;
}
