/* Wiring of an evaluation: model, scenes, table, margins. */
#include "jobs/evaluate_job.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/file.h"
#include "base/json_file.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "evaluate/scenes_probe.h"
#include "jobs/job_mesh.h"
#include "train/run_setup.h"

#define MAX_EVALUATION_BYTES ((size_t)1 << 20)

struct evaluate_job { /* zeroed is releasable */
    struct comm *comm;
    const struct run_config *config;
    struct mesh mesh;
    struct model_share share;
    struct corpus *corpus;
    struct tokenizer *tokenizer;
    struct run_model model;
    struct scenes_probe probe;
    struct probe_beside *beside; /* [config->evaluate.n_beside] */
};

/* Asked before the scenes are: a missing one costs nothing then. */
static enum status check_beside(const struct config_evaluate *evaluate)
{
    enum status status = OK;
    char *path = NULL;
    for (int64_t i = 0; i < evaluate->n_beside; i++) {
        free(path);
        path = path_join(evaluate->beside[i].run, "evaluation.json");
        if (!file_exists(path))
            FAIL(ERR_IO, "evaluate.beside[%" PRId64 "]: no file %s; run that evaluation first", i,
                 path);
    }
out:
    free(path);
    return status;
}

static enum status open_all(struct evaluate_job *job)
{
    enum status status = OK;
    const struct run_config *config = job->config;
    if (config->evaluate.corpus[0] == '\0' || config->train.init[0] == '\0')
        FAIL(ERR_ARGUMENT, "job evaluate needs evaluate.corpus and train.init (the checkpoint)");
    TRY(corpus_open(&job->corpus, config->evaluate.corpus));
    TRY(tokenizer_open(&job->tokenizer, config->tokenizer));
    if (corpus_size(job->corpus) < 2 || corpus_size(job->corpus) < config->evaluate.records)
        FAIL(ERR_ARGUMENT,
             "%s holds %" PRId64 " records; evaluate.records is %" PRId64 ", and 2 are the least",
             config->evaluate.corpus, corpus_size(job->corpus), config->evaluate.records);
    TRY(check_beside(&config->evaluate));
    if (config->run_dir[0] != '\0') TRY(directory_create(config->run_dir));
out:
    return status;
}

static enum status prepare(struct evaluate_job *job)
{
    enum status status = OK;
    const struct run_config *config = job->config;
    const int64_t records = config->evaluate.records;
    TRY(run_model_size(&job->model, config, false));
    if (job->mesh.tp_size > 1) job->model.options.share = &job->share;
    TRY(run_model_create(&job->model, config));
    job->probe = (struct scenes_probe){
        .mesh = &job->mesh,
        .model = job->model.model,
        .tokenizer = job->tokenizer,
        .corpus = job->corpus,
        .n_records = records > 0 ? records : corpus_size(job->corpus),
        .image_mode =
            config->data.image_mode == CONFIG_IMAGE_PAD ? IMAGE_MODE_PAD : IMAGE_MODE_SQUASH,
        .region_mode = (enum region_mode)config->data.region_mode,
        .seed = (uint64_t)config->seed,
    };
    TRY(run_rows_options(&job->probe.rows, config, &job->model, job->tokenizer));
out:
    return status;
}

/* ---- what stands beside it ---- */

/* One row of another evaluation's results, found by what was asked. */
static enum status take_beside(struct probe_beside *beside, const json_t *row,
                               const struct probe_counts *counts, struct json_place place)
{
    enum status status = OK;
    const char *answers = NULL, *asked = NULL;
    double seen = 0;
    TRY(json_field_string(&answers, row, "answers", place));
    TRY(json_field_string(&asked, row, "asked", place));
    TRY(json_field_number(&seen, row, "seen", place));
    for (int form = 0; form < N_PROBE_FORMS; form++) {
        for (int class = 0; class < N_PROBE_CLASSES; class ++) {
            if (strcmp(probe_form_names[form], answers) != 0) continue;
            if (strcmp(probe_class_names[class], asked) != 0) continue;
            const int64_t n = json_integer_value(json_object_get(row, "n"));
            if (n != counts->total[form][class])
                FAIL(ERR_FORMAT,
                     "%s: %s: n is %" PRId64 " and here %" PRId64 " were asked: that evaluation is "
                     "of other scenes",
                     place.file, place.record, n, counts->total[form][class]);
            beside->seen[form][class] = seen;
        }
    }
out:
    return status;
}

