/* See robin_model.h. The whole model: who runs after whom, and where everything lies. */
#include "model/robin_model.h"

#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/text_buffer.h"
#include "base/trace.h"
#include "device/stream.h"
#include "model/batch_check.h"
#include "model/batch_share.h"
#include "model/batch_upload.h"
#include "model/extractor.h"
#include "model/language_model.h"
#include "model/lm_head.h"
#include "model/model_store.h"
#include "model/projector.h"
#include "model/token_splice.h"
#include "model/tower.h"

/* What each module keeps, from what trains. */
struct modes {
    bool backward; /* anything trains */
    struct tower_mode tower;
    struct extractor_mode extractor;
    struct projector_mode projector;
    struct lm_mode lm;
};

struct model {
    struct model_config config;
    struct model_options options;
    const struct kernels *kernels;
    struct stream *stream;
    struct parameter_table *table;
    struct modes modes;
    struct model_share share;
    struct lm_slice slice;
    struct batch_share own; /* of the batch in work */
    struct batch_upload upload;
    struct model_hooks hooks;

    struct model_store store;
    struct arena memory; /* activations and workspace */
    struct arena host;   /* on a GPU: what the host works out of a batch before it goes there */
    struct tower tower;
    struct extractor extractor;
    struct projector projector;
    struct language_model lm;
    struct lm_head head;

    struct tower_activations tower_activations;
    struct extractor_activations extractor_activations;
    struct projector_activations projector_activations;
    struct lm_activations lm_activations;
    struct lm_head_activations head_activations;
};

/* ---- planning ---- */

static int64_t points_of(const struct model_config *config, int level)
{
    return level_side(config->image_height, level) * level_side(config->image_width, level);
}

static struct modes choose_modes(const struct model_options *options)
{
    const bool *trains = options->trainable;
    bool recompute = options->recompute;
    struct modes modes = {0};
    if (!options->backward) return modes;
    for (int m = 0; m < N_MODULES; m++) modes.backward = modes.backward || trains[m];
    modes.tower = (struct tower_mode){.backward = trains[MODULE_TOWER], .recompute = recompute};
    modes.extractor = (struct extractor_mode){.trains = trains[MODULE_EXTRACTOR],
                                              .features = trains[MODULE_TOWER]};
    modes.projector =
        (struct projector_mode){.backward = trains[MODULE_PROJECTOR] || trains[MODULE_TOWER],
                                .trains = trains[MODULE_PROJECTOR]};
    modes.lm =
        (struct lm_mode){.backward = modes.backward,
                         .recompute = recompute,
                         .matrices_train = trains[MODULE_LM] && !options->lm_matrices_frozen};
    return modes;
}

static int64_t count_blocks(const struct model_config *config)
{
    int64_t blocks = 0;
    for (int level = 0; level < N_LEVELS; level++) blocks += config->vision.depths[level];
    return blocks;
}

/* Gives every activation its place for a batch of these sizes, of which model->own says what the
 * vision side has to do here. First what lives from the forward to
 * the backward; then the scratch of the vision side and that of the language side, which are never
 * needed at once and so share their memory. With `memory`, says what was taken. */
static void lay_out(struct model *model, struct arena *arena, const struct model_limits *sizes,
                    struct model_memory *memory)
{
    const struct model_config *config = &model->config;
    const struct modes *modes = &model->modes;
    size_t ends[N_MODULES + 1] = {0};
    if (kernels_on_gpu(model->kernels))
        batch_upload_layout(&model->upload, arena, config, sizes);
    else
        batch_share_layout(&model->own, arena, sizes, &model->slice, count_blocks(config));
    ends[0] = arena_mark(arena);
    tower_layout_saved(&model->tower_activations, arena, config, &modes->tower,
                       model->own.n_images);
    ends[1 + MODULE_TOWER] = arena_mark(arena);
    projector_layout_saved(&model->projector_activations, arena, config, &modes->projector,
                           model->own.n_images * points_of(config, IMAGE_LEVEL));
    ends[1 + MODULE_PROJECTOR] = arena_mark(arena);
    extractor_layout_saved(&model->extractor_activations, arena, config, &modes->extractor,
                           model->own.n_regions);
    ends[1 + MODULE_EXTRACTOR] = arena_mark(arena);
    lm_layout_saved(&model->lm_activations, arena, &model->slice, &modes->lm, sizes);
    ends[1 + MODULE_LM] = arena_mark(arena);

