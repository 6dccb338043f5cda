/* What every module of the model is handed when it runs: the backend, who looks on, and how its
 * parameters are reached. Internal to src/model (and its tests). */
#ifndef ROBIN_MODEL_MODEL_RUN_H
#define ROBIN_MODEL_MODEL_RUN_H

#include "base/arena.h"
#include "kernels.h"
#include "model/lm_slice.h"
#include "model/parameters.h"
#include "model/robin_model.h"

struct model_run {
    const struct kernels *kernels;
    struct stream *stream;
    const struct model_observer *observer; /* NULL: nobody looks */
    const struct model_share *share;       /* NULL: the model is whole here */
    const struct model_hooks *hooks;       /* NULL: nobody else touches weights and gradients */
};

/* The hooks, where there are any. */
enum status weights_needed(const struct model_run *run, int64_t stage);
enum status gradients_needed(const struct model_run *run, int64_t stage);
void gradients_done(const struct model_run *run, int64_t stage);

/* Whether this sharer adds the gradients that all compute alike: one must, or they count twice. */
bool counts_shared(const struct model_run *run);
/* Sums, or largest values, over the sharers; nothing where the model is whole. */
enum status share_sum(const struct model_run *run, float *values, int64_t n, const char *what);
enum status share_max(const struct model_run *run, float *values, int64_t n, const char *what);

/* A parameter, or several adjacent ones that the graph uses as one. */
struct weight {
    const float *value;
    float *gradient; /* NULL: frozen */
};

/* Where the flat buffers lie. Gradients NULL: everything is frozen. */
struct flat_weights {
    const struct parameter_table *table;
    const float *values;
    float *gradients;
};

/* The parameter of that name; that it exists is asserted. */
struct weight weight_find(const struct flat_weights *flat, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A weight matrix with its bias. */
struct linear {
    struct weight weight;
    struct weight bias; /* value NULL: none */
    int64_t out, in;
};

/* NAME.weight and NAME.bias as a layer [out, in]. */
struct linear linear_find(const struct flat_weights *flat, const char *name, int64_t out,
                          int64_t in);

/* y [N, out] = x [N, in] W^T + b */
enum status linear_apply(const struct model_run *run, const struct linear *linear, float *y,
                         const float *x, int64_t n);
/* Adds to the gradients of weight and bias, as far as they have any. `ones` [N] is needed only for
 * a bias that trains beside a frozen weight: its gradient is that of a weight [out, 1] over a
 * column of ones. */
enum status linear_add_gradients(const struct model_run *run, const struct linear *linear,
                                 const float *dy, const float *x, const float *ones, int64_t n);
/* dx [N, in] = dy [N, out] W */
enum status linear_propagate(const struct model_run *run, const struct linear *linear, float *dx,
                             const float *dy, int64_t n);

struct norm {
    struct weight weight;
    struct weight bias; /* of a LayerNorm */
};
struct norm norm_find(const struct flat_weights *flat, const char *name, bool has_bias);

/* [n, c] floats from the arena; NULL while it measures. */
float *take_floats(struct arena *arena, int64_t n, int64_t c);
enum status zero_floats(const struct model_run *run, float *data, int64_t n);
/* data [n] = 1 */
enum status fill_ones(const struct model_run *run, float *data, int64_t n);

/* Whether somebody looks at everything: then rows of all sharers are brought together for it. */
bool observes_all(const struct model_run *run);
/* Tells the observer, if there is one, after waiting for the stream. */
enum status observe(const struct model_run *run, const float *data, int64_t rows, int64_t columns,
                    const char *format, ...) __attribute__((format(printf, 5, 6)));

static inline int64_t max_int64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

#endif
