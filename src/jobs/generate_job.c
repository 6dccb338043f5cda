/* Wiring of a generation: corpus, journal, drafter, teacher, loop, output. */
#include "jobs/generate_job.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text_buffer.h"
#include "corpus/corpus_index.h"
#include "jobs/generate_model.h"
#include "jobs/job_mesh.h"
#include "sgedit/annotations_teacher.h"
#include "sgedit/batch_teacher.h"
#include "sgedit/chat_teacher.h"
#include "sgedit/generate_output.h"
#include "sgedit/generate_run.h"
#include "train/stop_signals.h"

struct generate_job { /* zeroed is releasable */
    struct mesh mesh;
    struct model_share share;
    struct comm *comm; /* the ranks that take pictures: the first of each tp group */
    const struct run_config *config;
    struct corpus *corpus;
    struct journal *journal;
    struct shared_counters *counters;
    struct drafter drafter;
    struct teacher teacher, verifier;
    struct generate_model model; /* of train.init, where it drafts or judges */
    struct teacher_limits limits;
    struct chat_counts chat;
    struct stop_signals own, *signals; /* of a curriculum, or own */
    const char *weights;               /* what the model's weights are called */
    char *identity;
    int64_t n_items;
};

/* ---- what the results depend on ---- */

static void append_filters(struct text_buffer *out, const struct config_generate *config)
{
    for (int64_t i = 0; i < config->n_filters; i++) {
        const struct config_filter *filter = &config->filters[i];
        text_printf(out, " filter %d %g", filter->kind, filter->threshold);
        for (int64_t j = 0; j < filter->predicates.n; j++)
            text_printf(out, " '%s'", filter->predicates.values[j]);
    }
}

/* One line; what only says how fast or how dear a run may be is not in it. */
static enum status make_identity(struct generate_job *job)
{
    enum status status = OK;
    const struct config_generate *generate = &job->config->generate;
    const struct config_teacher *teacher = &job->config->teacher;
    struct corpus_index index = {0};
    struct text_buffer out = {0};
    TRY(corpus_index_read(&index, generate->corpus));
    text_printf(&out,
                "generate task %d corpus %08x records %" PRId64
                " drafter %d '%s' '%s' seed %" PRId64 " proposals '%s' depth '%s' added %" PRId64
                " subjects %" PRId64 " unedited %d",
                generate->task, index.crc, job->n_items, generate->drafter, generate->drafts,
                job->weights, job->config->seed, generate->proposals, generate->depth,
                generate->min_added, generate->min_subjects, generate->unedited);
    text_printf(&out, " mode %d temperature %g top_p %g tokens %" PRId64, generate->draft_mode,
                generate->temperature, generate->top_p, generate->max_tokens);
    text_printf(&out,
                " teacher %d '%s' temperature %g max %" PRId64 " side %" PRId64 " detail '%s' "
                "noise %g verifier %d %g",
                teacher->kind, teacher->model, teacher->temperature, teacher->max_tokens,
                teacher->image_side, teacher->detail, teacher->noise, job->config->verifier.kind,
                job->config->verifier.noise);
    append_filters(&out, generate);
    job->identity = text_take(&out);
out:
    text_release(&out);
    corpus_index_release(&index);
    return status;
}

/* ---- opening ---- */

static bool has_judge(const struct config_generate *config)
{
    for (int64_t i = 0; i < config->n_filters; i++)
        if (config->filters[i].kind == CONFIG_FILTER_JUDGE) return true;
    return false;
}

static bool has_filter(const struct config_generate *config, enum config_filter_kind kind)
{
    for (int64_t i = 0; i < config->n_filters; i++)
        if (config->filters[i].kind == (int)kind) return true;
    return false;
}

bool generate_job_needs_model(const struct run_config *config)
{
    return config->generate.drafter == CONFIG_DRAFTER_MODEL ||
           (has_judge(&config->generate) && config->verifier.kind == CONFIG_VERIFIER_ROBIN);
}

enum status generate_job_check(const struct run_config *config)
{
    enum status status = OK;
    const struct config_generate *generate = &config->generate;
    if (generate->corpus[0] == '\0') FAIL(ERR_ARGUMENT, "job generate needs generate.corpus");
    if (generate->drafter == CONFIG_DRAFTER_RECORDED && generate->drafts[0] == '\0')
        FAIL(ERR_ARGUMENT, "generate.drafter is recorded: generate.drafts must name the file");
    if (has_filter(generate, CONFIG_FILTER_DEPTH) && generate->depth[0] == '\0')
        FAIL(ERR_ARGUMENT, "generate.filters has depth: generate.depth must name the directory");
    if (has_filter(generate, CONFIG_FILTER_REGION_IOU) && generate->proposals[0] == '\0')
        FAIL(ERR_ARGUMENT,
             "generate.filters has region_iou: generate.proposals must name the directory");
    if (has_judge(generate) && config->verifier.kind == CONFIG_VERIFIER_TEACHER &&
        config->teacher.kind == CONFIG_TEACHER_NONE)
        FAIL(ERR_ARGUMENT,
             "generate.filters has judge, and there is neither teacher nor verifier to ask");
out:
    return status;
}

