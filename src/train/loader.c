/* The loader: measuring one batch ahead, preparing micro-batches a few ahead. */
#include "train/loader.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/clock.h"
#include "base/text_buffer.h"
#include "model/lm_slice.h"
#include "train/work_queue.h"

/* One place of the global batch on this rank. */
struct place {
    struct order_item item;
    bool built; /* sample and splice are there */
    struct sample sample;
    struct sample_rows rows;
    const char *skipped;
    int64_t kept_bytes; /* of its picture, counted in the loader's */
};

struct batch {
    struct global_batch shared;
    struct place *places; /* [n_samples] */
    struct loader *loader;
    struct work_group *measuring;
};

/* A micro-batch on its way. */
struct preparation {
    struct preparation *next;
    struct loader *loader;
    struct batch *batch;
    int64_t index;             /* in the plan */
    int64_t n_samples;         /* of its micro-batch */
    int64_t bytes;             /* counted in the loader's */
    _Atomic int64_t n_missing; /* samples that are not built yet */
    struct work_group *group;
    struct micro_batch *micro;
};

struct loader {
    struct loader_options options;
    struct work_queue *queue;
    int64_t next_step;                /* the first step that nobody measures yet */
    struct batch *current;            /* planned, in the caller's hands */
    struct batch *following;          /* planned */
    struct batch *upcoming;           /* being measured */
    struct preparation *first, *last; /* oldest first */
    int64_t n_prepared;               /* in this list */
    int64_t n_started;                /* micro-batches begun, of current and then following */
    int64_t prepared_bytes;           /* of the micro-batches in the list */
    _Atomic int64_t kept_bytes;       /* of pictures of samples that were measured */
    double waited;                    /* seconds, in this call of loader_next_batch */
};

static int64_t samples_per_batch(const struct loader *loader)
{
    return order_global_batch(loader->options.order);
}

/* ---- measuring ---- */

static void forget_place(struct loader *loader, struct place *place)
{
    sample_release(&place->sample);
    sample_rows_release(&place->rows);
    place->built = false;
    atomic_fetch_sub(&loader->kept_bytes, place->kept_bytes);
    place->kept_bytes = 0;
}

/* A sample that is too long was cut; that may not be wanted. */
static enum status judge_length(struct loader *loader, struct place *place)
{
    enum status status = OK;
    const struct record *record = &place->sample.record;
    if (loader->options.too_long == TOO_LONG_REFUSE)
        FAIL(ERR_LIMIT,
             "sample %016" PRIx64 " (record %s) has %" PRId64 " tokens, and data.max_length is "
             "%" PRId64 "; raise it, or let data.too_long cut or skip",
             place->item.id, record->id != NULL ? record->id : "none",
             place->rows.n_rows + place->rows.n_cut, loader->options.rows.max_length);
    if (loader->options.too_long == TOO_LONG_SKIP) {
        forget_place(loader, place);
        place->skipped = "longer than data.max_length";
    }
out:
    return status;
}

static enum status build_place(struct loader *loader, struct place *place)
{
    enum status status = OK;
    TRY(loader->options.source.build(loader->options.source.context, &place->item, &place->sample,
                                     &place->skipped));
    if (place->skipped == NULL)
        TRY(sample_rows_create(&place->rows, &place->sample, &loader->options.rows));
    if (place->rows.n_cut > 0) TRY(judge_length(loader, place));
    place->built = true;
out:
    return status;
}

/* A measured sample stays until its micro-batch is prepared, unless half of what may be held ahead
 * is taken: then it is built again. */
static void keep_or_forget(struct loader *loader, struct place *place)
{
    const int64_t limit = loader->options.prefetch_bytes / 2;
    place->kept_bytes = (int64_t)place->sample.record.image_size;
    const int64_t kept = atomic_fetch_add(&loader->kept_bytes, place->kept_bytes);
    if (limit > 0 && kept + place->kept_bytes > limit) forget_place(loader, place);
}

/* Job `slot` of a batch: builds the sample and writes its size. */
static enum status measure_place(void *context, int64_t job)
{
    enum status status = OK;
    struct batch *batch = context;
    struct loader *loader = batch->loader;
    const int64_t slot = comm_rank(loader->options.comm) + job * comm_size(loader->options.comm);
    struct place *place = &batch->places[slot];
    TRY(build_place(loader, place));
    if (place->skipped != NULL) goto out;
    batch->shared.sizes[slot] = (struct sample_size){
        .tokens = place->rows.n_rows,
        .images = place->rows.image_row >= 0,
        .regions = place->rows.image_row >= 0 ? place->rows.n_regions : 0,
        .targets = place->rows.n_targets,
        .cut = place->rows.n_cut,
    };
    keep_or_forget(loader, place);
out:
    return status;
}

