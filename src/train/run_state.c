/* A run's state to and from checkpoints. */
#include "train/run_state.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "parallel/replica.h"

/* Where a part of a parameter lies; NULL if it has none (no moments without a gradient). */
static float *place_of(const struct train_parts *parts, const struct parameter *parameter,
                       enum checkpoint_part part)
{
    if (part == CHECKPOINT_WEIGHT) return model_weights(parts->model) + parameter->offset;
    if (parameter->gradient_offset < 0) return NULL;
    float *moments = part == CHECKPOINT_FIRST_MOMENT ? optimizer_first_moment(parts->optimizer)
                                                     : optimizer_second_moment(parts->optimizer);
    return moments + parameter->gradient_offset;
}

/* All tensors of the state, [*n_out], to free(). */
static struct checkpoint_tensor *list_tensors(const struct train_parts *parts, int64_t *n_out)
{
    const struct parameter_table *table = model_parameters(parts->model);
    const size_t most = (size_t)table->n_parameters * CHECKPOINT_PARTS;
    struct checkpoint_tensor *tensors = memory_new(most + 1, sizeof *tensors);
    int64_t n = 0;
    for (int part = 0; part < CHECKPOINT_PARTS; part++) {
        for (int64_t i = 0; i < table->n_parameters; i++) {
            const struct parameter *parameter = &table->parameters[i];
            const float *data = place_of(parts, parameter, (enum checkpoint_part)part);
            if (data == NULL) continue;
            struct checkpoint_tensor *tensor = &tensors[n++];
            tensor->part = (enum checkpoint_part)part;
            tensor->name = parameter->name;
            tensor->n_dims = parameter->n_dims;
            memcpy(tensor->dims, parameter->dims, sizeof tensor->dims);
            tensor->data = data;
        }
    }
    *n_out = n;
    return tensors;
}

enum status run_state_save(const struct train_parts *parts, const char *directory, int64_t keep,
                           const struct run_progress *progress)
{
    enum status status = OK;
    int64_t n = 0;
    struct checkpoint_tensor *tensors = list_tensors(parts, &n);
    TRY(replica_check(parts->comm, model_weights(parts->model),
                      model_parameters(parts->model)->n_weight_elements, "weights"));
    if (comm_rank(parts->comm) == 0)
        status = run_checkpoint_write(directory, keep, progress, tensors, n);
    TRY(comm_agree(parts->comm, status));
out:
    free(tensors);
    return status;
}

static enum status check_weights(const struct train_parts *parts, const char *where)
{
    enum status status = OK;
    const struct parameter_table *table = model_parameters(parts->model);
    for (int64_t i = 0; i < table->n_parameters; i++) {
        const struct parameter *parameter = &table->parameters[i];
        const float *values = model_weights(parts->model) + parameter->offset;
        bool finite = true; /* a loop without a way out is a fast one */
        for (int64_t e = 0; e < parameter->n_elements; e++) finite &= isfinite(values[e]) != 0;
        for (int64_t e = 0; !finite && e < parameter->n_elements; e++)
            if (!isfinite(values[e]))
                FAIL(ERR_FORMAT, "%s: %s[%" PRId64 "] is %g; take weights that are all finite",
                     where, parameter->name, e, (double)values[e]);
    }
out:
    return status;
}

enum status run_state_check_weights(const struct train_parts *parts, const char *where)
{
    return comm_agree(parts->comm, check_weights(parts, where));
}

enum status run_state_weights_finite(const struct train_parts *parts, bool *finite_out)
{
    enum status status = OK;
    int64_t n_bad = check_weights(parts, "") != OK;
    status_clear();
    TRY(comm_max_int64(parts->comm, &n_bad, 1));
    *finite_out = n_bad == 0;
out:
    return status;
}

/* Reads one part of one parameter, which must be there in its shape. */
static enum status read_tensor(const struct run_checkpoint *checkpoint,
                               const struct parameter *parameter, enum checkpoint_part part,
                               float *data)
{
    enum status status = OK;
    const char *path = run_checkpoint_path(checkpoint);
    const int64_t index = run_checkpoint_find(checkpoint, part, parameter->name);
    if (index < 0) FAIL(ERR_FORMAT, "%s has no %s; it is of another model", path, parameter->name);
    const struct checkpoint_tensor *tensor = run_checkpoint_tensor(checkpoint, index);
    bool same = tensor->n_dims == parameter->n_dims;
    for (int d = 0; same && d < tensor->n_dims; d++) same = tensor->dims[d] == parameter->dims[d];
    if (!same)
        FAIL(ERR_SHAPE,
             "%s: %s has another shape than in this model; give the sizes it was made "
             "with",
             path, parameter->name);
    TRY(run_checkpoint_read(checkpoint, index, data));
out:
    return status;
}

