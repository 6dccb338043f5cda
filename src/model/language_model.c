/* See language_model.h. */
#include "model/language_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bf16.h"
#include "base/text_buffer.h"
#include "base/trace.h"
#include "device/stream.h"

static int64_t qkv_width(const struct lm_slice *slice)
{
    return (slice->heads + 2 * slice->kv_heads) * slice->head_size;
}

static int64_t attention_width(const struct lm_slice *slice)
{
    return slice->heads * slice->head_size;
}

/* ---- weights ---- */

static void init_layer(struct lm_layer *layer, const struct flat_weights *flat,
                       const struct lm_slice *slice, int64_t index)
{
    int64_t d = slice->config->hidden;
    char *prefix = text_format("model.layers.%lld", (long long)index);
    char *input_norm = text_format("%s.input_layernorm", prefix);
    char *attention_norm = text_format("%s.post_attention_layernorm", prefix);
    layer->input_norm = norm_find(flat, input_norm, false);
    layer->attention_norm = norm_find(flat, attention_norm, false);
    /* The first of each group stands for the whole: parameters.h keeps them adjacent. */
    layer->qkv = (struct linear){.weight = weight_find(flat, "%s.self_attn.q_proj.weight", prefix),
                                 .bias = weight_find(flat, "%s.self_attn.q_proj.bias", prefix),
                                 .out = qkv_width(slice),
                                 .in = d};
    layer->o = (struct linear){.weight = weight_find(flat, "%s.self_attn.o_proj.weight", prefix),
                               .out = d,
                               .in = attention_width(slice)};
    layer->gate_up = (struct linear){.weight = weight_find(flat, "%s.mlp.gate_proj.weight", prefix),
                                     .out = 2 * slice->ffn,
                                     .in = d};
    layer->down = (struct linear){
        .weight = weight_find(flat, "%s.mlp.down_proj.weight", prefix), .out = d, .in = slice->ffn};
    free(attention_norm);
    free(input_norm);
    free(prefix);
}

static float rounded(float value, enum dtype dtype)
{
    return dtype == DTYPE_F32 ? value : bf16_to_float(bf16_from_float(value));
}

/* Angles as the reference has them: frequency and angle each rounded to fp32. */
static void make_rope_tables(struct language_model *lm, enum dtype dtype)
{
    int64_t size = lm->config->hidden / lm->config->heads;
    int64_t half = size / 2;
    for (int64_t j = 0; j < half; j++) {
        float exponent = (float)(2 * j) / (float)size;
        float power = (float)pow(lm->config->rope_theta, (double)exponent);
        float frequency = 1.0f / power;
        for (int64_t p = 0; p < lm->n_positions; p++) {
            float angle = (float)p * frequency;
            lm->cos[p * half + j] = rounded((float)cos((double)angle), dtype);
            lm->sin[p * half + j] = rounded((float)sin((double)angle), dtype);
        }
    }
}

static void take_rope_tables(struct language_model *lm, struct arena *arena)
{
    const int64_t half = lm->config->hidden / lm->config->heads / 2;
    lm->cos = take_floats(arena, lm->n_positions, half);
    lm->sin = take_floats(arena, lm->n_positions, half);
}

size_t language_model_tables(const struct lm_config *config, int64_t n_positions)
{
    struct language_model lm = {.config = config, .n_positions = n_positions};
    struct arena measuring;
    arena_init_measuring(&measuring);
    take_rope_tables(&lm, &measuring);
    return measuring.used;
}

