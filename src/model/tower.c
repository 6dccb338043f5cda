/* See tower.h. */
#include "model/tower.h"

#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"

#define STEM_PATCH   4
#define STEM_COLUMNS (3 * STEM_PATCH * STEM_PATCH)
#define PREFIX       "model.vision_tower.vision_tower.visual.trunk"

/* The grid of a stage for a number of images. */
struct grid {
    int64_t y, x, c;
    int64_t rows; /* B * y * x */
};

static struct grid grid_of(const struct model_config *config, int level, int64_t n_images)
{
    struct grid grid = {.y = level_side(config->image_height, level),
                        .x = level_side(config->image_width, level),
                        .c = config->vision.dims[level]};
    grid.rows = n_images * grid.y * grid.x;
    return grid;
}

/* ---- weights ---- */

static void init_block(struct tower_block *block, const struct flat_weights *flat, int stage,
                       int64_t index, int64_t c)
{
    char *prefix = text_format(PREFIX ".stages.%d.blocks.%lld", stage, (long long)index);
    char *norm = text_format("%s.norm", prefix);
    char *fc1 = text_format("%s.mlp.fc1", prefix);
    char *fc2 = text_format("%s.mlp.fc2", prefix);
    block->gamma = weight_find(flat, "%s.gamma", prefix);
    block->conv = weight_find(flat, "%s.conv_dw.weight", prefix);
    block->conv_bias = weight_find(flat, "%s.conv_dw.bias", prefix);
    block->norm = norm_find(flat, norm, true);
    block->fc1 = linear_find(flat, fc1, 4 * c, c);
    block->fc2 = linear_find(flat, fc2, c, 4 * c);
    free(fc2);
    free(fc1);
    free(norm);
    free(prefix);
}

void tower_init(struct tower *tower, const struct model_config *config,
                const struct flat_weights *flat)
{
    const struct vision_config *vision = &config->vision;
    *tower = (struct tower){.config = config};
    tower->stem = linear_find(flat, PREFIX ".stem.0", vision->dims[0], STEM_COLUMNS);
    tower->stem_norm = norm_find(flat, PREFIX ".stem.1", true);
    for (int s = 0; s < N_LEVELS; s++) {
        struct tower_stage *stage = &tower->stages[s];
        if (s > 0) {
            char *norm = text_format(PREFIX ".stages.%d.downsample.0", s);
            char *down = text_format(PREFIX ".stages.%d.downsample.1", s);
            stage->down_norm = norm_find(flat, norm, true);
            stage->down = linear_find(flat, down, vision->dims[s], 4 * vision->dims[s - 1]);
            free(down);
            free(norm);
        }
        stage->blocks = memory_new((size_t)vision->depths[s], sizeof *stage->blocks);
        for (int64_t b = 0; b < vision->depths[s]; b++)
            init_block(&stage->blocks[b], flat, s, b, vision->dims[s]);
    }
}

void tower_release(struct tower *tower)
{
    for (int s = 0; s < N_LEVELS; s++) free(tower->stages[s].blocks);
}

/* ---- memory ---- */

void tower_activations_init(struct tower_activations *activations,
                            const struct vision_config *vision)
{
    *activations = (struct tower_activations){0};
    for (int s = 0; s < N_LEVELS; s++) {
        size_t depth = (size_t)vision->depths[s];
        activations->inputs[s] = memory_new(depth, sizeof *activations->inputs[s]);
        activations->sets[s] = memory_new(depth, sizeof *activations->sets[s]);
    }
}

void tower_activations_release(struct tower_activations *activations)
{
    for (int s = 0; s < N_LEVELS; s++) {
        free(activations->inputs[s]);
        free(activations->sets[s]);
    }
}

static void take_set(struct tower_block_set *set, struct arena *arena, enum dtype dtype,
                     int64_t rows, int64_t c)
{
    set->conv = take_tensor(arena, dtype, rows, c);
    set->mean = take_floats(arena, rows, 1);
    set->rstd = take_floats(arena, rows, 1);
    set->norm = take_tensor(arena, dtype, rows, c);
    set->hidden = take_tensor(arena, dtype, rows, 4 * c);
    set->gelu = take_tensor(arena, dtype, rows, 4 * c);
    set->branch = take_tensor(arena, dtype, rows, c);
}

