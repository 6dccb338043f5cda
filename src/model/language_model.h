/* The language model: Qwen2's decoder blocks over packed sequences, from embedded rows to the
 * residual stream after the last block. The final norm, the head and the loss are lm_head.h's.
 * Internal to src/model. */
#ifndef ROBIN_MODEL_LANGUAGE_MODEL_H
#define ROBIN_MODEL_LANGUAGE_MODEL_H

#include "model/batch.h"
#include "model/lm_slice.h"
#include "model/model_run.h"

/* Matrices are those of this sharer's heads and channels (H, KV, F are its own, too): qkv and
 * gate_up by rows, o and down by columns, whose products the sharers add up. */
struct lm_layer {
    struct norm input_norm, attention_norm; /* before attention; after it, before the MLP */
    struct linear qkv;                      /* [H + 2 KV, D] of the head size: q, k, v adjacent */
    struct linear o;
    struct linear gate_up; /* gate and up adjacent */
    struct linear down;
};

struct language_model {
    const struct lm_config *config;
    const struct lm_slice *slice;
    struct weight embedding;
    struct lm_layer *layers;
    float *cos, *sin; /* [n_positions, head size / 2] */
    int64_t n_positions;
};

/* What a layer computes on its way, T rows. Norms and residual stream have R rows: all T, or, where
 * the sharers split the rows (sequence), this one's part of them. */
struct lm_layer_set {
    float *rstd_input, *rstd_attention; /* [R] */
    void *norm_input, *norm_attention;  /* [T, D]; with split rows scratch of any layer */
    void *qkv;                          /* [T, H + 2 KV, head size], rotated */
    void *attention;                    /* [T, H, head size] */
    float *lse;                         /* [H, T] */
    void *middle;                       /* [R, D] residual stream after attention */
    void *gate_up;                      /* [T, 2 F] */
    void *swiglu;                       /* [T, F] */
};

struct lm_mode {
    bool backward;       /* a gradient passes: anything of the model trains */
    bool recompute;      /* of a layer only the input is kept */
    bool matrices_train; /* the inputs of the weight matrices are needed again */
};

struct lm_activations {
    int64_t n_tokens, n_sequences;
    int64_t n_rows, first_row; /* R, and which of the T rows they are */
    int64_t *part_start;       /* [sharers + 1]: everybody's rows, in elements of [T, D] */
    enum dtype dtype;          /* of the tensors: the kernels' */
    struct lm_mode mode;
    void **inputs; /* [layers + 1] x [R, D]: input of each layer, and the last output. Without a
                       backward all one buffer. */
    struct lm_layer_set *sets;  /* per layer: backward without recompute */
    struct lm_layer_set shared; /* scratch of any layer */
    void *gradient;             /* [R, D] of the residual stream */
    void *partial, *gathered;   /* [T, D] with split rows: products to be added up; all rows */
    float *wide, *wide_rows;    /* [T, D], [R, D] of model_run.h: sharers of tensors not fp32 */
    void *dnorm, *dattention, *dswiglu, *dqkv;
    void *ones; /* [T]: for biases that train alone */
    void *norm_workspace, *attention_workspace;
};

/* Finds the weights; the tables of RoPE are taken from the arena, for positions 0 .. n_positions-1:
 * floats, but of the values that the type of the weights has, as in the reference. The
 * arena is of the stream's device. */
enum status language_model_init(struct language_model *lm, const struct lm_slice *slice,
                                const struct flat_weights *flat, struct arena *arena,
                                int64_t n_positions, struct stream *stream);
/* The bytes of those tables in an arena. */
size_t language_model_tables(const struct lm_config *config, int64_t n_positions);
void language_model_release(struct language_model *lm);

void lm_activations_init(struct lm_activations *activations, const struct lm_slice *slice);
void lm_activations_release(struct lm_activations *activations);
void lm_layout_saved(struct lm_activations *activations, struct arena *arena,
                     const struct lm_slice *slice, const struct lm_mode *mode,
                     const struct model_limits *sizes);
/* The gradient of the residual stream, and what sums over sharers take: they outlive the head's
 * scratch. */
void lm_layout_gradient(struct lm_activations *activations, struct arena *arena,
                        const struct lm_slice *slice);
void lm_layout_scratch(struct lm_activations *activations, struct arena *arena,
                       const struct lm_slice *slice, const struct kernels *kernels);

/* Between everybody's products or rows and this sharer's rows. A sharer that has all rows, or is
 * alone, keeps what it has. */
/* out [R, D] = the sum of the sharers' partial [T, D]; without split rows out is partial. */
enum status lm_rows_sum(const struct lm_activations *activations, void *out, void *partial,
                        const char *what, const struct model_run *run);
/* all [T, D] = everybody's rows [R, D]; without split rows nothing happens. */
enum status lm_rows_gather(const struct lm_activations *activations, void *all, const void *rows,
                           const char *what, const struct model_run *run);

/* activations->inputs[0] (embedded rows) -> inputs[layers]. */
enum status lm_forward(const struct language_model *lm, struct lm_activations *activations,
                       const struct model_batch *batch, const struct model_run *run);
/* activations->gradient, of the last output, becomes that of inputs[0]. */
enum status lm_backward(const struct language_model *lm, struct lm_activations *activations,
                        const struct model_batch *batch, const struct model_run *run);

#endif