/* The tables are worked out by the host, and sent where the kernels are elsewhere. */
static enum status fill_rope_tables(struct language_model *lm, enum dtype dtype,
                                    struct stream *stream)
{
    enum status status = OK;
    struct language_model host = {.config = lm->config, .n_positions = lm->n_positions};
    struct arena memory = {0};
    const size_t bytes = language_model_tables(lm->config, lm->n_positions);
    if (stream == NULL || stream->driver == NULL) {
        make_rope_tables(lm, dtype);
        goto out;
    }
    TRY_WHERE(arena_init(&memory, bytes), "tables of positions");
    take_rope_tables(&host, &memory);
    make_rope_tables(&host, dtype);
    const int64_t half = lm->config->hidden / lm->config->heads / 2;
    const size_t each = (size_t)(lm->n_positions * half) * sizeof *lm->cos;
    TRY(stream_copy(stream, lm->cos, host.cos, each));
    TRY(stream_copy(stream, lm->sin, host.sin, each));
    TRY(stream_wait(stream));
out:
    arena_release(&memory);
    return status;
}

enum status language_model_init(struct language_model *lm, const struct lm_slice *slice,
                                const struct flat_weights *flat, struct arena *arena,
                                int64_t n_positions, struct stream *stream)
{
    enum status status = OK;
    const struct lm_config *config = slice->config;
    *lm = (struct language_model){.config = config, .slice = slice, .n_positions = n_positions};
    take_rope_tables(lm, arena);
    TRY(fill_rope_tables(lm, flat->dtype, stream));
    lm->embedding = weight_find(flat, "model.embed_tokens.weight");
    lm->layers = memory_new((size_t)config->layers, sizeof *lm->layers);
    for (int64_t i = 0; i < config->layers; i++) init_layer(&lm->layers[i], flat, slice, i);
out:
    return status;
}

void language_model_release(struct language_model *lm)
{
    free(lm->layers);
    *lm = (struct language_model){0};
}

/* ---- memory ---- */

void lm_activations_init(struct lm_activations *activations, const struct lm_slice *slice)
{
    const size_t layers = (size_t)slice->config->layers;
    *activations = (struct lm_activations){0};
    activations->inputs = memory_new(layers + 1, sizeof *activations->inputs);
    activations->sets = memory_new(layers, sizeof *activations->sets);
    activations->part_start = memory_new((size_t)slice->size + 1, sizeof(int64_t));
}

void lm_activations_release(struct lm_activations *activations)
{
    free(activations->inputs);
    free(activations->sets);
    free(activations->part_start);
}

/* Which rows of the residual stream are this sharer's. While memory is planned every sharer takes
 * the most that any can have: the last one's. */
static void choose_rows(struct lm_activations *a, const struct lm_slice *slice, bool planning)
{
    const int64_t t = a->n_tokens;
    const int index = planning ? slice->size - 1 : slice->index;
    a->first_row = slice->sequence ? share_start(t, index, slice->size) : 0;
    a->n_rows = (slice->sequence ? share_start(t, index + 1, slice->size) : t) - a->first_row;
    for (int i = 0; i <= slice->size; i++)
        a->part_start[i] = share_start(t, i, slice->size) * slice->config->hidden;
}

/* What a backward through the layer reads whatever trains. */
static void take_passing(struct lm_layer_set *set, struct arena *arena,
                         const struct lm_slice *slice, const struct lm_activations *a)
{
    const int64_t t = a->n_tokens, rows = a->n_rows;
    const enum dtype dtype = a->dtype;
    set->rstd_input = take_floats(arena, rows, 1);
    set->rstd_attention = take_floats(arena, rows, 1);
    set->qkv = take_tensor(arena, dtype, t, qkv_width(slice));
    set->attention = take_tensor(arena, dtype, t, attention_width(slice));
    set->lse = take_floats(arena, t, slice->heads);
    set->middle = take_tensor(arena, dtype, rows, slice->config->hidden);
    set->gate_up = take_tensor(arena, dtype, t, 2 * slice->ffn);
}

/* What only gradients of weight matrices read. With split rows the normalised rows are made and
 * gathered again instead. */
