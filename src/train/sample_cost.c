/* Multiplications counted. */
#include "train/sample_cost.h"

double sample_cost(const struct sample_cost *cost, const struct sample_size *size)
{
    const double rows = (double)size->tokens;
    return cost->token * rows + cost->pair * rows * (rows + 1) / 2 +
           cost->image * (double)size->images + cost->region * (double)size->regions +
           cost->target * (double)size->targets;
}

/* Of one picture through the tower, and of all points of its maps per channel of their level. */
static double tower_work(const struct model_config *config, double *pooling_out)
{
    double work = 0;
    *pooling_out = 0;
    for (int level = 0; level < N_LEVELS; level++) {
        const double points = (double)(level_side(config->image_height, level) *
                                       level_side(config->image_width, level));
        const double c = (double)config->vision.dims[level];
        work += (double)config->vision.depths[level] * points * (8 * c * c + 49 * c);
        *pooling_out += points * c;
    }
    return work;
}

static double projector_work(const struct model_config *config)
{
    const double rows = (double)(level_side(config->image_height, IMAGE_LEVEL) *
                                 level_side(config->image_width, IMAGE_LEVEL));
    const double d = (double)config->lm.hidden;
    return rows * ((double)config->vision.dims[IMAGE_LEVEL] * d + d * d);
}

static double extractor_work(const struct model_config *config, double pooling)
{
    const double embed = (double)config->extractor.embed, d = (double)config->lm.hidden;
    const double cells = (double)(config->extractor.mask_side * config->extractor.mask_side);
    double channels = 0;
    for (int level = 0; level < N_LEVELS; level++) channels += (double)config->vision.dims[level];
    return pooling + embed * (channels + d) + embed * (cells + embed + d);
}

struct sample_cost sample_cost_of(const struct model_config *config,
                                  const bool trainable[N_MODULES])
{
    const struct lm_config *lm = &config->lm;
    const double d = (double)lm->hidden, layers = (double)lm->layers;
    const double head = d / (double)lm->heads;
    double pooling;
    const double tower = tower_work(config, &pooling);
    const bool below = trainable[MODULE_TOWER];
    const bool any =
        below || trainable[MODULE_PROJECTOR] || trainable[MODULE_EXTRACTOR] || trainable[MODULE_LM];
    /* forward, gradients of the input, gradients of the weights */
    const double tower_passes = 1 + 2 * below;
    const double projector_passes = 1 + below + trainable[MODULE_PROJECTOR];
    const double extractor_passes = 1 + below + trainable[MODULE_EXTRACTOR];
    const double lm_passes = 1 + any + trainable[MODULE_LM];
    const double attention = d * (2 * d + 2 * head * (double)lm->kv_heads);
    /* the last summand stands for what a model without layers has left */
    const double row = lm_passes * (layers * (attention + 3 * d * (double)lm->ffn) + d * d);
    return (struct sample_cost){
        .token = 1,
        .pair = (1 + 1.5 * any) * layers * 2 * d / row, /* the backward has five products for two */
        .image = (tower_passes * tower + projector_passes * projector_work(config)) / row,
        .region = extractor_passes * extractor_work(config, pooling) / row,
        .target = layers > 0 ? lm_passes * d * (double)lm->vocab / row : 0,
    };
}
