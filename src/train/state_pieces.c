/* From shards and slices to runs of whole tensors. */
#include "train/state_pieces.h"

#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/text_buffer.h"

/* A parameter smaller than that goes to one of those who hold it, whole. */
#define LEAST_SHARED INT64_C(16384)

const enum optimizer_state state_of_part[CHECKPOINT_PARTS] = {
    [CHECKPOINT_FIRST_MOMENT] = OPTIMIZER_FIRST_MOMENT,
    [CHECKPOINT_SECOND_MOMENT] = OPTIMIZER_SECOND_MOMENT,
    [CHECKPOINT_MEAN_WEIGHT] = OPTIMIZER_MEAN_WEIGHT,
};

/* ---- the tensors ---- */

static bool has_part(const struct train_parts *parts, enum checkpoint_part part)
{
    return part == CHECKPOINT_WEIGHT || optimizer_keeps(parts->optimizer, state_of_part[part]);
}

enum status state_tensors_list(struct state_tensors *list, const struct train_parts *parts)
{
    enum status status = OK;
    const struct parameter_table *own = model_parameters(parts->model);
    struct parameter_table *order = NULL; /* of a model that is not split */
    TRY(parameter_table_create(&order, model_config_of(parts->model), own->trainable));
    const size_t most = (size_t)order->n_parameters * CHECKPOINT_PARTS;
    list->tensors = memory_new(most + 1, sizeof *list->tensors);
    for (int part = 0; part < CHECKPOINT_PARTS; part++)
        for (int64_t i = 0; i < order->n_parameters; i++) {
            const struct parameter *parameter = parameter_find(own, order->parameters[i].name);
            if (!has_part(parts, (enum checkpoint_part)part)) continue;
            if (part != CHECKPOINT_WEIGHT && parameter->gradient_offset < 0) continue;
            struct checkpoint_tensor *tensor = &list->tensors[list->n++];
            *tensor = (struct checkpoint_tensor){.part = (enum checkpoint_part)part,
                                                 .name = parameter->name,
                                                 .n_dims = parameter->n_dims};
            memcpy(tensor->dims, parameter->dims, sizeof tensor->dims);
        }
out:
    parameter_table_destroy(order);
    return status;
}

void state_tensors_release(struct state_tensors *list)
{
    free(list->tensors);
    *list = (struct state_tensors){0};
}

static int64_t tensor_index(const struct state_tensors *list, enum checkpoint_part part,
                            const char *name)
{
    for (int64_t t = 0; t < list->n; t++)
        if (list->tensors[t].part == part && list->tensors[t].name == name) return t;
    ASSERT(0, "no tensor %s", name);
    return -1;
}

/* ---- sources ---- */

static struct tensor_runs runs_of(const struct parameter_piece *piece)
{
    return (struct tensor_runs){.start = piece->runs.start,
                                .step = piece->runs.step,
                                .length = piece->runs.length,
                                .n = piece->runs.n};
}

struct held_range { /* of what is held of a parameter, which begins at `values` */
    const struct parameter *parameter;
    const float *values;
    int64_t first, end;
};

static void add_source(struct state_sources *sources, int64_t tensor,
                       const struct held_range *range)
{
    struct parameter_piece pieces[PARAMETER_MAX_PIECES];
    const int n = parameter_range(pieces, range->parameter, range->first, range->end);
    if (range->end <= range->first) return;
    sources->sources = memory_resize(sources->sources, (size_t)sources->n + PARAMETER_MAX_PIECES,
                                     sizeof *sources->sources);
    for (int i = 0; i < n; i++)
        sources->sources[sources->n++] =
            (struct checkpoint_source){.tensor = tensor,
                                       .runs = runs_of(&pieces[i]),
                                       .data = range->values + pieces[i].held,
                                       .data_step = pieces[i].runs.held_step};
}

/* Sharer `index` of `n` who hold the range alike keeps its part. */
static void take_share(struct held_range *range, int64_t index, int64_t n)
{
    const int64_t size = range->end - range->first;
    const int64_t from = range->first + size * index / n;
    range->end = range->first + size * (index + 1) / n;
    range->first = from;
}

