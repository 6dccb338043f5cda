/* Wiring of an evaluation: model, scenes, table, margins. */
#include "jobs/evaluate_job.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "evaluate/scenes_probe.h"
#include "jobs/job_mesh.h"
#include "train/run_setup.h"

struct evaluate_job { /* zeroed is releasable */
    struct comm *comm;
    const struct run_config *config;
    struct mesh mesh;
    struct model_share share;
    struct corpus *corpus;
    struct tokenizer *tokenizer;
    struct run_model model;
    struct scenes_probe probe;
};

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

/* ---- results ---- */

static json_t *results_json(const struct probe_counts *counts)
{
    json_t *rows = json_array();
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
            json_array_append_new(rows, row);
        }
    }
    return rows;
}

static enum status write_results(const struct evaluate_job *job, const struct probe_counts *counts)
{
    enum status status = OK;
    json_t *root = json_pack("{s:s, s:s, s:I, s:o}", "checkpoint", job->config->train.init,
                             "corpus", job->config->evaluate.corpus, "records",
                             (json_int_t)job->probe.n_records, "results", results_json(counts));
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
        static const char *const over[] = {"the majority", "no picture", "another's picture"};
        const double base = margin->over == CONFIG_OVER_MAJORITY
                                ? probe_majority(counts, form, class)
                            : margin->over == CONFIG_OVER_ZEROED
                                ? probe_accuracy(counts, form, class, PROBE_ZEROED)
                                : probe_accuracy(counts, form, class, PROBE_SWAPPED);
        char *line = text_format("%s %s %.3f over %s %.3f: margin %+.3f, stated %+.3f",
                                 probe_form_names[form], probe_class_names[class], seen,
                                 over[margin->over], base, seen - base, margin->by);
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

static enum status report(const struct evaluate_job *job, const struct probe_counts *counts)
{
    enum status status = OK;
    if (comm_rank(job->comm) != 0) return OK;
    char *table = probe_table(counts);
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
    mesh_release(&job.mesh);
    run_model_release(&job.model);
    tokenizer_close(job.tokenizer);
    corpus_close(job.corpus);
    return status;
}