static void take_stem_and_downsamples(struct tower_activations *a, struct arena *arena,
                                      const struct model_config *config)
{
    struct grid first = grid_of(config, 0, a->n_images);
    a->stem_columns = take_tensor(arena, a->dtype, first.rows, STEM_COLUMNS);
    a->stem_linear = take_tensor(arena, a->dtype, first.rows, first.c);
    a->stem_mean = take_floats(arena, first.rows, 1);
    a->stem_rstd = take_floats(arena, first.rows, 1);
    for (int s = 1; s < N_LEVELS; s++) {
        struct grid above = grid_of(config, s - 1, a->n_images);
        struct grid here = grid_of(config, s, a->n_images);
        a->down_mean[s] = take_floats(arena, above.rows, 1);
        a->down_rstd[s] = take_floats(arena, above.rows, 1);
        a->down_columns[s] = take_tensor(arena, a->dtype, here.rows, 4 * above.c);
    }
}

void tower_layout_saved(struct tower_activations *a, struct arena *arena,
                        const struct model_config *config, const struct tower_mode *mode,
                        int64_t n_images)
{
    a->n_images = n_images;
    a->mode = *mode;
    if (mode->backward) take_stem_and_downsamples(a, arena, config);
    for (int s = 0; s < N_LEVELS; s++) {
        struct grid grid = grid_of(config, s, n_images);
        a->features[s] = take_tensor(arena, a->dtype, grid.rows, grid.c);
        for (int64_t b = 0; mode->backward && b < config->vision.depths[s]; b++) {
            a->inputs[s][b] = take_tensor(arena, a->dtype, grid.rows, grid.c);
            if (!mode->recompute) take_set(&a->sets[s][b], arena, a->dtype, grid.rows, grid.c);
        }
    }
}

void tower_layout_scratch(struct tower_activations *a, struct arena *arena,
                          const struct model_config *config, const struct kernels *kernels)
{
    int64_t rows = 0, narrow = 0;
    size_t workspace = 0;
    int64_t wide = grid_of(config, 0, a->n_images).rows * STEM_COLUMNS;
    for (int s = 0; s < N_LEVELS; s++) {
        struct grid grid = grid_of(config, s, a->n_images);
        rows = max_int64(rows, grid.rows);
        narrow = max_int64(narrow, grid.rows * grid.c);
        wide = max_int64(wide, grid.rows * 4 * grid.c);
        if (s > 0) wide = max_int64(wide, grid.rows * 4 * config->vision.dims[s - 1]);
        size_t conv = kernels->depthwise7_workspace(a->n_images, grid.y, grid.x, grid.c);
        size_t norm = kernels->norm_workspace(grid.rows, grid.c);
        workspace = conv > workspace ? conv : workspace;
        workspace = norm > workspace ? norm : workspace;
        size_t columns = a->mode.backward ? kernels->column_workspace(grid.rows, 4 * grid.c) : 0;
        workspace = columns > workspace ? columns : workspace;
    }
    a->workspace = arena_take(arena, workspace);
    if (a->dtype != DTYPE_F32)
        a->pixels = take_tensor(arena, a->dtype,
                                a->n_images * config->image_height * config->image_width, 3);
    a->down_norm = take_tensor(arena, a->dtype, narrow, 1);
    if (!a->mode.backward) take_stem_and_downsamples(a, arena, config);
    if (!a->mode.backward || a->mode.recompute) {
        struct tower_block_set *set = &a->shared;
        const enum dtype dtype = a->dtype;
        set->conv = take_tensor(arena, dtype, narrow, 1);
        set->mean = take_floats(arena, rows, 1);
        set->rstd = take_floats(arena, rows, 1);
        set->norm = take_tensor(arena, dtype, narrow, 1);
        set->hidden = take_tensor(arena, dtype, wide, 1);
        set->gelu = take_tensor(arena, dtype, wide, 1);
        set->branch = take_tensor(arena, dtype, narrow, 1);
    }
    if (!a->mode.backward) return;
    for (int s = 0; s < N_LEVELS; s++) {
        struct grid grid = grid_of(config, s, a->n_images);
        a->gradients[s] = take_tensor(arena, a->dtype, grid.rows, grid.c);
    }
    a->narrow[0] = take_tensor(arena, a->dtype, narrow, 1);
    a->narrow[1] = take_tensor(arena, a->dtype, narrow, 1);
    a->wide = take_tensor(arena, a->dtype, wide, 1);
    if (a->mode.pixel_gradient)
        a->pixel_gradient = take_tensor(
            arena, a->dtype, a->n_images * config->image_height * config->image_width, 3);
}

