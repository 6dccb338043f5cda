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

static enum optimizer_state state_of(enum checkpoint_part part)
{
    switch (part) {
    case CHECKPOINT_FIRST_MOMENT: return OPTIMIZER_FIRST_MOMENT;
    case CHECKPOINT_SECOND_MOMENT: return OPTIMIZER_SECOND_MOMENT;
    default: return OPTIMIZER_MEAN_WEIGHT;
    }
}

/* ---- saving: rank 0 gets every tensor whole ---- */

/* The tensors of a checkpoint; the memory that was taken for them. Only rank 0 lists any. */
struct collection {
    struct checkpoint_tensor *tensors;
    float **memory;
    int64_t n, n_memory;
};

static void collection_release(struct collection *collection)
{
    for (int64_t i = 0; i < collection->n_memory; i++) free(collection->memory[i]);
    free(collection->memory);
    free(collection->tensors);
}

static enum status take_memory(struct collection *collection, int64_t n, float **out)
{
    enum status status = OK;
    collection->memory = memory_resize(collection->memory, (size_t)collection->n_memory + 1,
                                       sizeof *collection->memory);
    *out = calloc((size_t)n + 1, sizeof **out);
    if (*out == NULL)
        FAIL(ERR_MEMORY, "no memory to put a checkpoint together: %" PRId64 " floats", n);
    collection->memory[collection->n_memory++] = *out;
out:
    return status;
}

/* Collective. The optimizer's shards of all ranks, at gradient offsets. */
static enum status gather_state(const struct train_parts *parts, enum optimizer_state state,
                                float *flat)
{
    enum status status = OK;
    const struct bucket_list *list = optimizer_buckets(parts->optimizer);
    optimizer_get_state(parts->optimizer, state, flat);
    for (int64_t b = 0; b < list->n; b++) {
        const struct bucket *bucket = &list->buckets[b];
        struct comm *comm = bucket->split ? parts->mesh->dp : parts->mesh->world;
        TRY(comm_all_gather(comm, flat + bucket->gradient, bucket->first, "optimizer state"));
    }
out:
    return status;
}

/* Over the first tp group: the whole of a parameter from everybody's slices. */
static enum status join_slices(const struct train_parts *parts, struct collection *collection,
                               const struct parameter *parameter, const float **data)
{
    enum status status = OK;
    const struct mesh *mesh = parts->mesh;
    const int64_t n = parameter_size(parameter);
    const float *held = *data;
    float *whole = NULL;
    if (mesh->dp_rank > 0 || !parameter_is_split(parameter)) return OK;
    TRY(take_memory(collection, n, &whole));
    if (mesh->tp_rank % parameter->slice.replicas == 0) parameter_paste(whole, held, parameter);
    TRY(comm_sum_float(mesh->tp, whole, n));
    *data = whole;
    if (mesh->tp_rank == 0) return OK;
    free(whole); /* the last one taken */
    collection->n_memory--;
out:
    return status;
}

/* Collective. One part of all parameters, in the order of a model that is not split. */
static enum status collect_part(const struct train_parts *parts, struct collection *collection,
                                const struct parameter_table *order, enum checkpoint_part part)
{
    enum status status = OK;
    const struct parameter_table *table = model_parameters(parts->model);
    float *flat = model_weights(parts->model);
    if (part != CHECKPOINT_WEIGHT) {
        TRY(take_memory(collection, table->n_gradient_elements, &flat));
        TRY(gather_state(parts, state_of(part), flat));
    }
    for (int64_t i = 0; i < order->n_parameters; i++) {
        const struct parameter *own = parameter_find(table, order->parameters[i].name);
        const bool is_weight = part == CHECKPOINT_WEIGHT;
        if (!is_weight && own->gradient_offset < 0) continue;
        const float *data = flat + (is_weight ? own->offset : own->gradient_offset);
        TRY(join_slices(parts, collection, own, &data));
        if (comm_rank(parts->comm) > 0) continue;
        struct checkpoint_tensor *tensor = &collection->tensors[collection->n++];
        *tensor = (struct checkpoint_tensor){
            .part = part, .name = own->name, .n_dims = own->n_dims, .data = data};
        memcpy(tensor->dims, own->dims, sizeof tensor->dims);
    }
out:
    return status;
}

