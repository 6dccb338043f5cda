/* See curriculum_stages.h. */
#include "jobs/curriculum_stages.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "corpus/corpus_index.h"
#include "jobs/generate_job.h"
#include "train/model_setup.h"
#include "train/run_directory.h"

struct reading { /* of the stages */
    struct stage *stages;
    int64_t n;
    const struct run_config *config; /* of the curriculum */
};

/* ---- files ---- */

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

static enum status load(struct reading *all, struct stage *stage, const char *path)
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
    stage->said_run_dir = text_copy(stage->config.run_dir);
    replace(&stage->config.run_dir, path_join(all->config->run_dir, stage->name));
out:
    free(overrides);
    return status;
}

static enum status check_name(const struct reading *all, int64_t i)
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

/* ---- what a stage takes from others ---- */

/* What a stage leaves that another may name: a run directory, or a corpus; to free(). NULL: nothing
 * of that job. `alone`: where it would be if the stage ran by itself. */
static char *left_by(const struct stage *stage, enum config_job job, bool alone)
{
    if (stage->config.job != (int)job) return NULL;
    const char *run_dir = alone ? stage->said_run_dir : stage->config.run_dir;
    if (job != CONFIG_JOB_GENERATE) return text_copy(run_dir);
    const char *out = stage->config.generate.out;
    return out[0] != '\0' ? text_copy(out) : path_join(run_dir, "corpus");
}

/* The stage that `path` means if it runs alone; NULL: none. ERR_ARGUMENT where two would write
 * there, or one that comes later does. */
static enum status find_writer(const struct stage **writer_out, const struct reading *all,
                               int64_t reader, enum config_job job, const char *path)
{
    enum status status = OK;
    const struct stage *found = NULL;
    *writer_out = NULL;
    for (int64_t i = 0; i < all->n && path[0] != '\0'; i++) {
        char *there = left_by(&all->stages[i], job, true);
        const bool same = there != NULL && strcmp(there, path) == 0;
        free(there);
        if (!same || i == reader) continue;
        if (found != NULL && i < reader)
            FAIL(ERR_ARGUMENT,
                 "stage %s names %s, and both stage %s and stage %s say that they write it; give "
                 "one of them another run_dir",
                 all->stages[reader].name, path, found->name, all->stages[i].name);
        if (found == NULL && i > reader)
            FAIL(ERR_ARGUMENT, "stage %s names %s, which stage %s writes only after it",
                 all->stages[reader].name, path, all->stages[i].name);
        if (i < reader) found = &all->stages[i];
    }
    *writer_out = found;
out:
    return status;
}

/* The paths of a stage's configuration that may name what another stage writes. */
struct taken {
    char **path;
    enum config_job job;    /* of who writes it */
    const char *key, *file; /* what must be in it */
    const struct stage *writer;
};

/* To free(). */
static struct taken *list_taken(struct stage *stage, int64_t *n_out)
{
    struct run_config *config = &stage->config;
    const int64_t room = config->data.n_sources + config->evaluate.n_beside + 1;
    struct taken *list = memory_new((size_t)room, sizeof *list);
    int64_t n = 0;
    struct taken corpus = {.job = CONFIG_JOB_GENERATE, .file = CORPUS_INDEX_FILE};
    if (config->job == CONFIG_JOB_TRAIN) {
        corpus.key = "data.sources[].corpus";
        for (int64_t i = 0; i < config->data.n_sources; i++) {
            corpus.path = &config->data.sources[i].corpus;
            list[n++] = corpus;
        }
    } else {
        const bool generates = config->job == CONFIG_JOB_GENERATE;
        corpus.key = generates ? "generate.corpus" : "evaluate.corpus";
        corpus.path = generates ? &config->generate.corpus : &config->evaluate.corpus;
        list[n++] = corpus;
    }
    for (int64_t i = 0; config->job == CONFIG_JOB_EVALUATE && i < config->evaluate.n_beside; i++)
        list[n++] = (struct taken){&config->evaluate.beside[i].run, CONFIG_JOB_EVALUATE,
                                   "evaluate.beside[].run", "evaluation.json", NULL};
    *n_out = n;
    return list;
}

/* The last training stage before stage i; NULL if there is none. */
static const struct stage *trained_before(const struct reading *all, int64_t i)
{
    while (i-- > 0)
        if (all->stages[i].config.job == CONFIG_JOB_TRAIN) return &all->stages[i];
    return NULL;
}

static bool needs_weights(const struct run_config *config)
{
    return config->job != CONFIG_JOB_GENERATE || generate_job_needs_model(config);
}

static enum status find_teacher(struct reading *all, int64_t i)
{
    enum status status = OK;
    struct stage *stage = &all->stages[i];
    if (!needs_weights(&stage->config)) goto out;
    if (sets(&stage->row->set, "train.init"))
        TRY(find_writer(&stage->teacher, all, i, CONFIG_JOB_TRAIN, stage->config.train.init));
    else
        stage->teacher = trained_before(all, i);
out:
    return status;
}

/* Where the stage begins and what it reads, and its hash, in which other stages stand by name: a
 * run directory may be moved. */
