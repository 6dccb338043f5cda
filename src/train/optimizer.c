/* AdamW and clipping over the flat buffers of a parameter table. */
#include "train/optimizer.h"

#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/text_buffer.h"

struct optimizer {
    const struct parameter_table *table;
    const struct kernels *kernels;
    struct stream *stream;
    struct optimizer_options options;
    int64_t steps_done;
    float *first_moment;
    float *second_moment;
};

enum status optimizer_create(struct optimizer **optimizer_out, const struct parameter_table *table,
                             const struct optimizer_options *options, const struct kernels *kernels,
                             struct stream *stream)
{
    enum status status = OK;
    struct optimizer *optimizer = memory_new(1, sizeof *optimizer);
    optimizer->table = table;
    optimizer->kernels = kernels;
    optimizer->stream = stream;
    optimizer->options = *options;
    const size_t n = (size_t)table->n_gradient_elements;
    const size_t bytes = size_multiply(n, sizeof(float));
    optimizer->first_moment = calloc(n > 0 ? n : 1, sizeof(float));
    optimizer->second_moment = calloc(n > 0 ? n : 1, sizeof(float));
    if (optimizer->first_moment == NULL || optimizer->second_moment == NULL)
        FAIL(ERR_MEMORY, "no memory for the optimizer's moments: 2 x %zu bytes", bytes);
    *optimizer_out = optimizer;
    optimizer = NULL;
out:
    optimizer_destroy(optimizer);
    return status;
}

void optimizer_destroy(struct optimizer *optimizer)
{
    if (optimizer == NULL) return;
    free(optimizer->first_moment);
    free(optimizer->second_moment);
    free(optimizer);
}

enum status optimizer_gradient_norm(const struct optimizer *optimizer, const float *gradients,
                                    double *norm_out, double *module_norms_out)
{
    enum status status = OK;
    double all = 0;
    for (int m = 0; m < N_MODULES; m++) {
        int64_t first = 0, end = 0;
        double squares = 0;
        parameter_gradient_range(&first, &end, optimizer->table, (enum module)m);
        if (end > first)
            TRY(optimizer->kernels->sum_squares(&squares, gradients + first, end - first,
                                                optimizer->stream));
        if (module_norms_out != NULL) module_norms_out[m] = sqrt(squares);
        all += squares;
    }
    *norm_out = sqrt(all);
out:
    return status;
}

/* min(1, clip / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_. */
static double clip_factor(const struct optimizer_options *options, double norm)
{
    if (options->clip_norm <= 0) return 1;
    return fmin(1, options->clip_norm / (norm + 1e-6));
}

enum status optimizer_step(struct optimizer *optimizer, float *weights, const float *gradients,
                           double norm, double lr_factor)
{
    enum status status = OK;
    const struct optimizer_options *options = &optimizer->options;
    const struct parameter_table *table = optimizer->table;
    struct adamw_step step = {
        .beta1 = options->beta1,
        .beta2 = options->beta2,
        .eps = options->eps,
        .step = optimizer->steps_done + 1,
        .grad_scale = clip_factor(options, norm),
    };
    for (int64_t i = 0; i < table->n_parameters; i++) {
        const struct parameter *parameter = &table->parameters[i];
        const int64_t offset = parameter->gradient_offset;
        if (offset < 0) continue;
        step.lr = options->lr[parameter->module] * lr_factor;
        step.weight_decay = parameter->decays ? options->weight_decay : 0;
        TRY_WHERE(optimizer->kernels->adamw(weights + parameter->offset,
                                            optimizer->first_moment + offset,
                                            optimizer->second_moment + offset, gradients + offset,
                                            parameter->n_elements, &step, optimizer->stream),
                  "optimizer step of %s", parameter->name);
    }
    optimizer->steps_done++;
out:
    return status;
}

int64_t optimizer_steps_done(const struct optimizer *optimizer)
{
    return optimizer->steps_done;
}

void optimizer_set_steps_done(struct optimizer *optimizer, int64_t steps)
{
    optimizer->steps_done = steps;
}

float *optimizer_first_moment(struct optimizer *optimizer)
{
    return optimizer->first_moment;
}

float *optimizer_second_moment(struct optimizer *optimizer)
{
    return optimizer->second_moment;
}
