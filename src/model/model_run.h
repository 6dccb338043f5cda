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
    float *wide,
        *wide_rows; /* [T, D] and [R, D] for sums over sharers, where tensors are not fp32 */
};

/* Tensors, behind void pointers, are in the type of the run's kernels; float pointers are fp32. */
static inline enum dtype dtype_of(const struct model_run *run)
{
    return run->kernels->dtype;
}

/* Element i of a tensor. */
static inline void *element_at(const void *tensor, int64_t i, enum dtype dtype)
{
    return (void *)((uintptr_t)tensor + (uintptr_t)i * dtype_size(dtype));
}

/* The same with kernels for fp32. */
struct model_run run_in_fp32(const struct model_run *run);

/* The hooks, where there are any. */
enum status weights_needed(const struct model_run *run, int64_t stage);
enum status gradients_needed(const struct model_run *run, int64_t stage);
void gradients_done(const struct model_run *run, int64_t stage);

/* Whether this sharer adds the gradients that all compute alike: one must, or they count twice. */
bool counts_shared(const struct model_run *run);
/* Sums over the sharers of a tensor, whose sums are made in fp32 and rounded once; sums, or largest
 * values, of fp32. Nothing where the model is whole. */
enum status share_sum(const struct model_run *run, void *tensor, int64_t n, const char *what);
enum status share_sum_floats(const struct model_run *run, float *values, int64_t n,
                             const char *what);
enum status share_max(const struct model_run *run, float *values, int64_t n, const char *what);

/* A parameter, or several adjacent ones that the graph uses as one. */
struct weight {
    const void *value; /* in the type of the flat weights */
    float *gradient;   /* NULL: frozen */
};

/* Where the flat buffers lie. Gradients NULL: everything is frozen. */
struct flat_weights {
    const struct parameter_table *table;
    const void *values; /* from element `first` of the flat weights on */
    float *gradients;
    enum dtype dtype; /* of the values */
    int64_t first;
};
/* The weights that the kernels read, for whoever runs them beside the model. */
struct flat_weights model_flat_weights(const struct model *model);
/* Before such a run: the kernels' weights, where they are others, become what the host has. */
enum status model_send_weights(struct model *model);

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
enum status linear_apply(const struct model_run *run, const struct linear *linear, void *y,
                         const void *x, int64_t n);
/* Adds to the gradients of weight and bias, as far as they have any. `ones` [N] is needed only for
 * a bias that trains beside a frozen weight: its gradient is that of a weight [out, 1] over a
 * column of ones. */
enum status linear_add_gradients(const struct model_run *run, const struct linear *linear,
                                 const void *dy, const void *x, const void *ones, int64_t n);
/* dx [N, in] = dy [N, out] W */
enum status linear_propagate(const struct model_run *run, const struct linear *linear, void *dx,
                             const void *dy, int64_t n);

struct norm {
    struct weight weight;
    struct weight bias; /* of a LayerNorm */
};
struct norm norm_find(const struct flat_weights *flat, const char *name, bool has_bias);

/* [n, c] elements from the arena; NULL while it measures. */
float *take_floats(struct arena *arena, int64_t n, int64_t c);
void *take_tensor(struct arena *arena, enum dtype dtype, int64_t n, int64_t c);
enum status zero_tensor(const struct model_run *run, void *tensor, int64_t n);
/* tensor [n] = 1 */
enum status fill_ones(const struct model_run *run, void *tensor, int64_t n);
/* out [n], on the host, = tensor [n] in fp32. Waits for the stream. */
enum status read_tensor(const struct model_run *run, float *out, const void *tensor, int64_t n);

/* Whether somebody looks at everything: then rows of all sharers are brought together for it. */
bool observes_all(const struct model_run *run);
/* Tells the observer, if there is one, after waiting for the stream. The data is a tensor, or
 * floats. */
enum status observe(const struct model_run *run, const void *data, int64_t rows, int64_t columns,
                    const char *format, ...) __attribute__((format(printf, 5, 6)));
enum status observe_floats(const struct model_run *run, const float *data, int64_t rows,
                           int64_t columns, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

static inline int64_t max_int64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

#endif