static enum status set_taken(struct reading *all, int64_t i)
{
    enum status status = OK;
    struct stage *stage = &all->stages[i];
    int64_t n = 0;
    struct taken *list = list_taken(stage, &n);
    TRY(find_teacher(all, i));
    for (int64_t k = 0; k < n; k++) {
        struct taken *taken = &list[k];
        TRY(find_writer(&taken->writer, all, i, taken->job, *taken->path));
        if (taken->writer != NULL)
            replace(taken->path, text_format("stage %s", taken->writer->name));
    }
    if (stage->teacher != NULL) replace(&stage->config.train.init, text_copy(stage->teacher->name));
    snprintf(stage->hash, sizeof stage->hash, "%016" PRIx64,
             run_directory_config_hash(&stage->config));
    for (int64_t k = 0; k < n; k++)
        if (list[k].writer != NULL)
            replace(list[k].path, left_by(list[k].writer, list[k].job, false));
    if (stage->teacher != NULL)
        replace(&stage->config.train.init, text_copy(stage->teacher->config.run_dir));
out:
    free(list);
    return status;
}

/* ---- whether each stage can begin with what the one before it leaves ---- */

static enum status compare_tables(const struct stage *stage, const struct parameter_table *own,
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
                 stage->name, wanted->name, module_names[wanted->module], stage->teacher->name);
        if (memcmp(there->dims, wanted->dims, sizeof there->dims) != 0)
            FAIL(ERR_ARGUMENT,
                 "stage %s: %s has another shape than in stage %s; give both the same model",
                 stage->name, wanted->name, stage->teacher->name);
    }
out:
    return status;
}

static enum status check_weights(const struct stage *stage)
{
    enum status status = OK;
    const bool nothing[N_MODULES] = {false};
    struct parameter_table *own = NULL, *given = NULL;
    if (stage->teacher == NULL) goto out;
    const struct model_config config = model_config_from(&stage->config);
    const struct model_config before = model_config_from(&stage->teacher->config);
    TRY_WHERE(parameter_table_create(&own, &config, nothing), "stage %s", stage->name);
    TRY_WHERE(parameter_table_create(&given, &before, nothing), "stage %s", stage->teacher->name);
    TRY(compare_tables(stage, own, given));
out:
    parameter_table_destroy(own);
    parameter_table_destroy(given);
    return status;
}

static enum status check_job(const struct stage *stage)
{
    enum status status = OK;
    if (stage->row->export_weights && stage->config.job != CONFIG_JOB_TRAIN)
        FAIL(ERR_ARGUMENT, "stage %s: export is true, but only job train leaves weights",
             stage->name);
    if (stage->config.job == CONFIG_JOB_GENERATE)
        TRY_WHERE(generate_job_check(&stage->config), "stage %s", stage->name);
out:
    return status;
}

/* ---- whether what no stage writes is there ---- */

static bool is_written_before(const struct curriculum_stages *all, int64_t i,
                              const struct taken *taken)
{
    bool found = false;
    for (int64_t j = 0; j < i && !found; j++) {
        char *there = left_by(&all->stages[j], taken->job, false);
        found = there != NULL && strcmp(there, *taken->path) == 0;
        free(there);
    }
    return found;
}

static enum status check_taken(const struct curriculum_stages *all, int64_t i,
                               const struct taken *taken)
{
    enum status status = OK;
    char *file = path_join(*taken->path, taken->file);
    if (!is_written_before(all, i, taken) && !file_exists(file))
        FAIL(ERR_ARGUMENT, "stage %s: %s is '%s', which has no %s and which no stage before writes",
             all->stages[i].name, taken->key, *taken->path, taken->file);
out:
    free(file);
    return status;
}

enum status curriculum_stages_check_inputs(const struct curriculum_stages *all)
{
    enum status status = OK;
    struct taken *list = NULL;
    for (int64_t i = 0; i < all->n; i++) {
        int64_t n = 0;
        if (all->stages[i].done) continue;
        free(list);
        list = list_taken(&all->stages[i], &n);
        for (int64_t k = 0; k < n; k++) TRY(check_taken(all, i, &list[k]));
    }
out:
    free(list);
    return status;
}

/* ---- all ---- */

enum status curriculum_stages_read(struct curriculum_stages *all_out,
                                   const struct run_config *config, const char *path)
{
    enum status status = OK;
    const struct config_curriculum *rows = &config->curriculum;
    struct reading all = {.n = rows->n_stages, .config = config};
    char *file = NULL;
    all.stages = memory_new((size_t)all.n + 1, sizeof *all.stages);
    *all_out = (struct curriculum_stages){all.stages, all.n};
    for (int64_t i = 0; i < all.n; i++) {
        struct stage *stage = &all.stages[i];
        stage->row = &rows->stages[i];
        stage->name = name_of(stage->row);
        TRY(check_name(&all, i));
        free(file);
        file = path_of(stage->row, path);
        TRY_WHERE(load(&all, stage, file), "stage %s", stage->name);
    }
    for (int64_t i = 0; i < all.n; i++) {
        TRY(set_taken(&all, i));
        TRY(check_weights(&all.stages[i]));
        TRY(check_job(&all.stages[i]));
    }
out:
    free(file);
    return status;
}

void curriculum_stages_release(struct curriculum_stages *all)
{
    for (int64_t i = 0; i < all->n; i++) {
        free(all->stages[i].name);
        free(all->stages[i].said_run_dir);
        run_config_release(&all->stages[i].config);
    }
    free(all->stages);
    *all = (struct curriculum_stages){0};
}
