/* The thread, its two queues, and what it does with a bucket. */
#include "parallel/gradient_exchange.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assertion.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "base/trace.h"
#include "comm/comm_device.h"
#include "device/device.h"
#include "device/stream.h"
#include "parallel/exchange_lane.h"
#include "parallel/reduction_tree.h"

#define DEFAULT_BUCKET_ELEMENTS ((int64_t)1 << 22)
#define MAX_LEVELS              63

struct gradient_exchange {
    struct exchange_options options;
    struct model *model;
    struct bucket_list list;
    struct comm *whole, *split, *repeated; /* of the thread alone */
    const struct kernels *kernels;         /* of where the buckets are */
    struct exchange_lane lane;             /* to which the thread hands work */
    float *pieces, *weights;
    uint16_t *rounded;        /* what a GPU's kernels read instead; NULL: fp32 */
    float *shards;            /* [n_state]: sums of windowed buckets, with shard_gradients */
    const float **values;     /* [buckets]: where their sums are, for the optimizer */
    float *stack[MAX_LEVELS]; /* sums of leaves that wait for their sibling, with `ordered` */
    int depth;

    /* the step, in the caller's hands */
    int64_t first_leaf, end_leaf, leaf;
    bool last_micro;
    int64_t round, n_rounds; /* micro-batches, of the rank that has most, with shard_gradients */

