/* See language_model.h. */
#include "model/language_model.h"

#include <math.h>
#include <stdlib.h>

#include "base/text_buffer.h"

static int64_t head_size(const struct lm_config *config)
{
    return config->hidden / config->heads;
}

static int64_t qkv_width(const struct lm_config *config)
{
    return (config->heads + 2 * config->kv_heads) * head_size(config);
}

/* ---- weights ---- */

static void init_layer(struct lm_layer *layer, const struct flat_weights *flat,
                       const struct lm_config *config, int64_t index)
{
    int64_t d = config->hidden;
    char *prefix = text_format("model.layers.%lld", (long long)index);
    char *input_norm = text_format("%s.input_layernorm", prefix);
    char *attention_norm = text_format("%s.post_attention_layernorm", prefix);
    layer->input_norm = norm_find(flat, input_norm, false);
    layer->attention_norm = norm_find(flat, attention_norm, false);
    /* The first of each group stands for the whole: parameters.h keeps them adjacent. */
    layer->qkv = (struct linear){.weight = weight_find(flat, "%s.self_attn.q_proj.weight", prefix),
                                 .bias = weight_find(flat, "%s.self_attn.q_proj.bias", prefix),
                                 .out = qkv_width(config),
                                 .in = d};
    layer->o = (struct linear){
        .weight = weight_find(flat, "%s.self_attn.o_proj.weight", prefix), .out = d, .in = d};
    layer->gate_up = (struct linear){.weight = weight_find(flat, "%s.mlp.gate_proj.weight", prefix),
                                     .out = 2 * config->ffn,
                                     .in = d};
    layer->down = (struct linear){.weight = weight_find(flat, "%s.mlp.down_proj.weight", prefix),
                                  .out = d,
                                  .in = config->ffn};
    free(attention_norm);
    free(input_norm);
    free(prefix);
}

/* Angles as the reference has them: frequency and angle each rounded to fp32. */
static void make_rope_tables(struct language_model *lm)
{
    int64_t size = head_size(lm->config);
    int64_t half = size / 2;
    for (int64_t j = 0; j < half; j++) {
        float exponent = (float)(2 * j) / (float)size;
        float power = (float)pow(lm->config->rope_theta, (double)exponent);
        float frequency = 1.0f / power;
        for (int64_t p = 0; p < lm->n_positions; p++) {
            float angle = (float)p * frequency;
            lm->cos[p * half + j] = (float)cos((double)angle);
            lm->sin[p * half + j] = (float)sin((double)angle);
        }
    }
}

static void take_rope_tables(struct language_model *lm, struct arena *arena)
{
    lm->cos = take_floats(arena, lm->n_positions, head_size(lm->config) / 2);
    lm->sin = take_floats(arena, lm->n_positions, head_size(lm->config) / 2);
}

size_t language_model_tables(const struct lm_config *config, int64_t n_positions)
{
    struct language_model lm = {.config = config, .n_positions = n_positions};
    struct arena measuring;
    arena_init_measuring(&measuring);
    take_rope_tables(&lm, &measuring);
    return measuring.used;
}

void language_model_init(struct language_model *lm, const struct lm_config *config,
                         const struct flat_weights *flat, struct arena *arena, int64_t n_positions)
{
    *lm = (struct language_model){.config = config, .n_positions = n_positions};
    take_rope_tables(lm, arena);
    make_rope_tables(lm);
    lm->embedding = weight_find(flat, "model.embed_tokens.weight");
    lm->layers = memory_new((size_t)config->layers, sizeof *lm->layers);
    for (int64_t i = 0; i < config->layers; i++) init_layer(&lm->layers[i], flat, config, i);
}

void language_model_release(struct language_model *lm)
{
    free(lm->layers);
    *lm = (struct language_model){0};
}

/* ---- memory ---- */

void lm_activations_init(struct lm_activations *activations, const struct lm_config *config)
{
    *activations = (struct lm_activations){0};
    activations->inputs = memory_new((size_t)config->layers + 1, sizeof *activations->inputs);
    activations->sets = memory_new((size_t)config->layers, sizeof *activations->sets);
}

void lm_activations_release(struct lm_activations *activations)
{
    free(activations->inputs);
    free(activations->sets);
}

/* What a backward through the layer reads whatever trains. */
static void take_passing(struct lm_layer_set *set, struct arena *arena,
                         const struct lm_config *config, int64_t t)
{
    set->rstd_input = take_floats(arena, t, 1);
    set->rstd_attention = take_floats(arena, t, 1);
    set->qkv = take_floats(arena, t, qkv_width(config));
    set->attention = take_floats(arena, t, config->hidden);
    set->lse = take_floats(arena, t, config->heads);
    set->middle = take_floats(arena, t, config->hidden);
    set->gate_up = take_floats(arena, t, 2 * config->ffn);
}