/* ---- forward ---- */

/* One pass over the blocks, and the stage it is in. */
struct walk {
    const struct tower *tower;
    struct tower_activations *activations;
    const struct model_run *run;
    const float *keep; /* [blocks, B]; NULL: all 1 */
    int64_t n_images;
    struct grid grid;
    int64_t first_block; /* blocks of the stages before */
};

static void walk_to_stage(struct walk *walk, int stage)
{
    const struct model_config *config = walk->tower->config;
    walk->grid = grid_of(config, stage, walk->n_images);
    walk->first_block = 0;
    for (int s = 0; s < stage; s++) walk->first_block += config->vision.depths[s];
}

static const float *keep_of(const struct walk *walk, int64_t block)
{
    if (walk->keep == NULL) return NULL;
    return walk->keep + (walk->first_block + block) * walk->n_images;
}

/* The block up to its residual addition, from its input x. */
static enum status block_branch(const struct walk *walk, const struct tower_block *block,
                                struct tower_block_set *set, const void *x)
{
    enum status status = OK;
    const struct kernels *k = walk->run->kernels;
    const struct grid *grid = &walk->grid;
    TRY(k->depthwise7_forward(set->conv, x, block->conv.value, block->conv_bias.value,
                              walk->n_images, grid->y, grid->x, grid->c,
                              walk->activations->workspace, walk->run->stream));
    TRY(k->layernorm_forward(set->norm, set->mean, set->rstd, set->conv, block->norm.weight.value,
                             block->norm.bias.value, grid->rows, grid->c,
                             walk->tower->config->vision.norm_eps, walk->run->stream));
    TRY(linear_apply(walk->run, &block->fc1, set->hidden, set->norm, grid->rows));
    TRY(k->gelu_forward(set->gelu, set->hidden, grid->rows * 4 * grid->c, walk->run->stream));
    TRY(linear_apply(walk->run, &block->fc2, set->branch, set->gelu, grid->rows));
out:
    return status;
}

static struct tower_block_set *set_of(struct tower_activations *a, int stage, int64_t block)
{
    bool saved = a->mode.backward && !a->mode.recompute;
    return saved ? &a->sets[stage][block] : &a->shared;
}

/* Where block `block` of a stage reads; the block after the last one is the stage's output. Without
 * a backward all of a stage happens in one place. */
static void *input_of(const struct walk *walk, int stage, int64_t block)
{
    const struct tower_activations *a = walk->activations;
    bool is_output = block == walk->tower->config->vision.depths[stage];
    return a->mode.backward && !is_output ? a->inputs[stage][block] : a->features[stage];
}

static enum status stem_forward(const struct walk *walk, const float *pixels)
{
    enum status status = OK;
    const struct tower *tower = walk->tower;
    const struct kernels *k = walk->run->kernels;
    struct tower_activations *a = walk->activations;
    void *out = input_of(walk, 0, 0);
    const int64_t n_pixels =
        walk->n_images * tower->config->image_height * tower->config->image_width * 3;
    const void *in = a->pixels != NULL ? a->pixels : pixels;
    if (a->pixels != NULL) TRY(k->narrow(a->pixels, pixels, n_pixels, walk->run->stream));
    TRY(k->patch_unfold(a->stem_columns, in, walk->n_images, tower->config->image_height,
                        tower->config->image_width, 3, STEM_PATCH, walk->run->stream));
    TRY(linear_apply(walk->run, &tower->stem, a->stem_linear, a->stem_columns, walk->grid.rows));
    TRY(k->layernorm_forward(out, a->stem_mean, a->stem_rstd, a->stem_linear,
                             tower->stem_norm.weight.value, tower->stem_norm.bias.value,
                             walk->grid.rows, walk->grid.c, tower->config->vision.norm_eps,
                             walk->run->stream));
    TRY(observe(walk->run, out, walk->grid.rows, walk->grid.c, "stem"));
out:
    return status;
}

