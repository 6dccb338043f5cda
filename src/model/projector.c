/* See projector.h. */
#include "model/projector.h"

void projector_init(struct projector *projector, const struct model_config *config,
                    const struct flat_weights *flat)
{
    int64_t d = config->lm.hidden;
    projector->first =
        linear_find(flat, "model.mm_projector.0", d, config->vision.dims[IMAGE_LEVEL]);
    projector->second = linear_find(flat, "model.mm_projector.2", d, d);
}

void projector_layout_saved(struct projector_activations *a, struct arena *arena,
                            const struct model_config *config, const struct projector_mode *mode,
                            int64_t n)
{
    int64_t d = config->lm.hidden;
    a->n = n;
    a->tokens = take_tensor(arena, a->dtype, n, d);
    if (mode->backward) a->hidden = take_tensor(arena, a->dtype, n, d);
    if (mode->trains) a->gelu = take_tensor(arena, a->dtype, n, d);
}

void projector_layout_scratch(struct projector_activations *a, struct arena *arena,
                              const struct model_config *config, const struct projector_mode *mode)
{
    int64_t d = config->lm.hidden;
    if (!mode->backward) a->hidden = take_tensor(arena, a->dtype, a->n, d);
    if (!mode->trains) a->gelu = take_tensor(arena, a->dtype, a->n, d);
    if (mode->backward) a->dhidden = take_tensor(arena, a->dtype, a->n, d);
}

enum status projector_forward(const struct projector *projector, struct projector_activations *a,
                              const void *feature, const struct model_run *run)
{
    enum status status = OK;
    int64_t d = projector->first.out;
    TRY(linear_apply(run, &projector->first, a->hidden, feature, a->n));
    TRY(run->kernels->gelu_forward(a->gelu, a->hidden, a->n * d, run->stream));
    TRY(linear_apply(run, &projector->second, a->tokens, a->gelu, a->n));
out:
    return status;
}

enum status projector_backward(const struct projector *projector, struct projector_activations *a,
                               const void *feature, void *dfeature, const struct model_run *run)
{
    enum status status = OK;
    int64_t d = projector->first.out;
    TRY(linear_add_gradients(run, &projector->second, a->tokens, a->gelu, NULL, a->n));
    TRY(linear_propagate(run, &projector->second, a->dhidden, a->tokens, a->n));
    TRY(run->kernels->gelu_backward(a->dhidden, a->dhidden, a->hidden, a->n * d, run->stream));
    TRY(linear_add_gradients(run, &projector->first, a->dhidden, feature, NULL, a->n));
    if (dfeature != NULL) TRY(linear_propagate(run, &projector->first, dfeature, a->dhidden, a->n));
out:
    return status;
}
