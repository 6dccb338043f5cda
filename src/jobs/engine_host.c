/* See engine_host.h. */
#include "jobs/engine_host.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/text_buffer.h"
#include "generate/engine_setup.h"
#include "jobs/job_mesh.h"

static enum status say_memory(const struct engine_host *host, const struct engine_options *options)
{
    enum status status = OK;
    struct model_memory model;
    struct engine_memory engine;
    char *text = NULL;
    TRY(model_plan(&model, &host->model.config, &host->model.options, host->model.kernels));
    const int sharers = host->mesh.tp_size > 1 ? host->mesh.tp_size : 1;
    TRY(engine_plan(&engine, &host->model.config, sharers, options, host->model.kernels));
    text = engine_memory_text(&engine);
    log_info("memory: %.1f MiB of weights, %.1f MiB for pictures, %s",
             (double)model.weights / (1 << 20),
             (double)(model.activations + model.workspace) / (1 << 20), text);
out:
    free(text);
    return status;
}

/* The ranks of a program that several were started of. */
static enum status join_ranks(struct engine_host *host)
{
    enum status status = OK;
    const int ranks = comm_size(host->comm);
    if (ranks == 1) goto out;
    if (host->config.parallel.tp != ranks)
        FAIL(ERR_ARGUMENT,
             "%d ranks were started and parallel.tp is %" PRId64 ": all of them hold one model; "
             "set parallel.tp=%d, or start one",
             ranks, host->config.parallel.tp, ranks);
    TRY(job_mesh_make(&host->mesh, &host->share, host->comm, &host->config));
    host->share.sequence = false;
out:
    return status;
}

static enum status make_model(struct engine_host *host, const struct engine_options *options)
{
    enum status status = OK;
    TRY(tokenizer_open(&host->tokenizer, host->config.tokenizer));
    TRY(run_model_size(&host->model, &host->config, false));
    host->model.options.limits = engine_model_limits(&host->config);
    if (host->mesh.tp_size > 1) host->model.options.share = &host->share;
    TRY(say_memory(host, options));
    TRY(run_model_create(&host->model, &host->config));
out:
    return status;
}

enum status engine_host_open(struct engine_host *host, const char *path, const char *weights,
                             const char *const *set, int n_set)
{
    enum status status = OK;
    TRY(comm_create(&host->comm, NULL));
    TRY(run_config_load(&host->config, path, set, n_set));
    if (weights[0] != '\0') {
        free(host->config.train.init);
        host->config.train.init = text_copy(weights);
    }
    if (host->config.train.init[0] == '\0')
        FAIL(ERR_ARGUMENT, "no weights: give --from CHECKPOINT, or set train.init");
    const struct engine_options options = engine_options_from(&host->config);
    TRY(join_ranks(host));
    TRY(comm_agree(host->comm, make_model(host, &options)));
    if (host->mesh.tp_size > 1)
        TRY(job_mesh_use_device(&host->mesh, host->model.device, &host->config));
    const struct train_parts parts = {.comm = host->comm,
                                      .mesh = host->mesh.tp_size > 1 ? &host->mesh : NULL,
                                      .model = host->model.model};
    TRY(run_take_init(&parts, &host->config));
    status = engine_create(&host->engine, host->model.model, host->tokenizer, &options);
    TRY(comm_agree(host->comm, status));
    host->open = true;
out:
    return status;
}

bool engine_host_leads(const struct engine_host *host)
{
    return comm_rank(host->comm) == 0;
}

enum status engine_host_follow(struct engine_host *host)
{
    const enum status status = engine_follow(host->engine);
    comm_check_together(host->comm, status); /* the first one waits for this one */
    return status;
}

void engine_host_close(struct engine_host *host)
{
    if (host->open && engine_host_leads(host) && engine_end(host->engine) != OK)
        comm_abort(host->comm, "%s", status_message());
    engine_destroy(host->engine);
    run_model_release(&host->model);
    tokenizer_close(host->tokenizer);
    run_config_release(&host->config);
    mesh_release(&host->mesh);
    comm_destroy(host->comm);
    *host = (struct engine_host){0};
}
