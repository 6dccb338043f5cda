/* See decoder.h. The layers are language_model.h's; only what happens to keys and values, and the
 * kernels, differ from its forward. */
#include "model/decoder.h"

#include <math.h>
#include <stdlib.h>

#include "base/assertion.h"
#include "base/text_buffer.h"
#include "device/graph.h"
#include "device/stream.h"
#include "model/decoder_choice.h"
#include "model/decoder_graphs.h"
#include "model/decoder_inputs.h"
#include "model/decoder_share.h"
#include "model/language_model.h"
#include "model/lm_head.h"
#include "model/model_store.h"

/* Scratch of one call. */
struct decoder_activations {
    enum dtype dtype;        /* of the tensors: the kernels' */
    void *x, *middle, *norm; /* [T, D] */
    float *rstd;             /* [T] */
    void *qkv, *attention;   /* [T, H + 2 KV, head size], [T, H, head size] */
    void *gate_up, *swiglu;  /* [T, 2 F], [T, F] */
    void *rounded;           /* [n_logits, V], or rows of a source [T, D] */
    float *logits;           /* [n_logits, V] */
    float *parts;            /* of several sharers: [size, T, D], or [n_logits, V] part by part */
};

struct decoder {
    struct model *model;
    struct model_config config;
    struct decoder_limits limits;
    const struct kernels *kernels;
    struct stream *stream;
    struct lm_slice slice;
    const struct model_share *share; /* the model's */
    struct decoder_message message;
    int64_t *part_start; /* [sharers + 1]: of a.parts */
    int32_t *own_token;  /* [max_rows]: words counted from the first of this sharer's */
    struct language_model lm;
    struct lm_head head;
    struct decoder_activations a;
    struct decoder_inputs inputs;
    struct decoder_choice choice;
    struct decoder_graphs graphs;
    struct arena memory; /* tables of RoPE, then activations and what comes and goes */
    struct arena cache;
    size_t layer_bytes; /* of the cache */
};

/* ---- memory ---- */

static bool uses_graphs(const struct lm_slice *slice, const struct decoder_limits *limits,
                        const struct kernels *kernels)
{
    return limits->graphs && slice->size == 1 && kernels_on_gpu(kernels);
}