    size_t saved = arena_mark(arena);
    tower_layout_scratch(&model->tower_activations, arena, config, model->kernels);
    projector_layout_scratch(&model->projector_activations, arena, config, &modes->projector);
    extractor_layout_scratch(&model->extractor_activations, arena, config, &modes->extractor);
    arena_rewind(arena, saved);
    lm_layout_gradient(&model->lm_activations, arena, &model->slice);
    size_t gradient = arena_mark(arena);
    const struct lm_head_sizes head = {.n_tokens = sizes->max_tokens,
                                       .n_targets = sizes->max_targets,
                                       .backward = modes->backward};
    lm_head_layout(&model->head_activations, arena, &model->slice, model->kernels, &head);
    arena_rewind(arena, gradient);
    lm_layout_scratch(&model->lm_activations, arena, &model->slice, model->kernels);
    arena_rewind(arena, saved);
    if (memory == NULL) return;
    memory->activations = saved;
    memory->workspace = arena->peak - saved;
    for (int m = 0; m < N_MODULES; m++) memory->by_module[m] = ends[m + 1] - ends[m];
}

static enum status check_options(const struct model_options *options, const struct kernels *kernels)
{
    enum status status = OK;
    const struct model_limits *limits = &options->limits;
    char *missing = kernels_missing(kernels);
    if (missing != NULL)
        FAIL(ERR_UNSUPPORTED, "kernels %s cannot run a model: missing are %s", kernels->name,
             missing);
    if (kernels_in(kernels, DTYPE_F32) == NULL)
        FAIL(ERR_UNSUPPORTED,
             "kernels %s have none for fp32 beside them, in which the mask extractor computes",
             kernels->name);
    if (!kernels_on_gpu(kernels) && options->updates_on_gpu)
        FAIL(ERR_UNSUPPORTED, "kernels %s are not a GPU's: weights cannot be updated there",
             kernels->name);
    if (kernels_on_gpu(kernels) && options->gradient_windows > 0 && !options->updates_on_gpu)
        FAIL(ERR_UNSUPPORTED,
             "gradients in windows (parallel.shard_gradients) stay on the GPU, but the optimizer "
             "is on the host (parallel.offload_optimizer); set one of them to false");
    if (limits->max_images < 0 || limits->max_regions < 0 || limits->max_sequences < 0 ||
        limits->max_tokens < 0 || limits->max_targets < 0 || limits->max_tokens > INT32_MAX)
        FAIL(ERR_SHAPE, "a limit of the model's batches is below 0, or above 2^31 - 1 tokens");
    if (options->loss_chunk_rows < 0 || options->loss_chunk_vocab < 0)
        FAIL(ERR_SHAPE,
             "loss chunks of %lld rows and %lld words; take at least 1, or 0 to have it chosen",
             (long long)options->loss_chunk_rows, (long long)options->loss_chunk_vocab);
out:
    free(missing);
    return status;
}

/* A model without memory: enough to be planned. */
static enum status prepare(struct model *model, const struct model_config *config,
                           const struct model_options *options, const struct kernels *kernels)
{
    enum status status = OK;
    const bool nothing[N_MODULES] = {false};
    model->config = *config;
    model->options = *options;
    model->kernels = kernels;
    model->share = options->share != NULL ? *options->share : (struct model_share){.size = 1};
    model->options.share = NULL;
    TRY(check_options(options, kernels));
    TRY(parameter_table_create_slice(&model->table, config,
                                     options->backward ? options->trainable : nothing,
                                     model->share.index, model->share.size));
    TRY(lm_slice_make(&model->slice, &model->config.lm, model->share.index, model->share.size));
    model->slice.sequence = model->share.sequence && model->share.size > 1;
    if (options->lm_matrices_frozen) parameter_table_freeze_lm_matrices(model->table);
    if (options->gradient_windows > 0)
        parameter_table_use_windows(model->table, options->gradient_windows);
    model->modes = choose_modes(options);
    tower_activations_init(&model->tower_activations, &config->vision);
    lm_activations_init(&model->lm_activations, &model->slice);
    model->tower_activations.dtype = model->projector_activations.dtype =
        model->extractor_activations.dtype = model->lm_activations.dtype =
            model->head_activations.dtype = kernels->dtype;
    model->head_activations.chunk_rows = options->loss_chunk_rows;
    model->head_activations.chunk_vocab = options->loss_chunk_vocab;
    lm_head_choose_chunks(&model->head_activations.chunk_rows, &model->head_activations.chunk_vocab,
                          model->slice.vocab, options->limits.max_targets, kernels_on_gpu(kernels));
out:
    return status;
}