static void take_matrix_inputs(struct lm_layer_set *set, struct arena *arena,
                               const struct lm_slice *slice, const struct lm_activations *a)
{
    const int64_t t = a->n_tokens;
    const enum dtype dtype = a->dtype;
    if (!slice->sequence) {
        set->norm_input = take_tensor(arena, dtype, t, slice->config->hidden);
        set->norm_attention = take_tensor(arena, dtype, t, slice->config->hidden);
    }
    set->swiglu = take_tensor(arena, dtype, t, slice->ffn);
}

void lm_layout_saved(struct lm_activations *a, struct arena *arena, const struct lm_slice *slice,
                     const struct lm_mode *mode, const struct model_limits *sizes)
{
    const int64_t layers = slice->config->layers, d = slice->config->hidden;
    a->n_tokens = sizes->max_tokens;
    a->n_sequences = sizes->max_sequences;
    a->mode = *mode;
    choose_rows(a, slice, arena->measuring);
    for (int64_t i = 0; i <= layers; i++) {
        bool own = i == 0 || mode->backward;
        a->inputs[i] = own ? take_tensor(arena, a->dtype, a->n_rows, d) : a->inputs[0];
    }
    for (int64_t i = 0; mode->backward && !mode->recompute && i < layers; i++) {
        take_passing(&a->sets[i], arena, slice, a);
        if (mode->matrices_train) take_matrix_inputs(&a->sets[i], arena, slice, a);
    }
}

void lm_layout_gradient(struct lm_activations *a, struct arena *arena, const struct lm_slice *slice)
{
    const int64_t d = slice->config->hidden;
    if (a->mode.backward) a->gradient = take_tensor(arena, a->dtype, a->n_rows, d);
    if (a->dtype == DTYPE_F32 || slice->size == 1) return;
    a->wide = take_floats(arena, a->n_tokens, d);
    if (slice->sequence) a->wide_rows = take_floats(arena, a->n_rows, d);
}

/* The normalised rows of any layer, where none keeps its own. */
static void share_norms(struct lm_activations *a, const struct lm_slice *slice)
{
    if (slice->sequence) a->shared.norm_input = a->shared.norm_attention = a->gathered;
    for (int64_t i = 0; i < slice->config->layers; i++) {
        a->sets[i].norm_input = a->shared.norm_input;
        a->sets[i].norm_attention = a->shared.norm_attention;
    }
}

void lm_layout_scratch(struct lm_activations *a, struct arena *arena, const struct lm_slice *slice,
                       const struct kernels *kernels)
{
    const int64_t t = a->n_tokens, d = slice->config->hidden;
    bool saves = a->mode.backward && !a->mode.recompute;
    if (slice->sequence) {
        a->partial = take_tensor(arena, a->dtype, t, d);
        a->gathered = take_tensor(arena, a->dtype, t, d);
    }
    if (!saves) take_passing(&a->shared, arena, slice, a);
    if (!saves || !a->mode.matrices_train) take_matrix_inputs(&a->shared, arena, slice, a);
    if (slice->sequence || (saves && !a->mode.matrices_train)) share_norms(a, slice);
    for (int64_t i = 0; saves && !a->mode.matrices_train && i < slice->config->layers; i++)
        a->sets[i].swiglu = a->shared.swiglu;
    const size_t attention =
        kernels->attention_workspace(t, slice->heads, slice->kv_heads, slice->head_size);
    const size_t columns = a->mode.backward ? kernels->column_workspace(t, qkv_width(slice)) : 0;
    a->attention_workspace = arena_take(arena, attention > columns ? attention : columns);
    if (!a->mode.backward) return;
    a->norm_workspace = arena_take(arena, kernels->norm_workspace(a->n_rows, d));
    a->dnorm = take_tensor(arena, a->dtype, t, d);
    a->dattention = take_tensor(arena, a->dtype, t, attention_width(slice));
    a->dswiglu = take_tensor(arena, a->dtype, t, slice->ffn);
    a->dqkv = take_tensor(arena, a->dtype, t, qkv_width(slice));
    if (!a->mode.matrices_train) a->ones = take_tensor(arena, a->dtype, t, 1);
}