static void batch_destroy(struct batch *batch)
{
    if (batch == NULL) return;
    for (int64_t i = 0; i < batch->shared.n_samples; i++)
        forget_place(batch->loader, &batch->places[i]);
    free(batch->places);
    free(batch->shared.ids);
    free(batch->shared.sizes);
    free(batch->shared.mine);
    free(batch->shared.skipped);
    pack_plan_release(&batch->shared.plan);
    work_group_destroy(batch->measuring);
    free(batch);
}

/* Begins measuring the next step; NULL when there is none. */
static struct batch *start_batch(struct loader *loader)
{
    if (loader->next_step >= loader->options.end_step) return NULL;
    const int64_t n = samples_per_batch(loader);
    const int rank = comm_rank(loader->options.comm), size = comm_size(loader->options.comm);
    struct batch *batch = memory_new(1, sizeof *batch);
    batch->loader = loader;
    batch->measuring = work_group_create();
    batch->places = memory_new((size_t)n, sizeof *batch->places);
    batch->shared.step = loader->next_step++;
    batch->shared.n_samples = n;
    batch->shared.mean_of_means = loader->options.mean_of_means;
    batch->shared.ids = memory_new((size_t)n, sizeof *batch->shared.ids);
    batch->shared.sizes = memory_new((size_t)n, sizeof *batch->shared.sizes);
    for (int64_t i = 0; i < n; i++) {
        batch->places[i].item = order_item_at(loader->options.order, batch->shared.step * n + i);
        batch->shared.ids[i] = batch->places[i].item.id;
    }
    work_queue_add(loader->queue, batch->measuring, measure_place, batch, 0,
                   (n - rank + size - 1) / size);
    return batch;
}

static void list_skipped(struct batch *batch)
{
    struct text_buffer text = {0};
    for (int64_t i = 0; i < batch->shared.n_samples; i++) {
        const struct place *place = &batch->places[i];
        if (place->skipped != NULL)
            text_printf(&text, "%016" PRIx64 " %s\n", place->item.id, place->skipped);
    }
    batch->shared.skipped = text_take(&text);
}

static enum status plan_batch(struct batch *batch)
{
    enum status status = OK;
    struct global_batch *shared = &batch->shared;
    const struct loader_options *options = &batch->loader->options;
    int64_t offender = -1;
    status =
        pack_plan_make(&shared->plan, &offender, shared->sizes, shared->n_samples, &options->pack);
    if (status != OK) {
        const struct order_item *item = &batch->places[offender].item;
        status_add_context("step %" PRId64 ", sample %016" PRIx64 " (record %" PRId64 " of %s)",
                           shared->step, item->id, item->record,
                           order_source(options->order, item->source)->name);
        goto out;
    }
    shared->mine = memory_new((size_t)shared->plan.n_micro + 1, sizeof *shared->mine);
    for (int64_t m = 0; m < shared->plan.n_micro; m++)
        if (shared->plan.rank[m] == options->dp_rank) shared->mine[shared->n_mine++] = m;
out:
    return status;
}

/* Samples that other ranks will compute need not stay. */
static void forget_others(struct batch *batch)
{
    const struct pack_plan *plan = &batch->shared.plan;
    for (int64_t m = 0; m < plan->n_micro; m++) {
        if (plan->rank[m] == batch->loader->options.dp_rank) continue;
        for (int64_t i = plan->first[m]; i < plan->first[m + 1]; i++)
            forget_place(batch->loader, &batch->places[plan->slot[i]]);
    }
}

/* Collective: sizes of all ranks, then the plan. */
static enum status finish_measuring(struct batch *batch)
{
    enum status status = OK;
    struct global_batch *shared = &batch->shared;
    struct loader *loader = batch->loader;
    const double start = monotonic_seconds();
    status = work_queue_wait(loader->queue, batch->measuring);
    loader->waited += monotonic_seconds() - start;
    if (status != OK) status_add_context("step %" PRId64, shared->step);
    TRY(comm_agree(loader->options.comm, status));
    _Static_assert(sizeof(struct sample_size) % sizeof(int64_t) == 0, "sizes are sums of int64");
    const int64_t n_numbers =
        shared->n_samples * (int64_t)(sizeof(struct sample_size) / sizeof(int64_t));
    TRY(comm_sum_int64(loader->options.comm, &shared->sizes[0].tokens, n_numbers));
    for (int64_t i = 0; i < shared->n_samples; i++) {
        shared->n_skipped += shared->sizes[i].tokens == 0;
        shared->n_cut += shared->sizes[i].cut > 0;
    }
    list_skipped(batch);
    status = plan_batch(batch); /* the same on all ranks: agreeing makes it one sentence */
    if (status != OK) TRY(comm_agree(loader->options.comm, status));
    forget_others(batch);
out:
    return status;
}

/* ---- preparing ---- */