static enum status downsample_forward(const struct walk *walk, int s)
{
    enum status status = OK;
    const struct tower *tower = walk->tower;
    const struct tower_stage *stage = &tower->stages[s];
    const struct kernels *k = walk->run->kernels;
    struct tower_activations *a = walk->activations;
    struct grid above = grid_of(tower->config, s - 1, walk->n_images);
    TRY(k->layernorm_forward(a->down_norm, a->down_mean[s], a->down_rstd[s], a->features[s - 1],
                             stage->down_norm.weight.value, stage->down_norm.bias.value, above.rows,
                             above.c, tower->config->vision.norm_eps, walk->run->stream));
    TRY(k->patch_unfold(a->down_columns[s], a->down_norm, walk->n_images, above.y, above.x, above.c,
                        2, walk->run->stream));
    TRY(linear_apply(walk->run, &stage->down, input_of(walk, s, 0), a->down_columns[s],
                     walk->grid.rows));
out:
    return status;
}

enum status tower_forward(const struct tower *tower, struct tower_activations *a,
                          const float *pixels, const float *keep, const struct model_run *run)
{
    enum status status = OK;
    struct walk walk = {
        .tower = tower, .activations = a, .run = run, .keep = keep, .n_images = a->n_images};
    for (int s = 0; s < N_LEVELS; s++) {
        walk_to_stage(&walk, s);
        TRY(s == 0 ? stem_forward(&walk, pixels) : downsample_forward(&walk, s));
        const struct grid *grid = &walk.grid;
        for (int64_t b = 0; b < tower->config->vision.depths[s]; b++) {
            const struct tower_block *block = &tower->stages[s].blocks[b];
            struct tower_block_set *set = set_of(a, s, b);
            const void *x = input_of(&walk, s, b);
            TRY(block_branch(&walk, block, set, x));
            TRY(run->kernels->layer_scale_forward(
                input_of(&walk, s, b + 1), x, set->branch, block->gamma.value, keep_of(&walk, b),
                a->n_images, grid->y * grid->x, grid->c, run->stream));
        }
        TRY(observe(run, a->features[s], grid->rows, grid->c, "res%d", s + 2));
    }
out:
    return status;
}

/* ---- backward ---- */

static enum status block_backward(const struct walk *walk, int s, int64_t b)
{
    enum status status = OK;
    const struct model_run *run = walk->run;
    const struct kernels *k = run->kernels;
    const struct grid *grid = &walk->grid;
    const struct tower_block *block = &walk->tower->stages[s].blocks[b];
    struct tower_activations *a = walk->activations;
    struct tower_block_set *set = set_of(a, s, b);
    const void *x = a->inputs[s][b];
    void *dx = a->gradients[s];
    if (a->mode.recompute) TRY(block_branch(walk, block, set, x));