/* What only gradients of weight matrices read. */
static void take_matrix_inputs(struct lm_layer_set *set, struct arena *arena,
                               const struct lm_config *config, int64_t t)
{
    set->norm_input = take_floats(arena, t, config->hidden);
    set->norm_attention = take_floats(arena, t, config->hidden);
    set->swiglu = take_floats(arena, t, config->ffn);
}

void lm_layout_saved(struct lm_activations *a, struct arena *arena, const struct lm_config *config,
                     const struct lm_mode *mode, const struct model_limits *sizes)
{
    int64_t t = sizes->max_tokens;
    a->n_tokens = t;
    a->n_sequences = sizes->max_sequences;
    a->mode = *mode;
    for (int64_t i = 0; i <= config->layers; i++) {
        bool own = i == 0 || mode->backward;
        a->inputs[i] = own ? take_floats(arena, t, config->hidden) : a->inputs[0];
    }
    for (int64_t i = 0; mode->backward && !mode->recompute && i < config->layers; i++) {
        take_passing(&a->sets[i], arena, config, t);
        if (mode->matrices_train) take_matrix_inputs(&a->sets[i], arena, config, t);
    }
}

void lm_layout_gradient(struct lm_activations *a, struct arena *arena,
                        const struct lm_config *config)
{
    if (a->mode.backward) a->gradient = take_floats(arena, a->n_tokens, config->hidden);
}