static enum status read_all(const struct train_parts *parts,
                            const struct run_checkpoint *checkpoint)
{
    enum status status = OK;
    const struct parameter_table *table = model_parameters(parts->model);
    for (int part = 0; part < CHECKPOINT_PARTS; part++) {
        for (int64_t i = 0; i < table->n_parameters; i++) {
            float *data = place_of(parts, &table->parameters[i], (enum checkpoint_part)part);
            if (data == NULL) continue;
            TRY_WHERE(
                read_tensor(checkpoint, &table->parameters[i], (enum checkpoint_part)part, data),
                "resuming");
        }
    }
out:
    return status;
}

static enum status share_weights(const struct train_parts *parts)
{
    const size_t n = (size_t)model_parameters(parts->model)->n_weight_elements;
    return comm_broadcast(parts->comm, model_weights(parts->model), n * sizeof(float), 0);
}

static enum status share_state(const struct train_parts *parts, struct run_progress *progress)
{
    enum status status = OK;
    const size_t bytes =
        (size_t)model_parameters(parts->model)->n_gradient_elements * sizeof(float);
    TRY(share_weights(parts));
    TRY(comm_broadcast(parts->comm, optimizer_first_moment(parts->optimizer), bytes, 0));
    TRY(comm_broadcast(parts->comm, optimizer_second_moment(parts->optimizer), bytes, 0));
    TRY(comm_broadcast(parts->comm, progress, sizeof *progress, 0));
    optimizer_set_steps_done(parts->optimizer, progress->step - progress->skipped_steps);
out:
    return status;
}

enum status run_state_resume(const struct train_parts *parts, const char *directory,
                             struct run_progress *progress_out, bool *found_out)
{
    enum status status = OK;
    struct run_checkpoint *checkpoint = NULL;
    struct run_progress progress = {0};
    int64_t found = 0;
    if (comm_rank(parts->comm) == 0) {
        status = run_checkpoint_open_newest(&checkpoint, directory);
        found = checkpoint != NULL;
        if (found) {
            progress = *run_checkpoint_progress(checkpoint);
            status = read_all(parts, checkpoint);
        }
    }
    TRY(comm_agree(parts->comm, status));
    TRY(comm_sum_int64(parts->comm, &found, 1));
    *found_out = found > 0;
    if (!*found_out) goto out;
    TRY(share_state(parts, &progress));
    *progress_out = progress;
out:
    run_checkpoint_close(checkpoint);
    return status;
}

static enum status take_module(const struct train_parts *parts, const struct run_start *start,
                               const struct run_checkpoint *checkpoint, enum module module)
{
    enum status status = OK;
    const struct parameter_table *table = model_parameters(parts->model);
    int64_t n_taken = 0, n_missing = 0;
    for (int64_t i = 0; i < table->n_parameters; i++) {
        const struct parameter *parameter = &table->parameters[i];
        if (parameter->module != module) continue;
        const bool missing =
            run_checkpoint_find(checkpoint, CHECKPOINT_WEIGHT, parameter->name) < 0;
        n_missing += missing;
        if (missing && start->missing_stays) continue;
        if (missing)
            FAIL(ERR_FORMAT, "%s has no %s of module %s; with train.init_missing=new it starts new",
                 run_checkpoint_path(checkpoint), parameter->name, module_names[module]);
        TRY(read_tensor(checkpoint, parameter, CHECKPOINT_WEIGHT,
                        model_weights(parts->model) + parameter->offset));
        n_taken++;
    }
    log_info("%s: %" PRId64 " tensors from %s, %" PRId64 " new", module_names[module], n_taken,
             run_checkpoint_path(checkpoint), n_missing);
out:
    return status;
}

static enum status take_modules(const struct train_parts *parts, const struct run_start *start)
{
    enum status status = OK;
    struct run_checkpoint *checkpoint = NULL;
    TRY(run_checkpoint_open_path(&checkpoint, start->path));
    for (int module = 0; module < N_MODULES; module++)
        if (start->modules[module]) TRY(take_module(parts, start, checkpoint, (enum module)module));
out:
    run_checkpoint_close(checkpoint);
    return status;
}

enum status run_state_take_weights(const struct train_parts *parts, const struct run_start *start)
{
    enum status status = OK;
    if (comm_rank(parts->comm) == 0) status = take_modules(parts, start);
    if (status != OK) status_add_context("train.init %s", start->path);
    TRY(comm_agree(parts->comm, status));
    TRY(share_weights(parts));
out:
    return status;
}