/* Positions that can occur: those the model has, as far as a batch can hold them. */
static int64_t n_positions_of(const struct model *model)
{
    int64_t n_positions = model->config.lm.max_positions;
    if (n_positions > model->options.limits.max_tokens)
        n_positions = max_int64(model->options.limits.max_tokens, 1);
    return n_positions;
}

static struct model_memory measure(struct model *model)
{
    struct model_memory memory = {0};
    struct arena arena;
    arena_init_measuring(&arena);
    memory.weights =
        model_store_bytes(model->table, model->kernels, model->options.updates_on_gpu) +
        language_model_tables(&model->config.lm, n_positions_of(model));
    memory.gradients = size_multiply((size_t)model->table->n_gradient_places, sizeof(float));
    batch_share_most(&model->own, &model->options.limits, &model->slice);
    lay_out(model, &arena, &model->options.limits, &memory);
    return memory;
}

enum status model_plan(struct model_memory *memory_out, const struct model_config *config,
                       const struct model_options *options, const struct kernels *kernels)
{
    enum status status = OK;
    struct model *model = memory_new(1, sizeof *model);
    TRY(prepare(model, config, options, kernels));
    *memory_out = measure(model);
out:
    model_destroy(model);
    return status;
}

/* ---- life ---- */

/* The host's share of a batch on a GPU: measured, then taken. */
static enum status take_host_memory(struct model *model)
{
    enum status status = OK;
    struct arena measuring;
    if (!kernels_on_gpu(model->kernels)) goto out;
    arena_init_measuring(&measuring);
    batch_share_most(&model->own, &model->options.limits, &model->slice);
    batch_share_layout(&model->own, &measuring, &model->options.limits, &model->slice,
                       count_blocks(&model->config));
    TRY_WHERE(arena_init(&model->host, measuring.peak), "batches of the model");
out:
    return status;
}

static enum status take_memory(struct model *model)
{
    enum status status = OK;
    struct model_memory memory = measure(model);
    TRY(model_store_init(&model->store, &memory, model->table, model->kernels, model->stream,
                         model->options.updates_on_gpu));
    TRY(model_arena_init(&model->memory, memory.activations + memory.workspace, model->stream,
                         "activations of the model"));
    TRY(take_host_memory(model));
out:
    return status;
}

/* The kernels' weights in their type, or in fp32. */
static struct flat_weights flat_weights_of(const struct model *model, bool wide)
{
    const struct model_store *store = &model->store;
    struct flat_weights flat = {.table = model->table,
                                .values = store->values,
                                .gradients = (float *)(void *)store->gradients.base,
                                .dtype = model->kernels->dtype};
    if (!wide || flat.dtype == DTYPE_F32) return flat;
    flat.values = store->wide;
    flat.first = store->first_wide;
    flat.dtype = DTYPE_F32;
    return flat;
}

static enum status bind_modules(struct model *model)
{
    const struct model_config *config = &model->config;
    const struct flat_weights flat = flat_weights_of(model, false);
    const struct flat_weights wide = flat_weights_of(model, true);
    tower_init(&model->tower, config, &flat);
    extractor_init(&model->extractor, config, &wide);
    projector_init(&model->projector, config, &flat);
    lm_head_init(&model->head, &model->slice, &flat);
    return language_model_init(&model->lm, &model->slice, &flat, &model->store.weights,
                               n_positions_of(model), model->stream);
}