/* ---- rows of all sharers ---- */

static int64_t all_elements(const struct lm_activations *a, const struct model_run *run)
{
    return a->part_start[run->share->size];
}

enum status lm_rows_sum(const struct lm_activations *a, void *out, void *partial, const char *what,
                        const struct model_run *run)
{
    enum status status = OK;
    const struct model_share *share = run->share;
    if (share == NULL) return OK;
    if (!share->sequence) return share_sum(run, out, all_elements(a, run), what);
    if (dtype_of(run) == DTYPE_F32)
        return share->scatter(share->context, out, partial, a->part_start, what, run->stream);
    const int64_t n = a->part_start[share->index + 1] - a->part_start[share->index];
    TRY(run->kernels->widen(run->wide, partial, all_elements(a, run), run->stream));
    TRY(share->scatter(share->context, run->wide_rows, run->wide, a->part_start, what,
                       run->stream));
    TRY(run->kernels->narrow(out, run->wide_rows, n, run->stream));
out:
    return status;
}

enum status lm_rows_gather(const struct lm_activations *a, void *all, const void *rows,
                           const char *what, const struct model_run *run)
{
    enum status status = OK;
    const struct model_share *share = run->share;
    const enum dtype dtype = dtype_of(run);
    if (share == NULL || !share->sequence) return OK;
    const int64_t first = a->part_start[share->index];
    const int64_t n = a->part_start[share->index + 1] - first;
    if (dtype != DTYPE_F32) {
        TRY(run->kernels->widen(run->wide + first, rows, n, run->stream));
        TRY(share->gather(share->context, run->wide, a->part_start, what, run->stream));
        TRY(run->kernels->narrow(all, run->wide, all_elements(a, run), run->stream));
        goto out;
    }
    void *own = element_at(all, first, dtype);
    if (own != rows) TRY(stream_copy(run->stream, own, rows, (size_t)n * dtype_size(dtype)));
    TRY(share->gather(share->context, all, a->part_start, what, run->stream));
out:
    return status;
}

/* ---- forward ---- */

/* One layer on one batch. */
struct layer_run {
    const struct language_model *lm;
    const struct lm_layer *layer;
    struct lm_activations *activations;
    struct lm_layer_set *set;
    const struct model_batch *batch;
    const struct model_run *run;
    int64_t index;
    bool observed; /* not while recomputing */
};

static double attention_scale(const struct lm_slice *slice)
{
    return 1.0 / sqrt((double)slice->head_size);
}

/* Where a product that the sharers add up is written before: its own place where rows are whole. */
static void *partial_of(const struct layer_run *r, void *out)
{
    return r->lm->slice->sequence ? r->activations->partial : out;
}

/* Rows of the residual stream, all of them, to the observer. */
static enum status observe_rows(const struct layer_run *r, const void *rows, const char *format)
{
    enum status status = OK;
    struct lm_activations *a = r->activations;
    const bool split = r->lm->slice->sequence;
    if (!observes_all(r->run)) goto out;
    TRY(lm_rows_gather(a, a->partial, rows, "observed rows", r->run));
    TRY(observe(r->run, split ? a->partial : rows, a->n_tokens, r->lm->config->hidden, format,
                (long long)r->index));
out:
    return status;
}

/* norm [T, D] and rstd of rows x; with split rows of everybody's. */
static enum status norm_rows(const struct layer_run *r, const struct norm *norm, void *out,
                             float *rstd, const void *x)
{
    enum status status = OK;
    const struct lm_config *c = r->lm->config;
    const struct lm_activations *a = r->activations;
    void *own = element_at(out, a->first_row * c->hidden, dtype_of(r->run));
    TRY(r->run->kernels->rmsnorm_forward(own, rstd, x, norm->weight.value, a->n_rows, c->hidden,
                                         c->rms_eps, r->run->stream));
    TRY(lm_rows_gather(a, out, own, "normalised rows", r->run));
out:
    return status;
}

