/* See extractor.h. */
#include "model/extractor.h"

#include <stdlib.h>

#include "base/text_buffer.h"

void extractor_init(struct extractor *extractor, const struct model_config *config,
                    const struct flat_weights *flat)
{
    int64_t embed = config->extractor.embed;
    int64_t side = config->extractor.mask_side;
    int64_t d = config->lm.hidden;
    extractor->config = config;
    for (int level = 0; level < N_LEVELS; level++) {
        char *name = text_format("mask_extractor.res%d", level + 2);
        extractor->levels[level] = linear_find(flat, name, embed, config->vision.dims[level]);
        free(name);
    }
    extractor->feat = linear_find(flat, "mask_extractor.feat_linear", d, embed);
    extractor->position[0] =
        linear_find(flat, "mask_extractor.mask_linear.layers.0", embed, side * side);
    extractor->position[1] = linear_find(flat, "mask_extractor.mask_linear.layers.1", embed, embed);
    extractor->position[2] = linear_find(flat, "mask_extractor.mask_linear.layers.2", d, embed);
}

/* What the gradients of its own parameters need. */
static void take_own(struct extractor_activations *a, struct arena *arena,
                     const struct model_config *config)
{
    int64_t embed = config->extractor.embed;
    for (int level = 0; level < N_LEVELS; level++)
        a->pooled[level] = take_floats(arena, a->n_regions, config->vision.dims[level]);
    a->sum = take_floats(arena, a->n_regions, embed);
    a->relu[0] = take_floats(arena, a->n_regions, embed);
    a->relu[1] = take_floats(arena, a->n_regions, embed);
}

void extractor_layout_saved(struct extractor_activations *a, struct arena *arena,
                            const struct model_config *config, const struct extractor_mode *mode,
                            int64_t n_regions)
{
    a->n_regions = n_regions;
    a->t = take_floats(arena, n_regions, config->lm.hidden);
    a->s = take_floats(arena, n_regions, config->lm.hidden);
    a->t_rows = a->t;
    a->s_rows = a->s;
    if (a->dtype != DTYPE_F32) {
        a->t_rows = take_tensor(arena, a->dtype, n_regions, config->lm.hidden);
        a->s_rows = take_tensor(arena, a->dtype, n_regions, config->lm.hidden);
    }
    if (mode->trains) take_own(a, arena, config);
}

void extractor_layout_scratch(struct extractor_activations *a, struct arena *arena,
                              const struct model_config *config, const struct extractor_mode *mode)
{
    int64_t embed = config->extractor.embed;
    int64_t widest = 0;
    for (int level = 0; level < N_LEVELS; level++)
        widest = max_int64(widest, config->vision.dims[level]);
    if (!mode->trains) take_own(a, arena, config);
    a->level = take_floats(arena, a->n_regions, embed);
    if (!mode->trains && !mode->features) return;
    a->dembed[0] = take_floats(arena, a->n_regions, embed);
    a->dembed[1] = take_floats(arena, a->n_regions, embed);
    if (mode->features) a->dpooled = take_floats(arena, a->n_regions, widest);
}

/* ---- forward ---- */

/* The rows of tokens from their values; and the gradients of the values from those of the rows. */
static enum status round_tokens(const struct extractor *extractor,
                                const struct extractor_activations *a, const struct model_run *run)
{
    enum status status = OK;
    const int64_t n = a->n_regions * extractor->config->lm.hidden;
    if (a->dtype == DTYPE_F32) goto out;
    TRY(run->kernels->narrow(a->t_rows, a->t, n, run->stream));
    TRY(run->kernels->narrow(a->s_rows, a->s, n, run->stream));
out:
    return status;
}

static enum status widen_gradients(const struct extractor *extractor,
                                   const struct extractor_activations *a,
                                   const struct model_run *run)
{
    enum status status = OK;
    const int64_t n = a->n_regions * extractor->config->lm.hidden;
    if (a->dtype == DTYPE_F32) goto out;
    TRY(run->kernels->widen(a->t, a->t_rows, n, run->stream));
    TRY(run->kernels->widen(a->s, a->s_rows, n, run->stream));
out:
    return status;
}

/* `pool` are the kernels of the features. */
static enum status mask_token_forward(const struct extractor *extractor,
                                      struct extractor_activations *a,
                                      const struct extractor_input *input,
                                      const struct kernels *pool, const struct model_run *run)
{
    enum status status = OK;
    const struct kernels *k = run->kernels;
    int64_t q = a->n_regions;
    int64_t embed = extractor->config->extractor.embed;
    for (int level = 0; level < N_LEVELS; level++) {
        int64_t c = extractor->config->vision.dims[level];
        TRY(pool->mask_pool_forward(a->pooled[level], input->features[level],
                                    input->footprint[level], input->region_image, q,
                                    input->n_images, input->points[level], c, run->stream));
        TRY(observe(run, a->pooled[level], q, c, "pooled.res%d", level + 2));
        float *out = level == 0 ? a->sum : a->level;
        TRY(linear_apply(run, &extractor->levels[level], out, a->pooled[level], q));
        if (level > 0) TRY(k->add(a->sum, a->level, q * embed, run->stream));
    }
    TRY(linear_apply(run, &extractor->feat, a->t, a->sum, q));
out:
    return status;
}