    pthread_t thread;
    bool threaded;
    pthread_mutex_t mutex; /* of everything below */
    pthread_cond_t work, done;
    bool stopping;
    bool reducing, gathering;
    int64_t ready_round;           /* buckets of rounds before it are complete */
    int64_t ready_stage;           /* and of it up to this stage; -1: none */
    int64_t reduced_round;         /* in work */
    int64_t n_reduced;             /* of it, from the first bucket */
    int64_t n_updated, n_gathered; /* from the last bucket */
    bool masters;                  /* gathers those that the kernels do not read */
    bool behind;                   /* other ranks' shards of those are of an earlier step */
    int64_t n_gathers_held;        /* for as many of them the model's stream waits */
    enum status status;            /* the thread's first failure */
    char *sentence;
    struct exchange_times times;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* ---- one bucket ---- */

static struct comm *comm_of(const struct gradient_exchange *exchange, const struct bucket *bucket)
{
    return bucket->split ? exchange->split : exchange->whole;
}

static float *gradients_of(const struct gradient_exchange *exchange)
{
    return lane_is_gpu(&exchange->lane) ? model_gpu_gradients(exchange->model)
                                        : model_gradients(exchange->model);
}

/* The parts of this rank's shard that other sharers hold as well: their sums, too. */
static enum status add_repeated(struct gradient_exchange *exchange, const struct bucket *bucket,
                                struct bucket_range shard, float *values)
{
    enum status status = OK;
    if (bucket->windowed && exchange->reduced_round < exchange->n_rounds - 1) return OK;
    for (int64_t r = 0; r < bucket->n_repeated; r++) {
        struct bucket_range range = bucket->repeated[r];
        if (range.first < shard.first) range.first = shard.first;
        if (range.end > shard.end) range.end = shard.end;
        if (range.end > range.first)
            TRY(comm_device_sum(exchange->repeated, values + range.first, range.end - range.first,
                                "gradients of repeated heads", lane_stream(&exchange->lane)));
    }
out:
    return status;
}

static enum status reduce_bucket(struct gradient_exchange *exchange, int64_t b)
{
    enum status status = OK;
    const struct bucket *bucket = &exchange->list.buckets[b];
    const struct kernels *k = exchange->kernels;
    const struct mesh *mesh = exchange->options.mesh;
    const struct bucket_range shard = bucket_shard(&exchange->list, b);
    struct stream *stream = lane_stream(&exchange->lane);
    float *values = gradients_of(exchange) + bucket->place;
    for (int level = exchange->depth - 1; level >= 0; level--)
        TRY(k->add(values, exchange->stack[level] + bucket->gradient, bucket->n, stream));
    if (bucket_ranks(&exchange->list, b) > 1) {
        const struct piece_sum sum = {.kernels = k,
                                      .stream = stream,
                                      .n = shard.end - shard.first,
                                      .groups = bucket->split ? 1 : mesh->tp_size,
                                      .group_stride = 1,
                                      .members = mesh->dp_size,
                                      .member_stride = bucket->split ? 1 : mesh->tp_size};
        TRY(comm_device_exchange(comm_of(exchange, bucket), exchange->pieces, values, bucket->first,
                                 "gradients", stream));
        TRY(tree_sum_pieces(values + shard.first, exchange->pieces, &sum));
    }
    if (bucket->windowed) {
        TRY(k->add(exchange->shards + bucket->state, values + shard.first, shard.end - shard.first,
                   stream));
        values = exchange->shards + bucket->state - shard.first;
    }
    TRY(add_repeated(exchange, bucket, shard, values));
out:
    return status;
}

/* Whether of the bucket only what the kernels read travels: bf16, two as one float. A bucket that
 * begins or ends between two of them goes in fp32. */
static bool gathers_rounded(const struct gradient_exchange *exchange, const struct bucket *bucket)
{
    return lane_is_gpu(&exchange->lane) && bucket->weight % 2 == 0 && bucket->n % 2 == 0 &&
           model_reads_rounded(exchange->model, bucket->weight, bucket->n);
}

static enum status gather_rounded(struct gradient_exchange *exchange, int64_t b)
{
    enum status status = OK;
    const struct bucket *bucket = &exchange->list.buckets[b];
    const int ranks = bucket_ranks(&exchange->list, b);
    void *values = exchange->rounded + bucket->weight;
    int64_t *first = memory_new((size_t)ranks + 1, sizeof *first);
    for (int rank = 0; rank <= ranks; rank++) first[rank] = bucket->first[rank] / 2;
    TRY(comm_device_all_gather(comm_of(exchange, bucket), values, first, "weights",
                               lane_stream(&exchange->lane)));
out:
    free(first);
    return status;
}

/* With `masters` the fp32 weights of buckets that came rounded; else what the kernels read. The
 * optimizer has rounded this rank's own. */
static enum status gather_bucket(struct gradient_exchange *exchange, int64_t b)
{
    enum status status = OK;
    const struct bucket *bucket = &exchange->list.buckets[b];
    struct stream *stream = lane_stream(&exchange->lane);
    const bool rounded = gathers_rounded(exchange, bucket);
    if (rounded && !exchange->masters) return gather_rounded(exchange, b);
    if (!rounded && exchange->masters) return OK;
    TRY(comm_device_all_gather(comm_of(exchange, bucket), exchange->weights + bucket->weight,
                               bucket->first, "weights", stream));
    if (!rounded && exchange->rounded != NULL && bucket_ranks(&exchange->list, b) > 1)
        TRY(model_round_weights(exchange->model, bucket->weight, bucket->n, stream));
out:
    return status;
}

/* ---- the thread ---- */

static bool may_gather(const struct gradient_exchange *exchange)
{
    return exchange->gathering && exchange->n_gathered < exchange->n_updated;
}

/* Gathering comes first: it belongs to the step before. */
static bool may_reduce(const struct gradient_exchange *exchange)
{
    if (!exchange->reducing || exchange->gathering || exchange->n_reduced == exchange->list.n)
        return false;
    if (exchange->reduced_round < exchange->ready_round) return true;
    return exchange->reduced_round == exchange->ready_round &&
           exchange->list.buckets[exchange->n_reduced].stage <= exchange->ready_stage;
}

/* Before the last round only windowed buckets are reduced; the round after them. Mutex held. */
static void pass_on(struct gradient_exchange *exchange)
{
    const struct bucket_list *list = &exchange->list;
    while (exchange->reduced_round < exchange->n_rounds - 1) {
        while (exchange->n_reduced < list->n && !list->buckets[exchange->n_reduced].windowed)
            exchange->n_reduced++;
        if (exchange->n_reduced < list->n) return;
        exchange->n_reduced = 0;
        exchange->reduced_round++;
    }
}

static void note_failure(struct gradient_exchange *exchange, enum status status)
{
    if (status == OK || exchange->status != OK) return;
    exchange->status = status;
    exchange->sentence = text_copy(status_message());
}

static enum status do_bucket(struct gradient_exchange *exchange, bool gathers, int64_t b)
{
    enum status status = OK;
    const enum lane_work work = gathers ? LANE_GATHER : LANE_REDUCE;
    TRY(lane_begin(&exchange->lane, work));
    TRY(gathers ? gather_bucket(exchange, b) : reduce_bucket(exchange, b));
    TRY(lane_end(&exchange->lane, work, b));
out:
    return status;
}

/* Does what may be done next; false if nothing may. Mutex held, but for the work itself. */
static bool work_once(struct gradient_exchange *exchange)
{
    const bool gathers = may_gather(exchange);
    if (!gathers && !may_reduce(exchange)) return false;
    const int64_t b = gathers ? exchange->list.n - 1 - exchange->n_gathered : exchange->n_reduced;
    const enum status held =
        gathers ? lane_hold_update(&exchange->lane, b) : lane_hold_stage(&exchange->lane);
    note_failure(exchange, held);
    pthread_mutex_unlock(&exchange->mutex);
    const double start = now();
    trace_push("part", gathers ? "gather bucket" : "reduce bucket");
    const enum status status = do_bucket(exchange, gathers, b);
    trace_pop(0);
    const double seconds = now() - start;
    pthread_mutex_lock(&exchange->mutex);
    note_failure(exchange, status);
    if (gathers) {
        exchange->times.gather += seconds;
        exchange->n_gathered++;
        exchange->gathering = exchange->n_gathered < exchange->list.n;
    } else {
        exchange->times.reduce += seconds;
        exchange->n_reduced++;
        pass_on(exchange);
    }
    pthread_cond_broadcast(&exchange->done);
    return true;
}

static void *run_thread(void *argument)
{
    struct gradient_exchange *exchange = argument;
    const enum status status =
        lane_is_gpu(&exchange->lane) ? device_use(exchange->options.device) : OK;
    pthread_mutex_lock(&exchange->mutex);
    note_failure(exchange, status);
    while (!exchange->stopping)
        if (!work_once(exchange)) pthread_cond_wait(&exchange->work, &exchange->mutex);
    pthread_mutex_unlock(&exchange->mutex);
    return NULL;
}

/* Mutex held. The caller waits, or works where there is no thread. */
static void wait_once(struct gradient_exchange *exchange)
{
    if (exchange->threaded)
        pthread_cond_wait(&exchange->done, &exchange->mutex);
    else
        ASSERT(work_once(exchange), "a bucket is waited for that nobody completed");
}

/* Mutex held. */
static enum status failure_of(const struct gradient_exchange *exchange)
{
    if (exchange->status == OK) return OK;
    return status_fail(exchange->status, "%s", exchange->sentence);
}

/* ---- hooks of the model ---- */

static void set_ready(struct gradient_exchange *exchange, int64_t round, int64_t stage)
{
    pthread_mutex_lock(&exchange->mutex);
    note_failure(exchange, lane_mark_stage(&exchange->lane, stage));
    exchange->ready_round = round;
    exchange->ready_stage = stage;
    pthread_cond_signal(&exchange->work);
    pthread_mutex_unlock(&exchange->mutex);
}

static void gradients_are_done(void *context, int64_t stage)
{
    struct gradient_exchange *exchange = context;
    if (exchange->last_micro || exchange->options.shard_gradients)
        set_ready(exchange, exchange->round, stage);
}

/* Whether the layer that had this stage's window before is reduced. Mutex held. */
static bool window_is_free(const struct gradient_exchange *exchange, int64_t stage)
{
    const struct bucket_list *list = &exchange->list;
    if (exchange->reduced_round != exchange->round)
        return exchange->reduced_round > exchange->round;
    for (int64_t b = exchange->n_reduced; b < list->n; b++)
        if (list->buckets[b].windowed && list->buckets[b].stage <= stage - EXCHANGE_WINDOWS)
            return false;
    return true;
}

/* The bucket whose reduction leaves the stage's window free: of the layer that has it before in the
 * same round, else the round before's last one; -1: none. */
static int64_t last_in_window(const struct gradient_exchange *exchange, int64_t stage)
{
    const struct bucket_list *list = &exchange->list;
    int64_t same = -1, last = -1;
    for (int64_t b = 0; b < list->n; b++) {
        if (!list->buckets[b].windowed) continue;
        if (list->buckets[b].stage == stage - EXCHANGE_WINDOWS) same = b;
        last = b;
    }
    if (same >= 0) return same;
    return exchange->round > 0 ? last : -1;
}

/* The model's stream goes on when the window is free, and makes it zero. */
static enum status empty_window(struct gradient_exchange *exchange, int64_t stage)
{
    enum status status = OK;
    const struct bucket_list *list = &exchange->list;
    const int64_t before = last_in_window(exchange, stage);
    if (before >= 0) TRY(lane_hold_model(&exchange->lane, LANE_REDUCE, before));
    for (int64_t b = 0; b < list->n; b++)
        if (list->buckets[b].windowed && list->buckets[b].stage == stage)
            TRY(stream_zero(lane_model_stream(&exchange->lane),
                            gradients_of(exchange) + list->buckets[b].place,
                            (size_t)list->buckets[b].n * sizeof(float)));
out:
    return status;
}

static enum status gradients_are_needed(void *context, int64_t stage)
{
    enum status status = OK;
    struct gradient_exchange *exchange = context;
    if (!exchange->options.shard_gradients) return OK;
    pthread_mutex_lock(&exchange->mutex);
    const double start = now();
    while (!window_is_free(exchange, stage)) wait_once(exchange);
    exchange->times.reduce_waited += now() - start;
    status = failure_of(exchange);
    pthread_mutex_unlock(&exchange->mutex);
    TRY(status);
    TRY(empty_window(exchange, stage));
out:
    return status;
}

/* The model's stream waits for what was gathered since it did so last. Mutex held. */
static enum status hold_for_gathers(struct gradient_exchange *exchange)
{
    if (exchange->n_gathers_held == exchange->n_gathered) return OK;
    exchange->n_gathers_held = exchange->n_gathered;
    return lane_hold_model(&exchange->lane, LANE_GATHER, exchange->list.n - exchange->n_gathered);
}

/* Buckets are gathered from the last to the first: until all from this stage on are there. */
static enum status weights_are_needed(void *context, int64_t stage)
{
    struct gradient_exchange *exchange = context;
    int64_t needed = 0;
    pthread_mutex_lock(&exchange->mutex);
    for (int64_t b = 0; b < exchange->list.n; b++)
        needed += exchange->list.buckets[b].stage >= stage;
    const double start = now();
    while (exchange->gathering && exchange->n_gathered < needed) wait_once(exchange);
    exchange->times.gather_waited += now() - start;
    note_failure(exchange, hold_for_gathers(exchange));
    const enum status status = failure_of(exchange);
    pthread_mutex_unlock(&exchange->mutex);
    return status;
}

/* ---- life ---- */

static enum status start_thread(struct gradient_exchange *exchange)
{
    enum status status = OK;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the main thread */
    const int error = pthread_create(&exchange->thread, NULL, run_thread, exchange);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) FAIL(ERR_MEMORY, "cannot start the exchange's thread: %s", strerror(error));
    exchange->threaded = true;
out:
    return status;
}

