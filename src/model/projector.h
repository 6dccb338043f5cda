/* The projector: image tokens of the language model from res4 (Linear, GELU, Linear). Internal to
 * src/model. */
#ifndef ROBIN_MODEL_PROJECTOR_H
#define ROBIN_MODEL_PROJECTOR_H

#include "model/model_run.h"

struct projector {
    struct linear first, second;
};

struct projector_activations {
    int64_t n; /* B * P of the image level */
    enum dtype dtype;
    void *hidden;  /* [n, D] before GELU; saved when a gradient passes */
    void *gelu;    /* [n, D] */
    void *tokens;  /* [n, D]; in the backward their gradient lies here */
    void *dhidden; /* [n, D] scratch */
};

struct projector_mode {
    bool backward; /* a gradient passes: the projector or the tower trains */
    bool trains;
};

void projector_init(struct projector *projector, const struct model_config *config,
                    const struct flat_weights *flat);
void projector_layout_saved(struct projector_activations *activations, struct arena *arena,
                            const struct model_config *config, const struct projector_mode *mode,
                            int64_t n);
void projector_layout_scratch(struct projector_activations *activations, struct arena *arena,
                              const struct model_config *config, const struct projector_mode *mode);

/* feature [n, C] -> activations->tokens */
enum status projector_forward(const struct projector *projector,
                              struct projector_activations *activations, const void *feature,
                              const struct model_run *run);
/* Takes the gradient of the tokens from activations->tokens; dfeature [n, C] is written (NULL: the
 * tower is frozen). */
enum status projector_backward(const struct projector *projector,
                               struct projector_activations *activations, const void *feature,
                               void *dfeature, const struct model_run *run);

#endif
