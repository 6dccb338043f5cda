/* AdamW over a parameter table, as the reference's trainer sets it up: one learning rate per
 * module, weight decay for what is neither a bias nor a LayerNorm, clipping by the global norm.
 * Parameters without a gradient (frozen, or never read by the graph) have no state and are never
 * touched, not even by decay. Loshchilov & Hutter 2019; torch.optim.AdamW.
 *
 * It owns and updates shards: those of this rank in a list of buckets, or, where it is made without
 * one, everything. */
#ifndef ROBIN_PARALLEL_OPTIMIZER_H
#define ROBIN_PARALLEL_OPTIMIZER_H

#include "base/status.h"
#include "kernels.h"
#include "model/parameters.h"
#include "parallel/buckets.h"

struct optimizer;

struct optimizer_options {
    double lr[N_MODULES]; /* before the schedule's factor */
    double beta1, beta2, eps;
    double weight_decay;
    double clip_norm; /* the gradient is scaled by min(1, clip / (norm + 1e-6)); 0: no clipping */
    double ema_decay; /* of a running mean of the weights; 0: none is kept */
};

/* Takes the moments: two floats per element of its shards, zero; with ema_decay a third. `buckets`
 * NULL: one rank has everything. Table, buckets, kernels and stream are borrowed. With kernels of a
 * GPU the state is there, and so are gradients and weights that it is given, but for those of
 * optimizer_begin_mean. */
enum status optimizer_create(struct optimizer **optimizer_out, const struct parameter_table *table,
                             const struct bucket_list *buckets,
                             const struct optimizer_options *options, const struct kernels *kernels,
                             struct stream *stream);
void optimizer_destroy(struct optimizer *optimizer);

/* Sums of squares of the gradients in this rank's shards: blocks [n_blocks], those of other ranks
 * 0. Slices that several sharers hold count once among them. values[b][e] is element e of bucket b,
 * there where the shard is. */
enum status optimizer_squares(const struct optimizer *optimizer, const float *const *values,
                              double *blocks);

/* Where one rank has everything: the L2 norm of the flat gradients [n_gradient_elements], whose
 * padding is zero, and of each module's part of them (module_norms_out [N_MODULES] may be NULL). */
enum status optimizer_gradient_norm(const struct optimizer *optimizer, const float *gradients,
                                    double *norm_out, double *module_norms_out);

/* One step on the flat weights [n_weight_elements]: clips by `norm`, then AdamW with every rate
 * times `lr_factor`. Either at once, or bucket by bucket between begin and end. What is updated is
 * written to `rounded`, too, in bf16, at the same places; NULL: nowhere. */
enum status optimizer_step(struct optimizer *optimizer, float *weights, const float *gradients,
                           double norm, double lr_factor);
void optimizer_begin_step(struct optimizer *optimizer, double norm, double lr_factor);
enum status optimizer_step_bucket(struct optimizer *optimizer, int64_t bucket, float *weights,
                                  uint16_t *rounded, const float *values);
void optimizer_end_step(struct optimizer *optimizer);

/* State for checkpoints: steps done, and this rank's shards of what is kept for each element, at
 * gradient offsets of flat [n_gradient_elements] buffers; the rest of them is left alone. */
enum optimizer_state { OPTIMIZER_FIRST_MOMENT, OPTIMIZER_SECOND_MOMENT, OPTIMIZER_MEAN_WEIGHT };
int64_t optimizer_steps_done(const struct optimizer *optimizer);
void optimizer_set_steps_done(struct optimizer *optimizer, int64_t steps);
bool optimizer_keeps(const struct optimizer *optimizer, enum optimizer_state state);
void optimizer_get_state(struct optimizer *optimizer, enum optimizer_state state, float *flat);
void optimizer_set_state(struct optimizer *optimizer, enum optimizer_state state,
                         const float *flat);
/* The same without a copy: what of each parameter is in this rank's shards, in the order of the
 * buckets, and the values of one kind, at the spans' `state`. */
struct optimizer_span {
    const struct parameter *parameter;
    int64_t weight, gradient, state, n; /* where it begins in each buffer; elements */
};
int64_t optimizer_spans(const struct optimizer *optimizer, const struct optimizer_span **spans_out);
float *optimizer_values(struct optimizer *optimizer, enum optimizer_state state);
/* On a GPU those values are copies for the host, taken and given back when optimizer_values is
 * asked for them; this brings them up to date for whoever kept the pointers. */
enum status optimizer_fetch(struct optimizer *optimizer);
/* The running mean begins at these weights. */
void optimizer_begin_mean(struct optimizer *optimizer, const float *weights);

#endif
