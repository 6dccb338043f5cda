/* See lm_head.h. */
#include "model/lm_head.h"

#include "device/stream.h"

#define MAX_LOGITS      (INT64_C(1) << 24)
#define MIN_WHOLE_ROWS  128
#define MAX_ROWS        1024
#define VOCAB_ALIGNMENT 64

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    if (value > high) value = high;
    return value < low ? low : value;
}

void lm_head_choose_chunks(int64_t *rows, int64_t *vocab, const struct lm_config *config,
                           int64_t max_targets)
{
    if (*rows == 0) {
        int64_t whole = MAX_LOGITS / (*vocab == 0 ? config->vocab : *vocab);
        *rows = whole >= MIN_WHOLE_ROWS ? whole : MAX_ROWS;
        *rows = clamp(*rows, 1, clamp(max_targets, 1, MAX_ROWS));
    }
    if (*vocab == 0) {
        *vocab = MAX_LOGITS / *rows;
        if (*vocab < config->vocab) *vocab = *vocab / VOCAB_ALIGNMENT * VOCAB_ALIGNMENT;
    }
    *vocab = clamp(*vocab, 1, config->vocab);
}

void lm_head_init(struct lm_head *head, const struct lm_config *config,
                  const struct flat_weights *flat)
{
    head->config = config;
    head->norm = norm_find(flat, "model.norm", false);
    head->weight = weight_find(flat, config->tied ? "model.embed_tokens.weight" : "lm_head.weight");
}

void lm_head_layout(struct lm_head_activations *a, struct arena *arena,
                    const struct lm_config *config, const struct kernels *kernels, bool backward,
                    int64_t n_targets)
{
    int64_t n = n_targets < a->chunk_rows ? n_targets : a->chunk_rows;
    a->backward = backward;
    a->rows = take_floats(arena, n, config->hidden);
    a->rstd = take_floats(arena, n, 1);
    a->norm = take_floats(arena, n, config->hidden);
    a->logits = take_floats(arena, n, a->chunk_vocab);
    a->row_max = take_floats(arena, n, 1);
    a->row_sum = take_floats(arena, n, 1);
    a->target_logit = take_floats(arena, n, 1);
    a->loss = take_floats(arena, n, 1);
    if (!backward) return;
    a->dnorm = take_floats(arena, n, config->hidden);
    a->drows = take_floats(arena, n, config->hidden);
    a->workspace = arena_take(arena, kernels->norm_workspace(n, config->hidden));
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
    return (struct chunk){.head = head,
                          .activations = a,
                          .batch = batch,
                          .run = run,
                          .first = first,
                          .n = left < a->chunk_rows ? left : a->chunk_rows};
}

/* activations->norm = RMSNorm of the chunk's rows of x */
static enum status norm_forward(const struct chunk *chunk, const float *x)
{
    enum status status = OK;
    const struct kernels *k = chunk->run->kernels;
    const struct lm_config *c = chunk->head->config;
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
    int64_t left = chunk->head->config->vocab - v0;
    int64_t size = chunk->activations->chunk_vocab;
    return left < size ? left : size;
}

/* activations->logits of vocabulary v0 .. v0 + vc - 1 */
static enum status logits_forward(const struct chunk *chunk, int64_t v0, int64_t vc)
{
    const struct lm_head_activations *a = chunk->activations;
    int64_t d = chunk->head->config->hidden;
    return chunk->run->kernels->linear_forward(a->logits, a->norm,
                                               chunk->head->weight.value + v0 * d, NULL, chunk->n,
                                               vc, d, chunk->run->stream);
}

static enum status loss_forward(const struct chunk *chunk, struct model_result *result)
{
    enum status status = OK;
    const struct kernels *k = chunk->run->kernels;
    struct lm_head_activations *a = chunk->activations;
    const int32_t *target = chunk->batch->target + chunk->first;
    const float *weight = chunk->batch->target_weight + chunk->first;
    struct stream *stream = chunk->run->stream;
    for (int64_t v0 = 0; v0 < chunk->head->config->vocab; v0 += a->chunk_vocab) {
        int64_t vc = vocab_chunk_size(chunk, v0);
        TRY(logits_forward(chunk, v0, vc));
        TRY(k->cross_entropy_stats(a->row_max, a->row_sum, a->target_logit, a->logits, target,
                                   chunk->n, vc, v0, stream));
    }
    TRY(k->cross_entropy_loss(a->loss, a->row_max, a->row_sum, a->target_logit, chunk->n, stream));
    TRY(observe(chunk->run, a->loss, chunk->n, 1, "token_loss"));
    TRY(stream_wait(stream));
    for (int64_t i = 0; i < chunk->n; i++) {
        result->loss_sum += (double)a->loss[i];
        result->weighted_loss += (double)weight[i] * (double)a->loss[i];
    }
out:
    return status;
}

/* Gradient of the chunk's weighted loss: added to norm and head, and put into its rows of dx. */
static enum status loss_backward(const struct chunk *chunk, float *dx)
{
    enum status status = OK;
    const struct kernels *k = chunk->run->kernels;
    const struct lm_head *head = chunk->head;
    struct lm_head_activations *a = chunk->activations;
    const struct model_batch *batch = chunk->batch;
    struct stream *stream = chunk->run->stream;
    int64_t d = head->config->hidden;
    bool whole = a->chunk_vocab >= head->config->vocab; /* the forward's logits are still there */
    for (int64_t v0 = 0; v0 < head->config->vocab; v0 += a->chunk_vocab) {
        int64_t vc = vocab_chunk_size(chunk, v0);
        if (!whole) TRY(logits_forward(chunk, v0, vc));
        TRY(k->cross_entropy_gradient(
            a->logits, a->row_max, a->row_sum, batch->target + chunk->first,
            batch->target_weight + chunk->first, chunk->n, vc, v0, stream));
        TRY(k->linear_backward_input(a->dnorm, a->logits, head->weight.value + v0 * d, chunk->n, vc,
                                     d, v0 > 0, stream));
        if (head->weight.gradient != NULL)
            TRY(k->linear_backward_weight(head->weight.gradient + v0 * d, NULL, a->logits, a->norm,
                                          chunk->n, vc, d, stream));
    }
    TRY(k->rmsnorm_backward(a->drows, head->norm.weight.gradient, a->dnorm, a->rows,
                            head->norm.weight.value, a->rstd, chunk->n, d, 0, a->workspace,
                            stream));
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
    if (rows->dx != NULL) zero_floats(rows->dx, batch->n_tokens * head->config->hidden);
    for (int64_t first = 0; first < batch->n_targets; first += a->chunk_rows) {
        struct chunk chunk = chunk_at(head, a, batch, run, first);
        TRY(norm_forward(&chunk, rows->x));
        TRY(loss_forward(&chunk, result));
        if (rows->dx != NULL) TRY(loss_backward(&chunk, rows->dx));
    }
out:
    return status;
}

enum status lm_head_logits(const struct lm_head *head, struct lm_head_activations *a,
                           const float *x, float *logits, const struct model_batch *batch,
                           const struct model_run *run)
{
    enum status status = OK;
    int64_t v = head->config->vocab;
    for (int64_t first = 0; first < batch->n_targets; first += a->chunk_rows) {
        struct chunk chunk = chunk_at(head, a, batch, run, first);
        TRY(norm_forward(&chunk, x));
        TRY(run->kernels->linear_forward(logits + first * v, a->norm, head->weight.value, NULL,
                                         chunk.n, v, head->config->hidden, run->stream));
    }
out:
    return status;
}
