/* Wiring of a training run: from the configuration to the loop of src/train. */
#include "jobs/train_job.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "jobs/job_mesh.h"
#include "plan/preflight.h"
#include "plan/run_plan.h"
#include "train/attention_choice.h"
#include "train/mixture.h"
#include "train/peak_rate.h"
#include "train/placement.h"
#include "train/product_choice.h"
#include "train/run_directory.h"
#include "train/run_saver.h"
#include "train/run_setup.h"
#include "train/train_run.h"

/* How the peak is measured: the side of the largest product, and when to end. */
#define PEAK_SIDE    1024
#define PEAK_SECONDS 0.02

struct train_job { /* zeroed is releasable */
    struct comm *comm;
    const struct run_config *config;
    const char *version;
    struct stop_signals own_signals, *signals;
    struct mixture mixture;
    struct mesh mesh;
    struct model_share share;
    struct run_model model;
    struct gradient_exchange *exchange;
    struct optimizer *optimizer;
    struct schedule schedule;
    struct train_parts parts;
    struct loader *loader;
    struct progress *report;
    struct task_loss *task_loss;
    struct run_saver *saver;
    struct run_progress progress;
};

/* ---- checks before anything large ---- */

static enum status set_up_schedule(struct train_job *job)
{
    enum status status = OK;
    const struct config_train *train = &job->config->train;
    const double epochs_steps =
        train->epochs * (double)order_epoch_size(job->mixture.order) / (double)train->global_batch;
    const int64_t steps = train->steps > 0 ? train->steps : (int64_t)ceil(epochs_steps);
    job->schedule = schedule_make(steps, job->config->schedule.warmup_ratio);
    job->schedule.constant = job->config->schedule.kind == CONFIG_SCHEDULE_CONSTANT;
    if (steps == 1 && job->schedule.warmup_steps > 0)
        FAIL(ERR_ARGUMENT,
             "the run has one step, and schedule.warmup_ratio %g makes its learning rate 0: "
             "nothing would change; use more steps, or a warmup_ratio of 0",
             job->config->schedule.warmup_ratio);
out:
    return status;
}

/* ---- memory ---- */

static struct exchange_options exchange_options_of(const struct train_job *job)
{
    const struct config_parallel *keys = &job->config->parallel;
    return (struct exchange_options){.mesh = &job->mesh,
                                     .kernels = job->model.host_kernels,
                                     .bucket_elements = keys->bucket_elements,
                                     .ordered = keys->reduction == CONFIG_REDUCTION_ORDERED,
                                     .shard_gradients = keys->shard_gradients,
                                     .overlap = keys->overlap,
                                     .gpu = job->model.options.updates_on_gpu ? job->model.stream
                                                                              : NULL,
                                     .device = job->model.device,
                                     .backend = (enum comm_backend)keys->backend};
}

/* Said before the memory is taken: where it does not suffice, the lines tell what wants it. */
static enum status print_plan(const struct train_job *job)
{
    enum status status = OK;
    struct run_plan plan;
    char *text = NULL;
    const struct plan_options options = {.ranks = comm_size(job->comm)};
    TRY(run_plan_make_memory(&plan, job->config, &options));
    log_info("mesh: %d models of %d ranks; on each rank %" PRId64 " computing and %" PRId64
             " loader threads",
             job->mesh.dp_size, job->mesh.tp_size, job->config->threads,
             job->config->data.loader_threads);
    text = run_plan_memory_text(&plan);
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1)
        log_info("%.*s", (int)(end - line), line);
out:
    free(text);
    return status;
}

/* A group's own rate; -1: the common one. */
static void rates_of(double lr[N_MODULES], const struct config_optimizer *keys)
{
    const double own[N_MODULES] = {[MODULE_TOWER] = keys->tower_lr,
                                   [MODULE_PROJECTOR] = keys->projector_lr,
                                   [MODULE_EXTRACTOR] = keys->extractor_lr,
                                   [MODULE_LM] = keys->lm_lr};
    for (int m = 0; m < N_MODULES; m++) lr[m] = own[m] >= 0 ? own[m] : keys->lr;
}