static enum status open_corpus(struct generate_job *job)
{
    enum status status = OK;
    const struct config_generate *generate = &job->config->generate;
    TRY(corpus_open(&job->corpus, generate->corpus));
    job->n_items = corpus_size(job->corpus);
    if (generate->records > job->n_items)
        FAIL(ERR_ARGUMENT, "%s holds %" PRId64 " records; generate.records is %" PRId64,
             generate->corpus, job->n_items, generate->records);
    if (generate->records > 0) job->n_items = generate->records;
    TRY(make_identity(job));
    TRY_WHERE(directory_create(job->config->run_dir), "run_dir");
out:
    return status;
}

/* The configuration beside what comes of it; the key is not in it. */
static enum status write_config(const struct generate_job *job, const char *version)
{
    enum status status = OK;
    char *path = path_join(job->config->run_dir, "config.yaml");
    char *version_path = path_join(job->config->run_dir, "version.txt");
    char *text = run_config_write(job->config), *version_text = text_format("%s\n", version);
    TRY_WHERE(file_write_atomic(path, text, strlen(text)), "run_dir");
    TRY_WHERE(file_write_atomic(version_path, version_text, strlen(version_text)), "run_dir");
out:
    free(version_text);
    free(text);
    free(version_path);
    free(path);
    return status;
}

static enum status open_drafter(struct generate_job *job)
{
    const struct config_generate *generate = &job->config->generate;
    if (generate->drafter == CONFIG_DRAFTER_RECORDED)
        return recorded_drafter_create(&job->drafter, generate->drafts, job->n_items);
    if (generate->drafter == CONFIG_DRAFTER_CORPUS) return corpus_drafter_create(&job->drafter);
    job->drafter = model_drafter(job->model.teacher);
    return OK;
}

static enum status open_teachers(struct generate_job *job)
{
    enum status status = OK;
    const struct run_config *config = job->config;
    const uint64_t seed = (uint64_t)config->seed;
    const struct annotations_options teacher = {config->teacher.noise, seed};
    const struct annotations_options verifier = {config->verifier.noise, seed + 1};
    job->limits = (struct teacher_limits){.counters = job->counters,
                                          .first = COUNT_LIMITS,
                                          .config = &config->teacher,
                                          .price_factor = 1};
    if (config->teacher.kind == CONFIG_TEACHER_HTTP)
        TRY(chat_teacher_create(&job->teacher, &config->teacher, &job->limits, &job->chat));
    if (config->teacher.kind == CONFIG_TEACHER_BATCH) {
        job->limits.price_factor = 0.5;
        TRY(batch_teacher_create(&job->teacher, &config->teacher, &job->limits, job->journal,
                                 &job->chat));
    }
    if (config->teacher.kind == CONFIG_TEACHER_ANNOTATIONS)
        TRY(annotations_teacher_create(&job->teacher, &teacher));
    if (has_judge(&config->generate) && config->verifier.kind == CONFIG_VERIFIER_ROBIN)
        job->verifier = model_verifier(job->model.teacher);
    if (has_judge(&config->generate) && config->verifier.kind == CONFIG_VERIFIER_ANNOTATIONS)
        TRY(annotations_teacher_create(&job->verifier, &verifier));
out:
    return status;
}

/* Rank 0 brings in what earlier starts did; nobody asks before. */
static enum status begin_counters(struct generate_job *job)
{
    enum status status = OK;
    const struct journal_totals *totals = journal_totals(job->journal);
    if (comm_rank(job->comm) == 0) {
        TRY(shared_counters_add(job->counters, COUNT_DONE, totals->n_final, NULL));
        TRY(teacher_limits_begin(&job->limits, totals));
        log_info("journal: %" PRId64 " of %" PRId64 " pictures are done, %" PRId64
                 " calls were answered%s",
                 totals->n_final, job->n_items, totals->n_calls,
                 totals->cut_bytes > 0 ? "; an unfinished end was cut" : "");
        if (totals->n_open > 0)
            log_warn("%" PRId64 " calls were in flight when an earlier start ended; they may be "
                     "paid for twice",
                     totals->n_open);
    }
out:
    return status;
}

/* ---- running ---- */

static bool stop_wanted(void *context)
{
    struct stop_signals *signals = context;
    return stop_signals_poll(signals).stop;
}

static enum status run(struct generate_job *job)
{
    enum status status = OK;
    struct generate_run loop = {
        .comm = job->comm,
        .tools = {.config = job->config,
                  .corpus = job->corpus,
                  .journal = job->journal,
                  .drafter = &job->drafter},
        .journal = job->journal,
        .counters = job->counters,
        .run_dir = job->config->run_dir,
        .n_items = job->n_items,
        .stop_wanted = stop_wanted,
        .stop_context = job->signals,
    };
    if (job->teacher.name != NULL) loop.tools.teacher = &job->teacher;
    loop.tools.verifier = job->verifier.name != NULL ? &job->verifier : loop.tools.teacher;
    TRY(generate_run(&loop));
    TRY(journal_gather(job->journal, job->comm));
    const struct generate_output output = {
        .comm = job->comm,
        .config = job->config,
        .corpus = job->corpus,
        .journal = job->journal,
        .drafter = job->drafter.name,
        .teacher = job->teacher.name != NULL ? job->teacher.name : "",
        .identity = job->identity,
        .n_items = job->n_items,
    };
    TRY(generate_output(&output));
out:
    return status;
}

