/* Stages as one job. */
#include "jobs/curriculum_job.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json_file.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "jobs/run_job.h"
#include "jobs/weight_exchange.h"
#include "train/model_setup.h"
#include "train/run_directory.h"
#include "train/stop_signals.h"

#define MAX_JOURNAL_BYTES  ((size_t)16 << 20)
#define EXPORT_SHARD_BYTES UINT64_C(5000000000)

struct stage {
    char *name;
    struct run_config config; /* its run_dir and train.init are set here */
    const struct config_stage *row;
    char hash[17];
    int64_t done;
    double seconds; /* of the call that ended it */
};

struct curriculum {
    struct comm *comm;
    const struct run_config *config;
    struct stage *stages;
    int64_t n;
    char *journal; /* path */
};

/* ---- reading the stages ---- */

/* "configs/stage0a.yaml" -> "stage0a", to free(). */
static char *name_of(const struct config_stage *row)
{
    if (row->name[0] != '\0') return text_copy(row->name);
    const char *slash = strrchr(row->config, '/');
    const char *base = slash != NULL ? slash + 1 : row->config;
    const char *dot = strrchr(base, '.');
    return text_format("%.*s", dot != NULL ? (int)(dot - base) : (int)strlen(base), base);
}

/* Where a stage's file is: as it says, or beside the curriculum's own. To free(). */
static char *path_of(const struct config_stage *row, const char *curriculum_path)
{
    if (row->config[0] == '/') return text_copy(row->config);
    char *folder = path_parent(curriculum_path);
    char *path = path_join(folder, row->config);
    free(folder);
    return path;
}

static bool sets(const struct config_strings *set, const char *key)
{
    const size_t n = strlen(key);
    for (int64_t i = 0; i < set->n; i++)
        if (strncmp(set->values[i], key, n) == 0 && set->values[i][n] == '=') return true;
    return false;
}

static void replace(char **text, char *with)
{
    free(*text);
    *text = with;
}

static enum status load(struct curriculum *all, struct stage *stage, const char *path)
{
    enum status status = OK;
    const struct config_strings *common = &all->config->curriculum.set, *own = &stage->row->set;
    const int64_t n = common->n + own->n;
    const char **overrides = memory_new((size_t)n + 1, sizeof *overrides);
    for (int64_t i = 0; i < common->n; i++) overrides[i] = common->values[i];
    for (int64_t i = 0; i < own->n; i++) overrides[common->n + i] = own->values[i];
    TRY(run_config_load(&stage->config, path, overrides, (int)n));
    if (stage->config.job == CONFIG_JOB_CURRICULUM)
        FAIL(ERR_ARGUMENT, "%s is a curriculum; name its stages themselves", path);
    replace(&stage->config.run_dir, path_join(all->config->run_dir, stage->name));
out:
    free(overrides);
    return status;
}

/* The training stage before stage i; NULL if there is none. */
static const struct stage *teacher_of(const struct curriculum *all, int64_t i)
{
    while (i-- > 0)
        if (all->stages[i].config.job == CONFIG_JOB_TRAIN) return &all->stages[i];
    return NULL;
}

static enum status check_name(const struct curriculum *all, int64_t i)
{
    enum status status = OK;
    const char *name = all->stages[i].name;
    if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL)
        FAIL(ERR_ARGUMENT,
             "curriculum.stages[%" PRId64 "].name is '%s', which cannot name a folder", i, name);
    for (int64_t j = 0; j < i; j++)
        if (strcmp(all->stages[j].name, name) == 0)
            FAIL(ERR_ARGUMENT,
                 "curriculum.stages[%" PRId64 "] and [%" PRId64 "] are both called %s; give one of "
                 "them another name",
                 j, i, name);
out:
    return status;
}

/* Where the stage begins, and its hash, in which the teacher stands by name: a run directory may be
 * moved. */
static void set_teacher(const struct curriculum *all, int64_t i)
{
    struct stage *stage = &all->stages[i];
    const struct stage *teacher = teacher_of(all, i);
    if (sets(&stage->row->set, "train.init")) teacher = NULL;
    if (teacher != NULL) replace(&stage->config.train.init, text_copy(teacher->name));
    snprintf(stage->hash, sizeof stage->hash, "%016" PRIx64,
             run_directory_config_hash(&stage->config));
    if (teacher != NULL) replace(&stage->config.train.init, text_copy(teacher->config.run_dir));
}

static enum status read_stages(struct curriculum *all, const char *path)
{
    enum status status = OK;
    const struct config_curriculum *rows = &all->config->curriculum;
    char *file = NULL;
    all->n = rows->n_stages;
    all->stages = memory_new((size_t)all->n + 1, sizeof *all->stages);
    for (int64_t i = 0; i < all->n; i++) {
        struct stage *stage = &all->stages[i];
        stage->row = &rows->stages[i];
        stage->name = name_of(stage->row);
        TRY(check_name(all, i));
        free(file);
        file = path_of(stage->row, path);
        TRY_WHERE(load(all, stage, file), "stage %s", stage->name);
        set_teacher(all, i);
    }
out:
    free(file);
    return status;
}