static enum status position_token_forward(const struct extractor *extractor,
                                          struct extractor_activations *a,
                                          const struct extractor_input *input,
                                          const struct model_run *run)
{
    enum status status = OK;
    const struct kernels *k = run->kernels;
    int64_t q = a->n_regions;
    int64_t embed = extractor->config->extractor.embed;
    TRY(linear_apply(run, &extractor->position[0], a->relu[0], input->position_grid, q));
    TRY(k->relu_forward(a->relu[0], a->relu[0], q * embed, run->stream));
    TRY(linear_apply(run, &extractor->position[1], a->relu[1], a->relu[0], q));
    TRY(k->relu_forward(a->relu[1], a->relu[1], q * embed, run->stream));
    TRY(linear_apply(run, &extractor->position[2], a->s, a->relu[1], q));
out:
    return status;
}

enum status extractor_forward(const struct extractor *extractor, struct extractor_activations *a,
                              const struct extractor_input *input, const struct model_run *run)
{
    enum status status = OK;
    const struct model_run wide = run_in_fp32(run);
    TRY(mask_token_forward(extractor, a, input, run->kernels, &wide));
    TRY(position_token_forward(extractor, a, input, &wide));
    TRY(round_tokens(extractor, a, run));
out:
    return status;
}

/* ---- backward ---- */

static enum status mask_token_backward(const struct extractor *extractor,
                                       struct extractor_activations *a,
                                       const struct extractor_input *input,
                                       void *const dfeatures[N_LEVELS], const struct model_run *run)
{
    enum status status = OK;
    const struct model_run wide = run_in_fp32(run);
    int64_t q = a->n_regions;
    float *dsum = a->dembed[0];
    TRY(linear_add_gradients(&wide, &extractor->feat, a->t, a->sum, NULL, q));
    TRY(linear_propagate(&wide, &extractor->feat, dsum, a->t, q));
    for (int level = 0; level < N_LEVELS; level++) {
        const struct linear *linear = &extractor->levels[level];
        TRY(linear_add_gradients(&wide, linear, dsum, a->pooled[level], NULL, q));
        if (dfeatures == NULL) continue;
        TRY(linear_propagate(&wide, linear, a->dpooled, dsum, q));
        TRY(run->kernels->mask_pool_backward(dfeatures[level], a->dpooled, input->footprint[level],
                                             input->region_image, q, input->n_images,
                                             input->points[level], linear->in, run->stream));
    }
out:
    return status;
}

/* Ends at the parameters: masks have no gradient. */
static enum status position_token_backward(const struct extractor *extractor,
                                           struct extractor_activations *a,
                                           const struct extractor_input *input,
                                           const struct model_run *run)
{
    enum status status = OK;
    int64_t q = a->n_regions;
    int64_t n = q * extractor->config->extractor.embed;
    float *dsecond = a->dembed[0];
    float *dfirst = a->dembed[1];
    TRY(linear_add_gradients(run, &extractor->position[2], a->s, a->relu[1], NULL, q));
    TRY(linear_propagate(run, &extractor->position[2], dsecond, a->s, q));
    TRY(run->kernels->relu_backward(dsecond, dsecond, a->relu[1], n, run->stream));
    TRY(linear_add_gradients(run, &extractor->position[1], dsecond, a->relu[0], NULL, q));
    TRY(linear_propagate(run, &extractor->position[1], dfirst, dsecond, q));
    TRY(run->kernels->relu_backward(dfirst, dfirst, a->relu[0], n, run->stream));
    TRY(linear_add_gradients(run, &extractor->position[0], dfirst, input->position_grid, NULL, q));
out:
    return status;
}

enum status extractor_backward(const struct extractor *extractor, struct extractor_activations *a,
                               const struct extractor_input *input, void *const dfeatures[N_LEVELS],
                               const struct model_run *run)
{
    enum status status = OK;
    bool trains = extractor->feat.weight.gradient != NULL;
    const struct model_run wide = run_in_fp32(run);
    TRY(widen_gradients(extractor, a, run));
    TRY(mask_token_backward(extractor, a, input, dfeatures, run));
    if (trains) TRY(position_token_backward(extractor, a, input, &wide));
out:
    return status;
}
