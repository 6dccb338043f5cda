/* AdamW and clipping over the shards of one rank. */
#include "parallel/optimizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/assertion.h"
#include "base/text_buffer.h"
#include "device/stream.h"

#define N_STATES 3
/* Steps of a call: rates by module, with weight decay and without. */
#define N_STEPS (2 * N_MODULES)
_Static_assert(N_STEPS <= ADAMW_MAX_STEPS, "a call of AdamW takes all rates");
/* Elements of a part on a GPU, where each is one block's. */
#define PART_ELEMENTS 65536

struct optimizer {
    const struct parameter_table *table;
    const struct kernels *kernels;
    struct stream *stream;
    struct optimizer_options options;
    struct bucket_list whole; /* where no buckets were given */
    const struct bucket_list *buckets;
    struct optimizer_span *spans;
    int64_t *first_span;      /* [buckets + 1] */
    struct adamw_part *parts; /* of the spans, where the kernels reach them */
    int64_t *first_part;      /* [buckets + 1] */
    int64_t steps_done;
    struct adamw_step step; /* between begin and end */
    double lr_factor;
    struct arena memory;     /* of the states, where the kernels reach them */
    float *states[N_STATES]; /* [n_state]; the mean NULL where none is kept */
    /* On a GPU, else the same: */
    struct arena host_memory;
    float *host_states[N_STATES];
    bool on_gpu;
    bool updated; /* later than the host's */
    bool changed; /* maybe by the host */
};

/* ---- life ---- */

/* The parts of the bucket's parameters that lie in this rank's shard. */
static int64_t list_spans(const struct optimizer *optimizer, int64_t b,
                          struct optimizer_span *spans)
{
    const struct bucket *bucket = &optimizer->buckets->buckets[b];
    const struct bucket_range shard = bucket_shard(optimizer->buckets, b);
    int64_t n = 0;
    for (int64_t i = 0; i < optimizer->table->n_parameters; i++) {
        const struct parameter *parameter = &optimizer->table->parameters[i];
        if (parameter->gradient_offset < 0) continue;
        int64_t first = parameter->gradient_offset - bucket->gradient;
        int64_t end = first + parameter->n_elements;
        first = first > shard.first ? first : shard.first;
        end = end < shard.end ? end : shard.end;
        if (end <= first) continue;
        if (spans != NULL)
            spans[n] = (struct optimizer_span){.parameter = parameter,
                                               .weight = bucket->weight + first,
                                               .gradient = bucket->gradient + first,
                                               .state = bucket->state + first - shard.first,
                                               .n = end - first};
        n++;
    }
    return n;
}

static void make_spans(struct optimizer *optimizer)
{
    const int64_t n_buckets = optimizer->buckets->n;
    int64_t n = 0;
    optimizer->first_span = memory_new((size_t)n_buckets + 1, sizeof *optimizer->first_span);
    for (int64_t b = 0; b < n_buckets; b++) {
        n += list_spans(optimizer, b, NULL);
        optimizer->first_span[b + 1] = n;
    }
    optimizer->spans = memory_new((size_t)n + 1, sizeof *optimizer->spans);
    for (int64_t b = 0; b < n_buckets; b++)
        (void)list_spans(optimizer, b, optimizer->spans + optimizer->first_span[b]);
}

/* The spans as parts of at most `most` elements; returns how many, written where `parts` is not
 * NULL. */
static int64_t list_parts(const struct optimizer *optimizer, int64_t most, struct adamw_part *parts)
{
    int64_t n = 0;
    for (int64_t b = 0; b < optimizer->buckets->n; b++) {
        optimizer->first_part[b] = n;
        for (int64_t i = optimizer->first_span[b]; i < optimizer->first_span[b + 1]; i++) {
            const struct optimizer_span *s = &optimizer->spans[i];
            for (int64_t at = 0; at < s->n; at += most, n++) {
                if (parts == NULL) continue;
                parts[n] = (struct adamw_part){
                    .weight = s->weight + at,
                    .state = s->state + at,
                    .gradient = s->gradient - optimizer->buckets->buckets[b].gradient + at,
                    .n = s->n - at < most ? s->n - at : most,
                    .step = 2 * (int64_t)s->parameter->module + s->parameter->decays};
            }
        }
    }
    optimizer->first_part[optimizer->buckets->n] = n;
    return n;
}