static enum status create_model(struct train_job *job)
{
    enum status status = OK;
    TRY(print_plan(job));
    TRY(run_model_create(&job->model, job->config));
out:
    return status;
}

/* Collective. */
static enum status create_optimizer(struct train_job *job)
{
    enum status status = OK;
    const struct config_optimizer *keys = &job->config->optimizer;
    const struct exchange_options exchange = exchange_options_of(job);
    const struct parameter_table *table = model_parameters(job->model.model);
    TRY(exchange_create(&job->exchange, job->model.model, &exchange));
    struct optimizer_options options = {
        .beta1 = keys->beta1,
        .beta2 = keys->beta2,
        .eps = keys->eps,
        .weight_decay = keys->weight_decay,
        .clip_norm = keys->clip_norm,
        .ema_decay = keys->ema_decay,
    };
    rates_of(options.lr, keys);
    const bool on_gpu = job->model.options.updates_on_gpu;
    status = optimizer_create(&job->optimizer, table, exchange_buckets(job->exchange), &options,
                              on_gpu ? kernels_in(job->model.kernels, DTYPE_F32)
                                     : job->model.host_kernels,
                              on_gpu ? job->model.stream : job->model.host_stream);
    TRY(comm_agree(job->comm, status));
    job->parts = (struct train_parts){.comm = job->comm,
                                      .mesh = &job->mesh,
                                      .exchange = job->exchange,
                                      .optimizer = job->optimizer,
                                      .model = job->model.model,
                                      .schedule = &job->schedule};
out:
    return status;
}

/* ---- where the run begins ---- */

/* Collective. Weights and progress: of the run's own newest checkpoint, or of train.init. */
static enum status start_or_resume(struct train_job *job)
{
    enum status status = OK;
    const struct run_config *config = job->config;
    bool resumed = false;
    char *checkpoints = path_join(config->run_dir, "checkpoints");
    TRY(run_state_resume(&job->parts, checkpoints, &job->progress, &resumed));
    if (resumed && job->progress.order_key != order_key(job->mixture.order))
        status = status_fail(ERR_ARGUMENT,
                             "the corpora of %s have changed since its checkpoint of step %" PRId64
                             ", so its order of samples is lost; begin a new run_dir with "
                             "train.init=%s",
                             config->run_dir, job->progress.step, config->run_dir);
    TRY(comm_agree(job->comm, status));
    if (resumed)
        log_info("%s: going on after step %" PRId64, config->run_dir, job->progress.step);
    else
        TRY(run_take_init(&job->parts, config));
    TRY(run_state_check_weights(&job->parts, resumed ? config->run_dir : config->train.init));
    job->progress.order_key = order_key(job->mixture.order);
    job->progress.config_hash = run_directory_config_hash(config);
out:
    free(checkpoints);
    return status;
}

/* What a manifest says of the run, for people and for those who ask where weights come from. Random
 * draws are functions of the seed, so it is their whole state. */
static json_t *about_run(const struct train_job *job)
{
    const struct run_config *config = job->config;
    char *text = run_config_write(config);
    json_t *schedule =
        json_pack("{s:s, s:I, s:I}", "kind", job->schedule.constant ? "constant" : "cosine",
                  "steps", (json_int_t)job->schedule.total_steps, "warmup_steps",
                  (json_int_t)job->schedule.warmup_steps);
    json_t *about =
        json_pack("{s:s, s:i, s:i, s:i, s:I, s:o, s:s}", "program", job->version, "ranks",
                  comm_size(job->comm), "dp", job->mesh.dp_size, "tp", job->mesh.tp_size, "seed",
                  (json_int_t)config->seed, "schedule", schedule, "config", text);
    ASSERT(about != NULL, "the description of the run is no JSON");
    free(text);
    return about;
}