static enum status read_beside(struct probe_beside *beside, const struct config_beside *from,
                               const struct probe_counts *counts)
{
    enum status status = OK;
    json_t *root = NULL, *rows = NULL;
    char *path = path_join(from->run, "evaluation.json");
    beside->name = from->name;
    TRY_WHERE(json_file_read(&root, path, MAX_EVALUATION_BYTES), "evaluate.beside %s", from->name);
    TRY(json_field(&rows, root, "results", JSON_ARRAY,
                   (struct json_place){path, "the evaluation"}));
    if (json_array_size(rows) != (size_t)N_PROBE_FORMS * N_PROBE_CLASSES)
        FAIL(ERR_FORMAT, "%s: results has %zu rows and not %d", path, json_array_size(rows),
             N_PROBE_FORMS * N_PROBE_CLASSES);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        char *record = text_format("results[%zu]", i);
        status =
            take_beside(beside, json_array_get(rows, i), counts, (struct json_place){path, record});
        free(record);
        TRY(status);
    }
out:
    json_decref(root);
    free(path);
    return status;
}

static enum status read_all_beside(struct evaluate_job *job, const struct probe_counts *counts)
{
    enum status status = OK;
    const struct config_evaluate *evaluate = &job->config->evaluate;
    job->beside = memory_new((size_t)evaluate->n_beside + 1, sizeof *job->beside);
    for (int64_t i = 0; i < evaluate->n_beside; i++)
        TRY(read_beside(&job->beside[i], &evaluate->beside[i], counts));
out:
    return status;
}

/* ---- results ---- */

static json_t *results_json(const struct evaluate_job *job, const struct probe_counts *counts)
{
    json_t *rows = json_array();
    const int64_t n_beside = job->config->evaluate.n_beside;
    for (int form = 0; form < N_PROBE_FORMS; form++) {
        for (int class = 0; class < N_PROBE_CLASSES; class ++) {
            const enum probe_form f = (enum probe_form)form;
            const enum probe_class c = (enum probe_class) class;
            json_t *row =
                json_pack("{s:s, s:s, s:I, s:f}", "answers", probe_form_names[form], "asked",
                          probe_class_names[class], "n", (json_int_t)counts->total[form][class],
                          "majority", probe_majority(counts, f, c));
            ASSERT(row != NULL, "a row of results could not be made");
            for (int view = 0; view < N_PROBE_VIEWS; view++)
                json_object_set_new(row, probe_view_names[view],
                                    json_real(probe_accuracy(counts, f, c, (enum probe_view)view)));
            json_t *beside = json_object();
            for (int64_t i = 0; i < n_beside; i++)
                json_object_set_new(beside, job->beside[i].name,
                                    json_real(job->beside[i].seen[f][c]));
            if (n_beside > 0) json_object_set(row, "beside", beside);
            json_decref(beside);
            json_array_append_new(rows, row);
        }
    }
    return rows;
}

static enum status write_results(const struct evaluate_job *job, const struct probe_counts *counts)
{
    enum status status = OK;
    json_t *root =
        json_pack("{s:s, s:s, s:I, s:o}", "checkpoint", job->config->train.init, "corpus",
                  job->config->evaluate.corpus, "records", (json_int_t)job->probe.n_records,
                  "results", results_json(job, counts));
    ASSERT(root != NULL, "the results could not be made");
    char *text = json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
    ASSERT(text != NULL, "the results could not be written as JSON");
    char *path = path_join(job->config->run_dir, "evaluation.json");
    TRY(file_write_atomic(path, text, strlen(text)));
out:
    free(path);
    free(text);
    json_decref(root);
    return status;
}