/* ---- whether each stage can begin with what the one before it leaves ---- */

static enum status compare_tables(const struct stage *stage, const struct stage *teacher,
                                  const struct parameter_table *own,
                                  const struct parameter_table *given)
{
    enum status status = OK;
    bool taken[N_MODULES];
    TRY(modules_from_names(taken, stage->config.train.init_modules.values,
                           stage->config.train.init_modules.n));
    for (int64_t i = 0; i < own->n_parameters; i++) {
        const struct parameter *wanted = &own->parameters[i];
        const struct parameter *there = parameter_find(given, wanted->name);
        if (!taken[wanted->module]) continue;
        if (there == NULL && stage->config.train.init_missing == CONFIG_MISSING_NEW) continue;
        if (there == NULL)
            FAIL(ERR_ARGUMENT,
                 "stage %s: %s of module %s is not among the weights of stage %s; with "
                 "train.init_missing=new it starts new",
                 stage->name, wanted->name, module_names[wanted->module], teacher->name);
        if (memcmp(there->dims, wanted->dims, sizeof there->dims) != 0)
            FAIL(ERR_ARGUMENT,
                 "stage %s: %s has another shape than in stage %s; give both the same model",
                 stage->name, wanted->name, teacher->name);
    }
out:
    return status;
}

static enum status check_weights(const struct curriculum *all, int64_t i)
{
    enum status status = OK;
    const struct stage *stage = &all->stages[i], *teacher = teacher_of(all, i);
    const bool nothing[N_MODULES] = {false};
    struct parameter_table *own = NULL, *given = NULL;
    if (teacher == NULL || sets(&stage->row->set, "train.init")) goto out;
    const struct model_config config = model_config_from(&stage->config);
    const struct model_config before = model_config_from(&teacher->config);
    TRY_WHERE(parameter_table_create(&own, &config, nothing), "stage %s", stage->name);
    TRY_WHERE(parameter_table_create(&given, &before, nothing), "stage %s", teacher->name);
    TRY(compare_tables(stage, teacher, own, given));
out:
    parameter_table_destroy(own);
    parameter_table_destroy(given);
    return status;
}

/* ---- the journal ---- */

static enum status write_journal(const struct curriculum *all)
{
    enum status status = OK;
    static const char *const jobs[] = {"train", "evaluate", "curriculum", "generate"};
    json_t *root = json_object(), *rows = json_array();
    for (int64_t i = 0; i < all->n; i++) {
        const struct stage *stage = &all->stages[i];
        json_t *row = json_pack("{s:s, s:s, s:b, s:s, s:f}", "name", stage->name, "job",
                                jobs[stage->config.job], "done", (int)stage->done, "configuration",
                                stage->hash, "seconds", stage->seconds);
        ASSERT(row != NULL, "a row of the journal could not be made");
        json_array_append_new(rows, row);
    }
    json_object_set_new(root, "stages", rows);
    char *text = json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
    ASSERT(text != NULL, "the journal could not be written as JSON");
    TRY(directory_create(all->config->run_dir));
    TRY(file_write_atomic(all->journal, text, strlen(text)));
out:
    free(text);
    json_decref(root);
    return status;
}

static enum status take_row(struct curriculum *all, json_t *row, int64_t index)
{
    enum status status = OK;
    const char *name = NULL, *hash = NULL;
    json_t *done = json_object_get(row, "done");
    char *record = text_format("stages[%" PRId64 "]", index);
    const struct json_place place = {all->journal, record};
    TRY(json_field_string(&name, row, "name", place));
    TRY(json_field_string(&hash, row, "configuration", place));
    if (!json_is_true(done)) goto out;
    for (int64_t i = 0; i < all->n; i++) {
        struct stage *stage = &all->stages[i];
        if (strcmp(stage->name, name) != 0) continue;
        if (strcmp(stage->hash, hash) != 0)
            FAIL(ERR_ARGUMENT,
                 "stage %s was done with another configuration; give the old values, or another "
                 "run_dir, or remove %s and the stages behind it to do them again",
                 name, stage->config.run_dir);
        stage->done = 1;
        json_field_number(&stage->seconds, row, "seconds", place);
        goto out;
    }
    FAIL(ERR_ARGUMENT,
         "%s says that stage %s is done, but the curriculum has none of that name; give it back, "
         "or another run_dir",
         all->journal, name);
out:
    free(record);
    return status;
}