/* What is in this rank's shards, of weights or of a state. */
static void add_shards(struct state_sources *sources, const struct train_parts *parts,
                       const struct state_tensors *list, enum checkpoint_part part)
{
    const struct optimizer_span *spans = NULL;
    const int64_t n = optimizer_spans(parts->optimizer, &spans);
    for (int64_t i = 0; i < n; i++) {
        const struct optimizer_span *span = &spans[i];
        const struct parameter *parameter = span->parameter;
        const int64_t first = span->gradient - parameter->gradient_offset;
        const float *values =
            part == CHECKPOINT_WEIGHT
                ? model_weights(parts->model) + parameter->offset
                : optimizer_values(parts->optimizer, state_of_part[part]) + span->state - first;
        struct held_range range = {parameter, values, first, first + span->n};
        const int64_t replicas = parameter_is_split(parameter) ? parameter->slice.replicas : 1;
        take_share(&range, parts->mesh->tp_rank % replicas, replicas);
        add_source(sources, tensor_index(list, part, parameter->name), &range);
    }
}

/* Weights that do not learn are in no shard. */
static void add_frozen(struct state_sources *sources, const struct train_parts *parts,
                       const struct state_tensors *list)
{
    const struct parameter_table *table = model_parameters(parts->model);
    const struct mesh *mesh = parts->mesh;
    for (int64_t i = 0; i < table->n_parameters; i++) {
        const struct parameter *parameter = &table->parameters[i];
        if (parameter->gradient_offset >= 0) continue;
        const bool split = parameter_is_split(parameter);
        const int64_t same = split ? parameter->slice.replicas : mesh->tp_size;
        const int64_t n = mesh->dp_size * same;
        const int64_t index = mesh->dp_rank * same + mesh->tp_rank % same;
        struct held_range range = {parameter, model_weights(parts->model) + parameter->offset, 0,
                                   parameter->n_elements};
        if (parameter->n_elements >= LEAST_SHARED)
            take_share(&range, index, n);
        else if (i % n != index)
            continue;
        add_source(sources, tensor_index(list, CHECKPOINT_WEIGHT, parameter->name), &range);
    }
}

void state_sources_make(struct state_sources *sources, const struct train_parts *parts,
                        const struct state_tensors *list)
{
    add_frozen(sources, parts, list);
    for (int part = 0; part < CHECKPOINT_PARTS; part++)
        if (has_part(parts, (enum checkpoint_part)part))
            add_shards(sources, parts, list, (enum checkpoint_part)part);
}

void state_sources_release(struct state_sources *sources)
{
    free(sources->sources);
    *sources = (struct state_sources){0};
}

/* ---- requests ---- */

static void add_request(struct state_requests *requests, int64_t tensor, float *values,
                        const struct held_range *range)
{
    struct parameter_piece pieces[PARAMETER_MAX_PIECES];
    const int n = parameter_range(pieces, range->parameter, range->first, range->end);
    requests->requests = memory_resize(
        requests->requests, (size_t)requests->n + PARAMETER_MAX_PIECES, sizeof *requests->requests);
    for (int i = 0; i < n; i++)
        requests->requests[requests->n++] =
            (struct checkpoint_request){.tensor = tensor,
                                        .target = {.runs = runs_of(&pieces[i]),
                                                   .out = values + pieces[i].held,
                                                   .out_step = pieces[i].runs.held_step}};
}

void state_request_weight(struct state_requests *requests, const struct train_parts *parts,
                          const struct parameter *parameter, int64_t tensor)
{
    const struct held_range range = {parameter, NULL, 0, parameter->n_elements};
    add_request(requests, tensor, model_weights(parts->model) + parameter->offset, &range);
}

void state_request_values(struct state_requests *requests, const struct train_parts *parts,
                          const struct optimizer_span *span, enum optimizer_state state,
                          int64_t tensor)
{
    const int64_t first = span->gradient - span->parameter->gradient_offset;
    const struct held_range range = {span->parameter, NULL, first, first + span->n};
    add_request(requests, tensor, optimizer_values(parts->optimizer, state) + span->state - first,
                &range);
}

void state_requests_release(struct state_requests *requests)
{
    free(requests->requests);
    *requests = (struct state_requests){0};
}