static size_t layer_cache(const struct lm_slice *slice, const struct decoder_limits *limits,
                          const struct kernels *kernels)
{
    const int64_t n_blocks = limits->n_blocks + uses_graphs(slice, limits, kernels);
    const size_t bytes =
        kernels->cache_bytes(n_blocks, limits->block, slice->kv_heads, slice->head_size);
    return (bytes + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
}

static void lay_out(struct decoder_activations *a, struct arena *arena,
                    const struct lm_slice *slice, const struct decoder_limits *limits)
{
    const int64_t t = limits->max_rows, n = limits->max_logits, d = slice->config->hidden;
    const int64_t vocab = slice->config->vocab, size = slice->size;
    a->x = take_tensor(arena, a->dtype, t, d);
    a->middle = take_tensor(arena, a->dtype, t, d);
    a->norm = take_tensor(arena, a->dtype, t, d);
    a->rstd = take_floats(arena, t, 1);
    a->qkv =
        take_tensor(arena, a->dtype, t, (slice->heads + 2 * slice->kv_heads) * slice->head_size);
    a->attention = take_tensor(arena, a->dtype, t, d); /* swapped with norm: as wide */
    a->gate_up = take_tensor(arena, a->dtype, t, 2 * slice->ffn);
    a->swiglu = take_tensor(arena, a->dtype, t, slice->ffn);
    a->logits = take_floats(arena, n, vocab);
    a->rounded = a->logits;
    if (size > 1) a->parts = take_floats(arena, max_int64(size * t * d, n * vocab), 1);
    if (a->dtype == DTYPE_F32) return;
    a->rounded = take_tensor(arena, a->dtype, max_int64(n * slice->vocab, t * d), 1);
}

/* Everything but the cache and the tables of RoPE. */
static void lay_out_all(struct decoder *decoder, struct arena *arena, const struct lm_slice *slice,
                        const struct decoder_limits *limits, const struct kernels *kernels)
{
    decoder->a.dtype = kernels->dtype;
    lay_out(&decoder->a, arena, slice, limits);
    if (!kernels_on_gpu(kernels)) return;
    decoder_inputs_layout(&decoder->inputs, arena, limits, slice->config->hidden);
    decoder_choice_layout(&decoder->choice, arena, limits->max_logits, slice->config->vocab);
}

struct decoder_memory decoder_plan(const struct lm_slice *slice,
                                   const struct decoder_limits *limits,
                                   const struct kernels *kernels)
{
    const struct lm_config *config = slice->config;
    struct decoder planned = {0};
    struct arena arena;
    arena_init_measuring(&arena);
    lay_out_all(&planned, &arena, slice, limits, kernels);
    const size_t logits =
        size_multiply((size_t)(limits->max_logits * config->vocab), sizeof(float));
    return (struct decoder_memory){
        .cache = size_multiply((size_t)config->layers, layer_cache(slice, limits, kernels)),
        .activations = arena.used - logits,
        .logits = logits,
        .tables = language_model_tables(config, limits->n_positions)};
}

/* ---- life ---- */

static enum status check(const struct model *model, const struct decoder_limits *limits,
                         const struct kernels *kernels)
{
    enum status status = OK;
    char *missing = kernels_missing_decoding(kernels);
    if (missing != NULL)
        FAIL(ERR_UNSUPPORTED, "kernels %s cannot decode: missing are %s", kernels->name, missing);
    if (model_config_of(model)->lm.layers < 1)
        FAIL(ERR_UNSUPPORTED, "a model without a language model's layers cannot decode");
    if (limits->max_rows < 1 || limits->max_logits < 1 || limits->max_logits > limits->max_rows ||
        limits->n_blocks < 1 || limits->n_positions < 1 ||
        (limits->n_blocks + 1) * limits->block > INT32_MAX)
        FAIL(ERR_SHAPE,
             "a decoder for %lld rows, %lld logits, %lld blocks of %lld, %lld positions: each must "
             "be at least 1, logits no more than rows, and the cache hold less than 2^31 tokens",
             (long long)limits->max_rows, (long long)limits->max_logits,
             (long long)limits->n_blocks, (long long)limits->block, (long long)limits->n_positions);
out:
    free(missing);
    return status;
}

enum status decoder_create(struct decoder **decoder_out, struct model *model,
                           const struct decoder_limits *limits)
{
    enum status status = OK;
    const struct kernels *kernels = model_kernels(model);
    struct decoder *decoder = memory_new(1, sizeof *decoder);
    decoder->model = model;
    decoder->config = *model_config_of(model);
    decoder->limits = *limits;
    decoder->kernels = kernels;
    decoder->stream = model_stream(model);
    const struct lm_config *config = &decoder->config.lm;
    const struct flat_weights flat = model_flat_weights(model);
    TRY(check(model, limits, kernels));
    decoder->share = model_share_of(model);
    TRY(lm_slice_make(&decoder->slice, config, decoder->share->index, decoder->share->size));
    decoder->part_start = memory_new((size_t)decoder->slice.size + 1, sizeof(int64_t));
    decoder->own_token = memory_new((size_t)limits->max_rows, sizeof *decoder->own_token);
    const struct decoder_memory memory = decoder_plan(&decoder->slice, limits, kernels);
    decoder->layer_bytes = layer_cache(&decoder->slice, limits, kernels);
    TRY(model_arena_init(&decoder->cache, memory.cache, decoder->stream,
                         "keys and values of the decoder"));
    TRY(model_arena_init(&decoder->memory, memory.tables + memory.activations + memory.logits,
                         decoder->stream, "activations of the decoder"));
    TRY(language_model_init(&decoder->lm, &decoder->slice, &flat, &decoder->memory,
                            limits->n_positions, decoder->stream));
    lm_head_init(&decoder->head, &decoder->slice, &flat);
    lay_out_all(decoder, &decoder->memory, &decoder->slice, limits, kernels);
    if (kernels_on_gpu(kernels))
        TRY(decoder_inputs_init(&decoder->inputs, limits, decoder->stream));
    if (uses_graphs(&decoder->slice, limits, kernels))
        decoder_graphs_init(&decoder->graphs, limits);
    decoder->choice.vocab = config->vocab;
    TRY(decoder_choice_init(&decoder->choice, kernels_in(kernels, DTYPE_F32), decoder->stream));
    *decoder_out = decoder;
    decoder = NULL;
out:
    decoder_destroy(decoder);
    return status;
}

void decoder_destroy(struct decoder *decoder)
{
    if (decoder == NULL) return;
    language_model_release(&decoder->lm);
    decoder_message_release(&decoder->message);
    free(decoder->part_start);
    free(decoder->own_token);
    decoder_graphs_release(&decoder->graphs);
    decoder_inputs_release(&decoder->inputs);
    decoder_choice_release(&decoder->choice);
    model_arena_release(&decoder->memory, decoder->stream);
    model_arena_release(&decoder->cache, decoder->stream);
    free(decoder);
}

/* ---- running ---- */

static void *cache_of(const struct decoder *decoder, int64_t layer)
{
    return decoder->cache.base + (size_t)layer * decoder->layer_bytes;
}

static void swap(void **a, void **b)
{
    void *was = *a;
    *a = *b;
    *b = was;
}

static enum status project(const struct decoder *decoder, const struct linear *linear, void *y,
                           const void *x, int64_t n)
{
    return decoder->kernels->linear_rows(y, x, linear->weight.value, linear->bias.value, n,
                                         linear->out, linear->in, decoder->stream);
}

static enum status normalise(const struct decoder *decoder, const struct norm *norm, void *out,
                             const void *x, int64_t n)
{
    const struct lm_config *c = &decoder->config.lm;
    return decoder->kernels->rmsnorm_forward(out, decoder->a.rstd, x, norm->weight.value, n,
                                             c->hidden, c->rms_eps, decoder->stream);
}

/* sum [n, D] += x, and its norm in a.norm. */
static enum status add_and_normalise(const struct decoder *decoder, const struct norm *norm,
                                     void *sum, const void *x, int64_t n)
{
    const struct lm_config *c = &decoder->config.lm;
    return decoder->kernels->add_rmsnorm_forward(sum, decoder->a.norm, decoder->a.rstd, x,
                                                 norm->weight.value, n, c->hidden, c->rms_eps,
                                                 decoder->stream);
}

/* ---- with others ---- */

static bool is_leader(const struct decoder *decoder)
{
    return decoder->slice.index == 0;
}

/* tensor [n, D] = the sum of everybody's: in the order of the sharers, element by element, which a
 * sum over a network need not keep. */
static enum status sum_rows(struct decoder *decoder, void *tensor, int64_t n, const char *what)
{
    enum status status = OK;
    const struct kernels *k = decoder->kernels, *wide = kernels_in(k, DTYPE_F32);
    const int64_t each = n * decoder->config.lm.hidden;
    const int index = decoder->slice.index, size = decoder->slice.size;
    float *parts = decoder->a.parts;
    if (size == 1) return OK;
    for (int i = 0; i <= size; i++) decoder->part_start[i] = i * each;
    if (decoder->a.dtype == DTYPE_F32)
        TRY(stream_copy(decoder->stream, parts + index * each, tensor,
                        (size_t)each * sizeof *parts));
    else
        TRY(k->widen(parts + index * each, tensor, each, decoder->stream));
    TRY(decoder->share->gather(decoder->share->context, parts, decoder->part_start, what,
                               decoder->stream));
    for (int i = 1; i < size; i++) TRY(wide->add(parts, parts + i * each, each, decoder->stream));
    if (decoder->a.dtype == DTYPE_F32)
        TRY(stream_copy(decoder->stream, tensor, parts, (size_t)each * sizeof *parts));
    else
        TRY(k->narrow(tensor, parts, each, decoder->stream));
out:
    return status;
}

/* a.logits [n, V] from everybody's words, which lie part by part in a.parts. */
static enum status arrange_logits(struct decoder *decoder, int64_t n)
{
    enum status status = OK;
    const struct decoder_activations *a = &decoder->a;
    const int64_t vocab = decoder->config.lm.vocab;
    for (int i = 0; i < decoder->slice.size && is_leader(decoder); i++) {
        const int64_t first = i * decoder->slice.vocab_held;
        const int64_t words = (decoder->part_start[i + 1] - decoder->part_start[i]) / n;
        for (int64_t row = 0; row < n; row++)
            TRY(stream_copy(decoder->stream, a->logits + row * vocab + first,
                            a->parts + decoder->part_start[i] + row * words,
                            (size_t)words * sizeof *a->logits));
    }
out:
    return status;
}

/* a.logits [n, V] of the rows a.norm [n, D]; of several sharers the leader's. */
static enum status find_logits(struct decoder *decoder, int64_t n)
{
    enum status status = OK;
    const struct kernels *k = decoder->kernels;
    const struct lm_slice *s = &decoder->slice;
    struct decoder_activations *a = &decoder->a;
    const bool narrow = a->dtype != DTYPE_F32;
    float *own = a->logits;
    if (n == 0) goto out;
    if (s->size > 1) {
        for (int i = 0; i <= s->size; i++) {
            const int64_t words = i * s->vocab_held;
            decoder->part_start[i] = n * (words < s->config->vocab ? words : s->config->vocab);
        }
        own = a->parts + decoder->part_start[s->index];
    }
    TRY(k->linear_rows(narrow ? a->rounded : own, a->norm, decoder->head.weight.value, NULL, n,
                       s->vocab, s->config->hidden, decoder->stream));
    if (narrow) TRY(k->widen(own, a->rounded, n * s->vocab, decoder->stream));
    if (s->size == 1) goto out;
    TRY(decoder->share->gather(decoder->share->context, a->parts, decoder->part_start, "logits",
                               decoder->stream));
    TRY(arrange_logits(decoder, n));
out:
    return status;
}

/* ---- layers ---- */

/* Rows of a source to theirs, as far as they stand anywhere; rounded in portions. */
static enum status scatter(const struct decoder *decoder, const struct decoder_source *source,
                           int64_t n_rows)
{
    enum status status = OK;
    const struct kernels *k = decoder->kernels;
    const int64_t d = decoder->config.lm.hidden, portion = decoder->limits.max_rows;
    if (decoder->a.dtype == DTYPE_F32)
        return k->rows_scatter(decoder->a.x, source->rows, source->index, n_rows, source->n, d,
                               decoder->stream);
    for (int64_t at = 0; at < source->n; at += portion) {
        const int64_t n = source->n - at < portion ? source->n - at : portion;
        TRY(k->narrow(decoder->a.rounded, source->rows + at * d, n * d, decoder->stream));
        TRY(k->rows_scatter(decoder->a.x, decoder->a.rounded, source->index + at, n_rows, n, d,
                            decoder->stream));
    }
out:
    return status;
}

/* Words counted from this sharer's first; -1 where another has them. */
static const int32_t *own_words(const struct decoder *decoder, const struct decoder_rows *rows)
{
    const struct lm_slice *s = &decoder->slice;
    if (s->size == 1) return rows->token_id;
    for (int64_t t = 0; t < rows->n_rows; t++) {
        const int64_t id = rows->token_id[t] - s->first_word;
        decoder->own_token[t] = id >= 0 && id < s->vocab ? (int32_t)id : -1;
    }
    return decoder->own_token;
}

/* a.x [T, D]: words, and the sources' rows. */
static enum status embed(struct decoder *decoder, const struct decoder_rows *rows)
{
    enum status status = OK;
    const struct kernels *k = decoder->kernels;
    const struct lm_config *c = &decoder->config.lm;
    TRY(k->embedding_forward(decoder->a.x, decoder->lm.embedding.value, rows->token_id,
                             rows->n_rows, decoder->slice.vocab, c->hidden, decoder->stream));
    for (int64_t i = 0; i < rows->n_sources; i++)
        TRY(scatter(decoder, &rows->sources[i], rows->n_rows));
    TRY(sum_rows(decoder, decoder->a.x, rows->n_rows, "embedded rows"));
out:
    return status;
}

/* Keys and values of the rows, from a.norm, to their places; their queries stay in a.qkv. */
static enum status store_keys(struct decoder *decoder, int64_t index,
                              const struct decoder_rows *rows)
{
    enum status status = OK;
    const struct kernels *k = decoder->kernels;
    const struct lm_slice *s = &decoder->slice;
    struct decoder_activations *a = &decoder->a;
    const int64_t t = rows->n_rows;
    TRY(project(decoder, &decoder->lm.layers[index].qkv, a->qkv, a->norm, t));
    TRY(k->rope(a->qkv, decoder->lm.cos, decoder->lm.sin, rows->cached.position, t, s->heads,
                s->kv_heads, s->head_size, 1, decoder->stream));
    TRY(k->cache_store(cache_of(decoder, index), a->qkv, rows->slot, t, s->heads, s->kv_heads,
                       s->head_size, decoder->limits.block, decoder->stream));
out:
    return status;
}

/* A call on its way. */
struct pass {
    struct decoder_rows rows; /* where the kernels reach them */
    bool asks_all;            /* logits are wanted of all rows, in their order */
    int64_t n;                /* rows that are still computed */
};

static bool asks_all(const struct decoder_rows *rows)
{
    if (rows->n_logits != rows->n_rows) return false;
    for (int64_t i = 0; i < rows->n_logits; i++)
        if (rows->logit_row[i] != i) return false;
    return true;
}

/* Of a.x and a.attention only the rows whose logits are wanted, from here on. */
static enum status keep_asked(struct decoder *decoder, const struct pass *pass)
{
    enum status status = OK;
    const struct kernels *k = decoder->kernels;
    const struct decoder_rows *rows = &pass->rows;
    struct decoder_activations *a = &decoder->a;
    const int64_t t = rows->n_rows, n = rows->n_logits, d = decoder->config.lm.hidden;
    if (pass->asks_all) goto out;
    TRY(k->rows_gather(a->middle, a->x, rows->logit_row, t, n, d, decoder->stream));
    TRY(k->rows_gather(a->norm, a->attention, rows->logit_row, t, n,
                       decoder->slice.heads * decoder->slice.head_size, decoder->stream));
    swap(&a->middle, &a->x);
    swap(&a->norm, &a->attention);
out:
    return status;
}

/* The norm that follows a layer. */
static const struct norm *norm_after(const struct decoder *decoder, int64_t index)
{
    return index == decoder->config.lm.layers - 1 ? &decoder->head.norm
                                                  : &decoder->lm.layers[index + 1].input_norm;
}

/* a.x and a.norm of one layer's input become those of its output. Of the last layer only the rows
 * whose logits are wanted are computed: others are read for keys and values alone. */
static enum status run_layer(struct decoder *decoder, int64_t index, struct pass *pass)
{
    enum status status = OK;
    const struct kernels *k = decoder->kernels;
    const struct lm_slice *s = &decoder->slice;
    const struct lm_layer *layer = &decoder->lm.layers[index];
    struct decoder_activations *a = &decoder->a;
    const bool last = index == decoder->config.lm.layers - 1;
    TRY(store_keys(decoder, index, &pass->rows));
    if (last) pass->n = pass->rows.n_logits;
    if (pass->n == 0) goto out;
    TRY(k->attention_cached(a->attention, a->qkv, cache_of(decoder, index), &pass->rows.cached,
                            pass->rows.n_rows, s->heads, s->kv_heads, s->head_size,
                            1.0 / sqrt((double)s->head_size), decoder->stream));
    if (last) TRY(keep_asked(decoder, pass));
    TRY(project(decoder, &layer->o, a->middle, a->attention, pass->n));
    TRY(sum_rows(decoder, a->middle, pass->n, "attention"));
    TRY(add_and_normalise(decoder, &layer->attention_norm, a->middle, a->x, pass->n));
    TRY(project(decoder, &layer->gate_up, a->gate_up, a->norm, pass->n));
    TRY(k->swiglu_forward(a->swiglu, a->gate_up, pass->n, s->ffn, decoder->stream));
    TRY(project(decoder, &layer->down, a->x, a->swiglu, pass->n));
    TRY(sum_rows(decoder, a->x, pass->n, "mlp"));
    TRY(add_and_normalise(decoder, norm_after(decoder, index), a->x, a->middle, pass->n));
out:
    return status;
}

static enum status run_pass(struct decoder *decoder, struct pass *pass)
{
    enum status status = OK;
    TRY(embed(decoder, &pass->rows));
    TRY(normalise(decoder, &decoder->lm.layers[0].input_norm, decoder->a.norm, decoder->a.x,
                  pass->n));
    for (int64_t i = 0; i < decoder->config.lm.layers; i++) TRY(run_layer(decoder, i, pass));
    TRY(find_logits(decoder, pass->n));
out:
    return status;
}

/* The first pass of its size runs as it is, and lets libraries choose; the second is written down.
 */
static enum status run_graph(struct decoder *decoder, struct decoder_graph *graph,
                             struct pass *pass)
{
    enum status status = OK;
    if (graph->graph == NULL && !graph->seen) {
        graph->seen = true;
        return run_pass(decoder, pass);
    }
    if (graph->graph == NULL) {
        TRY(graph_begin(decoder->stream));
        const enum status written = run_pass(decoder, pass);
        const enum status ended = graph_end(written == OK ? &graph->graph : NULL, decoder->stream);
        TRY(written);
        TRY(ended);
    }
    TRY(graph_run(graph->graph, decoder->stream));
out:
    return status;
}

/* The rows through this sharer's part of the model. */
static enum status run_rows(struct decoder *decoder, const struct decoder_rows *rows)
{
    enum status status = OK;
    struct decoder_rows filled;
    struct decoder_graph *graph = decoder_graphs_find(&decoder->graphs, &filled, rows);
    if (graph != NULL) rows = &filled;
    struct pass pass = {.asks_all = asks_all(rows), .n = rows->n_rows};
    ASSERT(rows->n_rows <= decoder->limits.max_rows && rows->n_logits <= decoder->limits.max_logits,
           "%lld rows and %lld logits for a decoder of %lld and %lld", (long long)rows->n_rows,
           (long long)rows->n_logits, (long long)decoder->limits.max_rows,
           (long long)decoder->limits.max_logits);
    TRY(model_send_weights(decoder->model));
    TRY(decoder_inputs_send(&decoder->inputs, &pass.rows, rows, own_words(decoder, rows)));
    TRY(graph != NULL ? run_graph(decoder, graph, &pass) : run_pass(decoder, &pass));
out:
    return status;
}

enum status decoder_run(struct decoder *decoder, const struct decoder_rows *rows,
                        const float **logits_out)
{
    enum status status = OK;
    ASSERT(is_leader(decoder), "only the first sharer runs a decoder; the others follow");
    if (decoder->slice.size > 1) TRY(decoder_tell_rows(&decoder->message, decoder->share, rows));
    TRY(run_rows(decoder, rows));
    *logits_out = decoder->a.logits;
out:
    return status;
}

static enum status copy_blocks(struct decoder *decoder, const int32_t *to_from, int64_t n)
{
    enum status status = OK;
    const struct lm_slice *s = &decoder->slice;
    TRY(decoder_inputs_send_numbers(&decoder->inputs, &to_from, to_from, 2 * n));
    for (int64_t i = 0; i < decoder->config.lm.layers; i++)
        TRY(decoder->kernels->cache_copy(cache_of(decoder, i), to_from, n, decoder->limits.block,
                                         s->kv_heads, s->head_size, decoder->stream));
out:
    return status;
}

enum status decoder_copy_blocks(struct decoder *decoder, const int32_t *to_from, int64_t n)
{
    enum status status = OK;
    if (n == 0) goto out;
    if (decoder->slice.size > 1)
        TRY(decoder_tell_copies(&decoder->message, decoder->share, to_from, n));
    TRY(copy_blocks(decoder, to_from, n));
out:
    return status;
}

enum status decoder_choose(struct decoder *decoder, struct chosen_tokens *chosen,
                           const struct token_choice *asked, int64_t n)
{
    return decoder_choice_make(&decoder->choice, chosen, decoder->a.logits, asked, n);
}

enum status decoder_pick(struct decoder *decoder, float *out, const int32_t *index, int64_t n,
                         int64_t n_rows)
{
    return decoder_choice_pick(&decoder->choice, out, decoder->a.logits, index, n, n_rows);
}

enum status decoder_follow(struct decoder *decoder)
{
    enum status status = OK;
    enum decoder_order order = DECODER_RUNS;
    ASSERT(!is_leader(decoder), "the first sharer leads");
    while (order != DECODER_ENDS) {
        int64_t n = 0;
        TRY(decoder_hear(&decoder->message, decoder->share, &order));
        const struct decoder_rows rows = decoder_heard_rows(&decoder->message);
        const int32_t *copies = decoder_heard_copies(&decoder->message, &n);
        if (order == DECODER_RUNS) TRY(run_rows(decoder, &rows));
        if (order == DECODER_COPIES) TRY(copy_blocks(decoder, copies, n));
    }
out:
    return status;
}

enum status decoder_end(struct decoder *decoder)
{
    if (decoder->slice.size == 1) return OK;
    return decoder_tell_end(&decoder->message, decoder->share);
}