/* Collective. Whole parameters on all ranks, slices along dp. */
static enum status check_replicas(const struct train_parts *parts)
{
    enum status status = OK;
    const struct parameter_table *table = model_parameters(parts->model);
    int64_t whole = table->n_weight_elements;
    for (int64_t i = table->n_parameters - 1; i >= 0; i--)
        if (parameter_is_split(&table->parameters[i])) whole = table->parameters[i].offset;
    TRY(exchange_settle(parts->exchange));
    TRY(replica_check(parts->mesh->world, model_weights(parts->model), whole, "weights"));
    status = replica_check(parts->mesh->dp, model_weights(parts->model) + whole,
                           table->n_weight_elements - whole, "weights");
    TRY(comm_agree(parts->comm, status));
out:
    return status;
}

enum status run_state_save(const struct train_parts *parts, const char *directory, int64_t keep,
                           const struct run_progress *progress)
{
    enum status status = OK;
    struct collection collection = {0};
    struct parameter_table *order = NULL;
    TRY(check_replicas(parts));
    TRY(parameter_table_create(&order, model_config_of(parts->model),
                               model_parameters(parts->model)->trainable));
    const size_t most = (size_t)order->n_parameters * CHECKPOINT_PARTS;
    collection.tensors = memory_new(most + 1, sizeof *collection.tensors);
    for (int part = 0; part < CHECKPOINT_PARTS; part++)
        if (part == CHECKPOINT_WEIGHT ||
            optimizer_keeps(parts->optimizer, state_of((enum checkpoint_part)part)))
            TRY(collect_part(parts, &collection, order, (enum checkpoint_part)part));
    if (comm_rank(parts->comm) == 0)
        status = run_checkpoint_write(directory, keep, progress, collection.tensors, collection.n);
    TRY(comm_agree(parts->comm, status));
out:
    parameter_table_destroy(order);
    collection_release(&collection);
    return status;
}

static enum status check_weights(const struct train_parts *parts, const char *where)
{
    enum status status = OK;
    if (parts->exchange != NULL) TRY(exchange_settle(parts->exchange));
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

/* ---- loading: rank 0 reads, everybody takes what it holds ---- */

/* Rank 0's failure, which waits until all have received what they wait for. */
struct reading {
    const struct train_parts *parts;
    const struct run_checkpoint *checkpoint; /* rank 0 */
    enum status status;
    float *whole; /* of the tensor in work */
};

static enum status reading_begin(struct reading *reading)
{
    enum status status = OK;
    const struct parameter_table *table = model_parameters(reading->parts->model);
    int64_t most = 1;
    for (int64_t i = 0; i < table->n_parameters; i++)
        if (parameter_size(&table->parameters[i]) > most)
            most = parameter_size(&table->parameters[i]);
    reading->whole = malloc((size_t)most * sizeof(float));
    if (reading->whole == NULL)
        FAIL(ERR_MEMORY, "no memory to read a checkpoint: %" PRId64 " floats", most);
out:
    return comm_agree(reading->parts->comm, status);
}

/* Collective. */
static enum status read_held(struct reading *reading, const struct parameter *parameter,
                             enum checkpoint_part part, float *held)
{
    enum status status = OK;
    const size_t bytes = (size_t)parameter_size(parameter) * sizeof(float);
    if (reading->checkpoint != NULL && reading->status == OK)
        reading->status = read_tensor(reading->checkpoint, parameter, part, reading->whole);
    TRY(comm_broadcast(reading->parts->comm, reading->whole, bytes, 0));
    parameter_cut(held, reading->whole, parameter);
out:
    return status;
}

/* Collective. One of the optimizer's states; a mean that the checkpoint lacks begins anew. */
static enum status read_state(struct reading *reading, enum checkpoint_part part)
{
    enum status status = OK;
    const struct train_parts *parts = reading->parts;
    const struct parameter_table *table = model_parameters(parts->model);
    float *flat = calloc((size_t)table->n_gradient_elements + 1, sizeof *flat);
    if (flat == NULL) status = status_fail(ERR_MEMORY, "no memory to read the optimizer's state");
    TRY(comm_agree(parts->comm, status));
    for (int64_t i = 0; i < table->n_parameters; i++) {
        const struct parameter *parameter = &table->parameters[i];
        if (parameter->gradient_offset >= 0)
            TRY(read_held(reading, parameter, part, flat + parameter->gradient_offset));
    }
    optimizer_set_state(parts->optimizer, state_of(part), flat);
out:
    free(flat);
    return status;
}

/* Collective. */
static enum status has_part(const struct reading *reading, enum checkpoint_part part, bool *has_out)
{
    enum status status = OK;
    int64_t found = 0;
    const int64_t n = reading->checkpoint == NULL ? 0 : run_checkpoint_size(reading->checkpoint);
    for (int64_t i = 0; i < n; i++)
        found += run_checkpoint_tensor(reading->checkpoint, i)->part == part;
    TRY(comm_max_int64(reading->parts->comm, &found, 1));
    *has_out = found > 0;
out:
    return status;
}

static enum status read_all(const struct train_parts *parts,
                            const struct run_checkpoint *checkpoint)
{
    enum status status = OK;
    const struct parameter_table *table = model_parameters(parts->model);
    struct reading reading = {.parts = parts, .checkpoint = checkpoint};
    bool has_mean = false;
    TRY(reading_begin(&reading));
    for (int64_t i = 0; i < table->n_parameters; i++)
        TRY(read_held(&reading, &table->parameters[i], CHECKPOINT_WEIGHT,
                      model_weights(parts->model) + table->parameters[i].offset));
    TRY(read_state(&reading, CHECKPOINT_FIRST_MOMENT));
    TRY(read_state(&reading, CHECKPOINT_SECOND_MOMENT));
    TRY(has_part(&reading, CHECKPOINT_MEAN_WEIGHT, &has_mean));
    optimizer_begin_mean(parts->optimizer, model_weights(parts->model));
    if (has_mean && optimizer_keeps(parts->optimizer, OPTIMIZER_MEAN_WEIGHT))
        TRY(read_state(&reading, CHECKPOINT_MEAN_WEIGHT));
    if (reading.status != OK) status_add_context("resuming");
    TRY(comm_agree(parts->comm, reading.status));
out:
    free(reading.whole);
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
        if (found) progress = *run_checkpoint_progress(checkpoint);
    }
    TRY(comm_agree(parts->comm, status));
    TRY(comm_sum_int64(parts->comm, &found, 1));
    *found_out = found > 0;
    if (!*found_out) goto out;
    TRY(read_all(parts, checkpoint));
    TRY(comm_broadcast(parts->comm, &progress, sizeof progress, 0));
    optimizer_set_steps_done(parts->optimizer, progress.step - progress.skipped_steps);
    *progress_out = progress;
out:
    run_checkpoint_close(checkpoint);
    return status;
}

