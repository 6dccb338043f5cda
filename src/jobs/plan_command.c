/* From options to a plan, or to a file of rates. */
#include "jobs/plan_command.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "device/stream.h"
#include "jobs/options.h"
#include "plan/calibrate.h"
#include "plan/plan_advice.h"
#include "plan/sample_survey.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SURVEYED     256 /* samples */

struct request {
    const char *path, *gpu, *rates, *calibrate;
    struct option_texts set;
    int64_t ranks, tp, samples;
    double tokens, images, regions, targets;
};

/* Of the corpora where they are here, else assumed; then what the options say. */
static struct plan_sample find_sample(const struct request *request,
                                      const struct run_config *config)
{
    struct plan_sample sample = {0};
    if (request->tokens < 0 && sample_survey(&sample, config, SURVEYED) != OK) {
        log_info("samples are assumed, not counted: %s", status_message());
        status_clear();
        sample = sample_assumed(config);
    }
    if (request->tokens >= 0) {
        sample = sample_assumed(config);
        sample.tokens = request->tokens;
        sample.pairs = request->tokens * (request->tokens + 1) / 2;
    }
    if (request->images >= 0) sample.images = request->images;
    if (request->regions >= 0) sample.regions = request->regions;
    if (request->targets >= 0) sample.targets = request->targets;
    if (request->samples > 0) sample.per_epoch = (double)request->samples;
    return sample;
}

static enum status find_rates(struct machine_rates *rates_out, const struct request *request,
                              const struct run_config *config)
{
    enum status status = OK;
    struct machine_rates rates;
    const bool is_built_in = request->rates[0] == '\0';
    if (is_built_in)
        TRY(rates_find(&rates, request->gpu[0] != '\0' ? request->gpu : "cpu"));
    else
        TRY(rates_read(&rates, request->rates));
    if (is_built_in && request->gpu[0] == '\0') { /* a row of one thread */
        double *const by_thread[] = {&rates.peak, &rates.matrix, &rates.attention_forward,
                                     &rates.attention_backward, &rates.vision};
        for (size_t i = 0; i < COUNT(by_thread); i++) *by_thread[i] *= (double)config->threads;
    }
    *rates_out = rates;
out:
    return status;
}

static enum status print_plan(const struct request *request, const struct run_config *config)
{
    enum status status = OK;
    struct plan_options options = {.ranks = (int)request->ranks, .tp = (int)request->tp};
    struct run_plan plan;
    char *text = NULL, *advice = NULL, *scaling = NULL;
    TRY(find_rates(&options.rates, request, config));
    options.sample = find_sample(request, config);
    TRY(run_plan_make(&plan, config, &options));
    plan_advice(&advice, &plan);
    TRY(plan_scaling(&scaling, &plan));
    text = run_plan_text(&plan);
    printf("%s%s%s", text, scaling, advice);
out:
    free(text);
    free(advice);
    free(scaling);
    return status;
}

/* Collective. */
static enum status calibrate(const struct request *request, const struct run_config *config)
{
    enum status status = OK;
    struct comm *comm = NULL;
    struct run_model model = {0};
    struct machine_rates rates;
    TRY(comm_create(&comm, NULL));
    status = run_model_size(&model, config, false);
    if (status == OK) status = stream_create(&model.host_stream, (int)config->threads);
    model.stream = model.host_stream;
    TRY(comm_agree(comm, status));
    TRY(rates_measure(&rates, &model, comm));
    if (comm_rank(comm) == 0) {
        status = rates_write(&rates, request->calibrate);
        if (status == OK)
            printf("%s: products %.1f GFLOP/s of %.1f at most, attention %.1f and %.1f, pictures "
                   "%.1f; copies %.1f GB/s\n",
                   request->calibrate, rates.matrix / 1e9, rates.peak / 1e9,
                   rates.attention_forward / 1e9, rates.attention_backward / 1e9,
                   rates.vision / 1e9, rates.copy / 1e9);
    }
    TRY(comm_agree(comm, status));
out:
    run_model_release(&model);
    comm_end(comm, status);
    return status;
}

enum status plan_command(struct command_call *call)
{
    enum status status = OK;
    struct run_config config = {0};
    bool helped = false;
    struct request request = {.gpu = "",
                              .rates = "",
                              .calibrate = "",
                              .ranks = 1,
                              .tokens = -1,
                              .images = -1,
                              .regions = -1,
                              .targets = -1};
    const struct option_row rows[] = {
        {"CONFIG.yaml", NULL, OPTION_TEXT, true, 0, 0, &request.path, "the run"},
        {"--ranks", "N", OPTION_INTEGER, false, 1, 1e6, &request.ranks, "of the run, default 1"},
        {"--tp", "N", OPTION_INTEGER, false, 1, 1024, &request.tp,
         "ranks that share a language model, default parallel.tp"},
        {"--set", "KEY=VALUE", OPTION_TEXTS, false, 0, 0, &request.set,
         "over the configuration's; may be given several times"},
        {"--gpu", "NAME", OPTION_TEXT, false, 0, 0, &request.gpu,
         "rates and memory of h200 or h100; by default those of a thread of a CPU"},
        {"--rates", "FILE", OPTION_TEXT, false, 0, 0, &request.rates, "rates that were measured"},
        {"--calibrate", "FILE", OPTION_TEXT, false, 0, 0, &request.calibrate,
         "measure this machine, also under mpirun, write its rates, plan nothing"},
        {"--samples", "N", OPTION_INTEGER, false, 1, 9e15, &request.samples,
         "of an epoch, where the corpora are not here"},
        {"--tokens", "N", OPTION_NUMBER, false, 1, 1e9, &request.tokens,
         "of the mean sample, instead of looking at the corpora"},
        {"--images", "N", OPTION_NUMBER, false, 0, 1e6, &request.images, "of the mean sample"},
        {"--regions", "N", OPTION_NUMBER, false, 0, 1e6, &request.regions, "of the mean sample"},
        {"--targets", "N", OPTION_NUMBER, false, 0, 1e9, &request.targets, "of the mean sample"},
    };
    TRY(options_read(rows, COUNT(rows), "plan", call, &helped));
    if (helped) goto out;
    TRY(run_config_load(&config, request.path, (const char *const *)request.set.values,
                        (int)request.set.n));
    TRY(request.calibrate[0] != '\0' ? calibrate(&request, &config)
                                     : print_plan(&request, &config));
out:
    free(request.set.values);
    run_config_release(&config);
    return status;
}