/* Collective. Comms that no other thread calls into. */
static enum status split_comms(struct gradient_exchange *exchange)
{
    enum status status = OK;
    const struct mesh *mesh = exchange->options.mesh;
    int replicas = 1;
    for (int64_t b = 0; b < exchange->list.n; b++)
        if (exchange->list.buckets[b].replicas > replicas)
            replicas = exchange->list.buckets[b].replicas;
    TRY(comm_split(mesh->world, &exchange->whole, 0, "world"));
    TRY(comm_split(mesh->dp, &exchange->split, 0, "dp"));
    TRY(comm_split(mesh->tp, &exchange->repeated, mesh->tp_rank / replicas, "kv"));
    if (!lane_is_gpu(&exchange->lane)) goto out;
    TRY(comm_use_device(exchange->whole, exchange->options.device, exchange->options.backend));
    TRY(comm_use_device(exchange->split, exchange->options.device, exchange->options.backend));
    TRY(comm_use_device(exchange->repeated, exchange->options.device, exchange->options.backend));
    if (comm_has_nccl(exchange->whole)) log_info("gradients and weights travel by NCCL");
out:
    return status;
}

static enum status make_lane(struct gradient_exchange *exchange)
{
    enum status status = OK;
    const struct exchange_options *options = &exchange->options;
    const struct lane_options lane = {
        .model = options->gpu,
        .device = options->device,
        .n_stages = model_parameters(exchange->model)->n_stages,
        .n_buckets = exchange->list.n,
        .alone = comm_size(options->mesh->world) == 1,
    };
    exchange->kernels = options->gpu != NULL ? kernels_in(model_kernels(exchange->model), DTYPE_F32)
                                             : options->kernels;
    TRY(comm_agree(options->mesh->world, lane_init(&exchange->lane, &lane)));
out:
    return status;
}

