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
#include "jobs/curriculum_stages.h"
#include "jobs/run_job.h"
#include "jobs/weight_exchange.h"
#include "train/model_setup.h"
#include "train/run_directory.h"
#include "train/stop_signals.h"

#define MAX_JOURNAL_BYTES  ((size_t)16 << 20)
#define EXPORT_SHARD_BYTES UINT64_C(5000000000)

struct curriculum {
    struct comm *comm;
    const struct run_config *config;
    struct curriculum_stages read;
    struct stage *stages; /* [n], of `read` */
    int64_t n;
    char *journal; /* path */
};

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
    call->weights = stage->teacher != NULL ? stage->teacher->name : NULL;
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

enum status curriculum_job_run(struct comm *comm, const struct run_config *config,
                               struct command_call *call)
{
    enum status status = OK;
    struct curriculum all = {.comm = comm, .config = config};
    struct stop_signals signals = {0};
    all.journal = path_join(config->run_dir, "curriculum.json");
    TRY(comm_agree(comm, curriculum_stages_read(&all.read, config, call->arguments[0])));
    all.stages = all.read.stages;
    all.n = all.read.n;
    TRY(find_done(&all));
    TRY(comm_agree(comm, curriculum_stages_check_inputs(&all.read)));
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
    call->weights = NULL;
    stop_signals_close(&signals);
    curriculum_stages_release(&all.read);
    free(all.journal);
    return status;
}