static struct place *place_of(const struct preparation *preparation, int64_t sequence)
{
    const struct pack_plan *plan = &preparation->batch->shared.plan;
    return &preparation->batch->places[plan->slot[plan->first[preparation->index] + sequence]];
}

/* Of the sharers of a model one computes each picture: others need neither it nor its regions. */
static bool is_filled_here(const struct preparation *preparation, int64_t sequence)
{
    const struct loader_options *options = &preparation->loader->options;
    const int64_t image = preparation->micro->image_of[sequence];
    const int64_t n = preparation->micro->batch.n_images;
    if (image < 0 || options->tp_size <= 1) return image >= 0;
    return image >= share_start(n, options->tp_rank, options->tp_size) &&
           image < share_start(n, options->tp_rank + 1, options->tp_size);
}

/* Job n_samples + s: picture and regions of sequence s; then its sample is no longer needed. */
static enum status fill_sequence(void *context, int64_t job)
{
    enum status status = OK;
    struct preparation *preparation = context;
    const struct loader_options *options = &preparation->loader->options;
    const int64_t sequence = job - preparation->n_samples;
    struct place *place = place_of(preparation, sequence);
    const struct sample *sample = &place->sample;
    const struct record *record = &sample->record;
    struct rle mask = {0};
    struct micro_batch_grids grids = {0};
    if (!is_filled_here(preparation, sequence)) goto out;
    const struct image_source source = {record->image, record->image_size, record->id};
    TRY(image_preprocess(micro_batch_pixels(preparation->micro, sequence), source,
                         options->image_mode, options->config->image_height,
                         options->config->image_width));
    if (place->rows.n_regions > 0)
        TRY(micro_batch_grids_init(&grids, preparation->micro, record->height, record->width));
    for (int64_t q = 0; q < place->rows.n_regions; q++) {
        TRY(region_mask(&mask, record, sample->regions[q], options->region_mode));
        micro_batch_fill_region(preparation->micro, sequence, q, &grids, &mask);
        rle_release(&mask);
    }
out:
    if (status != OK)
        status_add_context("sample %016" PRIx64 " (record %s)", sample->id,
                           record->id != NULL ? record->id : "none");
    rle_release(&mask);
    micro_batch_grids_release(&grids);
    forget_place(preparation->loader, place);
    return status;
}

static double target_weight(const struct loader *loader, const struct pack_plan *plan,
                            int64_t index)
{
    if (!loader->options.mean_of_means) return 1 / (double)plan->n_targets;
    return 1 / ((double)plan->n_micro * (double)plan->targets[index]);
}

/* The rows; then queues the pictures. */
static enum status prepare_rows(struct preparation *preparation)
{
    enum status status = OK;
    const struct loader *loader = preparation->loader;
    const struct pack_plan *plan = &preparation->batch->shared.plan;
    const int64_t n = preparation->n_samples;
    struct sample_rows *sequences = memory_new((size_t)n, sizeof *sequences); /* borrowed */
    uint64_t *ids = memory_new((size_t)n, sizeof *ids);
    const struct micro_batch_options options = {
        .config = loader->options.config,
        .target_weight = target_weight(loader, plan, preparation->index),
        .drop_path = loader->options.drop_path,
        .seed = loader->options.seed,
        .step = preparation->batch->shared.step,
    };
    for (int64_t s = 0; s < n; s++) {
        const struct place *place = place_of(preparation, s);
        sequences[s] = place->rows;
        ids[s] = place->item.id;
    }
    TRY(micro_batch_create(&preparation->micro, sequences, ids, n, &options));
    work_queue_add(loader->queue, preparation->group, fill_sequence, preparation, n, n);
out:
    free(ids);
    free(sequences);
    return status;
}

/* Job s: sample s is there, whoever measured it; whoever brings the last one goes on. */
static enum status bring_sample(void *context, int64_t job)
{
    enum status status = OK;
    struct preparation *preparation = context;
    struct place *place = place_of(preparation, job);
    if (!place->built) TRY(build_place(preparation->loader, place));
    if (atomic_fetch_sub(&preparation->n_missing, 1) == 1) TRY(prepare_rows(preparation));
out:
    return status;
}

static void preparation_destroy(struct preparation *preparation)
{
    if (preparation == NULL) return;
    micro_batch_destroy(preparation->micro);
    work_group_destroy(preparation->group);
    free(preparation);
}

/* Memory that micro-batch `index` of the batch will take. */
static int64_t bytes_of(const struct batch *batch, int64_t index)
{
    const struct pack_plan *plan = &batch->shared.plan;
    struct sample_size sum = {0};
    for (int64_t i = plan->first[index]; i < plan->first[index + 1]; i++) {
        const struct sample_size *size = &batch->shared.sizes[plan->slot[i]];
        sum.tokens += size->tokens;
        sum.images += size->images;
        sum.regions += size->regions;
    }
    return micro_batch_bytes(batch->loader->options.config, &sum);
}