enum status model_create(struct model **model_out, const struct model_config *config,
                         const struct model_options *options, const struct kernels *kernels,
                         struct stream *stream)
{
    enum status status = OK;
    struct model *model = memory_new(1, sizeof *model);
    model->stream = stream;
    TRY(prepare(model, config, options, kernels));
    TRY(take_memory(model));
    TRY(bind_modules(model));
    parameters_zero_padding(model_weights(model), model->table);
    model_zero_gradients(model);
    *model_out = model;
    model = NULL;
out:
    model_destroy(model);
    return status;
}

void model_destroy(struct model *model)
{
    if (model == NULL) return;
    tower_release(&model->tower);
    language_model_release(&model->lm);
    tower_activations_release(&model->tower_activations);
    lm_activations_release(&model->lm_activations);
    model_arena_release(&model->memory, model->stream);
    arena_release(&model->host);
    model_store_release(&model->store);
    parameter_table_destroy(model->table);
    free(model);
}

size_t model_memory_used(const struct model *model)
{
    return model->memory.peak;
}

const struct parameter_table *model_parameters(const struct model *model)
{
    return model->table;
}

const struct model_config *model_config_of(const struct model *model)
{
    return &model->config;
}

const struct model_options *model_options_of(const struct model *model)
{
    return &model->options;
}

float *model_weights(struct model *model)
{
    return model_store_weights(&model->store);
}

enum status model_gpu_weights(struct model *model, float **weights_out)
{
    return model_store_master(&model->store, weights_out);
}

uint16_t *model_gpu_rounded(const struct model *model)
{
    return model_store_rounded(&model->store);
}

bool model_reads_rounded(const struct model *model, int64_t first, int64_t n)
{
    const struct model_store *store = &model->store;
    return model_store_rounded(store) != NULL &&
           (first + n <= store->first_wide || first >= store->first_wide + store->n_wide);
}

enum status model_round_weights(struct model *model, int64_t first, int64_t n,
                                struct stream *stream)
{
    return model_store_round(&model->store, first, n, stream);
}

float *model_gpu_gradients(const struct model *model)
{
    return (float *)(void *)model->store.gradients.base;
}

struct flat_weights model_flat_weights(const struct model *model)
{
    struct flat_weights flat = flat_weights_of(model, false);
    flat.gradients = NULL;
    return flat;
}

const struct model_share *model_share_of(const struct model *model)
{
    return &model->share;
}

enum status model_send_weights(struct model *model)
{
    return model_store_send_weights(&model->store);
}

float *model_gradients(struct model *model)
{
    return model_store_gradients(&model->store);
}

void model_zero_gradients(struct model *model)
{
    const enum status status = model_store_zero_gradients(&model->store);
    ASSERT(status == OK, "gradients cannot be zeroed: %s", status_message());
}

void model_set_hooks(struct model *model, const struct model_hooks *hooks)
{
    model->hooks = hooks != NULL ? *hooks : (struct model_hooks){0};
}

/* ---- running ---- */

static struct extractor_input extractor_input_of(const struct model *model,
                                                 const struct model_batch *batch)
{
    struct extractor_input input = {.n_images = batch->n_images,
                                    .n_regions = batch->n_regions,
                                    .footprint = batch->footprint,
                                    .region_image = batch->region_image,
                                    .position_grid = batch->position_grid};
    for (int level = 0; level < N_LEVELS; level++) {
        input.points[level] = points_of(&model->config, level);
        input.features[level] = model->tower_activations.features[level];
    }
    return input;
}

static enum status vision_forward(struct model *model, const struct model_batch *batch,
                                  const struct model_run *run)
{
    enum status status = OK;
    if (batch->n_images == 0) goto out;
    TRY(tower_forward(&model->tower, &model->tower_activations, batch->pixels, batch->keep, run));
    TRY(projector_forward(&model->projector, &model->projector_activations,
                          model->tower_activations.features[IMAGE_LEVEL], run));
    if (batch->n_regions == 0) goto out;
    struct extractor_input input = extractor_input_of(model, batch);
    TRY(extractor_forward(&model->extractor, &model->extractor_activations, &input, run));
out:
    return status;
}

