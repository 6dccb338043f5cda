/* The table of a model's parameters: logical names (the keys of a full ROBIN checkpoint), shapes,
 * where each lies in the flat weight and gradient buffers, and how the optimizer treats it.
 * Everything that walks over parameters walks this table: initialisation, optimizer groups,
 * reductions, checkpoints, import and export. */
#ifndef ROBIN_MODEL_PARAMETERS_H
#define ROBIN_MODEL_PARAMETERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "model/model_config.h"

enum module { MODULE_TOWER, MODULE_PROJECTOR, MODULE_EXTRACTOR, MODULE_LM, N_MODULES };

extern const char
    *const module_names[N_MODULES]; /* "vision_tower", "projector", "mask_extractor", "lm" */

/* What the weight is, which decides its initialisation and the reference fill. */
enum parameter_role {
    ROLE_NORM_WEIGHT,
    ROLE_LAYER_SCALE,
    ROLE_BIAS,
    ROLE_EMBEDDING,
    ROLE_MATRIX,
    ROLE_CONVOLUTION
};

/* What of a parameter this sharer holds (lm_slice.h): rows (dim 0) or columns (dim 1)
 * first .. first + n - 1, of which the last ones may be zeros beyond the whole tensor. n 0: all. */
struct parameter_slice {
    int dim;
    int64_t first, n;
    int64_t replicas; /* sharers that hold the same slice, this one included */
};

struct parameter {
    char *name; /* e.g. "model.layers.0.self_attn.q_proj.weight" */
    enum module module;
    enum parameter_role role;
    int n_dims;
    int64_t dims[4]; /* of the whole tensor, as checkpoints have it */
    struct parameter_slice slice;
    int64_t n_elements;      /* held here */
    int64_t offset;          /* elements from the start of the flat weights */
    int64_t gradient_offset; /* elements from the start of the flat gradients; -1: no gradient
                                (frozen or unused) */
    int64_t gradient_place;  /* of its gradient in the model's buffer: the same, but in windows */
    bool windowed;           /* its gradient's place is another layer's as well */
    bool decays;             /* in the group with weight decay: neither a bias nor a LayerNorm */
    int64_t stage;           /* of the backward, from 0: when it is done the gradient is complete */
    bool used; /* false: exists in checkpoints, the graph never reads it (trunk.head.norm, head.mlp)
                */
};

struct parameter_table {
    struct parameter *parameters;
    int64_t n_parameters;
    int64_t n_weight_elements; /* size of the flat weights, padding between groups included (always
                                  zero) */
    int64_t n_gradient_elements; /* size of the flat gradients of the trainable ones, likewise */
    int64_t n_gradient_places;   /* size of the model's buffer of gradients */
    bool trainable[N_MODULES];
    bool sliced;      /* one of several sharers' */
    int64_t n_stages; /* of the backward: head, layers from the last to the first, embedded words,
                         vision */
};

/* Offsets keep q, k, v weights adjacent (one [H + 2 KV, D] projection), likewise their biases, and
 * gate beside up; groups start at multiples of 16 elements. Order of the table = order of offsets,
 * the same for every set of trainable modules. ERR_SHAPE if the sizes do not fit together (heads %
 * kv_heads, hidden % heads, odd head size ...). */
enum status parameter_table_create(struct parameter_table **table_out,
                                   const struct model_config *config,
                                   const bool trainable[N_MODULES]);
/* The table of what sharer `index` of `size` holds. Whole parameters come first in the table and in
 * both buffers, then the slices: either kind is one range. */
enum status parameter_table_create_slice(struct parameter_table **table_out,
                                         const struct model_config *config,
                                         const bool trainable[N_MODULES], int index, int size);
void parameter_table_destroy(struct parameter_table *table);

static inline bool parameter_is_split(const struct parameter *parameter)
{
    return parameter->slice.n > 0;
}

/* Elements of the whole tensor. */
int64_t parameter_size(const struct parameter *parameter);
/* What is held lies in the whole tensor in runs. */
struct parameter_runs {
    int64_t n, length;   /* runs, and elements of each */
    int64_t start, step; /* of the whole tensor: run k begins at start + k * step */
    int64_t held_step;   /* of what is held: at k * held_step */
};
struct parameter_runs parameter_runs(const struct parameter *parameter);
/* Held elements first .. end - 1 in the same terms: a part of a row, whole rows, a part of a row.
 * Returns how many of the three there are; held zeros beyond the whole tensor are in none. */
#define PARAMETER_MAX_PIECES 3
struct parameter_piece {
    struct parameter_runs runs;
    int64_t held; /* where its first run begins in what is held */
};
int parameter_range(struct parameter_piece pieces[PARAMETER_MAX_PIECES],
                    const struct parameter *parameter, int64_t first, int64_t end);
/* Between the whole tensor and what is held of it; held zeros beyond it stay or become zero. */
void parameter_cut(float *held, const float *whole, const struct parameter *parameter);
void parameter_paste(float *whole, const float *held, const struct parameter *parameter);

/* Of a trainable LM only norms and biases keep a gradient: its matrices and embeddings are frozen,
 * and the gradient buffer of a 3B model shrinks from 12 GB to what the rest needs. */
void parameter_table_freeze_lm_matrices(struct parameter_table *table);

/* Gradients of the language model's layers (of a sharer: of its slices there) take turns in `n`
 * windows of one layer each: they must be taken away before the n-th layer after them comes. The
 * offsets stay. */
void parameter_table_use_windows(struct parameter_table *table, int64_t n);

/* NULL if there is none of that name. */
const struct parameter *parameter_find(const struct parameter_table *table, const char *name);

/* Elements of the module's whole parameters (without padding). */
int64_t parameter_count(const struct parameter_table *table, enum module module);

/* Zeros between the parameters, which optimizers and reductions walk over as well; done for every
 * new model. */
void parameters_zero_padding(float *weights, const struct parameter_table *table);

/* Weights a run starts from when it imports none: random_normal / random_fill of (seed, name, flat
 * index), so every layout gets the same. Fan-in scaled normal for matrices and convolutions, 0.05
 * for embeddings, 1 for norms, 0 for biases, layer_scale_init for gamma. */
void parameters_initialise(float *weights, const struct parameter_table *table,
                           const struct model_config *config, uint64_t seed);
/* Of one of them alone. */
void parameter_initialise(float *weights, const struct parameter *parameter,
                          const struct model_config *config, uint64_t seed);

/* The reference fill (golden tests and benchmarks): src/base/random.h under the logical name, with
 * the centre and amplitude of the role. */
void parameters_fill(float *weights, const struct parameter_table *table, uint64_t seed);
void parameter_fill_range(double *centre_out, double *amplitude_out,
                          const struct parameter *parameter);

#endif
