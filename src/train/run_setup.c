/* From a configuration to a model. */
#include "train/run_setup.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/log.h"
#include "device/device.h"
#include "device/stream.h"
#include "kernels.h"
#include "train/model_setup.h"

/* The most regions that tasks give one picture. */
#define MAX_PICTURE_REGIONS 99

static int64_t image_rows(const struct model_config *config)
{
    return level_side(config->image_height, IMAGE_LEVEL) *
           level_side(config->image_width, IMAGE_LEVEL);
}

/* A micro-batch of max_tokens rows holds at most so many of everything: a picture has its rows and
 * at least one token, a region two rows. */
static struct model_limits limits_for(const struct model_config *config, int64_t max_tokens)
{
    const int64_t images = max_tokens / (image_rows(config) + 1);
    const int64_t max_images = images > 1 ? images : 1;
    const int64_t regions = max_tokens / 2;
    const int64_t pictured = MAX_PICTURE_REGIONS * max_images;
    return (struct model_limits){
        .max_images = max_images,
        .max_regions = regions < pictured ? regions : pictured,
        .max_sequences = max_tokens,
        .max_tokens = max_tokens,
        .max_targets = max_tokens,
    };
}

static enum status choose_kernels(struct run_model *model, const struct run_config *config)
{
    enum status status = OK;
    const bool on_gpu = config->device == CONFIG_DEVICE_CUDA;
    const enum dtype dtype = config->model.dtype == CONFIG_DTYPE_BF16 ? DTYPE_BF16 : DTYPE_F32;
    const char *host = config->kernels == CONFIG_KERNELS_REF ? "ref" : "cpu";
    if (on_gpu && config->kernels == CONFIG_KERNELS_REF)
        FAIL(ERR_ARGUMENT, "kernels is ref, which are the CPU's, but device is cuda; set kernels: "
                           "cpu, which is then what the host computes with, or device: cpu");
    if (!on_gpu && config->parallel.offload_optimizer)
        FAIL(ERR_ARGUMENT, "parallel.offload_optimizer is true, but device is cpu, where the "
                           "optimizer is on the host anyway; set it to false");
    model->options.updates_on_gpu =
        on_gpu && model->options.backward && !config->parallel.offload_optimizer;
    model->host_kernels = kernels_find(host);
    model->kernels = on_gpu ? kernels_find("cuda") : model->host_kernels;
    if (model->kernels == NULL)
        FAIL(ERR_UNSUPPORTED,
             "device is cuda, but this program was built without CUDA; rebuild with make CUDA=1");
    model->kernels = kernels_in(model->kernels, dtype);
    ASSERT(model->kernels != NULL, "a backend without kernels of type %d", (int)dtype);
out:
    return status;
}

enum status run_model_size(struct run_model *model, const struct run_config *config, bool backward)
{
    enum status status = OK;
    model->config = model_config_from(config);
    model->options = (struct model_options){
        .limits = limits_for(&model->config, config->data.max_tokens),
        .backward = backward,
        .recompute = config->train.recompute,
    };
    TRY(modules_from_names(model->options.trainable, config->train.modules.values,
                           config->train.modules.n));
    if (config->data.max_length <= image_rows(&model->config))
        FAIL(ERR_ARGUMENT,
             "data.max_length is %" PRId64 " but a picture alone has %" PRId64 " rows; raise it",
             config->data.max_length, image_rows(&model->config));
    TRY(choose_kernels(model, config));
out:
    return status;
}

/* Which of the machine's GPUs: ranks of one machine take one after the other, as its launcher
 * numbers them. */
static int number_on_machine(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID",
                                        "PMI_LOCAL_RANK", "SLURM_LOCALID"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *text = getenv(names[i]);
        if (text != NULL && *text >= '0' && *text <= '9') return (int)strtol(text, NULL, 10);
    }
    return 0;
}

static enum status open_device(struct run_model *model, const struct run_config *config)
{
    enum status status = OK;
    TRY(device_open(&model->device, model->kernels->device, number_on_machine()));
    TRY(stream_create(&model->host_stream, (int)config->threads));
    model->stream = model->host_stream;
    if (!kernels_on_gpu(model->kernels)) goto out;
    model->stream = NULL;
    TRY(device_stream(model->device, &model->stream, 1));
    log_info("the model is on %s", device_text(model->device));
out:
    return status;
}

enum status run_model_create(struct run_model *model, const struct run_config *config)
{
    enum status status = OK;
    TRY(open_device(model, config));
    TRY(model_create(&model->model, &model->config, &model->options, model->kernels,
                     model->stream));
    parameters_zero_padding(model_weights(model->model), model_parameters(model->model));
out:
    return status;
}

void run_model_release(struct run_model *model)
{
    model_destroy(model->model);
    if (model->stream != model->host_stream) stream_destroy(model->stream);
    stream_destroy(model->host_stream);
    device_close(model->device);
    *model = (struct run_model){0};
}

/* The id of text that must be a single token. */
static enum status single_id(int32_t *id_out, const struct tokenizer *tokenizer, const char *text)
{
    enum status status = OK;
    struct token_list ids = {0};
    TRY(tokenizer_encode(tokenizer, text, strlen(text), &ids));
    if (ids.n != 1)
        FAIL(ERR_ARGUMENT,
             "train.objective region needs \"%s\" to be one token, but the tokenizer makes it "
             "%" PRId64,
             text[0] == '\n' ? "\\n" : text, ids.n);
    *id_out = ids.ids[0];
out:
    token_list_release(&ids);
    return status;
}

enum status run_rows_options(struct sample_rows_options *options_out,
                             const struct run_config *config, const struct run_model *model,
                             const struct tokenizer *tokenizer)
{
    enum status status = OK;
    struct sample_rows_options options = {
        .mask_id = tokenizer_id(tokenizer, "<mask>"),
        .vocab = model->config.lm.vocab,
        .image_rows = image_rows(&model->config),
        .max_length = config->data.max_length,
        .region_objective = config->train.objective == CONFIG_OBJECTIVE_REGION,
    };
    if (options.region_objective) {
        TRY(single_id(&options.turn_id, tokenizer, "<|im_start|>"));
        TRY(single_id(&options.newline_id, tokenizer, "\n"));
    }
    *options_out = options;
out:
    return status;
}

enum status run_take_init(const struct train_parts *parts, const struct run_config *config)
{
    enum status status = OK;
    const struct parameter_table *table = model_parameters(parts->model);
    float *weights = model_weights(parts->model);
    struct run_start start = {.path = config->train.init,
                              .missing_stays = config->train.init_missing == CONFIG_MISSING_NEW,
                              .taken = memory_new((size_t)table->n_parameters + 1, sizeof(bool))};
    if (config->train.init[0] != '\0') {
        TRY(modules_from_names(start.modules, config->train.init_modules.values,
                               config->train.init_modules.n));
        TRY(run_state_take_weights(parts, &start));
    }
    for (int64_t i = 0; i < table->n_parameters; i++)
        if (!start.taken[i])
            parameter_initialise(weights, &table->parameters[i], model_config_of(parts->model),
                                 (uint64_t)config->seed);
    if (parts->optimizer != NULL) optimizer_begin_mean(parts->optimizer, weights);
out:
    free(start.taken);
    return status;
}