static enum status vision_backward(struct model *model, const struct model_batch *batch,
                                   const struct model_run *run)
{
    enum status status = OK;
    const struct modes *modes = &model->modes;
    struct tower_activations *tower = &model->tower_activations;
    void *dimage = modes->tower.backward ? tower->gradients[IMAGE_LEVEL] : NULL;
    if (batch->n_images == 0) goto out;
    for (int level = 0; modes->tower.backward && level < N_LEVELS; level++)
        TRY(zero_tensor(run, tower->gradients[level],
                        batch->n_images * points_of(&model->config, level) *
                            model->config.vision.dims[level]));
    if (modes->projector.backward)
        TRY(projector_backward(&model->projector, &model->projector_activations,
                               tower->features[IMAGE_LEVEL], dimage, run));
    if (batch->n_regions > 0 && (modes->extractor.trains || modes->extractor.features)) {
        struct extractor_input input = extractor_input_of(model, batch);
        TRY(extractor_backward(&model->extractor, &model->extractor_activations, &input,
                               modes->extractor.features ? tower->gradients : NULL, run));
    }
    if (modes->tower.backward) TRY(tower_backward(&model->tower, tower, batch->keep, run));
out:
    return status;
}

static struct splice_rows splice_rows_of(const struct model *model, const struct model_batch *batch)
{
    struct splice_rows rows = {.n_image_tokens =
                                   batch->n_images * points_of(&model->config, IMAGE_LEVEL),
                               .vocab = model->slice.vocab,
                               .width = model->config.lm.hidden};
    if (batch->n_images > 0) rows.image_tokens = model->projector_activations.tokens;
    if (batch->n_images > 0 && batch->n_regions > 0) {
        rows.t = model->extractor_activations.t_rows;
        rows.s = model->extractor_activations.s_rows;
    }
    return rows;
}

/* One batch on its way through the model. */
struct passage {
    const struct model_batch *batch; /* as given */
    struct model_batch own;          /* as this sharer takes it */
    struct model_run run;
    bool alone; /* all images are this sharer's, and nobody else takes part */
};

/* Whether others follow the stages: where gradients and weights are the host's and the kernels are
 * on a GPU, they go there and come back as a whole. */
static bool are_stepwise(const struct model *model)
{
    return !model->store.on_gpu || model->store.updates;
}

static struct passage passage_make(const struct model *model, const struct model_batch *batch,
                                   const struct model_observer *observer)
{
    return (struct passage){.batch = batch,
                            .run = {.kernels = model->kernels,
                                    .stream = model->stream,
                                    .observer = observer,
                                    .hooks = are_stepwise(model) ? &model->hooks : NULL,
                                    .share = model->share.size > 1 ? &model->share : NULL}};
}

/* Embedded words, image tokens and region tokens, everybody's, as the first layer's input. */
static enum status splice(struct model *model, const struct passage *passage)
{
    enum status status = OK;
    struct lm_activations *lm = &model->lm_activations;
    const bool split = model->slice.sequence;
    void *x = lm->inputs[0], *product = split ? lm->partial : x;
    struct splice_rows rows = splice_rows_of(model, &passage->own);
    TRY(splice_forward(product, &model->lm.embedding, &rows, &passage->own, &passage->run));
    TRY(lm_rows_sum(lm, x, product, "embedded rows", &passage->run));
    if (!observes_all(&passage->run)) goto out;
    TRY(lm_rows_gather(lm, lm->partial, x, "observed rows", &passage->run));
    TRY(observe(&passage->run, split ? lm->partial : x, lm->n_tokens, model->config.lm.hidden,
                "inputs_embeds"));
out:
    return status;
}

/* Tokens of the vision side, of the type of the run's kernels, to the observer: everybody's rows
 * [n, D], where ours are some. */
static enum status observe_tokens(const struct model_run *run, const void *own,
                                  const int64_t range[2], int64_t n, int64_t d, const char *name)
{
    enum status status = OK;
    if (!observes_all(run) || n == 0) return OK;
    float *all = memory_new((size_t)(n * d), sizeof *all);
    TRY(read_tensor(run, all + range[0] * d, own, range[1] * d));
    TRY(share_sum_floats(run, all, n * d, name));
    run->observer->see(run->observer->context, name, all, n, d);
out:
    free(all);
    return status;
}

