/* From options to a server, and its end on a signal. */
#include "jobs/serve_command.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/heartbeat.h"
#include "base/log.h"
#include "generate/grammar.h"
#include "jobs/engine_host.h"
#include "jobs/options.h"
#include "serve/chat_server.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct request {
    const char *config, *from, *host, *model;
    int64_t port, queue, body_mib, megapixels;
    struct option_texts set;
};

static struct chat_server_options server_options(const struct request *request,
                                                 const struct run_config *config)
{
    const struct config_decode *decode = &config->decode;
    return (struct chat_server_options){
        .host = request->host,
        .port = request->port,
        .model = request->model,
        .body_bytes = request->body_mib << 20,
        .queue = request->queue,
        .connections = 2 * request->queue + 64,
        .idle_seconds = 120,
        .limits = {.pixels = request->megapixels * 1000000,
                   .image_bytes = (size_t)request->body_mib << 20,
                   .regions = GRAMMAR_MAX_REGIONS - 1,
                   .max_tokens = decode->max_tokens > 0 ? decode->max_tokens : 1024,
                   .most_tokens =
                       decode->max_length > 0 ? decode->max_length : config->model.lm_max_positions,
                   .temperature = decode->temperature,
                   .top_p = decode->top_p}};
}

/* Blocks the signals in this thread and those it starts; they are asked for with a stop. */
static sigset_t block_signals(void)
{
    sigset_t stops;
    sigemptyset(&stops);
    sigaddset(&stops, SIGINT);
    sigaddset(&stops, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &stops, NULL);
    return stops;
}

static bool was_stopped(const sigset_t *stops)
{
    const struct timespec now = {0, 0};
    return sigtimedwait(stops, NULL, &now) > 0;
}

static enum status serve(const struct request *request, struct command_call *call)
{
    enum status status = OK;
    struct engine_host host = {0};
    struct chat_server *server = NULL;
    const sigset_t stops = block_signals();
    TRY(engine_host_open(&host, request->config, request->from,
                         (const char *const *)request->set.values, (int)request->set.n));
    if (!engine_host_leads(&host)) {
        call->started = true;
        TRY(engine_host_follow(&host));
        goto out;
    }
    const struct chat_server_options options = server_options(request, &host.config);
    TRY(chat_server_open(&server, host.engine, host.tokenizer, &options));
    call->started = true;
    printf("listening on http://%s:%" PRId64 "/v1, model %s\n", request->host,
           chat_server_port(server), request->model);
    fflush(stdout);
    while (!was_stopped(&stops)) {
        heartbeat_beat(); /* other ranks may wait here for what is to be done */
        TRY(chat_server_work(server));
    }
    log_info("stopping: no more requests are taken, those in work are answered");
    chat_server_stop(server);
    while (!chat_server_is_idle(server)) TRY(chat_server_work(server));
    const struct engine_counts counts = engine_counts(host.engine);
    log_info("%" PRId64 " answered, %" PRId64 " tokens of prompts, %" PRId64 " of answers",
             counts.images, counts.prompt_tokens, counts.answer_tokens);
out:
    chat_server_close(server);
    engine_host_close(&host);
    return status;
}

enum status serve_command(struct command_call *call)
{
    enum status status = OK;
    bool helped = false;
    struct request request = {.from = "",
                              .host = "127.0.0.1",
                              .model = "robin",
                              .port = 8000,
                              .queue = 64,
                              .body_mib = 16,
                              .megapixels = 16};
    const struct option_row rows[] = {
        {"CONFIG.yaml", NULL, OPTION_TEXT, true, 0, 0, &request.config,
         "model, tokenizer and the keys decode.*"},
        {"--from", "PATH", OPTION_TEXT, false, 0, 0, &request.from,
         "checkpoint with the weights, or a folder of some; default train.init"},
        {"--host", "ADDRESS", OPTION_TEXT, false, 0, 0, &request.host,
         "numeric address to listen on; others than this machine can ask only if you say so"},
        {"--port", "N", OPTION_INTEGER, false, 0, 65535, &request.port, "0: any that is free"},
        {"--model", "NAME", OPTION_TEXT, false, 0, 0, &request.model, "what clients call it"},
        {"--queue", "N", OPTION_INTEGER, false, 1, 100000, &request.queue,
         "requests that wait or are in work; more are told to come again"},
        {"--max-body-mib", "N", OPTION_INTEGER, false, 1, 1024, &request.body_mib, "of a request"},
        {"--max-megapixels", "N", OPTION_INTEGER, false, 1, 67, &request.megapixels,
         "of a picture"},
        {"--set", "KEY=VALUE", OPTION_TEXTS, false, 0, 0, &request.set,
         "over the configuration's; may be given several times"},
    };
    TRY(options_read(rows, COUNT(rows), "serve", call, &helped));
    if (!helped) TRY(serve(&request, call));
out:
    free(request.set.values);
    return status;
}