static void make_buckets(struct bucket_list *list, const struct parameter_table *table,
                         const struct exchange_options *options)
{
    const struct mesh *mesh = options->mesh;
    const int64_t elements = options->bucket_elements;
    const struct bucket_options buckets = {
        .dp_rank = mesh->dp_rank,
        .dp_size = mesh->dp_size,
        .tp_rank = mesh->tp_rank,
        .tp_size = mesh->tp_size,
        .elements = elements > 0 ? elements : DEFAULT_BUCKET_ELEMENTS,
    };
    buckets_make(list, table, &buckets);
}

/* Elements of the pieces of any bucket. */
static size_t count_pieces(const struct bucket_list *list)
{
    size_t most = 0;
    for (int64_t b = 0; b < list->n; b++) {
        const struct bucket_range shard = bucket_shard(list, b);
        const int ranks = bucket_ranks(list, b);
        const size_t n = (size_t)(shard.end - shard.first) * (size_t)ranks;
        if (ranks > 1 && n > most) most = n;
    }
    return most;
}

/* Where the optimizer will find the sums of each bucket; memory for those that have no place. */
static enum status take_shards(struct gradient_exchange *exchange)
{
    enum status status = OK;
    const struct bucket_list *list = &exchange->list;
    exchange->values = memory_new((size_t)list->n + 1, sizeof *exchange->values);
    if (exchange->options.shard_gradients)
        TRY(lane_take(&exchange->lane, &exchange->shards, (size_t)list->n_state,
                      "shards of gradients"));
    for (int64_t b = 0; b < list->n; b++) {
        const struct bucket *bucket = &list->buckets[b];
        ASSERT(!bucket->windowed || exchange->shards != NULL, "windows without shard_gradients");
        exchange->values[b] = bucket->windowed
                                  ? exchange->shards + bucket->state - bucket_shard(list, b).first
                                  : gradients_of(exchange) + bucket->place;
    }
out:
    return status;
}

