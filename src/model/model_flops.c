/* Counting what the modules multiply. */
#include "model/model_flops.h"

void model_load_add(struct model_load *load, int64_t tokens, int64_t images, int64_t regions,
                    int64_t targets)
{
    const double t = (double)tokens;
    load->tokens += t;
    load->pairs += t * (t + 1) / 2;
    load->images += (double)images;
    load->regions += (double)regions;
    load->targets += (double)targets;
}

static double cells_of(const struct model_config *config, int level)
{
    return (double)(level_side(config->image_height, level) *
                    level_side(config->image_width, level));
}

struct tower_parts { /* of one picture */
    double stem, down, blocks;
};

/* The stem is 4 x 4, what leads from stage to stage 2 x 2; a block has a depthwise 7 x 7 and two
 * layers. */
static struct tower_parts tower_parts(const struct model_config *config)
{
    struct tower_parts sum = {0};
    for (int level = 0; level < N_LEVELS; level++) {
        const double c = (double)config->vision.dims[level], cells = 2 * cells_of(config, level);
        if (level == 0)
            sum.stem = cells * 3 * 16 * c;
        else
            sum.down += cells * 4 * (double)config->vision.dims[level - 1] * c;
        sum.blocks += cells * (double)config->vision.depths[level] * (49 * c + 8 * c * c);
    }
    return sum;
}

struct extractor_parts { /* of one region */
    double pool, levels, feat, grid, position;
};

/* Means over the cells of four levels, a layer for each, one over their sum; then the position's
 * first layer, and its other two. */
static struct extractor_parts extractor_parts(const struct model_config *config)
{
    const double e = (double)config->extractor.embed, d = (double)config->lm.hidden;
    const double side = (double)config->extractor.mask_side;
    struct extractor_parts sum = {
        .feat = 2 * e * d, .grid = 2 * side * side * e, .position = 2 * (e * e + e * d)};
    for (int level = 0; level < N_LEVELS; level++) {
        const double c = (double)config->vision.dims[level];
        sum.pool += 2 * cells_of(config, level) * c;
        sum.levels += 2 * c * e;
    }
    return sum;
}

/* A gradient costs one forward for the inputs and one for the weights. */
static void count_tower(struct model_flops *flops, const struct model_config *config, bool trains,
                        double images)
{
    const struct tower_parts parts = tower_parts(config);
    flops->forward[MODULE_TOWER] = images * (parts.stem + parts.down + parts.blocks);
    if (!trains) return;
    flops->backward[MODULE_TOWER] = images * (parts.stem + 2 * (parts.down + parts.blocks));
    flops->again[MODULE_TOWER] = images * parts.blocks;
}

static void count_projector(struct model_flops *flops, const struct model_config *config,
                            const bool trains[N_MODULES], double images)
{
    const double d = (double)config->lm.hidden;
    const double rows = images * cells_of(config, IMAGE_LEVEL);
    const double first = 2 * rows * (double)config->vision.dims[IMAGE_LEVEL] * d;
    const double second = 2 * rows * d * d;
    flops->forward[MODULE_PROJECTOR] = first + second;
    if (trains[MODULE_PROJECTOR]) flops->backward[MODULE_PROJECTOR] += first + 2 * second;
    if (!trains[MODULE_TOWER]) return;
    flops->backward[MODULE_PROJECTOR] += first + (trains[MODULE_PROJECTOR] ? 0 : second);
}

static void count_extractor(struct model_flops *flops, const struct model_config *config,
                            const bool trains[N_MODULES], double regions)
{
    const struct extractor_parts parts = extractor_parts(config);
    const bool own = trains[MODULE_EXTRACTOR], tower = trains[MODULE_TOWER];
    flops->forward[MODULE_EXTRACTOR] =
        regions * (parts.pool + parts.levels + parts.feat + parts.grid + parts.position);
    double backward = own || tower ? parts.feat : 0;
    if (own) backward += parts.feat + parts.levels + parts.grid + 2 * parts.position;
    if (tower) backward += parts.levels + parts.pool;
    flops->backward[MODULE_EXTRACTOR] = regions * backward;
}

static void count_lm(struct model_flops *flops, const struct lm_config *lm, bool backward,
                     bool matrices_train, const struct model_load *load)
{
    const double d = (double)lm->hidden, head = d / (double)lm->heads;
    const double layers = 2 * load->tokens * (double)lm->layers;
    const double qkvo = layers * d * (2 * d + 2 * head * (double)lm->kv_heads);
    const double up = layers * 2 * d * (double)lm->ffn, down = layers * d * (double)lm->ffn;
    flops->attention = load->pairs * 4 * d * (double)lm->layers;
    flops->head = load->targets * 2 * d * (double)lm->vocab;
    flops->forward[MODULE_LM] = qkvo + up + down + flops->attention + flops->head;
    if (!backward) return;
    flops->backward[MODULE_LM] =
        (qkvo + up + down + flops->head) * (matrices_train ? 2 : 1) + 2 * flops->attention;
    flops->again[MODULE_LM] = qkvo + up + flops->attention; /* a layer's last product is not used */
}

struct model_flops model_flops(const struct model_config *config,
                               const struct model_options *options, const struct model_load *load)
{
    struct model_flops flops = {0};
    bool trains[N_MODULES], any = false;
    for (int m = 0; m < N_MODULES; m++) {
        trains[m] = options->backward && options->trainable[m];
        any = any || trains[m];
    }
    count_tower(&flops, config, trains[MODULE_TOWER], load->images);
    count_projector(&flops, config, trains, load->images);
    count_extractor(&flops, config, trains, load->regions);
    count_lm(&flops, &config->lm, any, trains[MODULE_LM] && !options->lm_matrices_frozen, load);
    for (int m = 0; m < N_MODULES && !options->recompute; m++) flops.again[m] = 0;
    return flops;
}

double model_flops_sum(const struct model_flops *flops)
{
    double sum = 0;
    for (int m = 0; m < N_MODULES; m++) sum += flops->forward[m] + flops->backward[m];
    return sum;
}