/* The same of a sum of residuals: sum [R, D] += x before. */
static enum status add_and_norm_rows(const struct layer_run *r, const struct norm *norm, void *sum,
                                     void *out, float *rstd, const void *x)
{
    enum status status = OK;
    const struct lm_config *c = r->lm->config;
    const struct lm_activations *a = r->activations;
    void *own = element_at(out, a->first_row * c->hidden, dtype_of(r->run));
    TRY(r->run->kernels->add_rmsnorm_forward(sum, own, rstd, x, norm->weight.value, a->n_rows,
                                             c->hidden, c->rms_eps, r->run->stream));
    TRY(lm_rows_gather(a, out, own, "normalised rows", r->run));
out:
    return status;
}

/* set->attention from set->norm_input, for this sharer's heads. */
static enum status attend(const struct layer_run *r)
{
    enum status status = OK;
    const struct kernels *k = r->run->kernels;
    const struct lm_slice *slice = r->lm->slice;
    const struct model_batch *batch = r->batch;
    struct lm_layer_set *set = r->set;
    struct stream *stream = r->run->stream;
    int64_t t = batch->n_tokens;
    TRY(linear_apply(r->run, &r->layer->qkv, set->qkv, set->norm_input, t));
    TRY(k->rope(set->qkv, r->lm->cos, r->lm->sin, batch->position, t, slice->heads, slice->kv_heads,
                slice->head_size, 1, stream));
    trace_push("kernel", "attention");
    status =
        k->attention_forward(set->attention, set->lse, set->qkv, batch->seq_start,
                             batch->n_sequences, t, slice->heads, slice->kv_heads, slice->head_size,
                             attention_scale(slice), r->activations->attention_workspace, stream);
    trace_pop(0);
out:
    return status;
}

/* set->middle = attention of set->norm_input, without the residual */
static enum status attention_half(const struct layer_run *r)
{
    enum status status = OK;
    struct lm_activations *a = r->activations;
    struct lm_layer_set *set = r->set;
    void *product = partial_of(r, set->middle);
    TRY(attend(r));
    TRY(linear_apply(r->run, &r->layer->o, product, set->attention, a->n_tokens));
    TRY(lm_rows_sum(a, set->middle, product, "attention", r->run));
    if (r->observed) TRY(observe_rows(r, set->middle, "attention.layer%lld"));
out:
    return status;
}

/* Up to the input of the last matrix: set->middle += x, and set->swiglu from it. */
static enum status mlp_inner(const struct layer_run *r, const void *x)
{
    enum status status = OK;
    struct lm_layer_set *set = r->set;
    int64_t t = r->batch->n_tokens;
    TRY(add_and_norm_rows(r, &r->layer->attention_norm, set->middle, set->norm_attention,
                          set->rstd_attention, x));
    TRY(linear_apply(r->run, &r->layer->gate_up, set->gate_up, set->norm_attention, t));
    TRY(r->run->kernels->swiglu_forward(set->swiglu, set->gate_up, t, r->lm->slice->ffn,
                                        r->run->stream));
out:
    return status;
}

static struct lm_layer_set *set_of(struct lm_activations *a, int64_t layer)
{
    return a->mode.backward && !a->mode.recompute ? &a->sets[layer] : &a->shared;
}

/* The residual of layer `r` is added to its output, and the next layer's norm made of it in the
 * same pass; the last layer has no next. */
static enum status end_layer(const struct layer_run *r, void *out)
{
    enum status status = OK;
    struct lm_activations *a = r->activations;
    const struct lm_config *c = r->lm->config;
    const int64_t next = r->index + 1;
    if (next == c->layers) {
        TRY(r->run->kernels->add(out, r->set->middle, a->n_rows * c->hidden, r->run->stream));
    } else {
        struct lm_layer_set *set = set_of(a, next);
        TRY(weights_needed(r->run, c->layers - next));
        TRY(add_and_norm_rows(r, &r->lm->layers[next].input_norm, out, set->norm_input,
                              set->rstd_input, r->set->middle));
    }
    TRY(observe_rows(r, out, "hidden.layer%lld"));
out:
    return status;
}