static void release(struct generate_job *job)
{
    if (job->drafter.release != NULL) job->drafter.release(job->drafter.context);
    if (job->teacher.release != NULL) job->teacher.release(job->teacher.context);
    if (job->verifier.release != NULL) job->verifier.release(job->verifier.context);
    generate_model_close(&job->model);
    shared_counters_destroy(job->counters);
    journal_close(job->journal);
    corpus_close(job->corpus);
    stop_signals_close(&job->own);
    mesh_release(&job->mesh);
    free(job->identity);
}

static enum status open_journal(struct generate_job *job)
{
    enum status status = OK;
    char *directory = path_join(job->config->run_dir, "journal");
    const struct journal_options options = {
        .directory = directory,
        .identity = hash_fnv1a(job->identity, strlen(job->identity)),
        .n_items = job->n_items,
    };
    TRY(journal_open(&job->journal, job->comm, &options));
out:
    free(directory);
    return status;
}

/* What only ranks that take pictures have; collective over them. */
static enum status open_stores(struct generate_job *job)
{
    enum status status = OK;
    TRY(comm_agree(job->comm, open_corpus(job)));
    TRY(open_journal(job));
    TRY(shared_counters_create(&job->counters, job->comm, N_GENERATE_COUNTERS));
out:
    return status;
}

static enum status generate(struct generate_job *job, struct command_call *call)
{
    enum status status = open_drafter(job);
    if (status == OK) status = open_teachers(job);
    if (status == OK) status = begin_counters(job);
    TRY(comm_agree(job->comm, status));
    if (comm_rank(job->comm) == 0) status = write_config(job, call->version);
    TRY(comm_agree(job->comm, status));
    call->started = true;
    TRY(run(job));
out:
    return status;
}

/* ---- ranks that hold one model together ---- */

/* Without a model every rank takes pictures, whatever parallel.tp says. */
static enum status make_mesh(struct generate_job *job, struct comm *world)
{
    enum status status = OK;
    const struct mesh_options all = {.tp = 1};
    if (generate_job_needs_model(job->config))
        TRY(job_mesh_make(&job->mesh, &job->share, world, job->config));
    else
        TRY(mesh_init(&job->mesh, world, &all));
    job->comm = job->mesh.tp_size > 1 ? job->mesh.dp : world;
out:
    return status;
}

static bool takes_pictures(const struct generate_job *job)
{
    return job->mesh.tp_rank == 0;
}

/* Collective over all ranks: those that take pictures bring a status that they have agreed on. */
static enum status tell_followers(const struct generate_job *job, enum status own)
{
    enum status status = OK;
    int64_t stopped = own == ERR_STOPPED;
    if (job->mesh.tp_size == 1) return own;
    TRY(comm_max_int64(job->mesh.world, &stopped, 1));
    if (stopped && own != OK) return own; /* nothing has failed: nothing to be printed here */
    if (stopped) FAIL(ERR_STOPPED, "stopped as asked; the same command goes on");
    if (own != OK && *status_message() == '\0')
        own = status_fail(own, "the ranks that take pictures have failed, as was said");
    TRY(comm_agree(job->mesh.world, own));
out:
    return status;
}

static enum status generate_or_follow(struct generate_job *job, struct command_call *call)
{
    enum status status = OK;
    struct engine *engine = job->model.engine;
    if (takes_pictures(job)) {
        status = generate(job, call);
        if (engine != NULL && engine_end(engine) != OK)
            comm_abort(job->mesh.world, "%s", status_message());
    } else {
        call->started = true;
        status = engine_follow(engine);
        comm_check_together(job->mesh.world, status); /* the others wait for this one */
    }
    return tell_followers(job, status);
}

enum status generate_job_run(struct comm *comm, const struct run_config *config,
                             struct command_call *call)
{
    enum status status = OK;
    struct generate_job job = {.config = config, .signals = call->signals};
    job.weights = call->weights != NULL ? call->weights : config->train.init;
    if (job.signals == NULL) {
        job.signals = &job.own;
        TRY(comm_agree(comm, stop_signals_open(&job.own)));
        TRY(stop_signals_watch_end(&job.own, comm, config->faults.end_margin_s));
    }
    TRY(comm_agree(comm, generate_job_check(config)));
    TRY(make_mesh(&job, comm));
    if (takes_pictures(&job)) status = open_stores(&job);
    TRY(tell_followers(&job, status));
    if (generate_job_needs_model(config))
        TRY(generate_model_open(&job.model, &job.mesh, &job.share, config, job.weights));
    TRY(generate_or_follow(&job, call));
out:
    release(&job);
    return status;
}
