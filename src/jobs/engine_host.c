/* See engine_host.h. */
#include "jobs/engine_host.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/text_buffer.h"
#include "generate/engine_setup.h"

static enum status say_memory(const struct engine_host *host, const struct engine_options *options)
{
    enum status status = OK;
    struct model_memory model;
    struct engine_memory engine;
    char *text = NULL;
    TRY(model_plan(&model, &host->model.config, &host->model.options, host->model.kernels));
    TRY(engine_plan(&engine, &host->model.config, options, host->model.kernels));
    text = engine_memory_text(&engine);
    log_info("memory: %.1f MiB of weights, %.1f MiB for pictures, %s",
             (double)model.weights / (1 << 20),
             (double)(model.activations + model.workspace) / (1 << 20), text);
out:
    free(text);
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
    TRY(tokenizer_open(&host->tokenizer, host->config.tokenizer));
    TRY(run_model_size(&host->model, &host->config, false));
    host->model.options.limits = engine_model_limits(&host->config);
    TRY(say_memory(host, &options));
    TRY(run_model_create(&host->model, &host->config));
    const struct train_parts parts = {.comm = host->comm, .model = host->model.model};
    TRY(run_take_init(&parts, &host->config));
    TRY(engine_create(&host->engine, host->model.model, host->tokenizer, &options));
out:
    return status;
}

void engine_host_close(struct engine_host *host)
{
    engine_destroy(host->engine);
    run_model_release(&host->model);
    tokenizer_close(host->tokenizer);
    run_config_release(&host->config);
    comm_destroy(host->comm);
    *host = (struct engine_host){0};
}