enum status lm_forward(const struct language_model *lm, struct lm_activations *a,
                       const struct model_batch *batch, const struct model_run *run)
{
    enum status status = OK;
    for (int64_t i = 0; i < lm->config->layers; i++) {
        struct layer_run r = {.lm = lm,
                              .layer = &lm->layers[i],
                              .activations = a,
                              .set = set_of(a, i),
                              .batch = batch,
                              .run = run,
                              .index = i,
                              .observed = true};
        void *out = a->inputs[i + 1], *product = partial_of(&r, out);
        if (i == 0) {
            TRY(weights_needed(run, lm->config->layers));
            TRY(norm_rows(&r, &r.layer->input_norm, r.set->norm_input, r.set->rstd_input,
                          a->inputs[0]));
        }
        TRY(attention_half(&r));
        TRY(mlp_inner(&r, a->inputs[i]));
        TRY(linear_apply(run, &r.layer->down, product, r.set->swiglu, batch->n_tokens));
        TRY(lm_rows_sum(a, out, product, "mlp", run));
        TRY(observe_rows(&r, out, "mlp.layer%lld"));
        TRY(end_layer(&r, out));
    }
out:
    return status;
}

/* ---- backward ---- */

/* The gradient of everybody's rows of the residual stream, [T, D]. */
static enum status whole_gradient(const struct layer_run *r, const void **gradient_out)
{
    enum status status = OK;
    struct lm_activations *a = r->activations;
    TRY(lm_rows_gather(a, a->partial, a->gradient, "gradients of rows", r->run));
    *gradient_out = r->lm->slice->sequence ? a->partial : a->gradient;
out:
    return status;
}

/* With split rows no layer keeps its normalised rows: made again where matrices read them. */
static enum status renew_norm(const struct layer_run *r, const struct norm *norm, void *out,
                              float *rstd, const void *x)
{
    if (!r->lm->slice->sequence || !r->activations->mode.matrices_train) return OK;
    return norm_rows(r, norm, out, rstd, x);
}

/* activations->gradient [R, D] += the gradient through a norm of rows x, from the sharers' parts of
 * its output's gradient in activations->dnorm [T, D]. */
static enum status norm_backward(const struct layer_run *r, const struct norm *norm,
                                 const float *rstd, const void *x)
{
    enum status status = OK;
    const struct kernels *k = r->run->kernels;
    struct lm_activations *a = r->activations;
    const bool split = r->lm->slice->sequence;
    void *dnorm = split ? a->partial : a->dnorm; /* whose whole gradient has been read */
    float *dweight = split || counts_shared(r->run) ? norm->weight.gradient : NULL;
    TRY(lm_rows_sum(a, dnorm, a->dnorm, "gradients of norms", r->run));
    TRY(k->rmsnorm_backward(a->gradient, dweight, dnorm, x, norm->weight.value, rstd, a->n_rows,
                            r->lm->config->hidden, 1, a->norm_workspace, r->run->stream));
out:
    return status;
}

/* activations->gradient: of the layer's output becomes that of set->middle. */
static enum status mlp_backward(const struct layer_run *r)
{
    enum status status = OK;
    const struct kernels *k = r->run->kernels;
    struct lm_activations *a = r->activations;
    struct lm_layer_set *set = r->set;
    const struct norm *norm = &r->layer->attention_norm;
    const void *gradient = NULL;
    int64_t t = r->batch->n_tokens;
    void *dgate_up = set->gate_up; /* in place */
    TRY(whole_gradient(r, &gradient));
    TRY(linear_add_gradients(r->run, &r->layer->down, gradient, set->swiglu, a->ones, t));
    TRY(linear_propagate(r->run, &r->layer->down, a->dswiglu, gradient, t));
    TRY(k->swiglu_backward(dgate_up, a->dswiglu, set->gate_up, t, r->lm->slice->ffn,
                           r->run->stream));
    TRY(renew_norm(r, norm, set->norm_attention, set->rstd_attention, set->middle));
    TRY(linear_add_gradients(r->run, &r->layer->gate_up, dgate_up, set->norm_attention, a->ones,
                             t));
    TRY(linear_propagate(r->run, &r->layer->gate_up, a->dnorm, dgate_up, t));
    TRY(norm_backward(r, norm, set->rstd_attention, set->middle));
out:
    return status;
}