static enum status observe_vision(struct model *model, const struct passage *passage)
{
    enum status status = OK;
    const struct batch_share *own = &model->own;
    const int64_t points = points_of(&model->config, IMAGE_LEVEL), d = model->config.lm.hidden;
    const int64_t images[2] = {own->first_image * points, own->n_images * points};
    const int64_t regions[2] = {own->first_region, own->n_regions};
    const int64_t n_regions = passage->batch->n_images > 0 ? passage->batch->n_regions : 0;
    const struct model_run wide = run_in_fp32(&passage->run);
    TRY(observe_tokens(&passage->run, model->projector_activations.tokens, images,
                       passage->batch->n_images * points, d, "image_tokens"));
    TRY(observe_tokens(&wide, model->extractor_activations.t, regions, n_regions, d, "t"));
    TRY(observe_tokens(&wide, model->extractor_activations.s, regions, n_regions, d, "s"));
out:
    return status;
}

/* The batch as this sharer takes it, there where the kernels read it. */
static enum status view_batch(struct model *model, struct passage *passage,
                              const struct model_limits *sizes)
{
    enum status status = OK;
    if (model->store.on_gpu) {
        arena_rewind(&model->host, 0);
        batch_share_layout(&model->own, &model->host, sizes, &model->slice,
                           count_blocks(&model->config));
    }
    passage->own = batch_share_view(&model->own, passage->batch, &model->slice, &model->config);
    if (model->store.apart && !model->store.updates && model->hooks.weights_needed != NULL)
        TRY(model->hooks.weights_needed(model->hooks.context, 0)); /* stage 0: all of them */
    TRY(model_store_send_weights(&model->store));
    if (!model->store.on_gpu) goto out;
    TRY(batch_upload(&model->upload, &passage->own, &model->config, model->stream));
out:
    return status;
}

/* Checks and lays out; then everything up to the input of the first layer. */
static enum status embed(struct model *model, struct passage *passage)
{
    enum status status = OK;
    const struct model_batch *batch = passage->batch;
    TRY(batch_check(batch, &model->config, &model->options.limits, model->lm.n_positions));
    struct model_limits sizes = batch_sizes(batch);
    batch_share_choose(&model->own, batch, &model->slice);
    if (passage->alone) {
        model->own.first_image = model->own.first_region = 0;
        model->own.n_images = batch->n_images;
        model->own.n_regions = batch->n_regions;
    }
    arena_rewind(&model->memory, 0);
    lay_out(model, &model->memory, &sizes, NULL);
    passage->run.wide = model->lm_activations.wide;
    passage->run.wide_rows = model->lm_activations.wide_rows;
    TRY(view_batch(model, passage, &sizes));
    const int64_t vision = model->table->n_stages - 1;
    TRY(weights_needed(&passage->run, vision));
    trace_push("part", "vision");
    status = vision_forward(model, &passage->own, &passage->run);
    trace_pop(0);
    TRY(status);
    TRY(observe_vision(model, passage));
    TRY(weights_needed(&passage->run, vision - 1));
    TRY(splice(model, passage));
out:
    return status;
}

/* Everything up to the residual stream after the last layer. */
static enum status forward(struct model *model, struct passage *passage)
{
    enum status status = OK;
    TRY(embed(model, passage));
    trace_push("part", "language model");
    status = lm_forward(&model->lm, &model->lm_activations, &passage->own, &passage->run);
    trace_pop(0);
    TRY(status);
out:
    return status;
}

/* From the gradient of the last layer's output, as deep as anything trains. */
static enum status backward(struct model *model, const struct passage *passage)
{
    enum status status = OK;
    struct lm_activations *lm = &model->lm_activations;
    const struct model_run *run = &passage->run;
    if (!model->table->trainable[MODULE_LM] && passage->batch->n_images == 0) goto out;
    trace_push("part", "language model gradient");
    status = lm_backward(&model->lm, lm, &passage->own, run);
    trace_pop(0);
    TRY(status);
    TRY(lm_rows_gather(lm, lm->partial, lm->gradient, "gradients of rows", run));
    const void *gradient = model->slice.sequence ? lm->partial : lm->gradient;
    struct splice_rows rows = splice_rows_of(model, &passage->own);
    TRY(splice_backward(&rows, gradient, &model->lm.embedding, &passage->own, run));
    gradients_done(run, model->table->n_stages - 2);
    trace_push("part", "vision gradient");
    status = vision_backward(model, &passage->own, run);
    trace_pop(0);
    TRY(status);
out:
    return status;
}