/* What a margin compares with, and how the table calls it. */
static double base_of(const struct evaluate_job *job, const struct probe_counts *counts,
                      const struct config_margin *margin, const char **called_out)
{
    const enum probe_form form = (enum probe_form)margin->answers;
    const enum probe_class class = (enum probe_class)margin->asked;
    *called_out = margin->over;
    for (int64_t i = 0; i < job->config->evaluate.n_beside; i++)
        if (strcmp(job->beside[i].name, margin->over) == 0) return job->beside[i].seen[form][class];
    *called_out = "no picture";
    if (strcmp(margin->over, "zeroed") == 0)
        return probe_accuracy(counts, form, class, PROBE_ZEROED);
    *called_out = "another's picture";
    if (strcmp(margin->over, "swapped") == 0)
        return probe_accuracy(counts, form, class, PROBE_SWAPPED);
    ASSERT(strcmp(margin->over, "majority") == 0, "a margin over %s", margin->over);
    *called_out = "the majority";
    return probe_majority(counts, form, class);
}

/* Prints every margin, met or missed, and fails if one is missed. */
static enum status check_margins(const struct evaluate_job *job, const struct probe_counts *counts)
{
    enum status status = OK;
    const struct config_evaluate *evaluate = &job->config->evaluate;
    struct text_buffer missed = {0};
    for (int64_t i = 0; i < evaluate->n_margins; i++) {
        const struct config_margin *margin = &evaluate->margins[i];
        const enum probe_form form = (enum probe_form)margin->answers;
        const enum probe_class class = (enum probe_class)margin->asked;
        const double seen = probe_accuracy(counts, form, class, PROBE_SEEN);
        const char *called = NULL;
        const double base = base_of(job, counts, margin, &called);
        char *line = text_format("%s %s %.3f over %s %.3f: margin %+.3f, stated %+.3f",
                                 probe_form_names[form], probe_class_names[class], seen, called,
                                 base, seen - base, margin->by);
        const bool met = counts->total[form][class] > 0 && seen - base >= margin->by;
        printf("%s  %s\n", met ? "met   " : "MISSED", line);
        if (!met) text_printf(&missed, "%s%s", missed.length > 0 ? "; " : "", line);
        free(line);
    }
    fflush(stdout);
    if (missed.length > 0) FAIL(ERR_DIVERGED, "margins missed: %s", text_of(&missed));
out:
    text_release(&missed);
    return status;
}

static enum status report(struct evaluate_job *job, const struct probe_counts *counts)
{
    enum status status = OK;
    char *table = NULL;
    if (comm_rank(job->comm) != 0) return OK;
    TRY(read_all_beside(job, counts));
    table = probe_table(counts, job->beside, job->config->evaluate.n_beside);
    printf("%" PRId64 " held-out scenes of %s, model of %s\n%s", job->probe.n_records,
           job->config->evaluate.corpus, job->config->train.init, table);
    TRY(write_results(job, counts));
    TRY(check_margins(job, counts));
out:
    free(table);
    return status;
}

enum status evaluate_job(struct comm *comm, const struct run_config *config, bool *started_out)
{
    enum status status = OK;
    struct evaluate_job job = {.comm = comm, .config = config};
    struct probe_counts counts;
    TRY(job_mesh_make(&job.mesh, &job.share, comm, config));
    TRY(comm_agree(comm, open_all(&job)));
    TRY(comm_agree(comm, prepare(&job)));
    TRY(job_mesh_use_device(&job.mesh, job.model.device, config));
    const struct train_parts parts = {.comm = comm, .mesh = &job.mesh, .model = job.model.model};
    TRY(run_take_init(&parts, config));
    *started_out = true;
    TRY(scenes_probe_run(&counts, &job.probe));
    TRY(comm_agree(comm, report(&job, &counts)));
out:
    free(job.beside);
    mesh_release(&job.mesh);
    run_model_release(&job.model);
    tokenizer_close(job.tokenizer);
    corpus_close(job.corpus);
    return status;
}