static enum status make_parts(struct optimizer *optimizer)
{
    enum status status = OK;
    struct adamw_part *parts = NULL;
    void *memory = NULL;
    const int64_t most = optimizer->on_gpu ? PART_ELEMENTS : INT64_MAX / 2;
    optimizer->first_part =
        memory_new((size_t)optimizer->buckets->n + 1, sizeof *optimizer->first_part);
    const size_t n = (size_t)list_parts(optimizer, most, NULL) + 1;
    parts = memory_new(n, sizeof *parts);
    (void)list_parts(optimizer, most, parts);
    if (!optimizer->on_gpu) {
        optimizer->parts = parts;
        return OK;
    }
    TRY(stream_take(optimizer->stream, &memory, n * sizeof *parts, "the optimizer's parts"));
    optimizer->parts = memory;
    TRY(stream_copy(optimizer->stream, memory, parts, n * sizeof *parts));
    TRY(stream_wait(optimizer->stream));
out:
    free(parts);
    return status;
}

static enum status take_states(struct optimizer *optimizer)
{
    enum status status = OK;
    const size_t n = (size_t)optimizer->buckets->n_state;
    const int n_states = optimizer->options.ema_decay > 0 ? N_STATES : N_STATES - 1;
    const size_t bytes = size_multiply(n + 1, sizeof(float)) + ARENA_ALIGNMENT;
    const size_t all = size_multiply((size_t)n_states, bytes);
    struct arena *host = optimizer->on_gpu ? &optimizer->host_memory : &optimizer->memory;
    void *memory = NULL;
    TRY_WHERE(arena_init(host, all), "the optimizer's state");
    if (optimizer->on_gpu) {
        TRY(stream_take(optimizer->stream, &memory, all, "the optimizer's state"));
        arena_init_over(&optimizer->memory, memory, all);
    }
    for (int s = 0; s < n_states; s++) {
        float *state = arena_take(host, (n + 1) * sizeof(float));
        memset(state, 0, (n + 1) * sizeof(float));
        optimizer->host_states[s] = state;
        if (optimizer->on_gpu) state = arena_take(&optimizer->memory, (n + 1) * sizeof(float));
        optimizer->states[s] = state;
    }
    optimizer->changed = optimizer->on_gpu;
out:
    return status;
}

/* Between the GPU's states and the host's. */
static enum status copy_states(struct optimizer *optimizer, float *const *to, float *const *from)
{
    enum status status = OK;
    const size_t bytes = (size_t)optimizer->buckets->n_state * sizeof(float);
    for (int s = 0; s < N_STATES; s++)
        if (to[s] != NULL) TRY(stream_copy(optimizer->stream, to[s], from[s], bytes));
    TRY(stream_wait(optimizer->stream));
out:
    return status;
}

enum status optimizer_fetch(struct optimizer *optimizer)
{
    if (!optimizer->updated) return OK;
    optimizer->updated = false;
    return copy_states(optimizer, optimizer->host_states, optimizer->states);
}

enum status optimizer_create(struct optimizer **optimizer_out, const struct parameter_table *table,
                             const struct bucket_list *buckets,
                             const struct optimizer_options *options, const struct kernels *kernels,
                             struct stream *stream)
{
    enum status status = OK;
    const struct bucket_options alone = {.dp_size = 1, .tp_size = 1, .elements = INT64_MAX};
    struct optimizer *optimizer = memory_new(1, sizeof *optimizer);
    optimizer->table = table;
    optimizer->kernels = kernels;
    optimizer->stream = stream;
    optimizer->on_gpu = kernels_on_gpu(kernels);
    optimizer->options = *options;
    if (buckets == NULL) buckets_make(&optimizer->whole, table, &alone);
    optimizer->buckets = buckets == NULL ? &optimizer->whole : buckets;
    make_spans(optimizer);
    TRY(make_parts(optimizer));
    TRY(take_states(optimizer));
    *optimizer_out = optimizer;
    optimizer = NULL;
out:
    optimizer_destroy(optimizer);
    return status;
}

void optimizer_destroy(struct optimizer *optimizer)
{
    if (optimizer == NULL) return;
    if (optimizer->on_gpu && optimizer->memory.base != NULL)
        stream_give(optimizer->stream, optimizer->memory.base);
    if (optimizer->on_gpu && optimizer->parts != NULL)
        stream_give(optimizer->stream, optimizer->parts);
    else
        free(optimizer->parts);
    arena_release(&optimizer->memory);
    arena_release(&optimizer->host_memory);
    free(optimizer->first_part);
    free(optimizer->spans);
    free(optimizer->first_span);
    buckets_release(&optimizer->whole);
    free(optimizer);
}

/* ---- the norm ---- */