    void *dbranch = a->narrow[0];
    void *dhidden = a->wide;
    TRY(k->layer_scale_backward(dbranch, block->gamma.gradient, dx, set->branch, block->gamma.value,
                                keep_of(walk, b), walk->n_images, grid->y * grid->x, grid->c,
                                a->workspace, run->stream));
    TRY(linear_add_gradients(run, &block->fc2, dbranch, set->gelu, NULL, grid->rows));
    TRY(linear_propagate(run, &block->fc2, dhidden, dbranch, grid->rows));
    struct linear fc1 = block->fc1;
    TRY(k->gelu_bias_backward(dhidden, fc1.bias.gradient, dhidden, set->hidden, grid->rows,
                              4 * grid->c, a->workspace, run->stream));
    fc1.bias.gradient = NULL; /* it has its part */
    TRY(linear_add_gradients(run, &fc1, dhidden, set->norm, NULL, grid->rows));
    void *dnorm = a->narrow[0];
    void *dconv = a->narrow[1];
    TRY(linear_propagate(run, &block->fc1, dnorm, dhidden, grid->rows));
    TRY(k->layernorm_backward(dconv, block->norm.weight.gradient, block->norm.bias.gradient, dnorm,
                              set->conv, block->norm.weight.value, set->mean, set->rstd, grid->rows,
                              grid->c, 0, a->workspace, run->stream));
    TRY(k->depthwise7_backward_weight(block->conv.gradient, block->conv_bias.gradient, dconv, x,
                                      walk->n_images, grid->y, grid->x, grid->c, a->workspace,
                                      run->stream));
    TRY(k->depthwise7_backward_input(dx, dconv, block->conv.value, walk->n_images, grid->y, grid->x,
                                     grid->c, 1, a->workspace, run->stream));
out:
    return status;
}

static enum status downsample_backward(const struct walk *walk, int s)
{
    enum status status = OK;
    const struct model_run *run = walk->run;
    const struct kernels *k = run->kernels;
    const struct tower_stage *stage = &walk->tower->stages[s];
    struct tower_activations *a = walk->activations;
    struct grid above = grid_of(walk->tower->config, s - 1, walk->n_images);
    void *dcolumns = a->wide;
    void *dnorm = a->narrow[0];
    TRY(linear_add_gradients(run, &stage->down, a->gradients[s], a->down_columns[s], NULL,
                             walk->grid.rows));
    TRY(linear_propagate(run, &stage->down, dcolumns, a->gradients[s], walk->grid.rows));
    TRY(k->patch_fold(dnorm, dcolumns, walk->n_images, above.y, above.x, above.c, 2, run->stream));
    TRY(k->layernorm_backward(a->gradients[s - 1], stage->down_norm.weight.gradient,
                              stage->down_norm.bias.gradient, dnorm, a->features[s - 1],
                              stage->down_norm.weight.value, a->down_mean[s], a->down_rstd[s],
                              above.rows, above.c, 1, a->workspace, run->stream));
out:
    return status;
}

static enum status stem_backward(const struct walk *walk)
{
    enum status status = OK;
    const struct model_run *run = walk->run;
    const struct kernels *k = run->kernels;
    const struct tower *tower = walk->tower;
    struct tower_activations *a = walk->activations;
    void *dlinear = a->narrow[0];
    TRY(k->layernorm_backward(dlinear, tower->stem_norm.weight.gradient,
                              tower->stem_norm.bias.gradient, a->gradients[0], a->stem_linear,
                              tower->stem_norm.weight.value, a->stem_mean, a->stem_rstd,
                              walk->grid.rows, walk->grid.c, 0, a->workspace, run->stream));
    TRY(linear_add_gradients(run, &tower->stem, dlinear, a->stem_columns, NULL, walk->grid.rows));
    if (!a->mode.pixel_gradient) goto out;
    TRY(linear_propagate(run, &tower->stem, a->wide, dlinear, walk->grid.rows));
    TRY(k->patch_fold(a->pixel_gradient, a->wide, walk->n_images, tower->config->image_height,
                      tower->config->image_width, 3, STEM_PATCH, run->stream));
out:
    return status;
}

enum status tower_backward(const struct tower *tower, struct tower_activations *a,
                           const float *keep, const struct model_run *run)
{
    enum status status = OK;
    struct walk walk = {
        .tower = tower, .activations = a, .run = run, .keep = keep, .n_images = a->n_images};
    for (int s = N_LEVELS - 1; s >= 0; s--) {
        walk_to_stage(&walk, s);
        for (int64_t b = tower->config->vision.depths[s] - 1; b >= 0; b--)
            TRY(block_backward(&walk, s, b));
        TRY(s == 0 ? stem_backward(&walk) : downsample_backward(&walk, s));
    }
out:
    return status;
}