/* A stage is done where the journal says so, its folder is there, and all before it are done. */
static enum status read_journal(struct curriculum *all)
{
    enum status status = OK;
    json_t *root = NULL, *rows = NULL;
    const struct json_place place = {all->journal, "the journal"};
    if (!file_exists(all->journal)) goto out;
    TRY(json_file_read(&root, all->journal, MAX_JOURNAL_BYTES));
    TRY(json_field(&rows, root, "stages", JSON_ARRAY, place));
    for (size_t i = 0; i < json_array_size(rows); i++)
        TRY(take_row(all, json_array_get(rows, i), (int64_t)i));
    bool before = true;
    for (int64_t i = 0; i < all->n; i++) {
        before = before && all->stages[i].done && file_exists(all->stages[i].config.run_dir);
        all->stages[i].done = before;
    }
out:
    json_decref(root);
    return status;
}

/* Collective: rank 0's view is everyone's. */
static enum status find_done(struct curriculum *all)
{
    enum status status = OK;
    if (comm_rank(all->comm) == 0) status = read_journal(all);
    TRY(comm_agree(all->comm, status));
    for (int64_t i = 0; i < all->n; i++) {
        int64_t done = comm_rank(all->comm) == 0 && all->stages[i].done;
        TRY(comm_max_int64(all->comm, &done, 1));
        all->stages[i].done = done;
    }
out:
    return status;
}

/* ---- running ---- */

/* Of a killed run's half of an export nothing is left. */
static enum status export_stage(const struct stage *stage)
{
    enum status status = OK;
    char *folder = path_join(stage->config.run_dir, "export");
    const struct model_config model = model_config_from(&stage->config);
    struct export_options options = {.checkpoint = stage->config.run_dir,
                                     .directory = folder,
                                     .dtype = DTYPE_BF16,
                                     .shard_bytes = EXPORT_SHARD_BYTES,
                                     .tokenizer = stage->config.tokenizer};
    for (int m = 0; m < N_MODULES; m++) options.modules[m] = true;
    TRY(directory_remove(folder));
    TRY(weights_export(&model, &options));
    log_info("stage %s: weights in %s", stage->name, folder);
out:
    free(folder);
    return status;
}

static enum status run_stage(struct curriculum *all, struct stage *stage, struct command_call *call)
{
    enum status status = OK;
    const double start = monotonic_seconds();
    TRY(run_single_job(all->comm, &stage->config, call));
    if (comm_rank(all->comm) == 0) {
        if (stage->row->export_weights) status = export_stage(stage);
        stage->done = 1;
        stage->seconds = monotonic_seconds() - start;
        if (status == OK) status = write_journal(all);
    }
    TRY(comm_agree(all->comm, status));
out:
    return status;
}

static enum status run_stages(struct curriculum *all, struct command_call *call)
{
    enum status status = OK;
    struct stop_requests requests = {0};
    for (int64_t i = 0; i < all->n; i++) {
        struct stage *stage = &all->stages[i];
        if (stage->done) {
            log_info("stage %s (%" PRId64 " of %" PRId64 "): done before", stage->name, i + 1,
                     all->n);
            continue;
        }
        log_info("stage %s (%" PRId64 " of %" PRId64 "): %s%s", stage->name, i + 1, all->n,
                 stage->config.train.init[0] != '\0' ? "weights of " : "new weights",
                 stage->config.train.init);
        TRY(run_stage(all, stage, call));
        call->started = true;
        TRY(stop_signals_agree(call->signals, all->comm, NULL, &requests));
        if (!requests.stop || i + 1 == all->n) continue;
        log_info("stopped after stage %s; the same command goes on there", stage->name);
        status_clear();
        status = ERR_STOPPED;
        goto out;
    }
out:
    return status;
}

static void release(struct curriculum *all)
{
    for (int64_t i = 0; i < all->n; i++) {
        free(all->stages[i].name);
        run_config_release(&all->stages[i].config);
    }
    free(all->stages);
    free(all->journal);
}

static enum status read_all(struct curriculum *all, const char *path)
{
    enum status status = OK;
    TRY(read_stages(all, path));
    for (int64_t i = 0; i < all->n; i++) TRY(check_weights(all, i));
out:
    return status;
}

enum status curriculum_job_run(struct comm *comm, const struct run_config *config,
                               struct command_call *call)
{
    enum status status = OK;
    struct curriculum all = {.comm = comm, .config = config};
    struct stop_signals signals = {0};
    all.journal = path_join(config->run_dir, "curriculum.json");
    TRY(comm_agree(comm, read_all(&all, call->arguments[0])));
    TRY(find_done(&all));
    if (comm_rank(comm) == 0) status = write_journal(&all);
    TRY(comm_agree(comm, status));
    TRY(comm_agree(comm, stop_signals_open(&signals)));
    TRY(stop_signals_watch_end(&signals, comm, config->faults.end_margin_s));
    call->signals = &signals;
    TRY(run_stages(&all, call));
    log_info("curriculum: all %" PRId64 " stages are done, in %s", all.n, config->run_dir);
out:
    comm_check_together(comm, status);
    call->signals = NULL;
    stop_signals_close(&signals);
    release(&all);
    return status;
}