/* activations->gradient: of set->middle becomes that of the layer's input x. */
static enum status attention_half_backward(const struct layer_run *r, const void *x)
{
    enum status status = OK;
    const struct kernels *k = r->run->kernels;
    const struct lm_slice *slice = r->lm->slice;
    const struct model_batch *batch = r->batch;
    struct lm_activations *a = r->activations;
    struct lm_layer_set *set = r->set;
    struct stream *stream = r->run->stream;
    const struct norm *norm = &r->layer->input_norm;
    const void *gradient = NULL;
    int64_t t = batch->n_tokens;
    TRY(whole_gradient(r, &gradient));
    TRY(linear_add_gradients(r->run, &r->layer->o, gradient, set->attention, a->ones, t));
    TRY(linear_propagate(r->run, &r->layer->o, a->dattention, gradient, t));
    trace_push("kernel", "attention gradient");
    status = k->attention_backward(a->dqkv, a->dattention, set->attention, set->lse, set->qkv,
                                   batch->seq_start, batch->n_sequences, t, slice->heads,
                                   slice->kv_heads, slice->head_size, attention_scale(slice),
                                   a->attention_workspace, stream);
    trace_pop(0);
    TRY(status);
    struct linear qkv = r->layer->qkv;
    if (qkv.weight.gradient == NULL)
        TRY(k->rope(a->dqkv, r->lm->cos, r->lm->sin, batch->position, t, slice->heads,
                    slice->kv_heads, slice->head_size, -1, stream));
    else {
        TRY(k->rope_backward(a->dqkv, qkv.bias.gradient, r->lm->cos, r->lm->sin, batch->position, t,
                             slice->heads, slice->kv_heads, slice->head_size,
                             a->attention_workspace, stream));
        qkv.bias.gradient = NULL; /* it has its part */
    }
    TRY(renew_norm(r, norm, set->norm_input, set->rstd_input, x));
    TRY(linear_add_gradients(r->run, &qkv, a->dqkv, set->norm_input, a->ones, t));
    TRY(linear_propagate(r->run, &r->layer->qkv, a->dnorm, a->dqkv, t));
    TRY(norm_backward(r, norm, set->rstd_input, x));
out:
    return status;
}

enum status lm_backward(const struct language_model *lm, struct lm_activations *a,
                        const struct model_batch *batch, const struct model_run *run)
{
    enum status status = OK;
    if (a->ones != NULL) TRY(fill_ones(run, a->ones, batch->n_tokens));
    for (int64_t i = lm->config->layers - 1; i >= 0; i--) {
        struct layer_run r = {.lm = lm,
                              .layer = &lm->layers[i],
                              .activations = a,
                              .set = set_of(a, i),
                              .batch = batch,
                              .run = run,
                              .index = i};
        TRY(gradients_needed(run, lm->config->layers - i));
        if (a->mode.recompute) {
            TRY(norm_rows(&r, &r.layer->input_norm, r.set->norm_input, r.set->rstd_input,
                          a->inputs[i]));
            TRY(attention_half(&r));
            TRY(mlp_inner(&r, a->inputs[i]));
        }
        TRY(mlp_backward(&r));
        TRY(attention_half_backward(&r, a->inputs[i]));
        gradients_done(run, lm->config->layers - i);
    }
out:
    return status;
}