enum status exchange_create(struct gradient_exchange **exchange_out, struct model *model,
                            const struct exchange_options *options)
{
    enum status status = OK;
    struct gradient_exchange *exchange = memory_new(1, sizeof *exchange);
    exchange->options = *options;
    exchange->model = model;
    exchange->ready_stage = -1;
    pthread_mutex_init(&exchange->mutex, NULL);
    pthread_cond_init(&exchange->work, NULL);
    pthread_cond_init(&exchange->done, NULL);
    make_buckets(&exchange->list, model_parameters(model), options);
    TRY(make_lane(exchange));
    TRY(split_comms(exchange));
    const struct comm *world = options->mesh->world;
    TRY(lane_take(&exchange->lane, &exchange->pieces, count_pieces(&exchange->list),
                  "the pieces of a bucket (parallel.bucket_elements)"));
    TRY(take_shards(exchange));
    if (options->overlap && comm_size(world) > 1 && !comm_is_threaded(world))
        log_warn("this MPI library cannot be called from several threads: gradients are reduced "
                 "after the backward, not during it");
    if (options->overlap && comm_size(world) > 1 && comm_is_threaded(world))
        TRY(start_thread(exchange));
    const struct model_hooks hooks = {.context = exchange,
                                      .weights_needed = weights_are_needed,
                                      .gradients_needed = gradients_are_needed,
                                      .gradients_done = gradients_are_done};
    model_set_hooks(model, &hooks);
    *exchange_out = exchange;
    exchange = NULL;
out:
    exchange_destroy(exchange);
    return status;
}