/* Collective. */
static enum status create_saver(struct train_job *job)
{
    enum status status = OK;
    const struct config_train *keys = &job->config->train;
    char *checkpoints = path_join(job->config->run_dir, "checkpoints");
    json_t *about = about_run(job);
    const struct saver_options options = {
        .directory = checkpoints,
        .keep = {.last = keys->keep_last, .every = keys->keep_every},
        .in_background = keys->save_async,
        .io = (enum saver_io)keys->save_io,
        .failures_go_on = keys->save_failure == CONFIG_SAVE_FAILURE_CONTINUE,
        .about = about,
    };
    TRY(run_saver_create(&job->saver, &job->parts, &options));
    log_info("copy of this rank's part of the state, for checkpoints: %.1f MB",
             (double)checkpoint_saver_memory(run_saver_files(job->saver)) / 1e6);
out:
    json_decref(about);
    free(checkpoints);
    return status;
}

static enum status start_loader(struct train_job *job)
{
    enum status status = OK;
    const struct run_config *config = job->config;
    const bool microbatch = config->train.loss_average == CONFIG_LOSS_MICROBATCH;
    const bool ordered = config->parallel.reduction == CONFIG_REDUCTION_ORDERED;
    struct loader_options options = {
        .comm = job->comm,
        .order = job->mixture.order,
        .source = corpus_source_samples(&job->mixture.samples),
        .config = &job->model.config,
        .too_long = (enum too_long)config->data.too_long,
        .dp_rank = job->mesh.dp_rank,
        .tp_rank = job->mesh.tp_rank,
        .tp_size = job->mesh.tp_size,
        .pack = {.mode = microbatch ? PACK_SEQUENTIAL
                         : ordered  ? PACK_BLIND
                                    : PACK_BALANCED,
                 .n_ranks = job->mesh.dp_size,
                 .multiple = config->parallel.ordered_multiple,
                 .in_order = ordered,
                 .limits = job->model.options.limits,
                 .cost = sample_cost_of(&job->model.config, job->model.options.trainable)},
        .mean_of_means = microbatch,
        .drop_path = config->train.drop_path,
        .seed = (uint64_t)config->seed,
        .image_mode =
            config->data.image_mode == CONFIG_IMAGE_PAD ? IMAGE_MODE_PAD : IMAGE_MODE_SQUASH,
        .region_mode = (enum region_mode)config->data.region_mode,
        .n_threads = (int)config->data.loader_threads,
        .prefetch = config->data.prefetch,
        .prefetch_bytes = config->data.prefetch_bytes,
        .first_step = job->progress.step,
        .end_step = job->schedule.total_steps,
    };
    TRY(run_rows_options(&options.rows, config, &job->model, job->mixture.tokenizer));
    TRY(loader_create(&job->loader, &options));
out:
    return status;
}

/* Collective. Floating point operations per second that all ranks' matrix products reach together,
 * measured by all at once. */
static enum status find_peak(struct train_job *job, double *flops_out)
{
    enum status status = OK;
    const double given = job->config->metrics.peak_gflops;
    *flops_out = given * 1e9;
    if (given < 0)
        status = peak_rate_measure(flops_out, job->model.kernels, job->model.stream, PEAK_SIDE,
                                   PEAK_SECONDS);
    TRY(comm_agree(job->comm, status));
    TRY(comm_sum_double(job->comm, flops_out, 1));
    if (*flops_out > 0)
        log_info("peak of matrix products, all ranks: %.1f GFLOP/s (%s)", *flops_out / 1e9,
                 given < 0 ? "measured" : "metrics.peak_gflops");
out:
    return status;
}

/* Collective. */
static enum status open_report(struct train_job *job)
{
    enum status status = OK;
    const struct run_config *config = job->config;
    struct progress_options options = {
        .run_dir = config->run_dir,
        .steps_done = job->progress.step,
        .total_steps = job->schedule.total_steps,
        .log_every = config->train.log_every,
        .tensorboard = config->metrics.tensorboard,
        .main_lr = config->optimizer.lr,
    };
    memcpy(options.trainable, job->model.options.trainable, sizeof options.trainable);
    rates_of(options.lr, &config->optimizer);
    task_loss_create(&job->task_loss, &job->mixture);
    TRY(find_peak(job, &options.peak_flops));
    if (comm_rank(job->comm) == 0) status = progress_open(&job->report, &options);
    TRY(comm_agree(job->comm, status));
out:
    return status;
}