void lm_layout_scratch(struct lm_activations *a, struct arena *arena,
                       const struct lm_config *config, const struct kernels *kernels)
{
    int64_t t = a->n_tokens;
    bool saves = a->mode.backward && !a->mode.recompute;
    if (!saves) take_passing(&a->shared, arena, config, t);
    if (!saves || !a->mode.matrices_train) take_matrix_inputs(&a->shared, arena, config, t);
    for (int64_t i = 0; saves && !a->mode.matrices_train && i < config->layers; i++) {
        a->sets[i].norm_input = a->shared.norm_input;
        a->sets[i].norm_attention = a->shared.norm_attention;
        a->sets[i].swiglu = a->shared.swiglu;
    }
    a->attention_workspace = arena_take(
        arena, kernels->attention_workspace(t, config->heads, config->kv_heads, head_size(config)));
    if (!a->mode.backward) return;
    a->norm_workspace = arena_take(arena, kernels->norm_workspace(t, config->hidden));
    a->dnorm = take_floats(arena, t, config->hidden);
    a->dattention = take_floats(arena, t, config->hidden);
    a->dswiglu = take_floats(arena, t, config->ffn);
    a->dqkv = take_floats(arena, t, qkv_width(config));
    if (!a->mode.matrices_train) a->ones = take_floats(arena, t, 1);
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

static double attention_scale(const struct lm_config *config)
{
    return 1.0 / sqrt((double)head_size(config));
}

/* set->middle = x + attention(norm(x)) */
static enum status attention_half(const struct layer_run *r, const float *x)
{
    enum status status = OK;
    const struct kernels *k = r->run->kernels;
    const struct lm_config *c = r->lm->config;
    const struct model_batch *batch = r->batch;
    struct lm_layer_set *set = r->set;
    struct stream *stream = r->run->stream;
    int64_t t = batch->n_tokens;
    TRY(k->rmsnorm_forward(set->norm_input, set->rstd_input, x, r->layer->input_norm.weight.value,
                           t, c->hidden, c->rms_eps, stream));
    TRY(linear_apply(r->run, &r->layer->qkv, set->qkv, set->norm_input, t));
    TRY(k->rope(set->qkv, r->lm->cos, r->lm->sin, batch->position, t, c->heads, c->kv_heads,
                head_size(c), 1, stream));
    TRY(k->attention_forward(set->attention, set->lse, set->qkv, batch->seq_start,
                             batch->n_sequences, t, c->heads, c->kv_heads, head_size(c),
                             attention_scale(c), r->activations->attention_workspace, stream));
    TRY(linear_apply(r->run, &r->layer->o, set->middle, set->attention, t));
    if (r->observed)
        TRY(observe(r->run, set->middle, t, c->hidden, "attention.layer%lld", (long long)r->index));
    TRY(k->add(set->middle, x, t * c->hidden, stream));
out:
    return status;
}

/* Up to the input of the last matrix: set->swiglu from set->middle. */
static enum status mlp_inner(const struct layer_run *r)
{
    enum status status = OK;
    const struct kernels *k = r->run->kernels;
    const struct lm_config *c = r->lm->config;
    struct lm_layer_set *set = r->set;
    int64_t t = r->batch->n_tokens;
    TRY(k->rmsnorm_forward(set->norm_attention, set->rstd_attention, set->middle,
                           r->layer->attention_norm.weight.value, t, c->hidden, c->rms_eps,
                           r->run->stream));
    TRY(linear_apply(r->run, &r->layer->gate_up, set->gate_up, set->norm_attention, t));
    TRY(k->swiglu_forward(set->swiglu, set->gate_up, t, c->ffn, r->run->stream));
out:
    return status;
}

static struct lm_layer_set *set_of(struct lm_activations *a, int64_t layer)
{
    return a->mode.backward && !a->mode.recompute ? &a->sets[layer] : &a->shared;
}

enum status lm_forward(const struct language_model *lm, struct lm_activations *a,
                       const struct model_batch *batch, const struct model_run *run)
{
    enum status status = OK;
    int64_t t = batch->n_tokens;
    int64_t d = lm->config->hidden;
    for (int64_t i = 0; i < lm->config->layers; i++) {
        struct layer_run r = {.lm = lm,
                              .layer = &lm->layers[i],
                              .activations = a,
                              .set = set_of(a, i),
                              .batch = batch,
                              .run = run,
                              .index = i,
                              .observed = true};
        float *out = a->inputs[i + 1];
        TRY(attention_half(&r, a->inputs[i]));
        TRY(mlp_inner(&r));
        TRY(linear_apply(run, &r.layer->down, out, r.set->swiglu, t));
        TRY(observe(run, out, t, d, "mlp.layer%lld", (long long)i));
        TRY(run->kernels->add(out, r.set->middle, t * d, run->stream));
        TRY(observe(run, out, t, d, "hidden.layer%lld", (long long)i));
    }
out:
    return status;
}

/* ---- backward ---- */

/* activations->gradient: of the layer's output becomes that of set->middle. */
static enum status mlp_backward(const struct layer_run *r)
{
    enum status status = OK;
    const struct kernels *k = r->run->kernels;
    const struct lm_config *c = r->lm->config;
    struct lm_activations *a = r->activations;
    struct lm_layer_set *set = r->set;
    int64_t t = r->batch->n_tokens;
    float *dgate_up = set->gate_up; /* in place */
    TRY(linear_add_gradients(r->run, &r->layer->down, a->gradient, set->swiglu, a->ones, t));
    TRY(linear_propagate(r->run, &r->layer->down, a->dswiglu, a->gradient, t));
    TRY(k->swiglu_backward(dgate_up, a->dswiglu, set->gate_up, t, c->ffn, r->run->stream));
    TRY(linear_add_gradients(r->run, &r->layer->gate_up, dgate_up, set->norm_attention, a->ones,
                             t));
    TRY(linear_propagate(r->run, &r->layer->gate_up, a->dnorm, dgate_up, t));
    TRY(k->rmsnorm_backward(a->gradient, r->layer->attention_norm.weight.gradient, a->dnorm,
                            set->middle, r->layer->attention_norm.weight.value, set->rstd_attention,
                            t, c->hidden, 1, a->norm_workspace, r->run->stream));
out:
    return status;
}

/* activations->gradient: of set->middle becomes that of the layer's input x. */
static enum status attention_half_backward(const struct layer_run *r, const float *x)
{
    enum status status = OK;
    const struct kernels *k = r->run->kernels;
    const struct lm_config *c = r->lm->config;
    const struct model_batch *batch = r->batch;
    struct lm_activations *a = r->activations;
    struct lm_layer_set *set = r->set;
    struct stream *stream = r->run->stream;
    int64_t t = batch->n_tokens;
    TRY(linear_add_gradients(r->run, &r->layer->o, a->gradient, set->attention, a->ones, t));
    TRY(linear_propagate(r->run, &r->layer->o, a->dattention, a->gradient, t));
    TRY(k->attention_backward(a->dqkv, a->dattention, set->attention, set->lse, set->qkv,
                              batch->seq_start, batch->n_sequences, t, c->heads, c->kv_heads,
                              head_size(c), attention_scale(c), a->attention_workspace, stream));
    TRY(k->rope(a->dqkv, r->lm->cos, r->lm->sin, batch->position, t, c->heads, c->kv_heads,
                head_size(c), -1, stream));
    TRY(linear_add_gradients(r->run, &r->layer->qkv, a->dqkv, set->norm_input, a->ones, t));
    TRY(linear_propagate(r->run, &r->layer->qkv, a->dnorm, a->dqkv, t));
    TRY(k->rmsnorm_backward(a->gradient, r->layer->input_norm.weight.gradient, a->dnorm, x,
                            r->layer->input_norm.weight.value, set->rstd_input, t, c->hidden, 1,
                            a->norm_workspace, stream));
out:
    return status;
}

enum status lm_backward(const struct language_model *lm, struct lm_activations *a,
                        const struct model_batch *batch, const struct model_run *run)
{
    enum status status = OK;
    for (int64_t row = 0; a->ones != NULL && row < batch->n_tokens; row++) a->ones[row] = 1.0f;
    for (int64_t i = lm->config->layers - 1; i >= 0; i--) {
        struct layer_run r = {.lm = lm,
                              .layer = &lm->layers[i],
                              .activations = a,
                              .set = set_of(a, i),
                              .batch = batch,
                              .run = run,
                              .index = i};
        if (a->mode.recompute) {
            TRY(attention_half(&r, a->inputs[i]));
            TRY(mlp_inner(&r));
        }
        TRY(mlp_backward(&r));
        TRY(attention_half_backward(&r, a->inputs[i]));
    }
out:
    return status;
}