void exchange_destroy(struct gradient_exchange *exchange)
{
    if (exchange == NULL) return;
    if (exchange->threaded) {
        pthread_mutex_lock(&exchange->mutex);
        while (exchange->gathering && exchange->status == OK) wait_once(exchange);
        exchange->stopping = true;
        pthread_cond_signal(&exchange->work);
        pthread_mutex_unlock(&exchange->mutex);
        pthread_join(exchange->thread, NULL);
    }
    model_set_hooks(exchange->model, NULL);
    (void)lane_wait(&exchange->lane);
    comm_destroy(exchange->repeated);
    comm_destroy(exchange->split);
    comm_destroy(exchange->whole);
    pthread_cond_destroy(&exchange->work);
    pthread_cond_destroy(&exchange->done);
    pthread_mutex_destroy(&exchange->mutex);
    for (int level = 0; level < MAX_LEVELS; level++)
        lane_give(&exchange->lane, exchange->stack[level]);
    lane_give(&exchange->lane, exchange->pieces);
    lane_give(&exchange->lane, exchange->shards);
    lane_release(&exchange->lane);
    free(exchange->values);
    free(exchange->sentence);
    buckets_release(&exchange->list);
    free(exchange);
}

struct exchange_memory exchange_plan(const struct parameter_table *table,
                                     const struct exchange_options *options, int64_t n_micro)
{
    struct bucket_list list;
    int64_t levels = 0;
    make_buckets(&list, table, options);
    for (int64_t n = 1; options->ordered && n < n_micro; n *= 2) levels++;
    const struct exchange_memory memory = {
        .state_elements = list.n_state,
        .buffer_elements = (int64_t)count_pieces(&list) + levels * table->n_gradient_elements +
                           (options->shard_gradients ? list.n_state : 0)};
    buckets_release(&list);
    return memory;
}

const struct bucket_list *exchange_buckets(const struct gradient_exchange *exchange)
{
    return &exchange->list;
}

/* ---- a step ---- */

enum status exchange_begin(struct gradient_exchange *exchange, int64_t first, int64_t end)
{
    enum status status = OK;
    exchange->first_leaf = exchange->leaf = first;
    exchange->end_leaf = end;
    exchange->depth = 0;
    exchange->last_micro = false;
    exchange->round = 0;
    exchange->n_rounds = 1;
    if (exchange->options.shard_gradients) {
        int64_t most = end - first > 1 ? end - first : 1;
        TRY(comm_max_int64(exchange->options.mesh->world, &most, 1));
        exchange->n_rounds = most;
        TRY(stream_zero(lane_model_stream(&exchange->lane), exchange->shards,
                        (size_t)exchange->list.n_state * sizeof(float)));
    }
    model_zero_gradients(exchange->model);
    pthread_mutex_lock(&exchange->mutex);
    exchange->times = (struct exchange_times){0};
    lane_forget(&exchange->lane, LANE_REDUCE);
    exchange->ready_round = exchange->reduced_round = 0;
    exchange->ready_stage = -1;
    exchange->n_reduced = 0;
    pass_on(exchange);
    exchange->reducing = true;
    status = failure_of(exchange);
    pthread_mutex_unlock(&exchange->mutex);
out:
    return status;
}