static void start_preparation(struct loader *loader, struct batch *batch, int64_t index)
{
    const struct pack_plan *plan = &batch->shared.plan;
    struct preparation *preparation = memory_new(1, sizeof *preparation);
    preparation->loader = loader;
    preparation->batch = batch;
    preparation->index = index;
    preparation->n_samples = plan->first[index + 1] - plan->first[index];
    preparation->n_missing = preparation->n_samples;
    preparation->bytes = bytes_of(batch, index);
    preparation->group = work_group_create();
    if (loader->last != NULL)
        loader->last->next = preparation;
    else
        loader->first = preparation;
    loader->last = preparation;
    loader->n_prepared++;
    loader->n_started++;
    loader->prepared_bytes += preparation->bytes;
    work_queue_add(loader->queue, preparation->group, bring_sample, preparation, 0,
                   preparation->n_samples);
}

/* Begins micro-batches until `prefetch` are on their way, or one more would pass the bytes. */
static void top_up(struct loader *loader)
{
    while (loader->n_prepared < loader->options.prefetch) {
        struct batch *batch = loader->current;
        int64_t index = loader->n_started;
        if (batch != NULL && index >= batch->shared.n_mine) {
            index -= batch->shared.n_mine;
            batch = loader->following;
        }
        /* the following batch has no plan, hence nothing of mine, until it is measured */
        if (batch == NULL || index >= batch->shared.n_mine) return;
        const int64_t limit = loader->options.prefetch_bytes / 2;
        const int64_t bytes = bytes_of(batch, batch->shared.mine[index]);
        if (limit > 0 && loader->n_prepared > 0 && loader->prepared_bytes + bytes > limit) return;
        start_preparation(loader, batch, batch->shared.mine[index]);
    }
}

/* ---- interface ---- */

enum status loader_create(struct loader **loader_out, const struct loader_options *options)
{
    enum status status = OK;
    struct loader *loader = memory_new(1, sizeof *loader);
    loader->options = *options;
    loader->next_step = options->first_step;
    TRY(work_queue_create(&loader->queue, options->n_threads));
    *loader_out = loader;
    loader = NULL;
out:
    loader_destroy(loader);
    return status;
}

void loader_destroy(struct loader *loader)
{
    if (loader == NULL) return;
    work_queue_destroy(loader->queue);
    while (loader->first != NULL) {
        struct preparation *next = loader->first->next;
        preparation_destroy(loader->first);
        loader->first = next;
    }
    batch_destroy(loader->current);
    batch_destroy(loader->following);
    batch_destroy(loader->upcoming);
    free(loader);
}

/* The first call has two batches to measure before it can go on; later ones find theirs done. */
static enum status measure_first(struct loader *loader)
{
    enum status status = OK;
    loader->following = start_batch(loader);
    loader->upcoming = start_batch(loader);
    TRY(finish_measuring(loader->following));
out:
    return status;
}

enum status loader_next_batch(struct loader *loader, const struct global_batch **batch_out)
{
    enum status status = OK;
    loader->waited = 0;
    if (loader->following == NULL && loader->current == NULL) TRY(measure_first(loader));
    ASSERT(loader->following != NULL, "no batch behind step %" PRId64, loader->next_step - 1);
    if (loader->current != NULL) {
        ASSERT(loader->n_started >= loader->current->shared.n_mine &&
                   (loader->first == NULL || loader->first->batch != loader->current),
               "step %" PRId64 " was left with micro-batches", loader->current->shared.step);
        loader->n_started -= loader->current->shared.n_mine;
    }
    batch_destroy(loader->current);
    loader->current = loader->following;
    loader->following = loader->upcoming;
    loader->upcoming = start_batch(loader);
    top_up(loader);
    if (loader->following != NULL) TRY(finish_measuring(loader->following));
    top_up(loader);
    loader->current->shared.waited = loader->waited;
    *batch_out = &loader->current->shared;
out:
    return status;
}

enum status loader_next_micro(struct loader *loader, struct micro_batch **micro_out)
{
    enum status status = OK;
    top_up(loader);
    struct preparation *preparation = loader->first;
    ASSERT(preparation != NULL && preparation->batch == loader->current,
           "more micro-batches asked for than step %" PRId64 " has", loader->current->shared.step);
    TRY(work_queue_wait(loader->queue, preparation->group));
    *micro_out = preparation->micro;
    preparation->micro = NULL;
    loader->first = preparation->next;
    if (loader->first == NULL) loader->last = NULL;
    loader->n_prepared--;
    loader->prepared_bytes -= preparation->bytes;
    preparation_destroy(preparation);
    top_up(loader);
out:
    return status;
}