/* What the head reads: the rows of all sharers. With a gradient also where its own goes. */
static enum status head_rows(struct model *model, const struct passage *passage, bool goes_back,
                             struct lm_head_rows *rows_out)
{
    enum status status = OK;
    struct lm_activations *lm = &model->lm_activations;
    struct lm_head_activations *head = &model->head_activations;
    const bool split = model->slice.sequence;
    const void *x = lm->inputs[model->config.lm.layers];
    TRY(weights_needed(&passage->run, 0));
    TRY(lm_rows_gather(lm, head->all_rows, x, "rows of the head", &passage->run));
    *rows_out = (struct lm_head_rows){.x = split ? head->all_rows : x,
                                      .target_weight = passage->batch->target_weight};
    if (goes_back) rows_out->dx = split ? head->all_gradients : lm->gradient;
out:
    return status;
}

/* On a GPU gradients are the host's when everything is done. */
static void tell_all_done(struct model *model)
{
    if (!model->store.on_gpu) return;
    model_store_expect_gradients(&model->store);
    if (!are_stepwise(model) && model->hooks.gradients_done != NULL)
        model->hooks.gradients_done(model->hooks.context, model->table->n_stages - 1);
}

enum status model_step(struct model *model, const struct model_batch *batch, bool with_backward,
                       const struct model_observer *observer, struct model_result *result_out)
{
    enum status status = OK;
    struct passage passage = passage_make(model, batch, observer);
    struct lm_activations *lm = &model->lm_activations;
    const int64_t hidden = model->config.lm.hidden;
    struct lm_head_rows rows;
    ASSERT(!with_backward || model->options.backward, "the model was made without a backward");
    bool goes_back = with_backward && model->modes.backward;
    TRY(forward(model, &passage));
    TRY(head_rows(model, &passage, goes_back, &rows));
    trace_push("part", "head and loss");
    status = lm_head_loss(&model->head, &model->head_activations, &rows, &passage.own, &passage.run,
                          result_out);
    trace_pop(0);
    TRY(status);
    passage.run.observer = NULL;
    if (goes_back && model->slice.sequence)
        TRY(stream_copy(model->stream, lm->gradient,
                        element_at(rows.dx, lm->first_row * hidden, lm->dtype),
                        (size_t)(lm->n_rows * hidden) * dtype_size(lm->dtype)));
    if (goes_back) gradients_done(&passage.run, 0);
    if (goes_back) TRY(backward(model, &passage));
    TRY(stream_wait(model->stream));
    if (goes_back) tell_all_done(model);
out:
    return status;
}

enum status model_logits(struct model *model, const struct model_batch *batch,
                         const struct model_observer *observer, float *logits)
{
    enum status status = OK;
    struct passage passage = passage_make(model, batch, observer);
    struct lm_head_rows rows;
    TRY(forward(model, &passage));
    TRY(head_rows(model, &passage, false, &rows));
    TRY(lm_head_logits(&model->head, &model->head_activations, rows.x, logits, &passage.own,
                       &passage.run));
    TRY(stream_wait(model->stream));
out:
    return status;
}

enum status model_embed(struct model *model, const struct model_batch *batch, float *rows)
{
    enum status status = OK;
    struct passage passage = passage_make(model, batch, NULL);
    ASSERT(!model->slice.sequence, "rows are not embedded where sharers split them");
    const int64_t most = (model->options.limits.max_images + model->share.size - 1) /
                         model->share.size; /* what memory was planned for */
    if (batch->n_images > most)
        FAIL(ERR_LIMIT, "one of %d sharers was made for %lld pictures at once and embeds %lld",
             model->share.size, (long long)most, (long long)batch->n_images);
    passage.alone = true;
    passage.run.share = NULL;
    TRY(embed(model, &passage));
    TRY(read_tensor(&passage.run, rows, model->lm_activations.inputs[0],
                    batch->n_tokens * model->config.lm.hidden));
out:
    return status;
}

const struct kernels *model_kernels(const struct model *model)
{
    return model->kernels;
}

struct stream *model_stream(const struct model *model)
{
    return model->stream;
}