void exchange_begin_micro(struct gradient_exchange *exchange)
{
    if (exchange->options.ordered && exchange->leaf > exchange->first_leaf)
        model_zero_gradients(exchange->model);
    exchange->last_micro = exchange->leaf == exchange->end_leaf - 1;
}

/* Puts the leaf's gradient on the stack, merged with what it completes. */
static enum status push_leaf(struct gradient_exchange *exchange)
{
    enum status status = OK;
    const struct kernels *k = exchange->kernels;
    const int64_t n = model_parameters(exchange->model)->n_gradient_elements;
    struct stream *stream = lane_model_stream(&exchange->lane);
    float *gradients = gradients_of(exchange);
    int merges = tree_merges_after(exchange->leaf, exchange->first_leaf, exchange->end_leaf);
    for (; merges > 0; merges--)
        TRY(k->add(gradients, exchange->stack[--exchange->depth], n, stream));
    float **level = &exchange->stack[exchange->depth];
    if (*level == NULL)
        TRY(lane_take(&exchange->lane, level, (size_t)n,
                      "the ordered sum of gradients (parallel.ordered_multiple)"));
    TRY(stream_copy(stream, *level, gradients, (size_t)n * sizeof(float)));
    exchange->depth++;
out:
    return status;
}

/* All gradients of this rank's round are complete. Before the last one, resident buckets go on. */
static void end_round(struct gradient_exchange *exchange)
{
    exchange->round++;
    set_ready(exchange, exchange->round - 1, INT64_MAX);
}

/* The rounds of ranks that had more to compute: zeros, in the same order. */
static void join_rounds(struct gradient_exchange *exchange)
{
    const int64_t n_stages = model_parameters(exchange->model)->n_stages;
    while (exchange->options.shard_gradients && exchange->round < exchange->n_rounds) {
        for (int64_t stage = 0; stage < n_stages; stage++) {
            (void)gradients_are_needed(exchange, stage);
            set_ready(exchange, exchange->round, stage);
        }
        end_round(exchange);
    }
}

enum status exchange_end_micro(struct gradient_exchange *exchange)
{
    enum status status = OK;
    const bool last = exchange->leaf == exchange->end_leaf - 1;
    if (exchange->options.ordered && !last) TRY(push_leaf(exchange));
    if (exchange->options.shard_gradients) end_round(exchange);
out:
    exchange->leaf++;
    return status;
}

enum status exchange_finish(struct gradient_exchange *exchange)
{
    join_rounds(exchange);
    const double start = now();
    exchange->last_micro = false;
    set_ready(exchange, exchange->n_rounds - 1, INT64_MAX);
    pthread_mutex_lock(&exchange->mutex);
    while (exchange->gathering || exchange->n_reduced < exchange->list.n) wait_once(exchange);
    exchange->reducing = false;
    exchange->times.reduce_waited += now() - start;
    note_failure(exchange, hold_for_gathers(exchange));
    if (exchange->list.n > 0)
        note_failure(exchange, lane_hold_model(&exchange->lane, LANE_REDUCE, exchange->list.n - 1));
    const enum status status = failure_of(exchange);
    pthread_mutex_unlock(&exchange->mutex);
    return status;
}

/* On a GPU the model's stream has passed all of it: only its clock knows how long it took. */
static enum status read_times(struct gradient_exchange *exchange)
{
    enum status status = OK;
    struct exchange_times *times = &exchange->times;
    if (!lane_is_gpu(&exchange->lane)) goto out;
    TRY(lane_seconds(&exchange->lane, LANE_REDUCE, &times->reduce, &times->reduce_waited));
    TRY(lane_seconds(&exchange->lane, LANE_GATHER, &times->gather, &times->gather_waited));
out:
    return status;
}