/* Squares of elements first .. end - 1 of the bucket, repeated slices by their share. */
static enum status block_squares(const struct optimizer *optimizer, const struct bucket *bucket,
                                 const float *values, struct bucket_range block,
                                 double *squares_out)
{
    enum status status = OK;
    const struct kernels *k = optimizer->kernels;
    double squares = 0;
    TRY(k->sum_squares(&squares, values + block.first, block.end - block.first, optimizer->stream));
    for (int64_t r = 0; r < bucket->n_repeated; r++) {
        struct bucket_range range = bucket->repeated[r];
        double again = 0;
        if (range.first < block.first) range.first = block.first;
        if (range.end > block.end) range.end = block.end;
        if (range.end <= range.first) continue;
        TRY(k->sum_squares(&again, values + range.first, range.end - range.first,
                           optimizer->stream));
        squares -= again * (1 - 1 / (double)bucket->replicas);
    }
    *squares_out = squares;
out:
    return status;
}

/* All blocks of one bucket. */
static enum status bucket_squares(const struct optimizer *optimizer, int64_t b, const float *values,
                                  double *blocks)
{
    enum status status = OK;
    const struct bucket *bucket = &optimizer->buckets->buckets[b];
    const struct bucket_range shard = bucket_shard(optimizer->buckets, b);
    double *own = blocks + bucket->block + shard.first / BUCKET_BLOCK;
    if (bucket->n_repeated == 0)
        return optimizer->kernels->sum_squares_blocks(
            own, values + shard.first, shard.end - shard.first, BUCKET_BLOCK, optimizer->stream);
    for (int64_t first = shard.first; first < shard.end; first += BUCKET_BLOCK) {
        const int64_t end = first + BUCKET_BLOCK < shard.end ? first + BUCKET_BLOCK : shard.end;
        TRY(block_squares(optimizer, bucket, values, (struct bucket_range){first, end}, own++));
    }
out:
    return status;
}

enum status optimizer_squares(const struct optimizer *optimizer, const float *const *values,
                              double *blocks)
{
    enum status status = OK;
    memset(blocks, 0, (size_t)optimizer->buckets->n_blocks * sizeof *blocks);
    for (int64_t b = 0; b < optimizer->buckets->n; b++)
        TRY(bucket_squares(optimizer, b, values[b], blocks));
    if (optimizer->on_gpu) TRY(stream_wait(optimizer->stream));
out:
    return status;
}

enum status optimizer_gradient_norm(const struct optimizer *optimizer, const float *gradients,
                                    double *norm_out, double *module_norms_out)
{
    enum status status = OK;
    const struct bucket_list *list = optimizer->buckets;
    double squares[N_MODULES] = {0}, all = 0;
    double *blocks = memory_new((size_t)list->n_blocks + 1, sizeof *blocks);
    const float **values = memory_new((size_t)list->n + 1, sizeof *values);
    for (int64_t b = 0; b < list->n; b++) values[b] = gradients + list->buckets[b].gradient;
    ASSERT(list->options.dp_size * list->options.tp_size == 1, "the norm of one rank's shards");
    TRY(optimizer_squares(optimizer, values, blocks));
    buckets_sum_blocks(list, blocks, true, squares);
    buckets_sum_blocks(list, blocks, false, squares);
    for (int m = 0; m < N_MODULES; m++) {
        all += squares[m];
        if (module_norms_out != NULL) module_norms_out[m] = sqrt(squares[m]);
    }
    *norm_out = sqrt(all);
out:
    free(values);
    free(blocks);
    return status;
}

/* ---- the step ---- */

/* min(1, clip / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_. */
static double clip_factor(const struct optimizer_options *options, double norm)
{
    if (options->clip_norm <= 0) return 1;
    return fmin(1, options->clip_norm / (norm + 1e-6));
}

void optimizer_begin_step(struct optimizer *optimizer, double norm, double lr_factor)
{
    const struct optimizer_options *options = &optimizer->options;
    optimizer->lr_factor = lr_factor;
    optimizer->step = (struct adamw_step){
        .beta1 = options->beta1,
        .beta2 = options->beta2,
        .eps = options->eps,
        .step = optimizer->steps_done + 1,
        .grad_scale = clip_factor(options, norm),
    };
}

/* The running mean of what the bucket's step has changed. */
static enum status mean_bucket(struct optimizer *optimizer, int64_t bucket, const float *weights)
{
    enum status status = OK;
    float *mean = optimizer->states[OPTIMIZER_MEAN_WEIGHT];
    if (mean == NULL) goto out;
    for (int64_t i = optimizer->first_span[bucket]; i < optimizer->first_span[bucket + 1]; i++) {
        const struct optimizer_span *span = &optimizer->spans[i];
        TRY(optimizer->kernels->running_mean(mean + span->state, weights + span->weight, span->n,
                                             optimizer->options.ema_decay, optimizer->stream));
    }
out:
    return status;
}