/* ---- the job ---- */

/* Collective. */
static enum status listen_for_requests(struct train_job *job)
{
    enum status status = OK;
    if (job->signals != NULL) return OK;
    TRY(comm_agree(job->comm, stop_signals_open(&job->own_signals)));
    job->signals = &job->own_signals;
    TRY(stop_signals_watch_end(job->signals, job->comm, job->config->faults.end_margin_s));
out:
    return status;
}

/* Collective. Everything that can be refused before step 1, each part agreed on. */
static enum status prepare(struct train_job *job)
{
    enum status status = OK;
    const struct run_config *config = job->config;
    TRY(job_mesh_make(&job->mesh, &job->share, job->comm, config));
    TRY(listen_for_requests(job));
    TRY(comm_agree(job->comm, run_model_size(&job->model, config, true)));
    if (job->mesh.tp_size > 1) job->model.options.share = &job->share;
    if (config->parallel.shard_gradients) job->model.options.gradient_windows = EXCHANGE_WINDOWS;
    TRY(comm_agree(job->comm, mixture_open(&job->mixture, config)));
    TRY(comm_agree(job->comm, set_up_schedule(job)));
    mixture_print(&job->mixture);
    TRY(placement_print(job->comm, config->threads));
    if (comm_rank(job->comm) == 0) status = run_directory_prepare(config, job->version);
    TRY(comm_agree(job->comm, status));
    TRY(preflight_check(job->comm, config));
    TRY(comm_agree(job->comm, create_model(job)));
    TRY(attention_choose(job->comm, &job->model, config));
    TRY(products_choose(job->comm, &job->model, config));
    TRY(job_mesh_use_device(&job->mesh, job->model.device, config));
    TRY(create_optimizer(job));
    TRY(start_or_resume(job));
    TRY(create_saver(job));
    TRY(open_report(job));
    TRY(comm_agree(job->comm, start_loader(job)));
out:
    return status;
}

static enum status run(struct train_job *job)
{
    const struct run_config *config = job->config;
    const struct train_run run = {
        .parts = &job->parts,
        .loader = job->loader,
        .signals = job->signals,
        .report = job->report,
        .run_dir = config->run_dir,
        .task_loss = job->task_loss,
        .model = &job->model.options,
        .ordered = config->parallel.reduction == CONFIG_REDUCTION_ORDERED,
        .total_steps = job->schedule.total_steps,
        .stop_after = config->train.stop_after,
        .save_every = config->train.save_every,
        .saver = job->saver,
        .max_skipped = config->train.max_skipped,
        .spike_factor = config->train.spike_factor,
        .max_skipped_steps = config->train.max_skipped_steps,
        .straggler_every = config->train.straggler_every,
        .profile_steps = config->metrics.profile_steps,
    };
    return train_run(&run, &job->progress);
}

static void release(struct train_job *job)
{
    loader_destroy(job->loader);
    run_saver_destroy(job->saver);
    progress_close(job->report);
    task_loss_destroy(job->task_loss);
    optimizer_destroy(job->optimizer);
    exchange_destroy(job->exchange);
    run_model_release(&job->model);
    mesh_release(&job->mesh);
    mixture_release(&job->mixture);
    stop_signals_close(&job->own_signals);
}

enum status train_job_run(struct comm *comm, const struct run_config *config,
                          struct command_call *call)
{
    enum status status = OK;
    struct train_job job = {
        .comm = comm, .config = config, .version = call->version, .signals = call->signals};
    TRY(prepare(&job));
    log_info("steps %" PRId64 " to %" PRId64 ", %" PRId64 " samples each", job.progress.step + 1,
             job.schedule.total_steps, config->train.global_batch);
    call->started = true;
    TRY(run(&job));
out:
    comm_check_together(comm, status);
    release(&job);
    return status;
}
