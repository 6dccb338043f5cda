/* See engine_setup.h. */
#include "generate/engine_setup.h"

#include "generate/grammar.h"

struct engine_options engine_options_from(const struct run_config *config)
{
    const struct config_decode *decode = &config->decode;
    return (struct engine_options){.batch = decode->batch,
                                   .images = decode->images,
                                   .step_rows = decode->step_rows,
                                   .block = decode->block,
                                   .cache_bytes = (size_t)decode->cache_mib << 20,
                                   .max_length = decode->max_length,
                                   .share_prefix = decode->share_prefix,
                                   .skip_forced = decode->skip_forced,
                                   .graphs = decode->graphs,
                                   .image_mode = config->data.image_mode == CONFIG_IMAGE_PAD
                                                     ? IMAGE_MODE_PAD
                                                     : IMAGE_MODE_SQUASH,
                                   .seed = (uint64_t)config->seed};
}

struct ask_options ask_options_from(const struct run_config *config, enum ask_mode mode)
{
    const struct config_decode *decode = &config->decode;
    struct ask_options options = ask_options_default(mode);
    options.wording = decode->wording == CONFIG_WORDING_TRAINED ? ASK_AS_TRAINED : ASK_AS_RELEASED;
    options.constrained = decode->constrained;
    if (decode->max_tokens > 0) options.max_tokens = decode->max_tokens;
    options.goes_on = decode->goes_on;
    options.temperature = decode->temperature;
    options.top_p = decode->top_p;
    return options;
}

struct model_limits engine_model_limits(const struct run_config *config)
{
    int64_t length = config->decode.max_length;
    if (length == 0 || length > config->model.lm_max_positions)
        length = config->model.lm_max_positions;
    return (struct model_limits){.max_images = 1,
                                 .max_regions = GRAMMAR_MAX_REGIONS - 1,
                                 .max_sequences = 1,
                                 .max_tokens = length,
                                 .max_targets = 1};
}