/* Rank 0: which parameters are taken, 1 each in `takes` [n_parameters]. */
static enum status choose_module(int64_t *takes, const struct train_parts *parts,
                                 const struct run_start *start,
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
        if (missing && !start->missing_stays)
            FAIL(ERR_FORMAT, "%s has no %s of module %s; with train.init_missing=new it starts new",
                 run_checkpoint_path(checkpoint), parameter->name, module_names[module]);
        takes[i] = !missing;
        n_taken += !missing;
    }
    log_info("%s: %" PRId64 " tensors from %s, %" PRId64 " new", module_names[module], n_taken,
             run_checkpoint_path(checkpoint), n_missing);
out:
    return status;
}

static enum status choose_modules(int64_t *takes, const struct train_parts *parts,
                                  const struct run_start *start,
                                  struct run_checkpoint **checkpoint_out)
{
    enum status status = OK;
    TRY(run_checkpoint_open_path(checkpoint_out, start->path));
    for (int module = 0; module < N_MODULES; module++)
        if (start->modules[module])
            TRY(choose_module(takes, parts, start, *checkpoint_out, (enum module)module));
out:
    return status;
}

enum status run_state_take_weights(const struct train_parts *parts, const struct run_start *start)
{
    enum status status = OK;
    const struct parameter_table *table = model_parameters(parts->model);
    const size_t n = (size_t)table->n_parameters;
    struct run_checkpoint *checkpoint = NULL;
    struct reading reading = {.parts = parts};
    int64_t *takes = memory_new(n + 1, sizeof *takes);
    if (comm_rank(parts->comm) == 0) status = choose_modules(takes, parts, start, &checkpoint);
    if (status != OK) status_add_context("train.init %s", start->path);
    TRY(comm_agree(parts->comm, status));
    TRY(comm_broadcast(parts->comm, takes, n * sizeof *takes, 0));
    reading.checkpoint = checkpoint;
    TRY(reading_begin(&reading));
    for (size_t i = 0; i < n; i++)
        if (takes[i] != 0)
            TRY(read_held(&reading, &table->parameters[i], CHECKPOINT_WEIGHT,
                          model_weights(parts->model) + table->parameters[i].offset));
    if (reading.status != OK) status_add_context("train.init %s", start->path);
    TRY(comm_agree(parts->comm, reading.status));
    if (parts->optimizer != NULL)
        optimizer_begin_mean(parts->optimizer, model_weights(parts->model));
out:
    free(reading.whole);
    free(takes);
    run_checkpoint_close(checkpoint);
    return status;
}