enum status optimizer_step_bucket(struct optimizer *optimizer, int64_t bucket, float *weights,
                                  uint16_t *rounded, const float *values)
{
    enum status status = OK;
    const struct optimizer_options *options = &optimizer->options;
    const int64_t first = optimizer->first_part[bucket];
    struct adamw_step steps[N_STEPS];
    if (optimizer->changed) {
        optimizer->changed = false;
        TRY(copy_states(optimizer, optimizer->states, optimizer->host_states));
    }
    optimizer->updated = optimizer->on_gpu;
    for (int i = 0; i < N_STEPS; i++) {
        steps[i] = optimizer->step;
        steps[i].lr = options->lr[i / 2] * optimizer->lr_factor;
        steps[i].weight_decay = i % 2 != 0 ? options->weight_decay : 0;
    }
    TRY_WHERE(optimizer->kernels->adamw_parts(
                  weights, rounded, optimizer->states[OPTIMIZER_FIRST_MOMENT],
                  optimizer->states[OPTIMIZER_SECOND_MOMENT], values, optimizer->parts + first,
                  optimizer->first_part[bucket + 1] - first, steps, N_STEPS, optimizer->stream),
              "optimizer step of bucket %lld", (long long)bucket);
    TRY(mean_bucket(optimizer, bucket, weights));
out:
    return status;
}

void optimizer_end_step(struct optimizer *optimizer)
{
    optimizer->steps_done++;
}

enum status optimizer_step(struct optimizer *optimizer, float *weights, const float *gradients,
                           double norm, double lr_factor)
{
    enum status status = OK;
    optimizer_begin_step(optimizer, norm, lr_factor);
    for (int64_t b = 0; b < optimizer->buckets->n; b++)
        TRY(optimizer_step_bucket(optimizer, b, weights, NULL,
                                  gradients + optimizer->buckets->buckets[b].gradient));
    optimizer_end_step(optimizer);
out:
    return status;
}

/* ---- state ---- */

int64_t optimizer_steps_done(const struct optimizer *optimizer)
{
    return optimizer->steps_done;
}

void optimizer_set_steps_done(struct optimizer *optimizer, int64_t steps)
{
    optimizer->steps_done = steps;
}

bool optimizer_keeps(const struct optimizer *optimizer, enum optimizer_state state)
{
    return optimizer->states[state] != NULL;
}

static int64_t count_spans(const struct optimizer *optimizer)
{
    return optimizer->first_span[optimizer->buckets->n];
}

int64_t optimizer_spans(const struct optimizer *optimizer, const struct optimizer_span **spans_out)
{
    *spans_out = optimizer->spans;
    return count_spans(optimizer);
}

float *optimizer_values(struct optimizer *optimizer, enum optimizer_state state)
{
    const enum status status = optimizer_fetch(optimizer);
    ASSERT(status == OK, "the optimizer's state does not come back: %s", status_message());
    optimizer->changed = optimizer->on_gpu;
    return optimizer->host_states[state];
}

void optimizer_get_state(struct optimizer *optimizer, enum optimizer_state state, float *flat)
{
    const float *values = optimizer_values(optimizer, state);
    for (int64_t i = 0; i < count_spans(optimizer); i++) {
        const struct optimizer_span *span = &optimizer->spans[i];
        memcpy(flat + span->gradient, values + span->state, (size_t)span->n * sizeof *flat);
    }
}

void optimizer_set_state(struct optimizer *optimizer, enum optimizer_state state, const float *flat)
{
    float *values = optimizer_values(optimizer, state);
    for (int64_t i = 0; i < count_spans(optimizer); i++) {
        const struct optimizer_span *span = &optimizer->spans[i];
        memcpy(values + span->state, flat + span->gradient, (size_t)span->n * sizeof *flat);
    }
}

void optimizer_begin_mean(struct optimizer *optimizer, const float *weights)
{
    float *mean = optimizer_values(optimizer, OPTIMIZER_MEAN_WEIGHT);
    for (int64_t i = 0; mean != NULL && i < count_spans(optimizer); i++) {
        const struct optimizer_span *span = &optimizer->spans[i];
        memcpy(mean + span->state, weights + span->weight, (size_t)span->n * sizeof *mean);
    }
}