enum status exchange_norm(struct gradient_exchange *exchange, const struct optimizer *optimizer,
                          double *norm_out, double *module_norms_out)
{
    enum status status = OK;
    const struct bucket_list *list = &exchange->list;
    const struct mesh *mesh = exchange->options.mesh;
    const size_t n = (size_t)list->n_blocks;
    double squares[N_MODULES] = {0}, of_slices[N_MODULES] = {0}, all = 0;
    double *blocks = memory_new(n + 1, sizeof *blocks), *slices = memory_new(n + 1, sizeof *slices);
    status = optimizer_squares(optimizer, exchange->values, blocks);
    if (status == OK) status = read_times(exchange);
    TRY(comm_agree(mesh->world, status));
    memcpy(slices, blocks, n * sizeof *blocks);
    buckets_keep_blocks(list, slices, true);
    buckets_keep_blocks(list, blocks, false);
    TRY(comm_sum_double(mesh->world, blocks, list->n_blocks));
    if (mesh->tp_size > 1) {
        TRY(comm_sum_double(mesh->dp, slices, list->n_blocks));
        buckets_sum_blocks(list, slices, true, of_slices);
        TRY(comm_sum_double(mesh->tp, of_slices, N_MODULES));
    }
    buckets_sum_blocks(list, blocks, false, squares);
    for (int m = 0; m < N_MODULES; m++) {
        squares[m] += of_slices[m];
        all += squares[m];
        module_norms_out[m] = sqrt(squares[m]);
    }
    *norm_out = sqrt(all);
out:
    free(slices);
    free(blocks);
    return status;
}

/* Where the optimizer finds the weights. Collective on GPUs, where that can fail. */
static enum status find_weights(struct gradient_exchange *exchange)
{
    enum status status = OK;
    if (!lane_is_gpu(&exchange->lane)) {
        exchange->weights = model_weights(exchange->model);
        return OK;
    }
    status = model_gpu_weights(exchange->model, &exchange->weights);
    exchange->rounded = model_gpu_rounded(exchange->model);
    return comm_agree(exchange->options.mesh->world, status);
}

/* Mutex held. */
static void begin_gathers(struct gradient_exchange *exchange, bool masters)
{
    exchange->masters = masters;
    exchange->n_gathered = exchange->n_gathers_held = 0;
    exchange->gathering = exchange->list.n > 0;
}

enum status exchange_update(struct gradient_exchange *exchange, struct optimizer *optimizer,
                            double norm, double lr_factor)
{
    enum status status = OK;
    TRY(find_weights(exchange));
    pthread_mutex_lock(&exchange->mutex);
    begin_gathers(exchange, false);
    exchange->n_updated = 0;
    lane_forget(&exchange->lane, LANE_GATHER);
    pthread_mutex_unlock(&exchange->mutex);
    exchange->behind = exchange->rounded != NULL && comm_size(exchange->options.mesh->world) > 1;
    optimizer_begin_step(optimizer, norm, lr_factor);
    for (int64_t b = exchange->list.n - 1; b >= 0; b--) {
        const enum status own = optimizer_step_bucket(optimizer, b, exchange->weights,
                                                      exchange->rounded, exchange->values[b]);
        if (status == OK) status = own;
        pthread_mutex_lock(&exchange->mutex); /* also after a failure: others wait for us */
        note_failure(exchange, lane_mark_update(&exchange->lane, b));
        exchange->n_updated++;
        pthread_cond_signal(&exchange->work);
        if (!exchange->threaded) (void)work_once(exchange);
        pthread_mutex_unlock(&exchange->mutex);
    }
    optimizer_end_step(optimizer);
    return comm_agree(exchange->options.mesh->world, status);
out:
    return status;
}

enum status exchange_settle(struct gradient_exchange *exchange)
{
    enum status status = OK;
    TRY(weights_are_needed(exchange, 0));
    if (!exchange->behind) goto out;
    exchange->behind = false;
    pthread_mutex_lock(&exchange->mutex);
    begin_gathers(exchange, true);
    pthread_cond_signal(&exchange->work);
    pthread_mutex_unlock(&exchange->mutex);
    TRY(weights_are_needed(exchange, 0));
out:
    return status;
}

struct exchange_times exchange_times(const struct gradient_exchange *exchange)
{
    return exchange->times;
}
