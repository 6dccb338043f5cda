/* AdamW over a parameter table, as the reference's trainer sets it up: one learning rate per
 * module, weight decay for what is neither a bias nor a LayerNorm, clipping by the global norm.
 * Parameters without a gradient (frozen, or never read by the graph) have no state and are never
 * touched, not even by decay. Loshchilov & Hutter 2019; torch.optim.AdamW. */
#ifndef ROBIN_TRAIN_OPTIMIZER_H
#define ROBIN_TRAIN_OPTIMIZER_H

#include "base/status.h"
#include "kernels.h"
#include "model/parameters.h"

struct optimizer;

struct optimizer_options {
    double lr[N_MODULES]; /* before the schedule's factor */
    double beta1, beta2, eps;
    double weight_decay;
    double clip_norm; /* the gradient is scaled by min(1, clip / (norm + 1e-6)); 0: no clipping */
};

/* Takes the moments: two floats per gradient element, zero. Table, kernels and stream are borrowed
 * and must outlive it. */
enum status optimizer_create(struct optimizer **optimizer_out, const struct parameter_table *table,
                             const struct optimizer_options *options, const struct kernels *kernels,
                             struct stream *stream);
void optimizer_destroy(struct optimizer *optimizer);

/* The L2 norm of the flat gradients [n_gradient_elements], whose padding is zero, and of each
 * module's part of them (module_norms_out [N_MODULES] may be NULL). */
enum status optimizer_gradient_norm(const struct optimizer *optimizer, const float *gradients,
                                    double *norm_out, double *module_norms_out);

/* One step on the flat weights [n_weight_elements]: clips by `norm`, then AdamW with every rate
 * times `lr_factor`. */
enum status optimizer_step(struct optimizer *optimizer, float *weights, const float *gradients,
                           double norm, double lr_factor);

/* State for checkpoints: steps done, and the moments [n_gradient_elements] at gradient offsets. */
int64_t optimizer_steps_done(const struct optimizer *optimizer);
void optimizer_set_steps_done(struct optimizer *optimizer, int64_t steps);
float *optimizer_first_moment(struct optimizer *optimizer);
float *optimizer_second_moment(struct optimizer *optimizer);

#endif
