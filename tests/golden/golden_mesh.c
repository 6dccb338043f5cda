#include "golden_mesh.h"

#include <stdlib.h>

#include "base/text_buffer.h"
#include "comm/mesh.h"
#include "model/lm_slice.h"

void golden_mesh_deal(const struct golden_options *options, int64_t total, int64_t *first_out,
                      int64_t *n_out)
{
    const struct mesh *mesh = options->mesh;
    *first_out = share_start(total, mesh->dp_rank, mesh->dp_size);
    *n_out = share_start(total, mesh->dp_rank + 1, mesh->dp_size) - *first_out;
}

/* What is held of a parameter, added in its place in the whole one. */
static void paste_add(float *whole, const float *held, const struct parameter *parameter)
{
    const struct parameter_runs runs = parameter_runs(parameter);
    for (int64_t run = 0; run < runs.n; run++) {
        float *to = whole + runs.start + run * runs.step;
        for (int64_t i = 0; i < runs.length; i++) to[i] += held[run * runs.held_step + i];
    }
}

enum status golden_mesh_gradients(struct golden_whole *gradients_out,
                                  const struct golden_options *options, struct model *model)
{
    enum status status = OK;
    const struct parameter_table *own = model_parameters(model);
    const float *held = model_gradients(model);
    struct golden_whole all = {0};
    TRY(parameter_table_create(&all.table, model_config_of(model), own->trainable));
    all.values = memory_new((size_t)all.table->n_gradient_elements + 1, sizeof(float));
    for (int64_t i = 0; i < own->n_parameters; i++) {
        const struct parameter *parameter = &own->parameters[i];
        const struct parameter *whole = parameter_find(all.table, parameter->name);
        if (parameter->gradient_offset < 0) continue;
        paste_add(all.values + whole->gradient_offset, held + parameter->gradient_offset,
                  parameter);
    }
    TRY(comm_sum_float(options->mesh->world, all.values, all.table->n_gradient_elements));
    *gradients_out = all;
    all = (struct golden_whole){0};
out:
    golden_whole_release(&all);
    return status;
}

enum status golden_mesh_weights(struct golden_whole *weights_out,
                                const struct golden_options *options, struct model *model)
{
    enum status status = OK;
    const struct mesh *mesh = options->mesh;
    const struct parameter_table *own = model_parameters(model);
    struct golden_whole all = {0};
    TRY(parameter_table_create(&all.table, model_config_of(model), own->trainable));
    all.values = memory_new((size_t)all.table->n_weight_elements + 1, sizeof(float));
    for (int64_t i = 0; i < own->n_parameters; i++) {
        const struct parameter *parameter = &own->parameters[i];
        const int64_t copies =
            parameter_is_split(parameter) ? parameter->slice.replicas : mesh->tp_size;
        if (mesh->tp_rank % copies == 0)
            paste_add(all.values + parameter_find(all.table, parameter->name)->offset,
                      model_weights(model) + parameter->offset, parameter);
    }
    TRY(comm_sum_float(mesh->tp, all.values, all.table->n_weight_elements));
    *weights_out = all;
    all = (struct golden_whole){0};
out:
    golden_whole_release(&all);
    return status;
}

void golden_whole_release(struct golden_whole *gradients)
{
    parameter_table_destroy(gradients->table);
    free(gradients->values);
    *gradients = (struct golden_whole){0};
}

enum status golden_mesh_weigh(const struct golden_options *options, struct made_batch *made,
                              int64_t *n_targets_out)
{
    enum status status = OK;
    int64_t n = made->batch.n_targets;
    TRY(comm_sum_int64(options->mesh->dp, &n, 1));
    for (int64_t i = 0; i < made->batch.n_targets; i++)
        made->target_weight[i] = (float)(1.0 / (double)n);
    *n_targets_out = n;
out:
    return status;
}

enum status golden_mesh_sum(const struct golden_options *options, struct model_result *result)
{
    enum status status = OK;
    double losses[2] = {result->loss_sum, result->weighted_loss};
    TRY(comm_sum_double(options->mesh->dp, losses, 2));
    *result = (struct model_result){.loss_sum = losses[0], .weighted_loss = losses[1]};
out:
    return status;
}

bool golden_mesh_leaves(const struct golden_options *options, struct golden_report *report)
{
    if (comm_size(options->mesh->world) == 1) return false;
    golden_report_skip(report, "everything", "this family is compared on one rank");
    return true;
}
