#include "train/model_setup.h"

#include <string.h>

struct model_config model_config_from(const struct run_config *config)
{
    const struct config_model *from = &config->model;
    struct model_config to = {
        .image_height = from->image_height,
        .image_width = from->image_width,
        .vision = {.norm_eps = from->vision_norm_eps,
                   .drop_path_rate = from->vision_drop_path_rate,
                   .layer_scale_init = from->vision_layer_scale_init},
        .extractor = {.embed = from->extractor_embed, .mask_side = from->extractor_mask_side},
        .lm = {.vocab = from->lm_vocab,
               .hidden = from->lm_hidden,
               .ffn = from->lm_ffn,
               .layers = from->lm_layers,
               .heads = from->lm_heads,
               .kv_heads = from->lm_kv_heads,
               .max_positions = from->lm_max_positions,
               .rms_eps = from->lm_rms_eps,
               .rope_theta = from->lm_rope_theta,
               .tied = from->lm_tied},
    };
    for (int level = 0; level < N_LEVELS; level++) {
        to.vision.depths[level] = from->vision_depths.values[level];
        to.vision.dims[level] = from->vision_dims.values[level];
    }
    return to;
}

enum status modules_from_names(bool modules_out[N_MODULES], char *const *names, int64_t n_names)
{
    enum status status = OK;
    bool modules[N_MODULES] = {false};
    for (int64_t i = 0; i < n_names; i++) {
        int module = 0;
        while (module < N_MODULES && strcmp(names[i], module_names[module]) != 0) module++;
        if (module == N_MODULES)
            FAIL(ERR_ARGUMENT,
                 "unknown module %s; there are vision_tower, projector, mask_extractor and lm",
                 names[i]);
        modules[module] = true;
    }
    memcpy(modules_out, modules, sizeof modules);
out:
    return status;
}
